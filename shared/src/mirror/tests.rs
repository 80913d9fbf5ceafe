//! The mirror over a store that is slow, silent or failing, in paused time.

use std::sync::Arc;

use tokio::time::Instant;

use super::*;
use crate::cache::CacheClient;
use crate::cache::memory::MemoryCache;
use crate::clock::{Clock, ManualClock, Timestamp};
use crate::seal::{KeyRing, KeySource, Sealer};
use crate::store::Value;
use crate::store::moody::{Mood, Moody};

const TIMEOUT: Duration = Duration::from_secs(10);

struct World {
    mirror: Mirror,
    moods: Arc<Moody>,
    cache: CacheClient,
}

impl World {
    /// A mirror that has written version 1, so that there is a copy of it, over a store that already has version 2.
    async fn new() -> Self {
        let clock: Arc<dyn Clock> =
            Arc::new(ManualClock::at(Timestamp::from_seconds(1_700_000_000)));
        let (store, moods) = Moody::store();
        let storage = Storage::new(store, TIMEOUT);
        let cache = MemoryCache::new(1_024 * 1_024, Arc::clone(&clock));
        let cache = CacheClient::new(Arc::new(cache), TIMEOUT);
        let sealer = Sealer::new(KeySource::Given(KeyRing::generate().unwrap()));
        let sealed = SealedCache::new(cache.clone(), sealer, clock);
        let mirror = Mirror::new(storage, Some(sealed));
        mirror
            .put(Table::Apps, &record(1), Expect::Absent, soon())
            .await
            .unwrap();
        mirror
            .storage()
            .put(Table::Apps, &record(2), Expect::Version(1), soon())
            .await
            .unwrap();
        Self {
            mirror,
            moods,
            cache,
        }
    }

    /// Which version a read gets, and after how long.
    async fn read(&self) -> (Result<Option<u64>, StoreError>, Duration) {
        let began = Instant::now();
        let read = self.mirror.get(Table::Apps, &key(), soon()).await;
        let version = read.map(|record| record.map(|record| record.version));
        (version, began.elapsed())
    }

    async fn lose_the_copy(&self) {
        let cache_key = cache_key(Table::Apps, &key());
        assert!(self.cache.delete(&cache_key).await.unwrap());
    }
}

fn key() -> Key {
    Key::new("cli_a", "app")
}

fn record(version: u64) -> Record {
    Record::new(key(), version).with("name", Value::Text("Lark".to_owned()))
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(30))
}

#[tokio::test(start_paused = true)]
async fn the_stores_answer_counts_when_it_comes_in_time() {
    for (takes, version, waits) in [(0, 2, 0), (99, 2, 99), (101, 1, 100), (5_000, 1, 100)] {
        let world = World::new().await;
        world.moods.reads(Mood::Takes(Duration::from_millis(takes)));
        let (read, waited) = world.read().await;
        assert_eq!(read.unwrap(), Some(version), "it takes {takes} ms");
        assert_eq!(waited, Duration::from_millis(waits), "it takes {takes} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_copy_a_slow_store_has_all_its_time() {
    let world = World::new().await;
    world.lose_the_copy().await;
    world.moods.reads(Mood::Takes(Duration::from_millis(1_500)));
    let (read, waited) = world.read().await;
    assert_eq!(read.unwrap(), Some(2));
    assert_eq!(waited, Duration::from_millis(1_500));
}

#[tokio::test(start_paused = true)]
async fn a_silent_store_costs_100_ms_with_a_copy_and_two_seconds_without() {
    let world = World::new().await;
    world.moods.reads(Mood::Silent);
    for _ in 0..3 {
        let (read, waited) = world.read().await;
        assert_eq!(read.unwrap(), Some(1));
        assert_eq!(waited, Duration::from_millis(100));
    }
    world.lose_the_copy().await;
    let (read, waited) = world.read().await;
    assert!(matches!(read, Err(StoreError::Timeout { .. })), "{read:?}");
    assert_eq!(waited, Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_is_stood_in_for_at_once() {
    let world = World::new().await;
    world.moods.reads(Mood::Fails);
    let (read, waited) = world.read().await;
    assert_eq!(read.unwrap(), Some(1));
    assert_eq!(waited, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_gone_leaves_no_copy() {
    let world = World::new().await;
    let storage = world.mirror.storage();
    storage
        .delete(Table::Apps, &key(), Expect::Anything, soon())
        .await
        .unwrap();
    assert_eq!(world.read().await.0.unwrap(), None);
    world.moods.reads(Mood::Fails);
    let (read, _) = world.read().await;
    assert!(read.is_err(), "it does not come back while the store fails");
}

#[tokio::test(start_paused = true)]
async fn a_read_renews_the_copy() {
    let world = World::new().await;
    assert_eq!(world.read().await.0.unwrap(), Some(2));
    let copied = world.mirror.copied_version(Table::Apps, &key()).await;
    assert_eq!(copied, Copied::Version(2));
}
