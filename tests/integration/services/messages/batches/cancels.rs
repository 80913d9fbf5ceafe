//! Batches that are taken back.

use super::*;

#[tokio::test]
async fn what_was_not_sent_of_a_batch_is_taken_back() {
    let world = World::begin().await;
    let process = world.process();
    let batch = accept(&process, to_people(1..=30)).await;
    // The batch itself, then ten of its messages.
    work(&world, &process).await;
    work(&world, &process).await;
    let sent = deliveries(&world).len();
    assert!((1..30).contains(&sent), "{sent}");
    let (id, delivery) = (batch.key.batch_id.as_str(), &process.0.delivery);
    for _ in 0..2 {
        let cancelled = delivery.cancel_batch(KEY, id, soon()).await.unwrap();
        assert_eq!(cancelled.state(), BatchState::Cancelled);
        let counts = cancelled.counts();
        assert_eq!(
            (counts.delivered as usize, counts.cancelled as usize),
            (sent, 30 - sent)
        );
    }
    drain(&world, &process).await;
    look(&world, &process, MINUTE * 20).await;
    assert_eq!(deliveries(&world).len(), sent);
    // One that has ended is past; one of another key is none.
    let done = accept(&process, to_people(31..=32)).await;
    drain(&world, &process).await;
    look(&world, &process, MINUTE).await;
    let past = delivery
        .cancel_batch(KEY, done.key.batch_id.as_str(), soon())
        .await;
    assert_eq!(past.unwrap_err().code(), ErrorCode::MessageJobPast);
    let foreign = delivery.cancel_batch("other0000001", id, soon()).await;
    assert_eq!(foreign.unwrap_err().code(), ErrorCode::MessageJobNotFound);
}

/// Jobs that a dead worker made before the batch was taken back, and one that thaws makes afterwards, send nothing.
#[tokio::test]
async fn a_batch_that_was_taken_back_while_its_jobs_were_made_sends_nothing() {
    for dies_at in 0..8 {
        let world = World::begin().await;
        let process = world.process();
        let batch = accept(&process, to_people(1..=5)).await;
        let dying = over(&world, &Writes::failing_from(dies_at));
        // It writes the plan, five jobs, and that they are made; then it queues them.
        work(&world, &dying).await;
        let id = batch.key.batch_id.as_str();
        let cancelled = process.0.delivery.cancel_batch(KEY, id, soon()).await;
        assert_eq!(cancelled.unwrap().counts().cancelled, 5, "{dies_at}");
        for _ in 0..4 {
            look(&world, &process, MINUTE * 20).await;
        }
        assert_eq!(deliveries(&world).len(), 0, "{dies_at}");
        let ended = view(&process, &batch).await;
        assert_eq!(
            (ended.state(), ended.counts().cancelled),
            (BatchState::Cancelled, 5)
        );
    }
}
