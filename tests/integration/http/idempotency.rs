//! Requests with an `Idempotency-Key`: each is done once, whatever dies or is lost, and answered the same each time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use lark_service::store::intercepted::{InterceptedStore, Operation, StoreHook};
use lark_service::store::{Key, StoreError, Table};
use lark_service_tests::requests::{TestRequest, TestResponse};
use lark_service_tests::world::{APP, Process, World};
use lark_simulator::DeliveryFilter;
use serde_json::{Value, json};

use super::apps::{ask, world};

const NEW_APP: &str = "cli_new0000001";
const MINUTE: Duration = Duration::from_secs(60);

async fn post(process: &Process, target: &str, name: &str, body: &Value) -> TestResponse {
    let request = TestRequest::new("POST", target).body(body);
    let request = request.header("x-lark-app-id", APP);
    request.header("idempotency-key", name).send(process).await
}

fn new_app() -> Value {
    json!({"app_id": NEW_APP, "secret": "s3cret-of-the-app", "name": "Portal"})
}

fn new_key(name: &str) -> Value {
    json!({"name": name, "scopes": ["users:read"], "apps": [APP]})
}

fn message() -> Value {
    let to = lark_simulator::open_id(APP, 1);
    json!({"to": {"open_id": to}, "text": "hi"})
}

/// Everything that a caller can compare.
fn seen(response: &TestResponse) -> (u16, String, Value) {
    let location = response.headers.get("location");
    let location = location.map(|it| it.to_str().unwrap().to_owned());
    (
        response.status,
        location.unwrap_or_default(),
        response.body.clone(),
    )
}

fn is_replayed(response: &TestResponse) -> bool {
    response.headers.contains_key("idempotency-replayed")
}

#[tokio::test]
async fn a_repeated_request_is_answered_as_the_first_one_was_on_every_route() {
    let (world, process) = world().await;
    for (target, body, other) in [
        (
            "/v1/apps",
            new_app(),
            json!({"app_id": "cli_new2", "secret": "s"}),
        ),
        ("/v1/api-keys", new_key("a"), new_key("b")),
        (
            "/v1/messages",
            message(),
            json!({"to": {"chat_id": "oc_1"}, "text": "hi"}),
        ),
    ] {
        let first = post(&process, target, "build 4711", &body).await;
        assert!(first.status < 300, "{target}: {:?}", first.body);
        assert!(!is_replayed(&first), "{target}");
        for process in [&process, &world.process()] {
            let again = post(process, target, "build 4711", &body).await;
            assert_eq!(seen(&again), seen(&first), "{target}");
            assert_eq!(again.header("idempotency-replayed"), "true", "{target}");
        }
        let refused = post(&process, target, "build 4711", &other).await;
        assert_eq!(
            (refused.status, refused.code()),
            (422, "idempotency_mismatch")
        );
        // Another caller's names are their own. Administrators are told apart by their records, others by the id of their key.
        let scopes = "admin users:read messages:send";
        let request = TestRequest::new("POST", target).by(scopes, "*");
        let request = match target {
            "/v1/messages" => request.key(&format!("lsk_other0000001_{:0>43}", "other")),
            _ => request,
        };
        let request = request.body(&other).header("x-lark-app-id", APP);
        let request = request.header("idempotency-key", "build 4711");
        let foreign = request.send(&process).await;
        assert!(!is_replayed(&foreign), "{target}");
        assert_ne!(foreign.code(), "idempotency_mismatch", "{target}");
    }
    let made = world.control().deliveries(&DeliveryFilter::default(), 10);
    assert_eq!(made.len(), 1, "{made:?}");
}

#[tokio::test]
async fn without_the_header_two_requests_are_two() {
    let (_world, process) = world().await;
    let one = ask(&process, "POST", "/v1/api-keys", new_key("a")).await;
    let other = ask(&process, "POST", "/v1/api-keys", new_key("a")).await;
    assert_eq!((one.status, other.status), (201, 201));
    assert_ne!(one.body["key_id"], other.body["key_id"]);
}

#[tokio::test]
async fn a_wrong_request_uses_no_name_up_and_a_malformed_name_is_refused() {
    let (_world, process) = world().await;
    let right = new_key("a");
    let too_much = |field: &str, value: Value| {
        let mut body = right.clone();
        body[field] = value;
        body
    };
    for (wrong, status) in [
        (json!({}), 400),
        (too_much("scopes", json!(["everything"])), 400),
        (too_much("apps", json!([])), 400),
        (too_much("expires_at", json!("2020-01-01T00:00:00Z")), 400),
    ] {
        let refused = post(&process, "/v1/api-keys", "a", &wrong).await;
        assert_eq!(refused.status, status, "{wrong}: {:?}", refused.body);
    }
    let made = post(&process, "/v1/api-keys", "a", &right).await;
    assert_eq!(made.status, 201);
    for name in ["", &"x".repeat(256)] {
        let refused = post(&process, "/v1/api-keys", name, &right).await;
        assert_eq!((refused.status, refused.code()), (400, "invalid_argument"));
        let field = &refused.body["errors"][0]["field"];
        assert_eq!(field, "header Idempotency-Key");
    }
}

#[tokio::test]
async fn an_app_that_another_registered_is_no_repetition() {
    let (world, process) = world().await;
    let body = new_app();
    assert_eq!(
        ask(&process, "POST", "/v1/apps", body.clone()).await.status,
        201
    );
    world.advance(MINUTE * 2);
    for _ in 0..2 {
        let refused = post(&process, "/v1/apps", "a", &body).await;
        assert_eq!((refused.status, refused.code()), (409, "already_exists"));
    }
}

#[tokio::test]
async fn what_only_reads_is_read_again_and_another_request_refused() {
    let (_world, process) = world().await;
    let users = |number| json!({"open_ids": [lark_simulator::open_id(APP, number)]});
    for _ in 0..2 {
        let read = post(&process, "/v1/users/batch", "a", &users(1)).await;
        assert_eq!(read.status, 200, "{:?}", read.body);
        assert_eq!(read.body["users"].as_array().unwrap().len(), 1);
    }
    let refused = post(&process, "/v1/users/batch", "a", &users(2)).await;
    assert_eq!(
        (refused.status, refused.code()),
        (422, "idempotency_mismatch")
    );
}

#[tokio::test]
async fn two_at_the_same_moment_make_one() {
    let (world, _process) = world().await;
    let processes = [world.process(), world.process(), world.process()];
    let body = new_key("twin");
    let all = processes
        .iter()
        .map(|it| post(it, "/v1/api-keys", "a", &body));
    let all = futures_util::future::join_all(all).await;
    let made: Vec<_> = all.iter().filter(|it| it.status == 201).collect();
    assert!(!made.is_empty());
    for answer in &all {
        if answer.status == 201 {
            assert_eq!(seen(answer), seen(made[0]));
        } else {
            assert_eq!(answer.code(), "idempotency_in_flight");
            assert!(answer.header("retry-after").parse::<u64>().unwrap() > 0);
        }
    }
    assert_eq!(keys_named(&processes[0], "twin").await, 1);
}

async fn keys_named(process: &Process, name: &str) -> usize {
    let list = ask(process, "GET", "/v1/api-keys?page_size=100", Value::Null).await;
    let items = list.body["items"].as_array().unwrap();
    items.iter().filter(|it| it["name"] == name).count()
}

/// A process that dies after so many writes: the answer of the last one is lost too.
#[derive(Debug)]
struct Dies(AtomicUsize);

impl Dies {
    fn dead() -> StoreError {
        StoreError::Timeout {
            operation: "put",
            table: "it is dead",
        }
    }
}

#[async_trait]
impl StoreHook for Dies {
    async fn before(&self, operation: Operation, _: Option<Table>) -> Result<(), StoreError> {
        let is_dead = self.0.load(Ordering::SeqCst) == 0;
        if is_dead && operation == Operation::Put {
            return Err(Self::dead());
        }
        Ok(())
    }

    async fn after_put(&self, _: Table, key: &Key) -> Result<(), StoreError> {
        if key.partition.starts_with("used#") || self.0.fetch_sub(1, Ordering::SeqCst) > 1 {
            return Ok(());
        }
        Err(Self::dead())
    }
}

/// Through the authorizer, so that nothing but the request itself writes.
async fn post_by(process: &Process, key: &str, target: &str, body: &Value) -> TestResponse {
    let request = TestRequest::new("POST", target).body(body);
    let request = request.header("idempotency-key", "build-4711");
    request.through(&process.gateway(), key).await
}

#[tokio::test]
async fn a_process_that_dies_at_any_write_makes_nothing_twice() {
    for (target, body) in [("/v1/api-keys", new_key("twin")), ("/v1/apps", new_app())] {
        let mut survived = false;
        let mut deaths = 0;
        while !survived {
            deaths += 1;
            assert!(deaths < 20);
            let (world, process) = world().await;
            let admin =
                json!({"scopes": ["admin", "users:read"], "apps": ["*"], "rate_limit": null});
            let admin = ask(&process, "POST", "/v1/api-keys", admin).await;
            let key = admin.body["key"].as_str().unwrap();
            let hook = Arc::new(Dies(AtomicUsize::new(deaths)));
            let store = InterceptedStore::new(world.shared_store(), hook.clone() as _);
            let dying = world.process_over(Arc::new(store));
            let first = post_by(&dying, key, target, &body).await;
            survived = hook.0.load(Ordering::SeqCst) > 0;

            let in_between = post_by(&process, key, target, &body).await;
            if first.status == 201 && !is_replayed(&in_between) && in_between.status == 201 {
                panic!("{target} {deaths}: done twice");
            }
            world.advance(MINUTE + Duration::from_secs(1));
            let again = post_by(&process, key, target, &body).await;
            assert_eq!(again.status, 201, "{target} {deaths}: {:?}", again.body);
            if first.status == 201 {
                assert_eq!(seen(&again), seen(&first), "{target} {deaths}");
            }
            let last = post_by(&world.process(), key, target, &body).await;
            assert_eq!(seen(&last), seen(&again), "{target} {deaths}");
            assert!(is_replayed(&last), "{target} {deaths}");
            if target == "/v1/api-keys" {
                assert_eq!(keys_named(&process, "twin").await, 1, "{deaths}");
            }
        }
        assert!(deaths >= 4, "{target}: {deaths}");
    }
}

#[tokio::test]
async fn what_failed_is_not_kept() {
    let world = World::begin().await;
    let process = world.process();
    let hook = Arc::new(Dies(AtomicUsize::new(0)));
    let store = InterceptedStore::new(world.shared_store(), hook.clone() as _);
    let failing = world.process_over(Arc::new(store));
    let admin = json!({"scopes": ["admin", "users:read"], "apps": ["*"]});
    let admin = ask(&process, "POST", "/v1/api-keys", admin).await;
    let key = admin.body["key"].as_str().unwrap();
    let failed = post_by(&failing, key, "/v1/api-keys", &new_key("a")).await;
    assert_eq!((failed.status, failed.code()), (503, "store_unavailable"));
    hook.0.store(100, Ordering::SeqCst);
    let made = post_by(&failing, key, "/v1/api-keys", &new_key("a")).await;
    assert_eq!(made.status, 201, "{:?}", made.body);
    assert!(!is_replayed(&made));
}
