//! Messages: each accepted one ends once, with its evidence, whatever is lost on the way.

use std::time::Duration;

use lark_service::apps::AppContext;
use lark_service::delivery::{Accepted, End, Job, Message, NewMessage, State};
use lark_service::lark::messages::Address;
use lark_service::queue::{Lane, Queue};
use lark_service::store::{Key, Table};
use lark_service_tests::queues::work_of;
use lark_service_tests::world::{APP, Process, World, soon};
use lark_simulator::{Delivery, DeliveryFilter, Fault, FaultAction, FaultStage};

mod batches;
mod callbacks;
mod changes;
mod dead_letters;
mod deaths;
mod jobs;
mod refusals;
mod settled;

const CREATE: &str = "im.message.create";
const HIDDEN: Duration = Duration::from_secs(360);
const MINUTE: Duration = Duration::from_secs(60);

/// The first user that the simulator has, as [`APP`] knows them.
fn person(number: u32) -> Address {
    Address::OpenId(lark_simulator::open_id(APP, number))
}

fn text(text: &str) -> NewMessage {
    NewMessage {
        key_id: "test00000001".to_owned(),
        to: person(1).into(),
        message: Message {
            msg_type: "text".to_owned(),
            content: format!(r#"{{"text":"{text}"}}"#),
        },
        lane: Lane::Normal,
        deliver_at: None,
        expires_at: None,
        wants_callback: false,
        once: None,
    }
}

async fn context(process: &Process) -> AppContext {
    process.app_context().await.unwrap()
}

async fn accept(process: &Process, new: NewMessage) -> Job {
    let context = context(process).await;
    let accepted = process.0.delivery.accept(&context, new, soon()).await;
    accepted.unwrap().job
}

async fn send(process: &Process, new: NewMessage) -> Accepted {
    let context = context(process).await;
    let sent = process.0.delivery.send_now(&context, new, soon()).await;
    sent.unwrap()
}

async fn job(process: &Process, job: &Job) -> Job {
    let (key_id, job_id) = (&job.key.key_id, job.key.job_id.as_str());
    let found = process.0.delivery.job(key_id, job_id, soon()).await;
    found.unwrap()
}

fn state(world: &World, job: &Job) -> State {
    job.state(world.now())
}

/// Has a worker take one batch of each lane, and returns how many messages it did not finish.
async fn work(world: &World, process: &Process) -> usize {
    let mut left = 0;
    for lane in Lane::ALL {
        let batch = world.queue.receive(lane, 10, HIDDEN, Duration::ZERO).await;
        let batch = batch.unwrap();
        let works = batch.iter().map(work_of).collect();
        let unfinished = process.0.delivery.work(works, soon()).await;
        left += unfinished.len();
        for message in batch.iter().filter(|it| !unfinished.contains(&it.id)) {
            world.queue.delete(lane, &message.receipt).await.unwrap();
        }
    }
    left
}

fn deliveries(world: &World) -> Vec<Delivery> {
    world
        .control()
        .deliveries(&DeliveryFilter::default(), 1_000)
}

fn contents(world: &World) -> Vec<String> {
    let delivered = deliveries(world).into_iter();
    delivered.map(|it| it.content.to_string()).collect()
}

/// The platform makes the message, and its answer is lost.
fn lost_answer(times: u64) -> Fault {
    Fault {
        count: Some(times),
        stage: FaultStage::After,
        ..Fault::new(CREATE, FaultAction::Reset)
    }
}

fn refusal(status: u16, code: i64) -> FaultAction {
    FaultAction::Answer {
        status,
        code,
        msg: "not now".to_owned(),
        body: None,
        headers: std::collections::BTreeMap::new(),
    }
}

#[tokio::test]
async fn a_message_that_is_sent_at_once_has_ended_when_its_caller_hears_of_it() {
    let world = World::begin().await;
    let process = world.process();
    let sent = send(&process, text("hi")).await;
    let Some(End::Delivered(delivered)) = &sent.job.end else {
        panic!("{:?}", sent.job);
    };
    let made = deliveries(&world);
    assert_eq!(made.len(), 1);
    assert_eq!(made[0].message_id, delivered.message_id);
    assert_eq!(made[0].uuid.as_deref(), Some(sent.job.key.job_id.uuid()));
    let stored = job(&process, &sent.job).await;
    assert_eq!(
        (stored.end.as_ref(), stored.message.as_ref()),
        (sent.job.end.as_ref(), None)
    );
    // Nothing of its content is left.
    let (store, at) = (
        world.shared_store(),
        Key::new("job#test00000001", stored.key.job_id.as_str()),
    );
    let record = store.get(Table::MessageJobs, &at).await.unwrap().unwrap();
    assert!(record.bytes("message").is_none() && record.expires_at.is_some());
    // Who sent it is known to whoever gets a click on it.
    let sender = Key::new(format!("sent#{}", delivered.message_id), "sent");
    let sender = store.get(Table::MessageJobs, &sender).await;
    let sender = sender.unwrap().unwrap();
    assert_eq!(sender.text("key_id"), Some("test00000001"));
    assert_eq!(sender.text("job_id"), Some(stored.key.job_id.as_str()));
    assert_eq!(sender.text("chat_id"), delivered.chat_id.as_deref());
}

#[tokio::test]
async fn an_accepted_message_is_delivered_by_a_worker_in_its_turn() {
    let world = World::begin().await;
    let process = world.process();
    let mut jobs = Vec::new();
    for number in 0..4 {
        jobs.push(accept(&process, text(&format!("{number}"))).await);
    }
    assert_eq!(deliveries(&world).len(), 0);
    assert_eq!(state(&world, &jobs[0]), State::Queued);
    assert_eq!(work(&world, &world.process()).await, 0);
    let expected: Vec<_> = (0..4).map(|n| format!(r#"{{"text":"{n}"}}"#)).collect();
    assert_eq!(contents(&world), expected);
    for one in &jobs {
        assert_eq!(state(&world, &job(&process, one).await), State::Delivered);
    }
    assert_eq!(world.queue.depth(Lane::Normal).await.unwrap().waiting, 0);
}

#[tokio::test]
async fn what_is_held_back_keeps_its_place_and_costs_no_attempt() {
    let world = World::begin().await;
    let process = world.process();
    for number in 0..16 {
        accept(&process, text(&format!("{number}"))).await;
    }
    // Five a second go to one person: ten within the patience of a worker. The next has to wait longer, and is put off with all that
    // come after it.
    assert_eq!(work(&world, &process).await, 0);
    let mut left = work(&world, &process).await;
    assert_eq!((left, deliveries(&world).len()), (6, 10));
    while left > 0 {
        world.advance(Duration::from_secs(3));
        left = work(&world, &process).await;
    }
    let expected: Vec<_> = (0..16).map(|n| format!(r#"{{"text":"{n}"}}"#)).collect();
    assert_eq!(contents(&world), expected);
    let page = process
        .0
        .delivery
        .jobs("test00000001", None, None, None, 50, soon());
    let attempts = page.await.unwrap().items;
    assert!(attempts.iter().all(|job| job.attempt_count == 1));
}

#[tokio::test]
async fn a_message_whose_answer_was_lost_is_made_once() {
    let world = World::begin().await;
    let process = world.process();
    world.control().add_fault(lost_answer(3)).unwrap();
    let sent = send(&process, text("hi")).await;
    assert_eq!(state(&world, &sent.job), State::Sending);
    for _ in 0..2 {
        world.advance(MINUTE);
        assert_eq!(work(&world, &process).await, 1);
    }
    world.advance(MINUTE * 2);
    assert_eq!(work(&world, &process).await, 0);
    let ended = job(&process, &sent.job).await;
    assert_eq!(
        (state(&world, &ended), ended.attempt_count),
        (State::Delivered, 4)
    );
    assert_eq!(deliveries(&world).len(), 1);
    assert_eq!(
        ended.attempts[0]
            .outcome
            .as_ref()
            .map(|it| it.may_have_happened),
        Some(true)
    );
}

#[tokio::test]
async fn a_message_that_can_no_longer_be_settled_is_uncertain_and_not_repeated() {
    let world = World::begin().await;
    let process = world.process();
    world.control().add_fault(lost_answer(1)).unwrap();
    let sent = send(&process, text("hi")).await;
    world.advance(MINUTE * 61);
    assert_eq!(work(&world, &process).await, 0);
    let ended = job(&process, &sent.job).await;
    let Some(End::Uncertain(uncertain)) = &ended.end else {
        panic!("{ended:?}");
    };
    assert_eq!(uncertain.since, ended.attempts[0].at);
    assert_eq!(deliveries(&world).len(), 1);
    // Nor by a redrive of what was in the queue, days later.
    world.advance(MINUTE * 60 * 48);
    process.0.delivery.enqueue_due(soon()).await.unwrap();
    assert_eq!(work(&world, &process).await, 0);
    assert_eq!(deliveries(&world).len(), 1);
}

#[tokio::test]
async fn a_refusal_is_told_with_its_code_and_is_final() {
    let world = World::begin().await;
    let process = world.process();
    let nobody = NewMessage {
        to: Address::OpenId("ou_nobody".to_owned()).into(),
        ..text("hi")
    };
    let sent = send(&process, nobody).await;
    let refused = sent.job.refused().unwrap();
    assert!(refused.code.is_some(), "{refused:?}");
    assert_eq!(state(&world, &sent.job), State::Refused);
    assert_eq!(work(&world, &process).await, 0);
    assert_eq!(world.requests(CREATE), 1);
}

#[tokio::test]
async fn messages_are_held_until_the_month_turns_when_its_calls_are_used_up() {
    let world = World::begin().await;
    let process = world.process();
    let fault = Fault {
        count: Some(1),
        ..Fault::new(CREATE, refusal(429, 99_991_403))
    };
    world.control().add_fault(fault).unwrap();
    let sent = send(&process, text("hi")).await;
    assert_eq!(state(&world, &sent.job), State::Held, "{:?}", sent.job);
    // The world begins on the last day of a month. No queue has it meanwhile, and it costs no call.
    assert_eq!(work(&world, &process).await, 0);
    assert_eq!(world.requests(CREATE), 1);
    world.advance(MINUTE * 60 * 26);
    process.0.delivery.enqueue_due(soon()).await.unwrap();
    assert_eq!(work(&world, &process).await, 0);
    assert_eq!(
        state(&world, &job(&process, &sent.job).await),
        State::Delivered
    );
}

/// Each pause by visibility counts as a reception, and after a thousand the queue gives a message up (`template.yaml`).
#[tokio::test]
async fn half_an_hour_of_pauses_gives_no_message_up() {
    let world = World::begin().await;
    let process = world.process();
    let half_an_hour = MINUTE * 30;
    let fault = Fault {
        lasts_ms: Some(u64::try_from(half_an_hour.as_millis()).unwrap()),
        ..Fault::new(CREATE, refusal(400, 230_020))
    };
    world.control().add_fault(fault).unwrap();
    let began = world.now();
    for number in 0..5 {
        accept(&process, text(&format!("{number}"))).await;
    }
    let mut most = 0;
    while deliveries(&world).len() < 5 {
        let queue = &world.queue;
        let batch = queue
            .receive(Lane::Normal, 10, HIDDEN, Duration::ZERO)
            .await;
        let batch = batch.unwrap();
        most = batch
            .iter()
            .map(|it| it.receive_count)
            .max()
            .unwrap_or(most);
        let works = batch.iter().map(work_of).collect();
        let unfinished = process.0.delivery.work(works, soon()).await;
        for message in batch.iter().filter(|it| !unfinished.contains(&it.id)) {
            queue.delete(Lane::Normal, &message.receipt).await.unwrap();
        }
        world.advance(Duration::from_secs(1));
        assert!(world.now().since(began) < MINUTE * 40, "{most}");
    }
    assert!(world.now().since(began) >= half_an_hour);
    // With a pause of a second each time it would be 1,800.
    assert!((10..100).contains(&most), "{most} receptions");
    let expected: Vec<_> = (0..5).map(|n| format!(r#"{{"text":"{n}"}}"#)).collect();
    assert_eq!(contents(&world), expected);
}

/// What the platform's limits and outages do: nothing was made for certain, or it is not known, and either way it goes on.
#[tokio::test]
async fn a_failure_that_passes_ends_no_message() {
    let rows = [
        ("a limit of the receiver", refusal(400, 230_020)),
        ("a limit of the app", refusal(429, 99_991_400)),
        ("a failing gateway", refusal(502, 0)),
        ("a failing platform", refusal(500, 5_000)),
        ("a closed connection", FaultAction::Reset),
    ];
    for (what, action) in rows {
        let world = World::begin().await;
        let process = world.process();
        let fault = Fault {
            count: Some(1),
            ..Fault::new(CREATE, action)
        };
        world.control().add_fault(fault).unwrap();
        let sent = send(&process, text("hi")).await;
        assert!(sent.job.end.is_none(), "{what}");
        world.advance(MINUTE * 3);
        assert_eq!(work(&world, &process).await, 0, "{what}");
        let ended = job(&process, &sent.job).await;
        assert_eq!(state(&world, &ended), State::Delivered, "{what}");
        assert_eq!(deliveries(&world).len(), 1, "{what}");
    }
}
