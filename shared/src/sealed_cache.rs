//! The shared cache for what decides an answer: each entry is encrypted and authenticated as a whole, bound to its purpose, its
//! place, its version and its end. What does not open is a miss.
//!
//! Nothing else protects the cache against those who reach it: without this, whoever writes into it decides who somebody is. Who
//! can write can still delete, and put back what was there before, until its end. Leases, limits and scores are not entries: they
//! decide no answer, and what is impossible in them is not believed (see `docs/security.md`).

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use tracing::warn;

use crate::cache::{CacheClient, CacheError, Put, split_version};
use crate::clock::{Clock, Timestamp};
use crate::deadline::Deadline;
use crate::seal::{KeyRing, Purpose, SealError, Sealer};
use crate::telemetry::metrics;

/// The time for loading the data keys, which a process does once.
const KEYS_TIMEOUT: Duration = Duration::from_secs(5);
/// How often the log says that entries are refused.
const WARNED_EVERY: Duration = Duration::from_secs(60);
/// The bytes of an entry's end.
const END_BYTES: usize = 8;

/// An entry that opened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Opened {
    /// Its version.
    pub version: u64,
    /// Its value.
    pub value: Bytes,
}

/// The shared cache with sealed entries. Cheap to clone; clones share everything.
#[derive(Clone, Debug)]
pub struct SealedCache {
    cache: CacheClient,
    sealer: Sealer,
    clock: Arc<dyn Clock>,
    /// When the log said last that an entry was refused, in milliseconds since the Unix epoch.
    warned_at_ms: Arc<AtomicI64>,
}

impl SealedCache {
    /// `cache`, its entries sealed with the data keys of `sealer`.
    #[must_use]
    pub fn new(cache: CacheClient, sealer: Sealer, clock: Arc<dyn Clock>) -> Self {
        Self {
            cache,
            sealer,
            clock,
            warned_at_ms: Arc::new(AtomicI64::new(i64::MIN)),
        }
    }

    /// The cache itself, for leases and for what has a seal of its own.
    #[must_use]
    pub const fn client(&self) -> &CacheClient {
        &self.cache
    }

    /// The entry at `key`.
    ///
    /// # Errors
    /// Any [`CacheError`]; the caller continues without the cache.
    pub async fn get(&self, purpose: Purpose, key: &str) -> Result<Option<Opened>, CacheError> {
        let stored = self.cache.get(key).await?;
        Ok(self.opened(purpose, key, stored).await)
    }

    /// [`SealedCache::get`] of an entry that may be large: it may take a second.
    ///
    /// # Errors
    /// Any [`CacheError`]; the caller continues without the cache.
    pub async fn get_large(
        &self,
        purpose: Purpose,
        key: &str,
    ) -> Result<Option<Opened>, CacheError> {
        let stored = self.cache.get_large(key).await?;
        Ok(self.opened(purpose, key, stored).await)
    }

    /// The entries at `keys`, in the same order, in one round trip.
    ///
    /// # Errors
    /// Any [`CacheError`]; the caller continues without the cache.
    pub async fn get_many(
        &self,
        purpose: Purpose,
        keys: &[String],
    ) -> Result<Vec<Option<Opened>>, CacheError> {
        let stored = self.cache.get_many(keys).await?;
        let mut opened = Vec::with_capacity(keys.len());
        for (key, stored) in keys.iter().zip(stored) {
            opened.push(self.opened(purpose, key, stored).await);
        }
        Ok(opened)
    }

    /// [`CacheClient::put_newer`] of an entry. Returns whether it was put.
    ///
    /// # Errors
    /// Any [`CacheError`]; the caller continues without the cache.
    pub async fn put_newer(&self, purpose: Purpose, put: &Put) -> Result<bool, CacheError> {
        let sealed = self.seal(purpose, put).await?;
        self.cache.put_newer(&sealed).await
    }

    /// [`CacheClient::put_newer_many`] of entries.
    ///
    /// # Errors
    /// Any [`CacheError`]; the caller continues without the cache.
    pub async fn put_newer_many(
        &self,
        purpose: Purpose,
        puts: &[Put],
    ) -> Result<usize, CacheError> {
        let sealed = join_all(puts.iter().map(|put| self.seal(purpose, put))).await;
        let sealed: Vec<Put> = sealed.into_iter().collect::<Result<_, _>>()?;
        self.cache.put_newer_many(&sealed).await
    }

    /// [`CacheClient::put_newer_surely`] of an entry.
    ///
    /// # Errors
    /// The last attempt's [`CacheError`]; the caller must see to it that somebody repeats it.
    pub async fn put_newer_surely(
        &self,
        purpose: Purpose,
        put: &Put,
        deadline: Deadline,
    ) -> Result<bool, CacheError> {
        let sealed = self.seal(purpose, put).await?;
        self.cache.put_newer_surely(&sealed, deadline).await
    }

    /// `put` with its value sealed, for [`crate::cache::Lease::put`].
    ///
    /// # Errors
    /// [`CacheError::Unavailable`] when the data keys cannot be loaded.
    pub async fn seal(&self, purpose: Purpose, put: &Put) -> Result<Put, CacheError> {
        let ring = self.ring().await.map_err(CacheError::unavailable)?;
        let end = self.end(purpose, put.ttl).as_millis();
        let mut plain = Vec::with_capacity(END_BYTES + put.value.len());
        plain.extend_from_slice(&end.to_le_bytes());
        plain.extend_from_slice(&put.value);
        let sealed = ring.seal_entry(purpose, &put.key, put.version, plain);
        Ok(Put {
            value: sealed.map_err(CacheError::unavailable)?.into(),
            ..put.clone()
        })
    }

    /// The entry that is stored at `key` as `stored`; `None` for anything that is not one of ours, of another place, or over.
    pub async fn open(&self, purpose: Purpose, key: &str, stored: &Bytes) -> Option<Opened> {
        match self.try_open(purpose, key, stored).await {
            Ok(opened) => opened,
            Err(error) => {
                self.refused(purpose, &error);
                None
            }
        }
    }

    async fn opened(&self, purpose: Purpose, key: &str, stored: Option<Bytes>) -> Option<Opened> {
        self.open(purpose, key, &stored?).await
    }

    async fn try_open(
        &self,
        purpose: Purpose,
        key: &str,
        stored: &Bytes,
    ) -> Result<Option<Opened>, SealError> {
        let (version, sealed) = split_version(stored).ok_or(SealError::Broken)?;
        let ring = self.ring().await?;
        let plain = match ring.open_entry(purpose, key, version, &sealed) {
            Err(SealError::UnknownKey(id)) => {
                let deadline = Deadline::after(KEYS_TIMEOUT);
                let ring = self.sealer.ring_after_unknown_entry(deadline).await;
                let ring = ring.ok_or(SealError::UnknownKey(id))?;
                ring.open_entry(purpose, key, version, &sealed)?
            }
            outcome => outcome?,
        };
        let plain = Bytes::from(plain);
        let end = plain.first_chunk::<END_BYTES>().ok_or(SealError::Broken)?;
        let end = Timestamp::from_millis(i64::from_le_bytes(*end));
        let opened = Opened {
            version,
            value: plain.slice(END_BYTES..),
        };
        // Past its end only somebody else can have put it there, or kept it.
        Ok((end > self.clock.now()).then_some(opened))
    }

    /// The data keys, which are in memory but for the first time.
    async fn ring(&self) -> Result<Arc<KeyRing>, SealError> {
        self.sealer.keyring(Deadline::after(KEYS_TIMEOUT)).await
    }

    /// When an entry of this time to live ends. One of the directory has its own times, which go by the cache's clock.
    fn end(&self, purpose: Purpose, ttl: Duration) -> Timestamp {
        match purpose {
            Purpose::Directory => Timestamp::from_millis(i64::MAX),
            Purpose::Tokens | Purpose::Guard | Purpose::Records => self.clock.now() + ttl,
        }
    }

    /// Counts an entry that did not open and, now and then, says so. After a deployment or a rotation of the data keys a few are
    /// to be expected.
    fn refused(&self, purpose: Purpose, error: &SealError) {
        let result = match error {
            SealError::Keys(_) => "error",
            SealError::UnknownKey(_) | SealError::Broken => "refused",
        };
        metrics::cache_request(purpose.name(), "valkey", result);
        let now_ms = self.clock.now().as_millis();
        let warned_at_ms = self.warned_at_ms.load(Ordering::Relaxed);
        let pause_ms = i64::try_from(WARNED_EVERY.as_millis()).unwrap_or(i64::MAX);
        if (now_ms.saturating_sub(pause_ms)..=now_ms).contains(&warned_at_ms) {
            return;
        }
        let mine = self.warned_at_ms.compare_exchange(
            warned_at_ms,
            now_ms,
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
        if mine.is_ok() {
            warn!(
                cache.purpose = purpose.name(),
                %error,
                "an entry of the shared cache does not open: it counts as absent"
            );
        }
    }
}

#[cfg(test)]
mod tests;
