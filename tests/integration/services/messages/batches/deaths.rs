//! Workers that die in the middle of a batch, two that do the same, and a request that is repeated.

use super::*;

/// A worker that dies at each of its writes: while it plans, between two jobs, before they are queued, before that is on record.
#[tokio::test]
async fn a_worker_that_dies_in_the_middle_of_a_batch_leaves_it_to_the_next() {
    for dies_at in 0..9 {
        let world = World::begin().await;
        let process = world.process();
        let batch = accept(&process, to_people(1..=6)).await;
        let dying = over(&world, &Writes::failing_from(dies_at));
        work(&world, &dying).await;
        for _ in 0..4 {
            look(&world, &process, MINUTE * 20).await;
        }
        let received = received(&world);
        assert_eq!(received.len(), 6, "died at write {dies_at}");
        assert!(received.values().all(|times| *times == 1), "{dies_at}");
        let ended = view(&process, &batch).await;
        assert_eq!(ended.state(), BatchState::Ended, "{dies_at}: {ended:?}");
        assert_eq!(ended.counts().delivered, 6);
    }
}

#[tokio::test]
async fn two_workers_with_one_batch_make_the_same_jobs() {
    let world = World::begin().await;
    let (one, other) = (world.process(), world.process());
    let batch = accept(&one, to_people(1..=40)).await;
    let ticket = world
        .queue
        .receive(Lane::Bulk, 1, MINUTE, Duration::ZERO)
        .await;
    let ticket = ticket.unwrap().remove(0);
    let works = || {
        vec![lark_service::delivery::Work {
            id: ticket.id.clone(),
            receipt: ticket.receipt.clone(),
            group: ticket.group.clone(),
            body: ticket.body.clone(),
            receive_count: 1,
        }]
    };
    tokio::join!(
        one.0.delivery.work(works(), soon()),
        other.0.delivery.work(works(), soon())
    );
    drain(&world, &one).await;
    look(&world, &other, MINUTE * 20).await;
    let received = received(&world);
    assert_eq!((received.len(), deliveries(&world).len()), (40, 40));
    assert_eq!(view(&one, &batch).await.counts().delivered, 40);
}

#[tokio::test]
async fn a_repeated_request_is_answered_with_the_first_ones_batch() {
    let world = World::begin().await;
    let process = world.process();
    let once = |request: &str| NewBatch {
        once: Some(Once {
            key: "newsletter-1".to_owned(),
            request: request.to_owned(),
        }),
        ..to_people(1..=4)
    };
    let first = accept(&process, once("a")).await;
    let again = accept(&world.process(), once("a")).await;
    assert_eq!(again.key, first.key);
    drain(&world, &process).await;
    let after = accept(&process, once("a")).await;
    assert_eq!(after.key, first.key);
    drain(&world, &process).await;
    assert_eq!(deliveries(&world).len(), 4);
    let context = context(&process).await;
    let other = process
        .0
        .delivery
        .accept_batch(&context, once("b"), soon())
        .await;
    assert_eq!(other.unwrap_err().code(), ErrorCode::IdempotencyMismatch);
    // The names of single messages are others.
    let single = lark_service::delivery::NewMessage {
        once: once("c").once,
        ..text("hi")
    };
    let single = process.0.delivery.send_now(&context, single, soon()).await;
    assert!(!single.unwrap().is_repeated);
}
