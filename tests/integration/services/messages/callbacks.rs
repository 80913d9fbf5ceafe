//! Callbacks: each end is told at least once, signed, whatever dies or fails on the way, and costs a caller without them nothing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use lark_service::api_keys::{AllowedApps, AllowedTenants, ApiKey, Authority, NewApiKey, Scope};
use lark_service::callbacks::SigningSecret;
use lark_service::changes::Actor;
use lark_service::delivery::{Job, JobView, NewMessage, State};
use lark_service::idempotency::Seed;
use lark_service::lark::messages::Address;
use lark_service::store::intercepted::{InterceptedStore, Operation, StoreHook};
use lark_service::store::{StoreError, Table};
use lark_service_tests::requests::TestRequest;
use lark_service_tests::world::{APP, Process, World, soon};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

mod failures;
mod receiver;

use receiver::Receiver;

use super::{MINUTE, accept, job, lost_answer, send, state, text, work};

const HOUR: Duration = Duration::from_secs(3_600);
const HERE: [(&str, &str); 1] = [("LARK_SERVICE_CALLBACKS_TO_LOOPBACK", "true")];

/// A key that has registered `url`, and what signs its callbacks.
async fn register(process: &Process, url: &str) -> (String, String) {
    let key = ApiKey::generate().unwrap();
    let key_id = key.id().to_owned();
    let new = NewApiKey {
        key,
        name: "caller".to_owned(),
        scopes: [Scope::MessagesSend].into(),
        apps: AllowedApps::All,
        tenants: AllowedTenants::All,
        rate_limit: None,
        expires_at: None,
    };
    let authority = Authority::Operator(Actor::seed());
    let keys = &process.0.api_keys;
    keys.add(&new, &authority, soon()).await.unwrap();
    let secret = set(process, &key_id, url).await;
    (key_id, secret)
}

/// Registers `url` with a new secret, as its holder is shown it.
async fn set(process: &Process, key_id: &str, url: &str) -> String {
    let callbacks = &process.0.callbacks;
    let secret = SigningSecret::from_seed(&Seed::generate().unwrap());
    let url = callbacks.address(url).unwrap();
    let authority = Authority::Operator(Actor::seed());
    let registered = callbacks.register(key_id, &url, &secret, &authority, soon());
    registered.await.unwrap();
    secret.reveal().expose_secret().to_owned()
}

/// What the API shows of a job's callback.
async fn shown(process: &Process, world: &World, sent: &Job) -> Value {
    let view = JobView::of(&job(process, sent).await, world.now());
    serde_json::to_value(view).unwrap()["callback"].clone()
}

fn message(key_id: &str) -> NewMessage {
    NewMessage {
        key_id: key_id.to_owned(),
        wants_callback: true,
        ..text("hi")
    }
}

/// Lets the scheduled run and a worker do what is to be done now.
async fn run(world: &World, process: &Process) {
    process.0.delivery.enqueue_due(soon()).await.unwrap();
    work(world, process).await;
}

#[tokio::test]
async fn an_end_is_told_once_with_the_job_and_a_signature() {
    let world = World::begin().await;
    let process = world.process_with(&HERE);
    let receiver = Receiver::begin(&[]).await;
    let (key_id, secret) = register(&process, &receiver.url).await;
    let sent = send(&process, message(&key_id)).await.job;
    assert_eq!(
        receiver.received().await.len(),
        0,
        "its caller was answered first"
    );
    for _ in 0..3 {
        run(&world, &process).await;
        world.advance(MINUTE * 20);
    }
    let received = receiver.received().await;
    let [one] = received.as_slice() else {
        panic!("{received:?}")
    };
    let body: Value = serde_json::from_str(&one.body).unwrap();
    assert_eq!(body["type"], "message_job.ended");
    assert_eq!(body["data"]["job_id"], sent.key.job_id.as_str());
    assert_eq!(body["data"]["state"], "delivered");
    assert_eq!(body["timestamp"], body["data"]["delivered"]["at"]);
    assert!(!one.body.contains("hi\\\""), "it has no content");
    let id = &one.headers["webhook-id"];
    assert_eq!(id, sent.key.job_id.as_str());
    assert_eq!(one.headers["webhook-signature"], one.signed_by(&secret));
    assert!(body["data"].get("callback").is_none(), "{body}");
    let expected = json!({"state": "delivered", "attempts": 1, "last_status": 204});
    assert_eq!(shown(&process, &world, &sent).await, expected);
}

#[tokio::test]
async fn every_kind_of_end_is_told() {
    let world = World::begin().await;
    let process = world.process_with(&HERE);
    let receiver = Receiver::begin(&[]).await;
    let (key_id, _) = register(&process, &receiver.url).await;
    let cancelled = accept(&process, message(&key_id)).await;
    let job_id = cancelled.key.job_id.as_str();
    let cancelled = process.0.delivery.cancel(&key_id, job_id, soon()).await;
    assert_eq!(state(&world, &cancelled.unwrap()), State::Cancelled);
    let nobody = NewMessage {
        to: Address::OpenId("ou_nobody".to_owned()).into(),
        ..message(&key_id)
    };
    send(&process, nobody).await;
    send(&process, message(&key_id)).await;
    let late = NewMessage {
        deliver_at: Some(world.now() + MINUTE * 30),
        expires_at: Some(world.now() + MINUTE * 31),
        ..message(&key_id)
    };
    accept(&process, late).await;
    // Nobody learns what became of this one.
    world.control().add_fault(lost_answer(1_000)).unwrap();
    send(&process, message(&key_id)).await;
    for _ in 0..8 {
        world.advance(MINUTE * 20);
        run(&world, &process).await;
    }
    let mut states = BTreeSet::new();
    for received in receiver.received().await {
        let body: Value = serde_json::from_str(&received.body).unwrap();
        assert!(states.insert(body["data"]["state"].as_str().unwrap().to_owned()));
    }
    let all = ["cancelled", "delivered", "expired", "refused", "uncertain"];
    assert_eq!(states, BTreeSet::from(all.map(str::to_owned)));
}

#[tokio::test]
async fn the_secret_before_signs_for_a_day_more() {
    let world = World::begin().await;
    let process = world.process_with(&HERE);
    let receiver = Receiver::begin(&[]).await;
    let (key_id, old) = register(&process, &receiver.url).await;
    let new = set(&process, &key_id, &receiver.url).await;
    for (days, secrets) in [(0, vec![&new, &old]), (2, vec![&new])] {
        world.advance(HOUR * 24 * days);
        send(&process, message(&key_id)).await;
        run(&world, &process).await;
        let received = receiver.received().await;
        let last = received.last().unwrap();
        let signatures = secrets.iter().map(|secret| last.signed_by(secret));
        let signatures: Vec<_> = signatures.collect();
        assert_eq!(
            last.headers["webhook-signature"],
            signatures.join(" "),
            "{days}"
        );
    }
}

/// Counts operations.
#[derive(Debug, Default)]
struct Counting(AtomicUsize);

#[async_trait]
impl StoreHook for Counting {
    async fn before(&self, operation: Operation, table: Option<Table>) -> Result<(), StoreError> {
        let is_of_jobs = matches!(table, Some(Table::MessageJobs | Table::ApiKeys));
        if is_of_jobs && operation != Operation::Due {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    }
}

#[tokio::test]
async fn without_a_callback_nothing_costs_more_and_with_one_two_reads_and_a_write() {
    let mut counts = Vec::new();
    for wants_callback in [false, true] {
        let world = World::begin().await;
        let hook = Arc::new(Counting::default());
        let store = InterceptedStore::new(world.shared_store(), Arc::clone(&hook) as _);
        let process = world.process_over_with(Arc::new(store), &HERE);
        let receiver = Receiver::begin(&[]).await;
        let (key_id, _) = register(&process, &receiver.url).await;
        hook.0.store(0, Ordering::SeqCst);
        let new = NewMessage {
            wants_callback,
            ..message(&key_id)
        };
        send(&process, new).await;
        work(&world, &process).await;
        assert_eq!(receiver.received().await.len(), usize::from(wants_callback));
        counts.push(hook.0.load(Ordering::SeqCst));
    }
    // Written ahead, who sent it, its end.
    assert_eq!(counts, [3, 3 + 3]);
}

#[tokio::test]
async fn what_is_registered_and_sent_over_http_is_told() {
    let world = World::begin().await;
    let process = world.process_with(&HERE);
    let receiver = Receiver::begin(&[]).await;
    let new = json!({"scopes": ["messages:send"], "apps": [APP], "callback_url": receiver.url});
    let made = TestRequest::new("POST", "/v1/api-keys").body(&new);
    let made = made.send(&process).await.body;
    let to = json!({"open_id": lark_simulator::open_id(APP, 1)});
    let sent = TestRequest::new("POST", "/v1/messages").body(&json!({"to": to, "text": "hi"}));
    let gateway = process.gateway();
    let sent = sent.through(&gateway, made["key"].as_str().unwrap()).await;
    assert_eq!(sent.status, 200, "{:?}", sent.body);
    run(&world, &process).await;
    let received = receiver.received().await;
    let [one] = received.as_slice() else {
        panic!("{received:?}")
    };
    let body: Value = serde_json::from_str(&one.body).unwrap();
    let mut told = sent.body.clone();
    let callback = told.as_object_mut().unwrap().remove("callback").unwrap();
    assert_eq!(
        (&callback["state"], &body["data"]),
        (&json!("pending"), &told)
    );
    let secret = made["callback_secret"].as_str().unwrap();
    assert_eq!(one.headers["webhook-signature"], one.signed_by(secret));
}

#[tokio::test]
async fn each_message_of_a_batch_is_told() {
    let world = World::begin().await;
    let process = world.process_with(&HERE);
    let receiver = Receiver::begin(&[]).await;
    let new = json!({"scopes": ["messages:send"], "apps": [APP], "callback_url": receiver.url});
    let made = TestRequest::new("POST", "/v1/api-keys").body(&new);
    let made = made.send(&process).await.body;
    let to: Vec<_> = (1..=3)
        .map(|number| json!({"open_id": lark_simulator::open_id(APP, number)}))
        .collect();
    let batch = json!({"to": to, "text": "to all", "mode": "each"});
    let sent = TestRequest::new("POST", "/v1/messages/batch").body(&batch);
    let gateway = process.gateway();
    let sent = sent.through(&gateway, made["key"].as_str().unwrap()).await;
    assert_eq!(sent.status, 202, "{:?}", sent.body);
    for _ in 0..4 {
        run(&world, &process).await;
        world.advance(MINUTE);
    }
    let mut told = BTreeSet::new();
    for received in receiver.received().await {
        let body: Value = serde_json::from_str(&received.body).unwrap();
        assert_eq!(body["data"]["state"], "delivered");
        told.insert(received.headers["webhook-id"].clone());
    }
    assert_eq!(told.len(), 3);
}
