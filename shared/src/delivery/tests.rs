//! What may follow on what: the rules of a job, without the store and the platform.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::id::SHARDS;
use super::job::{ABANDONED, LEASE, REPEATABLE, Step};
use super::settle::SETTLED;
use super::*;
use crate::clock::Timestamp;
use crate::error::{FailureKind, LarkFailure};
use crate::ids::{AppId, TenantKey};
use crate::lark::messages::{Address, MAX_UUID};
use crate::queue::Lane;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);

fn job() -> Job {
    let message = Message {
        msg_type: "text".to_owned(),
        content: r#"{"text":"hi"}"#.to_owned(),
    };
    Job {
        key: JobKey {
            key_id: "demo0000key0".to_owned(),
            job_id: JobId::new(NOW),
        },
        app_id: AppId::parse("cli_a").unwrap(),
        tenant: None,
        to: Address::OpenId("ou_1".to_owned()).into(),
        lane: Lane::Normal,
        content_hash: message.hash(),
        msg_type: message.msg_type.clone(),
        message: Some(message),
        created_at: NOW,
        deliver_at: None,
        expires_at: NOW + HOUR * 24,
        attempts: Vec::new(),
        attempt_count: 0,
        unsettled_since: None,
        leased_until: None,
        held_until: None,
        settling: None,
        dead: None,
        end: None,
        callback: None,
        version: 0,
    }
}

fn outcome(may_have_happened: bool) -> Outcome {
    Outcome {
        may_have_happened,
        code: None,
        msg: "it failed".to_owned(),
        log_id: None,
    }
}

/// The job after an attempt at `at` whose answer was lost.
fn lost(job: &Job, at: Timestamp) -> Job {
    job.attempted(at).failed(job, outcome(true))
}

/// The job after an attempt at `at` that made no message for certain.
fn unmade(job: &Job, at: Timestamp) -> Job {
    job.attempted(at).failed(job, outcome(false))
}

#[test]
fn a_job_is_sent_at_its_time_and_not_after_its_end() {
    let at_once = job();
    let later = Job {
        deliver_at: Some(NOW + HOUR),
        ..job()
    };
    let held = Job {
        held_until: Some(NOW + HOUR * 2),
        ..job()
    };
    let rows = [
        (&at_once, NOW, Step::Send, State::Queued),
        (&at_once, NOW + HOUR * 24, Step::Expire, State::Queued),
        (&later, NOW, Step::Wait(HOUR), State::Scheduled),
        (&later, NOW + HOUR, Step::Send, State::Queued),
        (&held, NOW + HOUR, Step::Wait(HOUR), State::Held),
        (&held, NOW + HOUR * 2, Step::Send, State::Queued),
    ];
    for (job, now, step, state) in rows {
        assert_eq!((job.step(now), job.state(now)), (step, state), "{now}");
    }
}

#[test]
fn a_worker_has_a_job_to_itself_until_its_lease_is_over() {
    let ahead = job().attempted(NOW);
    assert_eq!(ahead.step(NOW), Step::Wait(LEASE));
    assert_eq!(ahead.state(NOW), State::Sending);
    assert_eq!(ahead.step(NOW + LEASE - SECOND), Step::Wait(SECOND));
    assert_eq!(ahead.step(NOW + LEASE), Step::Send);
    // The clock that gave it was hours fast.
    let far = Job {
        leased_until: Some(NOW + HOUR * 3),
        ..job()
    };
    assert_eq!(far.step(NOW), Step::Send);
}

#[test]
fn a_call_whose_answer_was_lost_is_repeated_within_the_hour_and_then_never() {
    let lost = lost(&job(), NOW);
    assert_eq!(lost.unsettled_since, Some(NOW));
    assert_eq!(lost.step(NOW + SECOND), Step::Send);
    assert_eq!(lost.step(NOW + REPEATABLE - SECOND), Step::Send);
    assert_eq!(lost.step(NOW + REPEATABLE), Step::Settle);
    // Its own end does not matter any more: it may be there.
    assert_eq!(lost.step(NOW + HOUR * 48), Step::Settle);
    assert!(REPEATABLE + LEASE < HOUR);
}

#[test]
fn the_hour_counts_from_the_first_unknown_outcome() {
    let refused = unmade(&job(), NOW);
    assert_eq!(refused.unsettled_since, None);
    let first = lost(&refused, NOW + HOUR);
    let second = lost(&first, NOW + HOUR + REPEATABLE - SECOND);
    assert_eq!(second.unsettled_since, Some(NOW + HOUR));
    assert_eq!(second.step(NOW + HOUR + REPEATABLE), Step::Settle);
    // A refusal settles nothing of what was before.
    let third = unmade(&first, NOW + HOUR + SECOND);
    assert_eq!(third.unsettled_since, Some(NOW + HOUR));
    assert_eq!(third.state(NOW + HOUR + SECOND), State::Sending);
}

#[test]
fn what_was_written_by_a_fast_clock_is_not_repeated() {
    let lost = lost(&job(), NOW + HOUR * 3);
    assert_eq!(lost.step(NOW), Step::Settle);
}

#[test]
fn a_job_that_waits_for_the_history_is_sent_no_more_and_looked_after_at_its_time() {
    let waiting = lost(&job(), NOW).settling(Settling {
        at: NOW + HOUR,
        tries: 0,
        refused: None,
    });
    assert_eq!(waiting.step(NOW + SECOND), Step::Wait(HOUR - SECOND));
    assert_eq!(waiting.step(NOW + HOUR), Step::Settle);
    assert!(waiting.waits_for_a_time(NOW) && !waiting.waits_for_a_time(NOW + HOUR));
    assert_eq!(waiting.state(NOW), State::Sending);
    assert_eq!(waiting.due(NOW).unwrap().at, NOW + HOUR);
    // By then no other job that called at the same time is repeated any more.
    assert!(SETTLED > REPEATABLE + LEASE * 2);
}

#[test]
fn an_ended_job_keeps_its_evidence_and_nothing_of_its_content() {
    let ends = [
        End::Expired {
            at: NOW,
            history: None,
        },
        End::Cancelled { at: NOW },
        End::Refused(Refused::by(
            &LarkFailure::without_answer(FailureKind::Forbidden, "no"),
            NOW,
        )),
    ];
    for end in ends {
        let ended = job().attempted(NOW).ended(end.clone());
        assert_eq!(ended.step(NOW + HOUR), Step::Nothing);
        assert_eq!(ended.state(NOW), end.state());
        assert_eq!((ended.message.as_ref(), ended.due(NOW)), (None, None));
        assert_eq!(ended.content_hash, job().content_hash);
    }
}

#[test]
fn a_job_is_due_when_nobody_may_be_at_it_any_more() {
    let due = |job: &Job| job.due(NOW).unwrap().at;
    assert_eq!(due(&job()), NOW + ABANDONED);
    let later = Job {
        deliver_at: Some(NOW + HOUR),
        ..job()
    };
    assert_eq!(due(&later), NOW + HOUR);
    let sent = due(&job().attempted(NOW));
    assert!(sent > NOW + LEASE && sent < NOW + LEASE * 2, "{sent}");
    assert!(job().due(NOW).unwrap().shard < SHARDS);
}

#[test]
fn a_dead_letter_waits_for_an_operator_and_then_ends_by_itself() {
    let dead = |job: Job| Job {
        dead: Some(Dead {
            since: NOW,
            reason: DeadReason::Unopened,
        }),
        ..job
    };
    let (fortnight, held) = (HOUR * 24 * 14, dead(job()));
    assert_eq!(held.state(NOW + HOUR), State::Held);
    assert_eq!(held.step(NOW + HOUR), Step::Wait(fortnight - HOUR));
    assert_eq!(held.due(NOW + HOUR).unwrap().at, NOW + fortnight);
    assert!(held.waits_for_a_time(NOW + HOUR));
    assert_eq!(held.step(NOW + fortnight), Step::Expire);
    assert!(!held.waits_for_a_time(NOW + fortnight));
    assert!(held.due(NOW + fortnight).is_some());
    // One that may have been sent cannot be taken back, and is never sent again.
    let lost = dead(lost(&job(), NOW));
    assert_eq!(lost.state(NOW + HOUR), State::Sending);
    assert_eq!(lost.step(NOW + HOUR), Step::Wait(fortnight - HOUR));
    assert_eq!(lost.step(NOW + fortnight), Step::Settle);
    let ended = held.ended(End::Cancelled { at: NOW });
    assert_eq!((ended.dead, ended.state(NOW)), (None, State::Cancelled));
    assert_eq!(held.attempted(NOW + fortnight).dead, None);
}

#[test]
fn the_last_five_attempts_are_kept() {
    let mut current = job();
    for second in 0..9 {
        current = lost(&current, NOW + SECOND * second);
    }
    assert_eq!((current.attempts.len(), current.attempt_count), (5, 9));
    assert_eq!(current.attempts[4].at, NOW + SECOND * 8);
}

#[test]
fn one_person_is_one_group_within_a_tenant() {
    let of = |app: &str, tenant: Option<&str>, to: Address| {
        Job {
            app_id: AppId::parse(app).unwrap(),
            tenant: tenant.and_then(TenantKey::parse),
            to: to.into(),
            ..job()
        }
        .group()
    };
    let person = || Address::OpenId("ou_1".to_owned());
    let chat = || Address::ChatId("ou_1".to_owned());
    assert_eq!(
        of("cli_a", Some("t"), person()),
        of("cli_b", Some("t"), person())
    );
    assert_ne!(
        of("cli_a", Some("t"), person()),
        of("cli_a", Some("u"), person())
    );
    assert_ne!(of("cli_a", None, person()), of("cli_b", None, person()));
    assert_ne!(of("cli_a", None, person()), of("cli_a", None, chat()));
    assert_eq!(of("cli_a", None, person()).len(), 64);
}

#[test]
fn an_id_is_a_uuid_that_the_platform_takes_and_no_other_text() {
    let id = JobId::new(NOW);
    assert!(id.uuid().len() <= MAX_UUID);
    assert_eq!(JobId::parse(id.as_str()), Some(id.clone()));
    assert!(JobId::new(NOW + SECOND) > id);
    let upper = id.as_str().to_uppercase();
    let long = format!("{id}0");
    for other in [
        "",
        "mj_",
        &upper,
        &long,
        &id.as_str()[3..],
        "mj_../../../../../../../../..",
        "mj_01jdyzz8k3v5m7q2c4x6n8p0ri",
    ] {
        assert_eq!(JobId::parse(other), None, "{other}");
    }
}

#[test]
fn the_ids_of_a_batchs_jobs_follow_from_its_own() {
    let batch = BatchId::new(NOW);
    assert_eq!(BatchId::parse(batch.as_str()), Some(batch.clone()));
    for place in [0, 17, 999] {
        let id = batch.job(place);
        assert!(id.uuid().len() <= MAX_UUID);
        assert_eq!(JobId::parse(id.as_str()), Some(id.clone()));
        assert_eq!((id.batch(), id.place()), (Some(batch.clone()), Some(place)));
        assert!(id.as_str().starts_with(&batch.job_prefix()));
    }
    assert!(batch.job(9) < batch.job(10) && batch.job(99) < batch.job(100));
    let single = JobId::new(NOW);
    assert_eq!((single.batch(), single.place()), (None, None));
    for other in ["", "_", "_1", "_00000", "_000a", "-0000"] {
        assert_eq!(
            JobId::parse(&format!("{single}{other}")).is_some(),
            other.is_empty()
        );
    }
    for other in [single.as_str(), "mb_", &format!("{batch}_0000")] {
        assert_eq!(BatchId::parse(other), None, "{other}");
    }
}

/// What can happen to a job between two moments.
#[derive(Clone, Debug)]
enum Event {
    /// A worker looks at it; its call may be lost, be refused for now, or make the message.
    Work(Call),
    /// Time passes, in seconds.
    Pass(u64),
}

#[derive(Clone, Copy, Debug)]
enum Call {
    /// The platform took it, and its answer never came; the worker may even have died.
    LostAfter { died: bool },
    /// The platform never got it, which nobody can tell.
    LostBefore { died: bool },
    /// The platform said: not now.
    NotNow,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let call = prop_oneof![
        any::<bool>().prop_map(|died| Call::LostAfter { died }),
        any::<bool>().prop_map(|died| Call::LostBefore { died }),
        Just(Call::NotNow),
    ];
    let event = prop_oneof![
        call.prop_map(Event::Work),
        (1_u64..6_000).prop_map(Event::Pass),
    ];
    vec(event, 1..60)
}

proptest! {
    /// The platform forgets a `uuid` an hour after it made the message of it; nothing that a job does makes a second one.
    #[test]
    fn no_course_of_things_makes_two_messages(events in events()) {
        let (mut current, mut now, mut made): (Job, Timestamp, Vec<Timestamp>) = (job(), NOW, Vec::new());
        for event in events {
            match event {
                Event::Pass(seconds) => now = now + SECOND * u32::try_from(seconds).unwrap(),
                Event::Work(call) if current.step(now) == Step::Send => {
                    let ahead = current.attempted(now);
                    let took = matches!(call, Call::LostAfter { .. });
                    let is_known = made.last().is_some_and(|at| now < *at + HOUR);
                    if took && !is_known {
                        made.push(now);
                    }
                    current = match call {
                        Call::LostAfter { died: true } | Call::LostBefore { died: true } => ahead,
                        Call::LostAfter { died: false } | Call::LostBefore { died: false } => ahead.failed(&current, outcome(true)),
                        Call::NotNow => ahead.failed(&current, outcome(false)),
                    };
                }
                Event::Work(_) => {}
            }
        }
        prop_assert!(made.len() <= 1, "{made:?}");
    }
}
