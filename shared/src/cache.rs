//! The shared cache, as a port: bytes that expire, with the few atomic operations that tokens, leases and limits need.
//!
//! A cache may lose anything at any time and may be down; its contents are never authoritative. Adapters only map. Time-outs,
//! the breaker and metrics are applied once above them, in [`CacheClient`].

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::quota::{Decision, Place, Quota, Reservation, Window};

mod client;
#[cfg(any(test, feature = "contract"))]
pub mod contract;
pub mod discovery;
pub mod iam;
mod lease;
pub mod memory;
pub mod valkey;

pub use client::CacheClient;
pub use lease::Lease;

/// Why a cache operation failed. The caller continues without the cache.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CacheError {
    /// No answer in time.
    #[error("the cache did not answer in time")]
    Timeout,
    /// The cache failed recently and is skipped for now.
    #[error("the cache is skipped after recent failures")]
    Skipped,
    /// The cache refused, failed or is unreachable.
    #[error("the cache is unavailable")]
    Unavailable(#[source] Arc<dyn StdError + Send + Sync>),
}

impl CacheError {
    /// The cache failed because of `source`.
    pub fn unavailable(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Unavailable(Arc::from(source.into()))
    }
}

/// How many bytes [`versioned`] puts in front of a value.
const VERSION_BYTES: usize = 20;

/// The stored form of a value written by [`Cache::put_newer`]: its version as 20 decimal digits, then the value. Equal
/// lengths make the order of the texts the order of the numbers, for scripts inside the cache server too.
#[must_use]
pub fn versioned(version: u64, value: &[u8]) -> Vec<u8> {
    let mut stored = format!("{version:020}").into_bytes();
    stored.extend_from_slice(value);
    stored
}

/// The version and value of what [`versioned`] made; `None` for anything else.
#[must_use]
pub fn split_version(stored: &Bytes) -> Option<(u64, Bytes)> {
    let digits = stored.get(..VERSION_BYTES)?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let version = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some((version, stored.slice(VERSION_BYTES..)))
}

/// Versions from here on count microseconds, by the cache's clock; lower ones milliseconds, by the clocks of hosts. Nothing else
/// reaches so far: milliseconds until the year 5138, microseconds since 1973.
const MICROS_FROM: u64 = 100_000_000_000_000;
/// How far ahead a version can lie that counts milliseconds: the clock of its host is or was fast.
const AHEAD_MS: u64 = 24 * 3_600 * 1_000;
/// How far ahead a version can lie that counts microseconds: another node of the cache has become the primary.
const AHEAD_US: u64 = 60 * 1_000_000;

/// The latest version that anybody can have given by `now_us` (microseconds since the Unix epoch), counted as `version` is. A
/// later one is a mistake or an attack, and protects nothing.
fn latest_version(version: u64, now_us: u64) -> u64 {
    if version < MICROS_FROM {
        (now_us / 1_000).saturating_add(AHEAD_MS)
    } else {
        now_us.saturating_add(AHEAD_US)
    }
}

/// The result of claiming a lease.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Claim {
    /// The fencing number of the lease, if it was taken: the cache's time, so that a later holder has a higher one, as long as the
    /// cache's clock goes forward. `None`: another owner holds it.
    pub fence: Option<u64>,
    /// The cache's time, in microseconds since the Unix epoch.
    pub now_us: u64,
    /// The value at the guarded key, as stored: by whomever.
    pub value: Option<Bytes>,
}

impl Claim {
    /// Whether the lease was taken.
    #[must_use]
    pub const fn is_taken(&self) -> bool {
        self.fence.is_some()
    }

    /// The claim of a lease taken at `now_us` (microseconds since the Unix epoch), with `value` at the guarded key.
    const fn taken(now_us: u64, value: Option<Bytes>) -> Self {
        Self {
            fence: Some(now_us),
            now_us,
            value,
        }
    }

    /// The answer at `now_us` to a claim of a lease that another owner holds.
    const fn refused(now_us: u64, value: Option<Bytes>) -> Self {
        Self {
            fence: None,
            now_us,
            value,
        }
    }
}

/// A value to put by [`Cache::put_newer`].
#[derive(Clone, Debug)]
pub struct Put {
    /// The key.
    pub key: String,
    /// The version, in milliseconds or microseconds since the Unix epoch. It must be higher than the stored one.
    pub version: u64,
    /// The value, without its version.
    pub value: Bytes,
    /// Its time to live.
    pub ttl: Duration,
}

/// A shared cache. [`contract`] states its promises and tests every adapter for them. Time-to-live values are at least one
/// millisecond; zero is treated as one.
#[async_trait]
pub trait Cache: fmt::Debug + Send + Sync {
    /// The value at `key`, if there is one that has not expired.
    async fn get(&self, key: &str) -> Result<Option<Bytes>, CacheError>;

    /// The values at `keys`, in the same order, in one round trip.
    async fn get_many(&self, keys: &[String]) -> Result<Vec<Option<Bytes>>, CacheError>;

    /// Puts `value` at `key`.
    async fn put(&self, key: &str, value: &[u8], ttl: Duration) -> Result<(), CacheError>;

    /// Puts each of `puts`, [`versioned`], unless the stored version is the same or higher: one round trip per 500 on a node.
    /// A stored version that nobody can have given yet, by the cache's clock, gives way: a day ahead in milliseconds, a minute in
    /// microseconds. Returns how many it put. After an error, some may have been put.
    async fn put_newer(&self, puts: &[Put]) -> Result<usize, CacheError>;

    /// Takes the lease at `lease` for `owner` and `ttl` unless another owner holds it, and reads `value`, atomically. Everybody
    /// takes a lease for the same time: one that lasts longer than `ttl` from now is nobody's, and is taken. In a
    /// cluster both keys must be in one slot: callers put the same `{tag}` into both, or pass `lease` twice if no value is
    /// guarded.
    ///
    /// The fence is the cache's own time in microseconds since the Unix epoch, whatever is stored. So an earlier holder never
    /// replaces what a later one puts by [`Cache::put_newer`] with its fence as version. The current holder may claim again and gets a new fence: a claim whose answer was lost can be retried.
    /// [`Cache::delete`]`(lease, Some(owner))` releases the lease.
    async fn claim(
        &self,
        lease: &str,
        value: &str,
        owner: &[u8],
        ttl: Duration,
    ) -> Result<Claim, CacheError>;

    /// Lets the lease at `lease` last `ttl` from now if `owner` still holds it; returns whether it does. A lease that has ended
    /// is not taken again, even if nobody else has it: its owner may have been frozen while another one took it and gave it
    /// back. The fence stays the one of the claim.
    async fn extend(&self, lease: &str, owner: &[u8], ttl: Duration) -> Result<bool, CacheError>;

    /// [`Cache::put_newer`] of one value while `owner` holds the lease at `lease`, atomically; returns whether it holds it. If it
    /// does not, nothing is put. In a cluster both keys must be in one slot.
    async fn put_held(&self, lease: &str, owner: &[u8], put: &Put) -> Result<bool, CacheError>;

    /// Deletes the value at `key`; with `only_if`, only if it equals that, compared atomically. Returns whether it deleted
    /// one.
    async fn delete(&self, key: &str, only_if: Option<&[u8]>) -> Result<bool, CacheError>;

    /// Decides about a request of `cost` as [`gcra::decide`](crate::quota::gcra::decide) does, by the cache's own time, and keeps the
    /// state at `key` until the quota is full again. Read and write are atomic: concurrent requests get no more admitted than
    /// sequential ones. These keys are used only for this.
    async fn throttle(
        &self,
        key: &str,
        quotas: &[Quota],
        cost: u32,
    ) -> Result<Decision, CacheError>;

    /// Assigns a place within `windows` and `patience` as [`sliding_log::decide`](crate::quota::sliding_log::decide) does, by the
    /// cache's own time, atomically, and keeps the state at `key` until no place counts any more. These keys are used only for
    /// this, [`Cache::give_back`] and [`Cache::pause`].
    async fn reserve(
        &self,
        key: &str,
        windows: &[Window],
        patience: Duration,
    ) -> Result<Reservation, CacheError>;

    /// Takes back a `place` that [`Cache::reserve`] assigned and that was not used, if no other was assigned at `key` since; returns
    /// whether it did. See [`give_back`](crate::quota::sliding_log::give_back).
    async fn give_back(
        &self,
        key: &str,
        windows: &[Window],
        place: Place,
    ) -> Result<bool, CacheError>;

    /// Makes [`Cache::reserve`] assign no place at `key` for `length`, at most for
    /// [`MAX_PAUSE`](crate::quota::sliding_log::MAX_PAUSE). A pause that ends later stays as it is, and so does a place that was
    /// already assigned.
    async fn pause(&self, key: &str, length: Duration) -> Result<(), CacheError>;

    /// Adds to the scores of members of the sorted set at `key`, keeps only the `keep` highest, and lets the set expire `ttl`
    /// after this addition, atomically. Scores are finite; whole ones are exact up to 2^53, so they serve as counters too.
    /// These keys are used only for this, [`Cache::top_scores`] and [`Cache::take_scores`].
    async fn add_scores(
        &self,
        key: &str,
        scores: &[(String, f64)],
        keep: usize,
        ttl: Duration,
    ) -> Result<(), CacheError>;

    /// At most `limit` members of the sorted set at `key` with their scores, the highest first.
    async fn top_scores(&self, key: &str, limit: usize) -> Result<Vec<(String, f64)>, CacheError>;

    /// All members of the sorted set at `key` with their scores, the highest first. The set is removed atomically: even with
    /// concurrent callers, each addition is taken once.
    async fn take_scores(&self, key: &str) -> Result<Vec<(String, f64)>, CacheError>;

    /// The cache's time, in microseconds since the Unix epoch: the one that orders what several processes fetched.
    async fn now_us(&self) -> Result<u64, CacheError>;

    /// Whether the cache answers.
    async fn ping(&self) -> Result<(), CacheError>;
}
