//! Processes that die, and two that do the same.

use std::sync::Arc;

use async_trait::async_trait;
use lark_service::delivery::{JobId, NewMessage, Once, State, Work};
use lark_service::store::intercepted::{InterceptedStore, Operation, StoreHook};
use lark_service::store::{StoreError, Table};
use lark_service_tests::world::{Process, World, soon};
use tokio::sync::{Barrier, Mutex};

use super::{CREATE, MINUTE, accept, context, deliveries, job, state, text, work};

/// Fails writes of jobs that the test chooses, by their number.
#[derive(Debug)]
pub(super) struct Failing(pub(super) Mutex<Vec<bool>>);

#[async_trait]
impl StoreHook for Failing {
    async fn before(&self, operation: Operation, table: Option<Table>) -> Result<(), StoreError> {
        if table != Some(Table::MessageJobs) || operation != Operation::Put {
            return Ok(());
        }
        let mut plan = self.0.lock().await;
        let fails = !plan.is_empty() && plan.remove(0);
        if fails {
            return Err(StoreError::Timeout {
                operation: "put",
                table: "message_jobs",
            });
        }
        Ok(())
    }
}

/// A process that dies at each of its writes: between accepting, queueing, writing ahead, calling, and recording.
#[tokio::test]
async fn a_process_that_dies_between_two_writes_loses_nothing_and_doubles_nothing() {
    for dies_at in 0..4 {
        let world = World::begin().await;
        let plan = (0..4).map(|write| write >= dies_at).collect::<Vec<bool>>();
        // Whatever it tries after its death fails too.
        let plan: Vec<bool> = plan.into_iter().chain([true; 20]).collect();
        let hook = Arc::new(Failing(Mutex::new(plan)));
        let store = InterceptedStore::new(world.shared_store(), hook as _);
        let dying = world.process_over(Arc::new(store));
        let context = context(&dying).await;
        let taken = dying
            .0
            .delivery
            .send_now(&context, text("hi"), soon())
            .await;
        let process = world.process();
        for _ in 0..4 {
            world.advance(MINUTE);
            process.0.delivery.enqueue_due(soon()).await.unwrap();
            work(&world, &process).await;
        }
        let made = deliveries(&world).len();
        match taken {
            // It was never taken.
            Err(_) => assert_eq!((dies_at, made), (0, 0)),
            Ok(taken) => {
                assert_eq!(made, 1, "died at write {dies_at}");
                let ended = job(&process, &taken.job).await;
                assert_eq!(state(&world, &ended), State::Delivered, "{dies_at}");
            }
        }
    }
}

#[tokio::test]
async fn two_workers_with_the_same_message_make_it_once() {
    let world = World::begin().await;
    let (one, other) = (world.process(), world.process());
    let accepted = accept(&one, text("hi")).await;
    let work = |process: &Process| {
        let delivery = process.0.delivery.clone();
        let works = vec![Work {
            id: "1".to_owned(),
            receipt: lark_service::queue::Receipt("none".to_owned()),
            group: accepted.group(),
            body: format!(
                r#"{{"key_id":"test00000001","job_id":"{}","lane":"normal"}}"#,
                accepted.key.job_id
            ),
            receive_count: 1,
        }];
        async move { delivery.work(works, soon()).await }
    };
    let (first, second) = tokio::join!(work(&one), work(&other));
    assert!(
        first.is_empty() || second.is_empty(),
        "{first:?} {second:?}"
    );
    assert_eq!(deliveries(&world).len(), 1);
    assert_eq!(state(&world, &job(&one, &accepted).await), State::Delivered);
}

#[tokio::test]
async fn what_names_no_job_does_not_stay_in_the_queue() {
    let world = World::begin().await;
    let process = world.process();
    let gone = JobId::new(world.now());
    for body in [
        "",
        "{}",
        "null",
        &format!(r#"{{"key_id":"k","job_id":"{gone}","lane":"normal"}}"#),
    ] {
        let works = vec![Work {
            id: "1".to_owned(),
            receipt: lark_service::queue::Receipt("none".to_owned()),
            group: "g".to_owned(),
            body: (*body).to_owned(),
            receive_count: 1,
        }];
        assert_eq!(
            process.0.delivery.work(works, soon()).await,
            [""; 0],
            "{body}"
        );
    }
}

/// Holds the second write of a process, that of the job, until all have come so far.
#[derive(Debug)]
struct Together {
    writes: Mutex<u32>,
    all: Arc<Barrier>,
}

#[async_trait]
impl StoreHook for Together {
    async fn before(&self, operation: Operation, table: Option<Table>) -> Result<(), StoreError> {
        if table == Some(Table::MessageJobs) && operation == Operation::Put {
            let mut writes = self.writes.lock().await;
            *writes += 1;
            if *writes == 2 {
                self.all.wait().await;
            }
        }
        Ok(())
    }
}

#[tokio::test]
async fn of_two_requests_with_one_idempotency_key_at_the_same_moment_one_calls() {
    let world = World::begin().await;
    let all = Arc::new(Barrier::new(2));
    let process = || {
        let hook = Together {
            writes: Mutex::new(0),
            all: Arc::clone(&all),
        };
        let store = InterceptedStore::new(world.shared_store(), Arc::new(hook) as _);
        world.process_over(Arc::new(store))
    };
    let (one, other) = (process(), process());
    let contexts = (context(&one).await, context(&other).await);
    let new = || NewMessage {
        once: Some(Once {
            key: "build-4711".to_owned(),
            request: "a".to_owned(),
        }),
        ..text("hi")
    };
    let (first, second) = tokio::join!(
        one.0.delivery.send_now(&contexts.0, new(), soon()),
        other.0.delivery.send_now(&contexts.1, new(), soon()),
    );
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!(first.job.key, second.job.key);
    assert_eq!(world.requests(CREATE), 1);
    assert_eq!(deliveries(&world).len(), 1);
}
