//! One content to many: each receiver gets it once, whoever dies on the way, and the caller hears of each who does not.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use lark_service::delivery::{
    Batch, BatchId, BatchState, BatchView, Message, Mode, NewBatch, Once, State,
};
use lark_service::error::ErrorCode;
use lark_service::messages::ReceiverFields;
use lark_service::queue::{Lane, Queue};
use lark_service::store::intercepted::{InterceptedStore, Operation, StoreHook};
use lark_service::store::{Key, StoreError, Table};
use lark_service_tests::world::{APP, Process, World, soon};
use lark_simulator::{Fault, FaultAction, FaultStage};
use serde_json::{Value, json};

use super::{MINUTE, context, deliveries, text, work};

mod bounds;
mod broadcasts;
mod cancels;
mod deaths;
mod unopened;

const KEY: &str = "test00000001";

fn person(number: u32) -> ReceiverFields {
    fields(json!({ "open_id": lark_simulator::open_id(APP, number) }))
}

fn fields(value: Value) -> ReceiverFields {
    serde_json::from_value(value).unwrap()
}

fn to(receivers: Vec<ReceiverFields>) -> NewBatch {
    NewBatch {
        key_id: KEY.to_owned(),
        receivers,
        message: Message {
            msg_type: "text".to_owned(),
            content: r#"{"text":"to all"}"#.to_owned(),
        },
        mode: Mode::Each,
        needs_message_ids: false,
        lane: Lane::Bulk,
        deliver_at: None,
        expires_at: None,
        wants_callback: false,
        once: None,
    }
}

fn to_people(people: std::ops::RangeInclusive<u32>) -> NewBatch {
    to(people.map(person).collect())
}

async fn accept(process: &Process, new: NewBatch) -> Batch {
    let context = context(process).await;
    let accepted = process.0.delivery.accept_batch(&context, new, soon()).await;
    accepted.unwrap().batch
}

async fn view(process: &Process, batch: &Batch) -> BatchView {
    let id = batch.key.batch_id.as_str();
    let view = process.0.delivery.batch(KEY, id, soon()).await;
    view.unwrap()
}

/// Has a worker take what there is, until nothing is left that does not wait.
async fn drain(world: &World, process: &Process) {
    for _ in 0..1_000 {
        work(world, process).await;
        let mut waiting = 0;
        for lane in Lane::ALL {
            waiting += world.queue.depth(lane).await.unwrap().waiting;
        }
        if waiting == 0 {
            return;
        }
    }
    panic!("it does not end");
}

/// Lets so much time pass that the batch is looked at again, and has that done.
async fn look(world: &World, process: &Process, after: Duration) {
    world.advance(after);
    process.0.delivery.enqueue_due(soon()).await.unwrap();
    drain(world, process).await;
}

/// How often each person got a message.
fn received(world: &World) -> BTreeMap<String, usize> {
    let mut received = BTreeMap::new();
    for delivery in deliveries(world) {
        let chat = serde_json::to_value(&delivery).unwrap()["chat_id"].to_string();
        *received.entry(chat).or_default() += 1;
    }
    received
}

/// Counts writes of jobs, and fails all after the first `fails_from`.
#[derive(Debug)]
struct Writes {
    done: AtomicUsize,
    fails_from: usize,
}

impl Writes {
    fn failing_from(fails_from: usize) -> Arc<Self> {
        let done = AtomicUsize::new(0);
        Arc::new(Self { done, fails_from })
    }
}

#[async_trait]
impl StoreHook for Writes {
    async fn before(&self, operation: Operation, table: Option<Table>) -> Result<(), StoreError> {
        if table != Some(Table::MessageJobs) || operation != Operation::Put {
            return Ok(());
        }
        if self.done.fetch_add(1, Ordering::SeqCst) >= self.fails_from {
            return Err(StoreError::Timeout {
                operation: "put",
                table: "message_jobs",
            });
        }
        Ok(())
    }
}

fn over(world: &World, writes: &Arc<Writes>) -> Process {
    let hook = Arc::clone(writes) as Arc<dyn StoreHook>;
    world.process_over(Arc::new(InterceptedStore::new(world.shared_store(), hook)))
}

#[tokio::test]
async fn a_thousand_receivers_of_a_cold_directory_get_it_once_each() {
    let world = World::begin().await;
    let writes = Writes::failing_from(usize::MAX);
    let process = over(&world, &writes);
    let mut receivers = Vec::new();
    for number in 1..=250 {
        receivers.push(person(number));
        receivers.push(fields(
            json!({"email": lark_simulator::email(number + 250)}),
        ));
        receivers.push(fields(
            json!({"mobile": lark_simulator::mobile(number + 500)}),
        ));
        receivers.push(fields(
            json!({"user_id": lark_simulator::user_id(number + 750)}),
        ));
    }
    let batch = accept(&process, to(receivers)).await;
    assert_eq!(view(&process, &batch).await.state(), BatchState::Queued);
    assert_eq!(deliveries(&world).len(), 0);
    drain(&world, &process).await;
    let received = received(&world);
    assert_eq!(received.len(), 1_000);
    assert!(received.values().all(|times| *times == 1));
    // Fifty addresses of each sort a call.
    assert_eq!(world.requests("contact.user.batch_get_id"), 5);
    look(&world, &process, MINUTE).await;
    let ended = view(&process, &batch).await;
    assert_eq!(
        (ended.state(), ended.counts().delivered),
        (BatchState::Ended, 1_000)
    );
    // Four writes for each message; accepted, planned, made, queued, put off and ended of the batch.
    let written = writes.done.load(Ordering::SeqCst);
    assert!(written <= 4 * 1_000 + 7, "{written} writes");
    // Nothing of the content is left.
    let at = Key::new(format!("job#{KEY}"), batch.key.batch_id.as_str());
    let record = world.shared_store().get(Table::MessageJobs, &at).await;
    let record = record.unwrap().unwrap();
    assert!(record.bytes("message").is_none() && record.expires_at.is_some());
}

#[tokio::test]
async fn who_is_named_twice_gets_it_once_and_who_is_not_there_is_named() {
    let world = World::begin().await;
    let process = world.process();
    let receivers = vec![
        fields(json!({"email": lark_simulator::email(1)})),
        fields(json!({"email": "nobody@example.com"})),
        person(1),
        fields(json!({"mobile": lark_simulator::mobile(1)})),
        fields(json!({"chat": "no such chat"})),
        person(2),
        fields(json!({"open_id": "ou_nobody"})),
    ];
    let batch = accept(&process, to(receivers)).await;
    drain(&world, &process).await;
    look(&world, &process, MINUTE).await;
    let shown = serde_json::to_value(view(&process, &batch).await).unwrap();
    assert_eq!(deliveries(&world).len(), 2);
    assert_eq!(
        (&shown["entries"], &shown["duplicates"]),
        (&json!(7), &json!(2))
    );
    let counts = &shown["counts"];
    assert_eq!(counts["delivered"], 2, "{shown}");
    assert_eq!(
        (&counts["refused"], &counts["unreached"]),
        (&json!(1), &json!(2))
    );
    let unreached = shown["unreached"].as_array().unwrap();
    let named: Vec<_> = unreached
        .iter()
        .map(|it| (&it["entry"], &it["code"]))
        .collect();
    let code = json!("receiver_not_found");
    assert_eq!(named, [(&json!(1), &code), (&json!(4), &code)]);
    // The platform refuses an open_id that it does not know.
    let undelivered = &shown["undelivered"][0];
    assert_eq!(
        (&undelivered["entry"], &undelivered["state"]),
        (&json!(6), &json!("refused"))
    );
    let listed = process.0.delivery.jobs(
        KEY,
        Some(&batch.key.batch_id),
        Some(State::Refused),
        None,
        10,
        soon(),
    );
    let listed = listed.await.unwrap().items;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].key.job_id.place(), Some(6));
    let other = BatchId::new(world.now());
    let none = process
        .0
        .delivery
        .jobs(KEY, Some(&other), None, None, 10, soon());
    assert_eq!(none.await.unwrap().items, []);
}

#[tokio::test]
async fn a_lost_ticket_is_found_by_the_scheduled_run_and_a_batch_for_later_goes_out_then() {
    let world = World::begin().await;
    let process = world.process();
    accept(&process, to_people(1..=3)).await;
    let lost = world
        .queue
        .receive(Lane::Bulk, 10, MINUTE, Duration::ZERO)
        .await;
    for message in lost.unwrap() {
        world
            .queue
            .delete(Lane::Bulk, &message.receipt)
            .await
            .unwrap();
    }
    let later = NewBatch {
        deliver_at: Some(world.now() + MINUTE * 90),
        ..to_people(4..=6)
    };
    let later = accept(&process, later).await;
    assert_eq!(view(&process, &later).await.state(), BatchState::Scheduled);
    assert_eq!(view(&process, &later).await.counts().scheduled, 3);
    look(&world, &process, MINUTE * 16).await;
    assert_eq!(deliveries(&world).len(), 3);
    look(&world, &process, MINUTE * 75).await;
    assert_eq!(deliveries(&world).len(), 6);
    let late = NewBatch {
        expires_at: Some(world.now() + MINUTE),
        ..to_people(7..=9)
    };
    let late = accept(&process, late).await;
    world.advance(MINUTE * 2);
    drain(&world, &process).await;
    assert_eq!(deliveries(&world).len(), 6);
    let expired = view(&process, &late).await;
    assert_eq!(
        (expired.state(), expired.counts().expired),
        (BatchState::Ended, 3)
    );
}

#[tokio::test]
async fn receivers_who_cannot_be_looked_up_now_wait_and_keep_the_others_ten_minutes() {
    let world = World::begin().await;
    let process = world.process();
    let fault = |count| Fault {
        count: Some(count),
        ..Fault::new("contact.user.batch_get_id", FaultAction::Reset)
    };
    world.control().add_fault(fault(1_000)).unwrap();
    let mixed = || {
        to(vec![
            person(1),
            fields(json!({"email": lark_simulator::email(2)})),
        ])
    };
    let batch = accept(&process, mixed()).await;
    assert_eq!(work(&world, &process).await, 1);
    world.advance(MINUTE * 5);
    assert_eq!(work(&world, &process).await, 1);
    assert_eq!(deliveries(&world).len(), 0);
    world.advance(MINUTE * 6);
    drain(&world, &process).await;
    assert_eq!(deliveries(&world).len(), 1);
    let shown = view(&process, &batch).await;
    assert_eq!(shown.unreached()[0].code, "lark_unavailable");
    // It passes in time.
    world.control().clear_faults();
    world.control().add_fault(fault(1)).unwrap();
    accept(&process, mixed()).await;
    for _ in 0..3 {
        drain(&world, &process).await;
        world.advance(MINUTE);
    }
    assert_eq!(deliveries(&world).len(), 3);
}

#[tokio::test]
async fn a_dry_run_says_who_would_get_it_and_writes_nothing() {
    let world = World::begin().await;
    let writes = Writes::failing_from(0);
    let process = over(&world, &writes);
    let new = to(vec![
        person(1),
        fields(json!({"email": "nobody@example.com"})),
        person(1),
    ]);
    let context = context(&process).await;
    let plan = process.0.delivery.plan_batch(&context, &new, soon()).await;
    let plan = plan.unwrap();
    assert_eq!(
        (plan.people.len(), plan.duplicates, plan.calls()),
        (1, 1, 1)
    );
    assert_eq!(plan.unreached[0].entry, 1);
    assert_eq!(writes.done.load(Ordering::SeqCst), 0);
    assert_eq!(world.queue.depth(Lane::Bulk).await.unwrap().waiting, 0);
}
