//! What may wait.

use lark_service::limiter::LimitKey;
use lark_service::queue::Entry;
use lark_service::quota::Quota;

use super::*;

#[tokio::test]
async fn no_more_messages_wait_for_a_receiver_or_in_a_queue_than_may() {
    let world = World::begin().await;
    let process = world.process();
    let app = context(&process).await;
    let delivery = &process.0.delivery;
    // Five thousand wait for the first person.
    let group = super::super::accept(&process, text("first")).await.group();
    let quota = Quota::new(5.try_into().unwrap(), Duration::from_secs(1));
    let quota = quota.with_burst(5_000.try_into().unwrap());
    let key = LimitKey::new("receiver_queue", &group);
    let limiter = &process.0.admission.limiter;
    assert!(limiter.admit(&key, &[quota], 4_999).await.is_allowed);
    let full = delivery
        .accept(&app, text("more"), soon())
        .await
        .unwrap_err();
    assert_eq!(full.code(), ErrorCode::QueueFull);
    assert!(full.retry_after().is_some());
    // A batch leaves them out, and reaches the others.
    let batch = accept(&process, to_people(1..=3)).await;
    drain(&world, &process).await;
    let shown = view(&process, &batch).await;
    let unreached = shown.unreached();
    assert_eq!((unreached.len(), unreached[0].entry), (1, 0));
    assert_eq!(unreached[0].code, "queue_full");
    assert_eq!(shown.counts().delivered, 2);
    world.advance(Duration::from_secs(1));
    delivery.accept(&app, text("more"), soon()).await.unwrap();
    // A hundred thousand wait in the lane.
    let waiting: Vec<Entry> = (0..100_000)
        .map(|number| Entry {
            group: format!("g{number}"),
            deduplication: number.to_string(),
            body: "{}".to_owned(),
        })
        .collect();
    for outcome in world.queue.send(Lane::Bulk, &waiting).await {
        outcome.unwrap();
    }
    world.advance(Duration::from_secs(6));
    let full = delivery.accept_batch(&app, to_people(4..=5), soon()).await;
    assert_eq!(full.unwrap_err().code(), ErrorCode::QueueFull);
    // The other lane goes on.
    let other = NewBatch {
        lane: Lane::Normal,
        ..to_people(6..=7)
    };
    accept(&process, other).await;
}
