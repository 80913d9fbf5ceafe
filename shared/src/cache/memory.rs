//! The cache in this process, for running on one machine.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::unsync::Cache as Entries;

use super::{Cache, CacheError, Claim, Put, latest_version, split_version, versioned};
use crate::clock::{Clock, Timestamp};
use crate::quota::{Decision, Place, Quota, Reservation, Window};

mod limits;
mod scores;

/// What an entry uses besides its key and value: hash table slot, list links, allocation headers. An estimate.
const ENTRY_BYTES: u64 = 128;
/// The entry size assumed when the table is allocated. It grows if this is wrong.
const TYPICAL_ENTRY_BYTES: u64 = 1_024;

/// A [`Cache`] in memory that evicts what is used least when it is full.
///
/// One lock guards it. It is held for a look-up and never across an await, so that the compound operations are atomic
/// without more machinery.
pub struct MemoryCache {
    entries: Mutex<Entries<String, Entry, Weight>>,
    /// The last time that was told: several calls may come within one tick of the clock. Used while `entries` is locked.
    last_tick_us: AtomicU64,
    clock: Arc<dyn Clock>,
}

#[derive(Clone)]
struct Entry {
    value: Bytes,
    expires_at: Timestamp,
}

#[derive(Clone)]
struct Weight;

impl Weighter<String, Entry> for Weight {
    fn weight(&self, key: &String, entry: &Entry) -> u64 {
        let bytes = u64::try_from(key.len() + entry.value.len()).unwrap_or(u64::MAX);
        bytes.saturating_add(ENTRY_BYTES)
    }
}

impl MemoryCache {
    /// A cache of at most `capacity_bytes` of keys, values and overhead. A value that alone is larger is not kept.
    #[must_use]
    pub fn new(capacity_bytes: u64, clock: Arc<dyn Clock>) -> Self {
        let entries = usize::try_from(capacity_bytes / TYPICAL_ENTRY_BYTES).unwrap_or(usize::MAX);
        Self {
            entries: Mutex::new(Entries::with_weighter(entries, capacity_bytes, Weight)),
            last_tick_us: AtomicU64::new(0),
            clock,
        }
    }

    fn is_held(
        &self,
        entries: &mut Entries<String, Entry, Weight>,
        lease: &str,
        owner: &[u8],
    ) -> bool {
        let holder = self.live(entries, lease);
        holder.is_some_and(|holder| holder == owner)
    }

    /// Whether another owner holds the lease, for no longer than anybody may.
    fn is_held_by_another(
        &self,
        entries: &mut Entries<String, Entry, Weight>,
        lease: &str,
        owner: &[u8],
        ttl: Duration,
    ) -> bool {
        let holder = self.live(entries, lease);
        if holder.is_none_or(|holder| holder == owner) {
            return false;
        }
        let latest = self.clock.now() + ttl.max(Duration::from_millis(1));
        let entry = entries.get(lease);
        entry.is_some_and(|entry| entry.expires_at <= latest)
    }

    /// The time, later than at any call before. To be called while `entries` is locked.
    fn tick_us(&self) -> u64 {
        let after_last = self.last_tick_us.load(Ordering::Relaxed) + 1;
        let now_us = self.now_us().max(after_last);
        self.last_tick_us.store(now_us, Ordering::Relaxed);
        now_us
    }

    /// [`Cache::put_newer`] of one value into `entries`.
    fn put_newer_into(&self, entries: &mut Entries<String, Entry, Weight>, put: &Put) -> bool {
        let stored = self
            .live(entries, &put.key)
            .as_ref()
            .and_then(split_version);
        let latest = latest_version(put.version, self.now_us());
        let gives_way = |(stored, _)| stored < put.version || stored > latest;
        let is_newer = stored.is_none_or(gives_way);
        if is_newer {
            let value = versioned(put.version, &put.value);
            entries.insert(put.key.clone(), self.entry(value.into(), put.ttl));
        }
        is_newer
    }

    fn now_us(&self) -> u64 {
        let now_ms = u64::try_from(self.clock.now().as_millis()).unwrap_or(0);
        now_ms.saturating_mul(1_000)
    }

    fn lock(&self) -> MutexGuard<'_, Entries<String, Entry, Weight>> {
        self.entries
            .lock()
            .expect("no panic while holding the cache")
    }

    fn entry(&self, value: Bytes, ttl: Duration) -> Entry {
        Entry {
            value,
            expires_at: self.clock.now() + ttl.max(Duration::from_millis(1)),
        }
    }

    /// The live value at `key`; one that has expired is removed.
    fn live(&self, entries: &mut Entries<String, Entry, Weight>, key: &str) -> Option<Bytes> {
        let entry = entries.get(key)?;
        if entry.expires_at > self.clock.now() {
            return Some(entry.value.clone());
        }
        entries.remove(key);
        None
    }
}

#[async_trait]
impl Cache for MemoryCache {
    async fn get(&self, key: &str) -> Result<Option<Bytes>, CacheError> {
        Ok(self.live(&mut self.lock(), key))
    }

    async fn get_many(&self, keys: &[String]) -> Result<Vec<Option<Bytes>>, CacheError> {
        let mut entries = self.lock();
        Ok(keys
            .iter()
            .map(|key| self.live(&mut entries, key))
            .collect())
    }

    async fn put(&self, key: &str, value: &[u8], ttl: Duration) -> Result<(), CacheError> {
        let entry = self.entry(Bytes::copy_from_slice(value), ttl);
        self.lock().insert(key.to_owned(), entry);
        Ok(())
    }

    async fn put_newer(&self, puts: &[Put]) -> Result<usize, CacheError> {
        let mut entries = self.lock();
        let puts = puts.iter();
        let done = puts.map(|put| usize::from(self.put_newer_into(&mut entries, put)));
        Ok(done.sum())
    }

    async fn claim(
        &self,
        lease: &str,
        value: &str,
        owner: &[u8],
        ttl: Duration,
    ) -> Result<Claim, CacheError> {
        let mut entries = self.lock();
        let value = self.live(&mut entries, value);
        if self.is_held_by_another(&mut entries, lease, owner, ttl) {
            return Ok(Claim::refused(self.now_us(), value));
        }
        let entry = self.entry(Bytes::copy_from_slice(owner), ttl);
        entries.insert(lease.to_owned(), entry);
        Ok(Claim::taken(self.tick_us(), value))
    }

    async fn extend(&self, lease: &str, owner: &[u8], ttl: Duration) -> Result<bool, CacheError> {
        let mut entries = self.lock();
        let is_held = self.is_held(&mut entries, lease, owner);
        if is_held {
            let entry = self.entry(Bytes::copy_from_slice(owner), ttl);
            entries.insert(lease.to_owned(), entry);
        }
        Ok(is_held)
    }

    async fn put_held(&self, lease: &str, owner: &[u8], put: &Put) -> Result<bool, CacheError> {
        let mut entries = self.lock();
        let is_held = self.is_held(&mut entries, lease, owner);
        if is_held {
            self.put_newer_into(&mut entries, put);
        }
        Ok(is_held)
    }

    async fn delete(&self, key: &str, only_if: Option<&[u8]>) -> Result<bool, CacheError> {
        let mut entries = self.lock();
        let is_meant = self
            .live(&mut entries, key)
            .is_some_and(|stored| only_if.is_none_or(|value| stored == value));
        if is_meant {
            entries.remove(key);
        }
        Ok(is_meant)
    }

    async fn throttle(
        &self,
        key: &str,
        quotas: &[Quota],
        cost: u32,
    ) -> Result<Decision, CacheError> {
        Ok(self.admit(key, quotas, cost))
    }

    async fn reserve(
        &self,
        key: &str,
        windows: &[Window],
        patience: Duration,
    ) -> Result<Reservation, CacheError> {
        Ok(self.reserve_now(key, windows, patience))
    }

    async fn give_back(
        &self,
        key: &str,
        windows: &[Window],
        place: Place,
    ) -> Result<bool, CacheError> {
        Ok(self.take_back(key, windows, place))
    }

    async fn pause(&self, key: &str, length: Duration) -> Result<(), CacheError> {
        self.hold(key, length);
        Ok(())
    }

    async fn add_scores(
        &self,
        key: &str,
        scores: &[(String, f64)],
        keep: usize,
        ttl: Duration,
    ) -> Result<(), CacheError> {
        if !scores.is_empty() {
            let mut entries = self.lock();
            let stored = self.live(&mut entries, key);
            let value = scores::with_added(stored.as_ref(), scores, keep);
            entries.insert(key.to_owned(), self.entry(value, ttl));
        }
        Ok(())
    }

    async fn top_scores(&self, key: &str, limit: usize) -> Result<Vec<(String, f64)>, CacheError> {
        let stored = self.live(&mut self.lock(), key);
        Ok(scores::top(stored.as_ref(), limit))
    }

    async fn take_scores(&self, key: &str) -> Result<Vec<(String, f64)>, CacheError> {
        let mut entries = self.lock();
        let stored = self.live(&mut entries, key);
        entries.remove(key);
        Ok(scores::top(stored.as_ref(), usize::MAX))
    }

    async fn now_us(&self) -> Result<u64, CacheError> {
        let _entries = self.lock();
        Ok(self.tick_us())
    }

    async fn ping(&self) -> Result<(), CacheError> {
        Ok(())
    }
}

impl fmt::Debug for MemoryCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryCache").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::contract::{Aged, test_cache_adapter};
    use crate::clock::ManualClock;

    const CAPACITY_BYTES: u64 = 4 * 1_024 * 1_024;

    fn cache(capacity_bytes: u64) -> (MemoryCache, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::at(Timestamp::from_seconds(1_700_000_000)));
        (
            MemoryCache::new(capacity_bytes, Arc::clone(&clock) as Arc<dyn Clock>),
            clock,
        )
    }

    test_cache_adapter!(async {
        let (cache, clock) = cache(CAPACITY_BYTES);
        Aged::new(cache, move |length| {
            clock.advance(length);
            Box::pin(std::future::ready(()))
        })
    });

    #[tokio::test]
    async fn a_full_cache_drops_values_instead_of_growing() {
        let (cache, _) = cache(64 * 1_024);
        for number in 0..1_000 {
            cache
                .put(
                    &format!("key {number}"),
                    &[0; 1_024],
                    Duration::from_secs(60),
                )
                .await
                .unwrap();
        }
        assert!(cache.lock().weight() <= 64 * 1_024);
        assert_eq!(
            cache.get("key 999").await.unwrap().map(|value| value.len()),
            Some(1_024)
        );
    }

    #[tokio::test]
    async fn a_value_larger_than_the_cache_is_not_kept() {
        let (cache, _) = cache(64 * 1_024);
        cache
            .put("large", &[0; 65 * 1_024], Duration::from_secs(60))
            .await
            .unwrap();
        assert_eq!(cache.get("large").await.unwrap(), None);
    }
}
