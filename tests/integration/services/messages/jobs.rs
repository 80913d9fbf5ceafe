//! What callers do with their jobs: repeat, take back, put off, list.

use std::time::Duration;

use lark_service::delivery::{NewMessage, Once, State};
use lark_service::error::{Error, ErrorCode};
use lark_service_tests::world::{World, soon};

use super::{MINUTE, accept, contents, context, deliveries, job, send, state, text, work};

#[tokio::test]
async fn a_repeated_request_is_answered_with_the_first_ones_job() {
    let world = World::begin().await;
    let process = world.process();
    let once = |request: &str| {
        Some(Once {
            key: "build-4711".to_owned(),
            request: request.to_owned(),
        })
    };
    let first = NewMessage {
        once: once("a"),
        ..text("hi")
    };
    let sent = send(&process, first.clone()).await;
    assert!(!sent.is_repeated);
    let again = send(&world.process(), first.clone()).await;
    assert!(again.is_repeated);
    assert_eq!(again.job.key, sent.job.key);
    assert_eq!(again.job.end, sent.job.end);
    assert_eq!(deliveries(&world).len(), 1);
    let other = NewMessage {
        once: once("b"),
        ..text("hi")
    };
    let context = context(&process).await;
    let refused = process.0.delivery.send_now(&context, other, soon()).await;
    assert_eq!(refused.unwrap_err().code(), ErrorCode::IdempotencyMismatch);
    // Another key's names are its own.
    let foreign = NewMessage {
        key_id: "test00000002".to_owned(),
        ..first
    };
    assert!(!send(&process, foreign).await.is_repeated);
    assert_eq!(deliveries(&world).len(), 2);
}

#[tokio::test]
async fn a_message_is_taken_back_before_it_is_sent_and_not_after() {
    let world = World::begin().await;
    let process = world.process();
    let waiting = accept(&process, text("hi")).await;
    let (key_id, job_id) = (&waiting.key.key_id, waiting.key.job_id.as_str());
    let delivery = &process.0.delivery;
    for _ in 0..2 {
        let cancelled = delivery.cancel(key_id, job_id, soon()).await.unwrap();
        assert_eq!(state(&world, &cancelled), State::Cancelled);
    }
    assert_eq!(work(&world, &process).await, 0);
    assert_eq!(deliveries(&world).len(), 0);
    let sent = send(&process, text("ho")).await;
    let past = delivery
        .cancel(key_id, sent.job.key.job_id.as_str(), soon())
        .await;
    assert!(
        matches!(past, Err(Error::MessageJobPast("delivered"))),
        "{past:?}"
    );
    let foreign = delivery.cancel("other0000001", job_id, soon()).await;
    assert!(
        matches!(foreign, Err(Error::MessageJobNotFound)),
        "{foreign:?}"
    );
}

#[tokio::test]
async fn a_message_for_later_is_sent_at_its_time_and_one_that_is_late_expires() {
    let world = World::begin().await;
    let process = world.process();
    let later = NewMessage {
        deliver_at: Some(world.now() + MINUTE * 90),
        ..text("later")
    };
    let later = accept(&process, later).await;
    assert_eq!(state(&world, &later), State::Scheduled);
    let short = NewMessage {
        expires_at: Some(world.now() + MINUTE),
        ..text("short")
    };
    let short = accept(&process, short).await;
    world.advance(MINUTE * 2);
    process.0.delivery.enqueue_due(soon()).await.unwrap();
    assert_eq!(work(&world, &process).await, 0);
    assert_eq!(state(&world, &job(&process, &short).await), State::Expired);
    assert_eq!(deliveries(&world).len(), 0);
    world.advance(MINUTE * 89);
    let report = process.0.delivery.enqueue_due(soon()).await.unwrap();
    assert_eq!((report.due, report.queued), (1, 1));
    assert_eq!(work(&world, &process).await, 0);
    assert_eq!(contents(&world), [r#"{"text":"later"}"#]);
}

#[tokio::test]
async fn jobs_are_listed_by_their_owner_and_state() {
    let world = World::begin().await;
    let process = world.process();
    let sent = send(&process, text("sent")).await.job;
    world.advance(Duration::from_secs(1));
    let mut waiting = Vec::new();
    for number in 0..3 {
        waiting.push(accept(&process, text(&format!("{number}"))).await.key);
        world.advance(Duration::from_secs(1));
    }
    let list = async |key_id: &str, state, after: Option<&str>| {
        let page = process
            .0
            .delivery
            .jobs(key_id, None, state, after, 2, soon())
            .await;
        let page = page.unwrap();
        let keys: Vec<_> = page.items.into_iter().map(|job| job.key).collect();
        (keys, page.next_page_token)
    };
    let (first, next) = list("test00000001", None, None).await;
    assert_eq!(first, [sent.key.clone(), waiting[0].clone()]);
    let (rest, next) = list("test00000001", None, next.as_deref()).await;
    assert_eq!((rest, next), (waiting[1..].to_vec(), None));
    let (delivered, _) = list("test00000001", Some(State::Delivered), None).await;
    assert_eq!(delivered, [sent.key]);
    let (foreign, _) = list("other0000001", None, None).await;
    assert_eq!(foreign, []);
}
