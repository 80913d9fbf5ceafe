//! Receivers that fail, hang or are gone, and processes that die between an end and its callback.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use lark_service::callbacks::TIMEOUT;
use lark_service::delivery::{NewMessage, State};
use lark_service::queue::{Lane, Queue};
use lark_service::store::intercepted::{InterceptedStore, Operation, StoreHook};
use lark_service::store::{Key, StoreError, Table};
use lark_service_tests::queues::{until, work_of};
use lark_service_tests::world::{World, soon};
use serde_json::json;

use super::receiver::{HANGS, Receiver};
use super::{HERE, MINUTE, message, register, run, set, shown};
use crate::services::messages::{HIDDEN, accept, job, send, state, text, work};

#[tokio::test]
async fn what_is_not_taken_is_sent_again_later_with_the_same_id_and_after_the_last_time_no_more() {
    let world = World::begin().await;
    let process = world.process_with(&HERE);
    let receiver = Receiver::begin(&[500, 429, 302, 404]).await;
    let (key_id, _) = register(&process, &receiver.url).await;
    send(&process, message(&key_id)).await;
    let mut times = Vec::new();
    let begin = world.now();
    for _ in 0..200 {
        run(&world, &process).await;
        let count = receiver.received().await.len();
        while times.len() < count {
            times.push(world.now().since(begin).as_secs());
        }
        world.advance(MINUTE);
    }
    let received = receiver.received().await;
    assert_eq!(received.len(), 5, "{times:?}");
    let ids: Vec<_> = received
        .iter()
        .map(|it| &it.headers["webhook-id"])
        .collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    // After 5 s, 5 min, 30 min and 2 h, give or take the run of each minute and the jitter.
    for (number, (least, most)) in [
        (0, 0),
        (5, 120),
        (300, 600),
        (2_100, 2_700),
        (9_300, 10_800),
    ]
    .into_iter()
    .enumerate()
    {
        assert!(
            times[number] >= least && times[number] <= most,
            "{number}: {times:?}"
        );
    }
}

#[tokio::test]
async fn a_receiver_that_never_takes_anything_is_given_up_after_ten_times() {
    let world = World::begin().await;
    let process = world.process_with(&HERE);
    let receiver = Receiver::begin(&[500; 100]).await;
    let (key_id, _) = register(&process, &receiver.url).await;
    let sent = send(&process, message(&key_id)).await.job;
    for _ in 0..(5 * 24 * 4) {
        run(&world, &process).await;
        world.advance(MINUTE * 15);
    }
    assert_eq!(receiver.received().await.len(), 10);
    let expected = json!({"state": "given_up", "attempts": 10, "last_status": 500});
    assert_eq!(shown(&process, &world, &sent).await, expected);
}

#[tokio::test]
async fn a_receiver_that_is_gone_is_left_alone_until_it_is_registered_again_and_the_key_says_so() {
    let world = World::begin().await;
    let process = world.process_with(&HERE);
    let receiver = Receiver::begin(&[410]).await;
    let (key_id, _) = register(&process, &receiver.url).await;
    for last_status in [Some(410), None] {
        let sent = send(&process, message(&key_id)).await.job;
        run(&world, &process).await;
        world.advance(MINUTE * 20);
        run(&world, &world.process_with(&HERE)).await;
        let shown = shown(&process, &world, &sent).await;
        assert_eq!(shown["state"], "switched_off");
        assert_eq!(shown["last_status"].as_u64(), last_status);
    }
    assert_eq!(receiver.received().await.len(), 1);
    let keys = &process.0.api_keys;
    let key = keys.show(&key_id, soon()).await.unwrap();
    let disabled = key.callback_disabled.unwrap();
    assert_eq!(disabled.reason, "the receiver answered 410");
    assert_eq!(key.callback_url, Some(receiver.url.clone()));
    world.advance(MINUTE);
    set(&process, &key_id, &receiver.url).await;
    let key = keys.show(&key_id, soon()).await.unwrap();
    assert_eq!(key.callback_disabled, None);
    send(&process, message(&key_id)).await;
    run(&world, &process).await;
    assert_eq!(receiver.received().await.len(), 2);
}

/// A receiver that takes the request and says nothing is asked again, like one that says no.
#[tokio::test]
async fn a_receiver_whose_time_runs_out_is_asked_again_later() {
    let world = World::begin().await;
    let process = world.process_with(&HERE);
    let receiver = Receiver::begin(&[HANGS]).await;
    let (key_id, _) = register(&process, &receiver.url).await;
    let sent = send(&process, message(&key_id)).await.job;
    let time_runs_out = async {
        receiver.is_asked().await;
        tokio::time::pause();
        tokio::time::advance(TIMEOUT).await;
        tokio::time::resume();
    };
    tokio::join!(work(&world, &process), time_runs_out);
    let first = shown(&process, &world, &sent).await;
    assert_eq!(
        (&first["state"], &first["attempts"]),
        (&json!("pending"), &json!(1))
    );
    assert!(first.get("last_status").is_none() && first["next_at"].is_string());
    receiver.answer();
    world.advance(MINUTE);
    run(&world, &process).await;
    let then = shown(&process, &world, &sent).await;
    let expected = json!({"state": "delivered", "attempts": 2, "last_status": 204});
    assert_eq!(then, expected);
}

/// All of it is in one batch of the queue.
#[tokio::test]
async fn a_receiver_that_hangs_keeps_no_message_and_no_other_key_waiting() {
    let world = World::begin().await;
    let process = world.process_with(&HERE);
    let (hanging, well) = (Receiver::begin(&[HANGS]).await, Receiver::begin(&[]).await);
    let (of_hanging, _) = register(&process, &hanging.url).await;
    let (of_well, _) = register(&process, &well.url).await;
    for _ in 0..2 {
        send(&process, message(&of_hanging)).await;
        send(&process, message(&of_well)).await;
    }
    let bulk = NewMessage {
        lane: Lane::Bulk,
        ..text("many")
    };
    let bulk = accept(&process, bulk).await;
    let batch = world
        .queue
        .receive(Lane::Bulk, 10, HIDDEN, Duration::ZERO)
        .await;
    let batch = batch.unwrap();
    assert_eq!(batch.len(), 5);
    let works = batch.iter().map(work_of).collect();
    let meanwhile = async {
        hanging.is_asked().await;
        let others_are_done = until(Duration::from_secs(20), async || {
            let (of_hanging, well) = (hanging.received().await, well.received().await);
            // What is finished has left the queue, too: only the two of the receiver that hangs are with the worker.
            let depth = world.queue.depth(Lane::Bulk).await.unwrap();
            let is_delivered = state(&world, &job(&process, &bulk).await) == State::Delivered;
            (of_hanging.len(), well.len(), depth.in_flight) == (1, 2, 2) && is_delivered
        });
        assert!(others_are_done.await);
        hanging.answer();
    };
    let (unfinished, ()) = tokio::join!(process.0.delivery.work(works, soon()), meanwhile);
    assert_eq!(unfinished, Vec::<String>::new());
    assert_eq!(hanging.received().await.len(), 2);
}

/// However many wait for one that fails, each is tried now and then or given up, and none stays in the queue.
#[tokio::test]
async fn what_waits_for_a_receiver_that_fails_for_days_leaves_the_queue_and_is_given_up() {
    let world = World::begin().await;
    let process = world.process_with(&HERE);
    let receiver = Receiver::begin(&[500; 1_000]).await;
    let (key_id, _) = register(&process, &receiver.url).await;
    let mut jobs = Vec::new();
    for _ in 0..6 {
        jobs.push(send(&process, message(&key_id)).await.job);
    }
    let mut most = 0;
    for _ in 0..(5 * 24) {
        run(&world, &process).await;
        for _ in 0..3 {
            world.advance(MINUTE);
            work(&world, &process).await;
        }
        let depth = world.queue.depth(Lane::Bulk).await.unwrap();
        most = most.max(depth.waiting + depth.in_flight);
        world.advance(MINUTE * 57);
    }
    assert!(most <= 12, "{most}");
    for sent in &jobs {
        assert_eq!(shown(&process, &world, sent).await["state"], "given_up");
    }
    let count = receiver.received().await.len();
    assert!((10..=60).contains(&count), "{count}");
}

#[tokio::test]
async fn a_receiver_that_fails_gets_one_of_many_and_the_others_wait_without_being_tried() {
    let world = World::begin().await;
    let process = world.process_with(&HERE);
    let (failing, well) = (
        Receiver::begin(&[500; 100]).await,
        Receiver::begin(&[]).await,
    );
    let (of_failing, _) = register(&process, &failing.url).await;
    let (of_well, _) = register(&process, &well.url).await;
    for _ in 0..4 {
        send(&process, message(&of_failing)).await;
        send(&process, message(&of_well)).await;
    }
    for _ in 0..4 {
        work(&world, &process).await;
    }
    assert_eq!(failing.received().await.len(), 1);
    assert_eq!(well.received().await.len(), 4);
    failing.recover().await;
    for _ in 0..40 {
        world.advance(MINUTE);
        run(&world, &process).await;
    }
    let received = failing.received().await;
    let mut ids: Vec<_> = received
        .iter()
        .map(|it| it.headers["webhook-id"].clone())
        .collect();
    ids.sort();
    ids.dedup();
    assert_eq!((received.len(), ids.len()), (5, 4));
}

/// Fails the next writes of jobs, as many as the test says.
#[derive(Debug)]
struct Failing(AtomicUsize);

#[async_trait]
impl StoreHook for Failing {
    async fn before(&self, operation: Operation, table: Option<Table>) -> Result<(), StoreError> {
        let is_write = table == Some(Table::MessageJobs) && operation == Operation::Put;
        if is_write && self.0.load(Ordering::SeqCst) > 0 {
            self.0.fetch_sub(1, Ordering::SeqCst);
            return Err(StoreError::Timeout {
                operation: "put",
                table: "message_jobs",
            });
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_worker_that_dies_between_the_post_and_its_record_posts_it_again_with_the_same_id() {
    let world = World::begin().await;
    let hook = Arc::new(Failing(AtomicUsize::new(0)));
    let store = InterceptedStore::new(world.shared_store(), Arc::clone(&hook) as _);
    let dying = world.process_over_with(Arc::new(store), &HERE);
    let receiver = Receiver::begin(&[]).await;
    let (key_id, _) = register(&dying, &receiver.url).await;
    send(&dying, message(&key_id)).await;
    hook.0.store(1, Ordering::SeqCst);
    work(&world, &dying).await;
    assert_eq!(receiver.received().await.len(), 1);
    world.advance(MINUTE * 20);
    for _ in 0..3 {
        run(&world, &world.process_with(&HERE)).await;
        world.advance(MINUTE * 20);
    }
    let received = receiver.received().await;
    assert_eq!(received.len(), 2);
    assert_eq!(
        received[0].headers["webhook-id"],
        received[1].headers["webhook-id"]
    );
    assert_eq!(received[0].body, received[1].body);
}

/// Loses the answers of all writes of a job but the first.
#[derive(Debug, Default)]
struct Lost(AtomicUsize);

#[async_trait]
impl StoreHook for Lost {
    async fn before(&self, _: Operation, _: Option<Table>) -> Result<(), StoreError> {
        Ok(())
    }

    async fn after_put(&self, _: Table, key: &Key) -> Result<(), StoreError> {
        let is_of_job = key.partition.starts_with("job#");
        if is_of_job && self.0.fetch_add(1, Ordering::SeqCst) > 0 {
            return Err(StoreError::Timeout {
                operation: "put",
                table: "message_jobs",
            });
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_process_that_dies_right_after_the_end_leaves_the_callback_to_the_scheduled_run() {
    let world = World::begin().await;
    // The first is written ahead, the second is the end.
    let store = InterceptedStore::new(world.shared_store(), Arc::new(Lost::default()));
    let dying = world.process_over_with(Arc::new(store), &HERE);
    let receiver = Receiver::begin(&[]).await;
    let (key_id, _) = register(&dying, &receiver.url).await;
    let sent = send(&dying, message(&key_id)).await.job;
    let process = world.process_with(&HERE);
    let ended = job(&process, &sent).await;
    assert_eq!(state(&world, &ended), State::Delivered);
    assert_eq!(world.queue.depth(Lane::Bulk).await.unwrap().waiting, 0);
    for _ in 0..3 {
        run(&world, &process).await;
        world.advance(MINUTE * 10);
    }
    assert_eq!(receiver.received().await.len(), 1);
    assert_eq!(shown(&process, &world, &sent).await["state"], "delivered");
}
