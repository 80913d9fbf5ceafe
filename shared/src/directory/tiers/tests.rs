//! Processes that share a cache and a store, in paused time.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::{Instant, sleep};

use super::*;
use crate::cache::memory::MemoryCache;
use crate::cache::{Cache, CacheClient};
use crate::ids::AppId;
use crate::seal::{KeyRing, KeySource, Sealer};
use crate::store::embedded::EmbeddedStore;

/// Tokio's time as a clock.
#[derive(Debug)]
struct Passing(Instant);

impl Clock for Passing {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(1_800_000_000) + self.0.elapsed()
    }
}

struct Place {
    clock: Arc<dyn Clock>,
    cache: Arc<dyn Cache>,
    storage: Storage,
    sealer: Sealer,
    loads: Arc<AtomicU64>,
    /// When Lark was last called, in milliseconds since the beginning.
    asked_ms: Arc<AtomicU64>,
    began: Instant,
}

impl Place {
    fn new() -> Self {
        Self::by(Arc::new(Passing(Instant::now())))
    }

    /// Everything goes by `clock`.
    fn by(clock: Arc<dyn Clock>) -> Self {
        let store = EmbeddedStore::in_memory(Arc::clone(&clock)).unwrap();
        Self {
            cache: Arc::new(MemoryCache::new(1 << 20, Arc::clone(&clock))),
            storage: Storage::new(Arc::new(store), Duration::from_secs(10)),
            sealer: Sealer::new(KeySource::Given(KeyRing::generate().unwrap())),
            loads: Arc::default(),
            asked_ms: Arc::default(),
            began: Instant::now(),
            clock,
        }
    }

    fn process(&self) -> Tiers {
        self.process_by(Arc::clone(&self.clock))
    }

    /// A process on a host with this clock.
    fn process_by(&self, clock: Arc<dyn Clock>) -> Tiers {
        let settings = TierSettings {
            user_ttl: Duration::from_secs(3_600),
            department_ttl: Duration::from_secs(3_600),
            chat_ttl: Duration::from_secs(3_600),
            list_ttl: Duration::from_secs(300),
            absent_ttl: Duration::from_secs(60),
            local_cache_bytes: 1 << 20,
        };
        Tiers::new(self.storage.clone(), Some(self.sealed()), clock, settings)
    }

    /// The shared cache, its entries sealed.
    fn sealed(&self) -> SealedCache {
        let cache = CacheClient::new(Arc::clone(&self.cache), Duration::from_secs(5));
        SealedCache::new(cache, self.sealer.clone(), Arc::clone(&self.clock))
    }

    /// A look-up that Lark answers after `takes` with the name of `process`.
    async fn look_up(&self, tiers: &Tiers, process: &'static str, takes: Duration) -> String {
        let (loads, asked_ms) = (Arc::clone(&self.loads), Arc::clone(&self.asked_ms));
        let began = self.began;
        let load = move |key: ItemKey, _| {
            loads.fetch_add(1, Ordering::SeqCst);
            let waited_ms = u64::try_from(began.elapsed().as_millis()).unwrap();
            asked_ms.store(waited_ms, Ordering::SeqCst);
            async move {
                sleep(takes).await;
                let item = Item {
                    id: key.id,
                    aliases: Vec::new(),
                    body: process.to_owned(),
                };
                let others = Vec::new();
                Ok(Loaded::Found { item, others })
            }
        };
        let deadline = Deadline::after(Duration::from_secs(28));
        let found = tiers.look_up(None, &key(), deadline, load).await;
        found.unwrap().unwrap().body
    }
}

fn key() -> ItemKey {
    let app_tenant = AppTenant {
        app_id: AppId::parse("cli_a").unwrap(),
        tenant: None,
    };
    ItemKey::new(app_tenant, ItemId::new(IdKind::OpenId, "ou_1"))
}

mod clocks;
mod frozen;

#[tokio::test(start_paused = true)]
async fn a_process_that_takes_longer_than_a_lease_keeps_it() {
    let place = Place::new();
    let (one, other) = (place.process(), place.process());
    let later = async {
        sleep(Duration::from_secs(1)).await;
        place.look_up(&other, "other", Duration::ZERO).await
    };
    let slow = Duration::from_secs(12);
    let answers = tokio::join!(place.look_up(&one, "one", slow), later);
    assert_eq!(answers, ("one".to_owned(), "one".to_owned()));
    assert_eq!(place.loads.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn three_seconds_after_a_process_died_another_asks() {
    let place = Place::new();
    let (lease, value) = (key().lease_key(), key().cache_key());
    let length = Duration::from_secs(3);
    let claim = place.cache.claim(&lease, &value, b"dead", length);
    assert!(claim.await.unwrap().fence.is_some());
    let answer = place
        .look_up(&place.process(), "heir", Duration::ZERO)
        .await;
    assert_eq!(answer, "heir");
    let waited_ms = place.asked_ms.load(Ordering::SeqCst);
    assert!((3_000..3_300).contains(&waited_ms), "{waited_ms}");
}

#[tokio::test(start_paused = true)]
async fn what_a_process_brings_after_its_lease_replaces_nothing_newer() {
    let place = Place::new();
    let late = place.process();
    // Frozen with its answer: its fence is an old one.
    let loading = entry::FetchStamp {
        version: crate::quota::micros(Duration::from_secs(1_700_000_000)),
        at: place.clock.now(),
        took: Duration::ZERO,
    };
    place
        .look_up(&place.process(), "newer", Duration::ZERO)
        .await;
    let item = Item {
        id: key().id,
        aliases: Vec::new(),
        body: "older".to_owned(),
    };
    let others = Vec::new();
    let entries = late
        .inner
        .entries(&key(), Loaded::Found { item, others }, loading);
    late.inner.fill_cache(&entries, place.clock.now()).await;
    let answer = place
        .look_up(&place.process(), "third", Duration::ZERO)
        .await;
    assert_eq!(answer, "newer");
}

#[tokio::test(start_paused = true)]
async fn shortly_before_its_end_one_of_many_readers_renews_and_nobody_is_served_what_is_stale() {
    let place = Place::new();
    let (one, other) = (place.process(), place.process());
    let takes = Duration::from_millis(300);
    place.look_up(&one, "first", takes).await;
    place.look_up(&other, "first", takes).await;
    let entry = one.inner.local.get(&key()).unwrap();
    let shortly_before = entry.fresh_until - Duration::from_millis(100);
    sleep(shortly_before.since(place.clock.now())).await;
    // Each of them renews early with a probability of e^(-100/300), about 0.7.
    for _ in 0..20 {
        place.look_up(&one, "second", takes).await;
        place.look_up(&other, "second", takes).await;
    }
    assert_eq!(place.loads.load(Ordering::SeqCst), 2);
    assert_eq!(place.look_up(&one, "third", takes).await, "second");
    assert_eq!(place.look_up(&other, "third", takes).await, "second");
}
