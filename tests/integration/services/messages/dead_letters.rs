//! What the service fails at again and again: it is moved away, blocks nobody, is never sent twice, and waits for an operator.

use std::sync::Arc;
use std::time::Duration;

use lark_service::api_keys::AllowedApps;
use lark_service::delivery::{DeadLetter, DeadReason, End, Job, NewMessage, State};
use lark_service::error::ErrorCode;
use lark_service::ids::AppId;
use lark_service::queue::{Entry, Lane, Queue};
use lark_service::store::intercepted::InterceptedStore;
use lark_service::store::{Expect, Record, Table, Value};
use lark_service_tests::world::{APP, Process, World, soon};
use tokio::sync::Mutex;

use super::deaths::Failing;
use super::{
    MINUTE, accept, contents, deliveries, job, lost_answer, person, send, state, text, work,
};

const HOUR: Duration = Duration::from_secs(3_600);
const ALL: AllowedApps = AllowedApps::All;

/// What can be wrong with a job's record.
#[derive(Clone, Copy, Debug)]
enum Spoilt {
    /// Its message does not open.
    Sealed,
    /// Its record is not one of ours.
    Record,
    /// It has no message, which cannot be.
    Content,
}

async fn record(world: &World, job: &Job) -> Record {
    let key =
        lark_service::store::Key::new(format!("job#{}", job.key.key_id), job.key.job_id.as_str());
    let found = world.shared_store().get(Table::MessageJobs, &key).await;
    found.unwrap().unwrap()
}

async fn put(world: &World, record: &Record) {
    let store = world.shared_store();
    let put = store.put(Table::MessageJobs, record, Expect::Anything);
    put.await.unwrap();
}

/// Spoils the record of `job`, and returns what was there.
async fn spoil(world: &World, job: &Job, how: Spoilt) -> Record {
    let before = record(world, job).await;
    let mut spoilt = before.clone();
    match how {
        Spoilt::Sealed => spoilt = spoilt.with("message", Value::Bytes(vec![7; 80])),
        Spoilt::Record => spoilt = spoilt.with("job", Value::Text("{}".to_owned())),
        Spoilt::Content => {
            spoilt.attributes.remove("message");
        }
    }
    put(world, &spoilt).await;
    before
}

/// Gives the job its message back.
async fn mend(world: &World, job: &Job, before: &Record) {
    let message = before.attributes.get("message").unwrap().clone();
    let mended = record(world, job).await.with("message", message);
    put(world, &mended).await;
}

/// Has workers fail until they give up.
async fn wear_out(world: &World, process: &Process) {
    for _ in 0..8 {
        work(world, process).await;
        world.advance(MINUTE * 2);
    }
}

async fn letters(process: &Process) -> Vec<DeadLetter> {
    let page = process
        .0
        .delivery
        .dead_letters(&ALL, None, 50, soon())
        .await;
    page.unwrap().items
}

/// A job that is a dead letter because its message does not open, and its record before.
async fn dead(world: &World, process: &Process, new: NewMessage) -> (Job, Record) {
    let accepted = accept(process, new).await;
    let before = spoil(world, &accepted, Spoilt::Sealed).await;
    wear_out(world, process).await;
    assert_eq!(letters(process).await.len(), 1);
    (accepted, before)
}

#[tokio::test]
async fn poison_becomes_a_dead_letter_and_blocks_no_later_message_of_its_group() {
    for (how, reason) in [
        (Spoilt::Sealed, DeadReason::Unopened),
        (Spoilt::Record, DeadReason::Unreadable),
        (Spoilt::Content, DeadReason::Internal),
    ] {
        let world = World::begin().await;
        let process = world.process();
        let poison = accept(&process, text("poison")).await;
        accept(&process, text("later")).await;
        spoil(&world, &poison, how).await;
        let mut failures = 0;
        while work(&world, &process).await > 0 {
            failures += 1;
            assert!(letters(&process).await.is_empty(), "{how:?}");
            assert!(failures < 10, "{how:?}");
            world.advance(MINUTE * 2);
        }
        assert_eq!(failures, 5, "{how:?}");
        assert_eq!(contents(&world), [r#"{"text":"later"}"#], "{how:?}");
        let found = letters(&process).await;
        let [letter] = found.as_slice() else {
            panic!("{how:?}: {found:?}");
        };
        assert_eq!(
            (letter.id.as_str(), letter.reason, letter.failures),
            (poison.key.job_id.as_str(), reason, 6)
        );
        // No worker and no run takes it up again.
        for _ in 0..3 {
            world.advance(HOUR);
            process.0.delivery.enqueue_due(soon()).await.unwrap();
            assert_eq!(work(&world, &process).await, 0, "{how:?}");
        }
        assert_eq!(letters(&process).await[0].failures, 6, "{how:?}");
        assert_eq!(world.queue.depth(Lane::Normal).await.unwrap().waiting, 0);
        if !matches!(how, Spoilt::Record) {
            let held = job(&process, &poison).await;
            assert_eq!(state(&world, &held), State::Held, "{how:?}");
            assert_eq!(held.dead.map(|dead| dead.reason), Some(reason), "{how:?}");
            assert_eq!(letter.app_id.as_ref().map(AppId::as_str), Some(APP));
        }
    }
}

#[tokio::test]
async fn what_names_no_job_is_kept_and_can_be_sent_to_the_queue_again() {
    let world = World::begin().await;
    let process = world.process();
    let later = accept(&process, text("later")).await;
    let stray = |number: usize| Entry {
        group: later.group(),
        deduplication: number.to_string(),
        body: r#"{"unknown":true,"lane":"bulk"}"#.to_owned(),
    };
    for number in 0..2 {
        let sent = world.queue.send(Lane::Normal, &[stray(number)]).await;
        assert!(sent[0].is_ok());
    }
    assert_eq!(work(&world, &process).await, 0);
    assert_eq!(contents(&world).len(), 1);
    // The same words twice are one letter.
    let found = letters(&process).await;
    assert_eq!((found.len(), found[0].failures), (1, 2));
    assert_eq!(
        (found[0].reason, found[0].lane),
        (DeadReason::NamesNoJob, Lane::Bulk)
    );
    let delivery = &process.0.delivery;
    delivery.redrive(&ALL, &found[0].id, soon()).await.unwrap();
    assert!(letters(&process).await.is_empty());
    assert_eq!(work(&world, &process).await, 0);
    let again = letters(&process).await;
    assert_eq!((again.len(), again[0].failures), (1, 1));
    let dropped = delivery.drop_dead_letter(&ALL, &again[0].id, soon()).await;
    assert_eq!(dropped.unwrap().job, None);
    assert_eq!(work(&world, &process).await, 0);
    assert!(letters(&process).await.is_empty());
}

/// The scheduled run sees records that are in no queue.
#[tokio::test]
async fn a_record_that_only_the_scheduled_run_meets_becomes_a_dead_letter() {
    let world = World::begin().await;
    let process = world.process();
    let for_later = NewMessage {
        deliver_at: Some(world.now() + HOUR),
        ..text("hi")
    };
    let accepted = accept(&process, for_later).await;
    let before = spoil(&world, &accepted, Spoilt::Record).await;
    world.advance(HOUR);
    for _ in 0..8 {
        let report = process.0.delivery.enqueue_due(soon()).await.unwrap();
        assert_eq!(report.queued, 0);
        world.advance(MINUTE);
    }
    let id = accepted.key.job_id.as_str();
    assert_eq!(letters(&process).await[0].id, id);
    // Mended and redriven, it is sent.
    let spoilt = record(&world, &accepted).await;
    let mended = spoilt.with("job", before.attributes["job"].clone());
    put(&world, &mended).await;
    let redriven = process.0.delivery.redrive(&ALL, id, soon()).await;
    assert!(redriven.unwrap().job.is_some());
    assert_eq!(work(&world, &process).await, 0);
    assert_eq!(deliveries(&world).len(), 1);
}

#[tokio::test]
async fn a_redrive_sends_what_was_not_sent_whatever_time_has_passed() {
    for wait in [MINUTE, MINUTE * 61, HOUR * 48] {
        let world = World::begin().await;
        let process = world.process();
        let (poison, before) = dead(&world, &process, text("hi")).await;
        world.advance(wait);
        mend(&world, &poison, &before).await;
        let id = poison.key.job_id.as_str();
        let delivery = &process.0.delivery;
        delivery.redrive(&ALL, id, soon()).await.unwrap();
        for _ in 0..2 {
            assert_eq!(work(&world, &process).await, 0, "{wait:?}");
            let again = delivery.redrive(&ALL, id, soon()).await.unwrap_err();
            assert_eq!(again.code(), ErrorCode::DeadLetterNotFound);
        }
        let ended = job(&process, &poison).await;
        assert_eq!(state(&world, &ended), State::Delivered, "{wait:?}");
        assert_eq!(deliveries(&world).len(), 1, "{wait:?}");
    }
}

/// The platform made the message, its answer was lost, and then the service failed. The platform knows the `uuid` for an hour.
#[tokio::test]
async fn a_redrive_makes_no_second_message() {
    for (wait, expected) in [
        (MINUTE, State::Delivered),
        (MINUTE * 61, State::Uncertain),
        (HOUR * 48, State::Uncertain),
    ] {
        let world = World::begin().await;
        let process = world.process();
        world.control().add_fault(lost_answer(1)).unwrap();
        let sent = send(&process, text("hi")).await.job;
        let before = spoil(&world, &sent, Spoilt::Sealed).await;
        wear_out(&world, &process).await;
        assert_eq!(letters(&process).await.len(), 1, "{wait:?}");
        // That it may have been sent is what counts.
        assert_eq!(state(&world, &job(&process, &sent).await), State::Sending);
        mend(&world, &sent, &before).await;
        world.advance(wait);
        let id = sent.key.job_id.as_str();
        process.0.delivery.redrive(&ALL, id, soon()).await.unwrap();
        for _ in 0..3 {
            work(&world, &process).await;
            world.advance(MINUTE);
            process.0.delivery.enqueue_due(soon()).await.unwrap();
        }
        assert_eq!(state(&world, &job(&process, &sent).await), expected);
        assert_eq!(deliveries(&world).len(), 1, "{wait:?}");
    }
}

#[tokio::test]
async fn a_dropped_message_ends_with_the_reason() {
    let world = World::begin().await;
    let process = world.process();
    let (poison, _) = dead(&world, &process, text("hi")).await;
    let delivery = &process.0.delivery;
    let id = poison.key.job_id.as_str();
    delivery.drop_dead_letter(&ALL, id, soon()).await.unwrap();
    let ended = job(&process, &poison).await;
    let refused = ended.refused().unwrap();
    assert!(
        refused.msg.contains("an operator dropped it"),
        "{refused:?}"
    );
    assert!(letters(&process).await.is_empty());
    // One that may have been sent is not called refused.
    world.control().add_fault(lost_answer(1)).unwrap();
    let lost = NewMessage {
        to: person(2).into(),
        ..text("ho")
    };
    let sent = send(&process, lost).await.job;
    spoil(&world, &sent, Spoilt::Sealed).await;
    wear_out(&world, &process).await;
    let id = sent.key.job_id.as_str();
    delivery.drop_dead_letter(&ALL, id, soon()).await.unwrap();
    let ended = job(&process, &sent).await;
    assert!(matches!(ended.end, Some(End::Uncertain(_))), "{ended:?}");
    assert_eq!(deliveries(&world).len(), 1);
}

#[tokio::test]
async fn a_dead_letter_that_nobody_looks_at_ends_after_two_weeks() {
    let world = World::begin().await;
    let process = world.process();
    let (poison, _) = dead(&world, &process, text("hi")).await;
    world.advance(HOUR * 24 * 14);
    process.0.delivery.enqueue_due(soon()).await.unwrap();
    assert_eq!(work(&world, &process).await, 0);
    assert_eq!(state(&world, &job(&process, &poison).await), State::Expired);
    assert!(letters(&process).await.is_empty());
}

/// What passes by itself is not counted: a store that fails, and a sender that is not there.
#[tokio::test]
async fn failures_that_pass_make_no_dead_letter() {
    let world = World::begin().await;
    let process = world.process();
    let accepted = accept(&process, text("hi")).await;
    // Twenty failures of reads and writes, each of which a worker meets.
    let plan = Arc::new(Failing(Mutex::new(vec![true; 20])));
    let store = InterceptedStore::new(world.shared_store(), plan as _);
    let failing = world.process_over(Arc::new(store));
    for _ in 0..10 {
        work(&world, &failing).await;
        world.advance(MINUTE * 2);
    }
    assert!(letters(&process).await.is_empty());
    for _ in 0..20 {
        work(&world, &failing).await;
        world.advance(MINUTE * 2);
    }
    assert_eq!(
        state(&world, &job(&process, &accepted).await),
        State::Delivered
    );
    assert_eq!(deliveries(&world).len(), 1);
    assert!(letters(&process).await.is_empty());
}

/// A worker dies after it wrote the letter and before it marked the job.
#[tokio::test]
async fn a_death_between_letter_and_mark_leaves_neither_a_job_nor_a_second_letter() {
    let world = World::begin().await;
    let process = world.process();
    let poison = accept(&process, text("hi")).await;
    spoil(&world, &poison, Spoilt::Sealed).await;
    let mut plan = vec![false; 6];
    plan.extend([true; 20]);
    let plan = Arc::new(Failing(Mutex::new(plan)));
    let store = InterceptedStore::new(world.shared_store(), plan as _);
    let dying = world.process_over(Arc::new(store));
    for _ in 0..6 {
        assert_eq!(work(&world, &dying).await, 1);
        world.advance(MINUTE * 2);
    }
    assert_eq!(letters(&process).await.len(), 1);
    assert_eq!(job(&process, &poison).await.dead, None);
    assert_eq!(work(&world, &process).await, 0);
    assert!(job(&process, &poison).await.dead.is_some());
    let found = letters(&process).await;
    assert_eq!((found.len(), found[0].failures), (1, 6));
}

#[tokio::test]
async fn an_administrator_sees_and_moves_only_the_letters_of_their_apps() {
    let world = World::begin().await;
    let process = world.process();
    let (poison, _) = dead(&world, &process, text("hi")).await;
    let id = poison.key.job_id.as_str();
    let only = |app: &str| AllowedApps::Only([AppId::parse(app).unwrap()].into());
    let delivery = &process.0.delivery;
    let other = only("cli_other");
    let list =
        async |apps: &AllowedApps| delivery.dead_letters(apps, None, 50, soon()).await.unwrap();
    assert!(list(&other).await.items.is_empty());
    assert_eq!(list(&only(APP)).await.items.len(), 1);
    for refused in [
        delivery.redrive(&other, id, soon()).await.unwrap_err(),
        delivery
            .drop_dead_letter(&other, id, soon())
            .await
            .unwrap_err(),
        delivery.dead_letter(&other, id, soon()).await.unwrap_err(),
    ] {
        assert_eq!(refused.code(), ErrorCode::DeadLetterNotFound);
    }
    assert_eq!(letters(&process).await.len(), 1);
}
