//! Messages whose answer was lost for good: the chat's history says what became of them, where it proves something.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use lark_service::delivery::{Delivery, End, Job, Message, NewMessage, State, Work};
use lark_service::lark::messages::{Address, MessageId};
use lark_service::queue::Receipt;
use lark_service::store::intercepted::{InterceptedStore, Operation, StoreHook};
use lark_service::store::{Expect, Key, Record, StoreError, Table, Value};
use lark_service_tests::world::{APP, Process, World, soon};
use lark_simulator::{AppPatch, Fault, FaultAction, FaultStage};

use super::{CREATE, MINUTE, context, deliveries, job, refusal, send, state, text, work};

const LIST: &str = "im.message.list";

/// A text to the first chat that the simulator has.
fn to_chat(says: &str) -> NewMessage {
    NewMessage {
        to: Address::ChatId(lark_simulator::chat_id(1)).into(),
        ..text(says)
    }
}

fn reset(stage: FaultStage) -> Fault {
    Fault {
        count: Some(1),
        stage,
        ..Fault::new(CREATE, FaultAction::Reset)
    }
}

/// Sends `new`, of which nothing is heard: after it was made, or before.
async fn lost(world: &World, process: &Process, new: NewMessage, stage: FaultStage) -> Job {
    world.control().add_fault(reset(stage)).unwrap();
    let sent = send(process, new).await.job;
    assert_eq!(state(world, &sent), State::Sending);
    sent
}

/// The scheduled run and a worker, until nothing is left in the queue.
async fn run(world: &World, process: &Process) {
    process.0.delivery.enqueue_due(soon()).await.unwrap();
    assert_eq!(work(world, process).await, 0);
}

/// `sent` after all the time that it takes.
async fn settled(world: &World, process: &Process, sent: &Job) -> Job {
    world.advance(MINUTE * 51);
    run(world, process).await;
    assert_eq!(state(world, &job(process, sent).await), State::Sending);
    world.advance(MINUTE * 10);
    run(world, process).await;
    job(process, sent).await
}

fn message_id(job: &Job) -> &str {
    match &job.end {
        Some(End::Delivered(delivered)) => &delivered.message_id,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_message_that_is_in_the_chats_history_was_delivered() {
    let world = World::begin().await;
    let process = world.process();
    let sent = lost(&world, &process, to_chat("hi"), FaultStage::After).await;
    let ended = settled(&world, &process, &sent).await;
    let made = deliveries(&world);
    assert_eq!(made.len(), 1);
    assert_eq!(message_id(&ended), made[0].message_id);
    let Some(End::Delivered(delivered)) = &ended.end else {
        panic!("{ended:?}");
    };
    let history = delivered.history.as_ref().unwrap();
    assert_eq!(history.chat_id, lark_simulator::chat_id(1));
    assert!(history.from < sent.attempts[0].at && sent.attempts[0].at < history.until);
    assert_eq!((world.requests(CREATE), world.requests(LIST)), (1, 1));
    // Who sent it is known now, too.
    let key = Key::new(format!("sent#{}", delivered.message_id), "sent");
    let sender = world.shared_store().get(Table::MessageJobs, &key).await;
    let sender = sender.unwrap().unwrap();
    assert_eq!(sender.text("job_id"), Some(sent.key.job_id.as_str()));
}

#[tokio::test]
async fn a_message_that_is_not_in_the_chats_history_was_not_made_and_is_not_sent_again() {
    let world = World::begin().await;
    let process = world.process();
    // Neither what the text says nor another message there matters for that.
    let other = send(&process, to_chat("other")).await.job;
    let mention = format!(
        r#"<at user_id=\"{}\"></at>"#,
        lark_simulator::open_id(APP, 3)
    );
    let sent = lost(&world, &process, to_chat(&mention), FaultStage::Before).await;
    let ended = settled(&world, &process, &sent).await;
    assert!(
        matches!(
            &ended.end,
            Some(End::Expired {
                history: Some(_),
                ..
            })
        ),
        "{ended:?}"
    );
    assert_eq!(state(&world, &other), State::Delivered);
    assert_eq!((deliveries(&world).len(), world.requests(CREATE)), (1, 2));
}

/// The refusal is about the later call; the history says whether there was an earlier one.
#[tokio::test]
async fn a_refusal_after_a_lost_answer_is_final_once_the_history_says_so() {
    for (stage, expected) in [
        (FaultStage::Before, State::Refused),
        (FaultStage::After, State::Delivered),
    ] {
        let world = World::begin().await;
        let process = world.process();
        let sent = lost(&world, &process, to_chat("hi"), stage).await;
        let refused = Fault {
            count: Some(1),
            ..Fault::new(CREATE, refusal(400, 230_035))
        };
        world.control().add_fault(refused).unwrap();
        world.advance(MINUTE * 2);
        run(&world, &process).await;
        let ended = settled(&world, &process, &sent).await;
        assert_eq!(state(&world, &ended), expected, "{ended:?}");
        let code = ended.refused().map(|refused| refused.code);
        assert_eq!(code, (expected == State::Refused).then_some(Some(230_035)));
        assert_eq!(world.requests(CREATE), 2);
    }
}

/// What a message that is there proves nothing of, and why.
#[tokio::test]
async fn a_history_that_proves_nothing_leaves_a_message_uncertain() {
    let mention = format!(
        r#"<at user_id=\"{}\"></at>"#,
        lark_simulator::open_id(APP, 3)
    );
    let markdown = Message {
        msg_type: "post".to_owned(),
        content: r#"{"zh_cn":{"content":[[{"tag":"md","text":"**hi**"}]]}}"#.to_owned(),
    };
    let rows = [
        ("mention", to_chat(&mention), "reads them otherwise"),
        (
            "markdown",
            NewMessage {
                message: markdown,
                ..to_chat("hi")
            },
            "reads them otherwise",
        ),
        ("recalled", to_chat("hi"), "reads them otherwise"),
        ("edited", to_chat("hi"), "reads them otherwise"),
        ("forbidden", to_chat("hi"), "230027"),
        ("removed", to_chat("hi"), "cannot be read"),
    ];
    for (what, new, reason) in rows {
        let world = World::begin().await;
        let process = world.process();
        let sent = lost(&world, &process, new, FaultStage::After).await;
        meanwhile(&world, &process, what).await;
        let ended = settled(&world, &process, &sent).await;
        let Some(End::Uncertain(uncertain)) = &ended.end else {
            panic!("{what}: {ended:?}");
        };
        assert!(
            uncertain.reason.contains(reason),
            "{what}: {}",
            uncertain.reason
        );
        assert_eq!(deliveries(&world).len(), 1, "{what}");
    }
}

/// What happens to the message before the history is read.
async fn meanwhile(world: &World, process: &Process, what: &str) {
    let id = MessageId::parse(&deliveries(world)[0].message_id).unwrap();
    let (context, delivery) = (context(process).await, &process.0.delivery);
    match what {
        "recalled" => delivery
            .recall(&context, "other", &id, soon())
            .await
            .unwrap(),
        "edited" => {
            let other = text("ho").message;
            let edit = delivery.edit(&context, "other", &id, &other, soon());
            edit.await.unwrap();
        }
        "forbidden" => {
            let patch = AppPatch {
                granted_scopes: Some(Some(["im:message".to_owned()].into())),
                ..AppPatch::default()
            };
            world.control().update_app(APP, patch).unwrap();
        }
        "removed" => {
            let outside = Fault::new(LIST, refusal(400, 230_002));
            world.control().add_fault(outside).unwrap();
        }
        _ => {}
    }
}

/// As many jobs with the same content are delivered as there are messages, and no message is taken for two.
#[tokio::test]
async fn of_jobs_that_say_the_same_as_many_are_delivered_as_there_are_messages() {
    let (made, unmade) = (FaultStage::After, FaultStage::Before);
    for stages in [
        vec![made, made],
        vec![made, unmade],
        vec![unmade, made],
        vec![unmade, unmade],
    ] {
        let world = World::begin().await;
        let process = world.process();
        // One whose answer came: its message is nobody else's.
        let known = send(&process, to_chat("hi")).await.job;
        let mut jobs = Vec::new();
        for stage in &stages {
            jobs.push(lost(&world, &process, to_chat("hi"), *stage).await);
        }
        settled(&world, &process, &jobs[0]).await;
        let mut ids = vec![message_id(&known).to_owned()];
        for one in &jobs {
            let ended = job(&process, one).await;
            match &ended.end {
                Some(End::Delivered(delivered)) => ids.push(delivered.message_id.clone()),
                Some(End::Expired { history, .. }) => assert!(history.is_some()),
                other => panic!("{stages:?}: {other:?}"),
            }
        }
        let mut there: Vec<_> = deliveries(&world)
            .into_iter()
            .map(|it| it.message_id)
            .collect();
        there.sort();
        ids.sort();
        assert_eq!(ids, there, "{stages:?}");
    }
}

/// It died after it had written who sent the message, and before the end of the job: what the message says does not matter.
#[tokio::test]
async fn a_message_whose_record_names_the_job_is_the_jobs() {
    let world = World::begin().await;
    let process = world.process();
    let mention = format!(
        r#"<at user_id=\"{}\"></at>"#,
        lark_simulator::open_id(APP, 3)
    );
    let sent = lost(&world, &process, to_chat(&mention), FaultStage::After).await;
    let id = deliveries(&world)[0].message_id.clone();
    let record = Record::new(Key::new(format!("sent#{id}"), "sent"), 1)
        .with("key_id", Value::Text(sent.key.key_id.clone()))
        .with("job_id", Value::Text(sent.key.job_id.to_string()));
    let store = world.shared_store();
    let put = store.put(Table::MessageJobs, &record, Expect::Absent);
    put.await.unwrap();
    let ended = settled(&world, &process, &sent).await;
    assert_eq!(message_id(&ended), id);
}

#[tokio::test]
async fn a_job_that_waits_for_the_history_keeps_no_other_waiting() {
    let world = World::begin().await;
    let process = world.process();
    let sent = lost(&world, &process, to_chat("one"), FaultStage::After).await;
    world.advance(MINUTE * 51);
    let next = super::accept(&process, to_chat("two")).await;
    run(&world, &process).await;
    assert_eq!(state(&world, &job(&process, &sent).await), State::Sending);
    assert_eq!(state(&world, &job(&process, &next).await), State::Delivered);
}

/// While the history cannot be read the job waits; a platform that never tells leaves it uncertain.
#[tokio::test]
async fn a_history_that_cannot_be_read_is_tried_again_for_an_hour() {
    for (failures, expected) in [(3, State::Delivered), (1_000, State::Uncertain)] {
        let world = World::begin().await;
        let process = world.process();
        let sent = lost(&world, &process, to_chat("hi"), FaultStage::After).await;
        let outage = Fault {
            count: Some(failures),
            ..Fault::new(LIST, refusal(502, 0))
        };
        world.control().add_fault(outage).unwrap();
        let mut ended = settled(&world, &process, &sent).await;
        assert_eq!(state(&world, &ended), State::Sending);
        for _ in 0..12 {
            world.advance(MINUTE * 6);
            run(&world, &process).await;
            ended = job(&process, &sent).await;
        }
        assert_eq!(state(&world, &ended), expected);
    }
}

/// Lets another process work on the job right before a write of this one, as when this one is frozen there.
#[derive(Debug)]
struct Overtaken {
    other: Delivery,
    ticket: String,
    writes_left: AtomicUsize,
}

#[async_trait]
impl StoreHook for Overtaken {
    async fn before(&self, operation: Operation, table: Option<Table>) -> Result<(), StoreError> {
        let is_write = operation == Operation::Put && table == Some(Table::MessageJobs);
        if is_write && self.writes_left.fetch_sub(1, Ordering::SeqCst) == 1 {
            let done = self.other.work(vec![ticket(&self.ticket)], soon()).await;
            assert_eq!(done, [""; 0]);
        }
        Ok(())
    }
}

fn ticket(body: &str) -> Work {
    Work {
        id: "1".to_owned(),
        receipt: Receipt("none".to_owned()),
        group: "g".to_owned(),
        body: body.to_owned(),
        receive_count: 1,
    }
}

#[tokio::test]
async fn two_processes_that_read_the_history_come_to_one_end() {
    for frozen_at in 1..=2 {
        let world = World::begin().await;
        let process = world.process();
        let sent = lost(&world, &process, to_chat("hi"), FaultStage::After).await;
        world.advance(MINUTE * 51);
        run(&world, &process).await;
        world.advance(MINUTE * 10);
        let body = format!(
            r#"{{"key_id":"{}","job_id":"{}","lane":"normal"}}"#,
            sent.key.key_id, sent.key.job_id
        );
        let hook = Overtaken {
            other: process.0.delivery.clone(),
            ticket: body.clone(),
            writes_left: AtomicUsize::new(frozen_at),
        };
        let store = InterceptedStore::new(world.shared_store(), Arc::new(hook) as _);
        let frozen = world.process_over(Arc::new(store));
        let left = frozen.0.delivery.work(vec![ticket(&body)], soon()).await;
        assert_eq!(left, [""; 0], "{frozen_at}");
        let ended = job(&process, &sent).await;
        assert_eq!(message_id(&ended), deliveries(&world)[0].message_id);
        assert_eq!((world.requests(CREATE), world.requests(LIST)), (1, 2));
    }
}
