//! Batches whose content does not open: its key is missing, or somebody altered the record.

use lark_service::store::{Expect, Record, Value};

use super::*;

const DAY: Duration = Duration::from_secs(24 * 3_600);

async fn record(world: &World, batch: &Batch) -> Record {
    let key = Key::new(format!("job#{KEY}"), batch.key.batch_id.as_str());
    let found = world.shared_store().get(Table::MessageJobs, &key).await;
    found.unwrap().unwrap()
}

/// Replaces what is sealed, and returns what was there.
async fn replace(world: &World, batch: &Batch, sealed: Value) -> Value {
    let mut record = record(world, batch).await;
    let before = record.attributes.remove("message").unwrap();
    let record = record.with("message", sealed);
    let store = world.shared_store();
    let put = store.put(Table::MessageJobs, &record, Expect::Anything);
    put.await.unwrap();
    before
}

async fn spoil(world: &World, batch: &Batch) -> Value {
    replace(world, batch, Value::Bytes(vec![7; 80])).await
}

/// A worker that dies after so many writes, which leaves the batch at another stage.
async fn begun(world: &World, new: NewBatch, writes: usize) -> Batch {
    let process = world.process();
    let batch = accept(&process, new).await;
    work(world, &over(world, &Writes::failing_from(writes))).await;
    batch
}

#[tokio::test]
async fn it_is_kept_and_goes_on_once_it_opens() {
    for writes in 0..9 {
        let world = World::begin().await;
        let process = world.process();
        let batch = begun(&world, to_people(1..=6), writes).await;
        let content = spoil(&world, &batch).await;
        for _ in 0..3 {
            world.advance(MINUTE * 2);
            process.0.delivery.enqueue_due(soon()).await.unwrap();
            work(&world, &process).await;
        }
        assert!(deliveries(&world).is_empty(), "{writes}");
        let there = replace(&world, &batch, content).await;
        assert_eq!(there, Value::Bytes(vec![7; 80]), "{writes}");
        for _ in 0..6 {
            look(&world, &world.process(), MINUTE * 20).await;
        }
        let ended = view(&process, &batch).await;
        assert_eq!(ended.counts().delivered, 6, "{writes}: {ended:?}");
        assert_eq!(received(&world).len(), 6, "{writes}");
    }
}

/// Those who have a job by then are dead letters, which end two weeks later.
#[tokio::test]
async fn it_ends_with_its_time_at_every_stage() {
    for writes in 0..9 {
        let world = World::begin().await;
        let process = world.process();
        let batch = begun(&world, to_people(1..=6), writes).await;
        spoil(&world, &batch).await;
        for _ in 0..18 {
            if view(&process, &batch).await.state() == BatchState::Ended {
                break;
            }
            world.advance(DAY);
            process.0.delivery.enqueue_due(soon()).await.unwrap();
            for _ in 0..10 {
                work(&world, &process).await;
            }
        }
        let ended = view(&process, &batch).await;
        assert_eq!(ended.state(), BatchState::Ended, "{writes}: {ended:?}");
        assert_eq!(ended.counts().expired, 6, "{writes}: {ended:?}");
        assert!(deliveries(&world).is_empty());
        let left = record(&world, &batch).await;
        assert!(!left.attributes.contains_key("message"), "{writes}");
    }
}

#[tokio::test]
async fn a_broadcast_ends_with_its_time() {
    for writes in 0..3 {
        let world = World::begin().await;
        let process = world.process();
        let broadcast = NewBatch {
            mode: Mode::Broadcast,
            ..to_people(1..=6)
        };
        let batch = begun(&world, broadcast, writes).await;
        spoil(&world, &batch).await;
        for _ in 0..4 {
            world.advance(DAY);
            process.0.delivery.enqueue_due(soon()).await.unwrap();
            for _ in 0..10 {
                work(&world, &process).await;
            }
        }
        let ended = view(&process, &batch).await;
        assert_eq!(ended.state(), BatchState::Ended, "{writes}: {ended:?}");
        let counts = ended.counts();
        // A worker that died after it had written a call ahead leaves that uncertain.
        assert_eq!(counts.expired + counts.uncertain, 6, "{writes}: {ended:?}");
        assert_eq!(counts.uncertain > 0, writes == 2, "{writes}: {ended:?}");
    }
}

#[tokio::test]
async fn it_can_be_taken_back() {
    for writes in [0, 1, 4] {
        let world = World::begin().await;
        let process = world.process();
        let batch = begun(&world, to_people(1..=6), writes).await;
        spoil(&world, &batch).await;
        let id = batch.key.batch_id.as_str();
        let cancelled = process.0.delivery.cancel_batch(KEY, id, soon()).await;
        assert_eq!(cancelled.unwrap().counts().cancelled, 6, "{writes}");
        for _ in 0..3 {
            look(&world, &process, MINUTE * 20).await;
        }
        let ended = view(&process, &batch).await;
        assert_eq!(ended.counts().cancelled, 6, "{writes}: {ended:?}");
        assert!(deliveries(&world).is_empty());
    }
}
