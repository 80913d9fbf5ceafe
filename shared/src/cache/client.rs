//! The policy around every cache: a short time-out for reads, a breaker, metrics. Losing the cache costs speed, never an
//! answer, so a cache that fails or stops responding is skipped until a background probe succeeds.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::{Cache, CacheError, Claim, Put};
use crate::breaker::{Admission, Breaker, Failure, Policy, Started};
use crate::quota::{Decision, Place, Quota, Reservation, Window};
use crate::telemetry::metrics;

mod surely;

/// The time-out of a read, after which the caller goes to the next tier, and of a probe.
const READ_PATIENCE: Duration = Duration::from_millis(50);
/// The time-out of a write: after a lost one the next reader fills the cache.
const WRITE_PATIENCE: Duration = Duration::from_millis(250);
/// The time-out of a large value or a write of many values.
const BULK_PATIENCE: Duration = Duration::from_secs(1);
/// Three errors in a row open the breaker. A cache that does not respond at all opens it at once.
const BREAKER: Policy = Policy {
    name: "the cache",
    timeouts: 1,
    errors: Some(3),
    first_pause: Duration::from_millis(100),
    longest_pause: Duration::from_secs(10),
};

/// A timer that fires later than this after its time shows that the process was stopped meanwhile: frozen after an answer, or
/// kept from running. What failed in that time says nothing about the cache.
const STOPPED: Duration = Duration::from_millis(100);

/// How the wait for an operation ended.
struct Waited<T> {
    outcome: Result<T, CacheError>,
    was_stopped: bool,
}

/// A [`Cache`] with the service's policy.
#[derive(Clone, Debug)]
pub struct CacheClient {
    cache: Arc<dyn Cache>,
    timeout: Duration,
    breaker: Arc<Breaker>,
}

impl CacheClient {
    /// Wraps `cache`. Every operation is limited to `timeout`; reads and limits to 50 ms, writes to 250 ms and large values to
    /// one second if that is less. The claim of a lease has the time-out of a write if it guards a value, because a call to
    /// Lark follows if nobody else makes it, and otherwise that of a read.
    #[must_use]
    pub fn new(cache: Arc<dyn Cache>, timeout: Duration) -> Self {
        Self {
            cache,
            timeout,
            breaker: Arc::new(Breaker::new(BREAKER)),
        }
    }

    /// See [`Cache::get`].
    ///
    /// # Errors
    /// Any [`CacheError`]; the caller continues without the cache.
    pub async fn get(&self, key: &str) -> Result<Option<Bytes>, CacheError> {
        self.observe("get", READ_PATIENCE, self.cache.get(key))
            .await
    }

    /// [`Cache::get`] of a value that may be large: it may take a second.
    ///
    /// # Errors
    /// Any [`CacheError`]; the caller continues without the cache.
    pub async fn get_large(&self, key: &str) -> Result<Option<Bytes>, CacheError> {
        self.observe("get_large", BULK_PATIENCE, self.cache.get(key))
            .await
    }

    /// See [`Cache::get_many`].
    ///
    /// # Errors
    /// Any [`CacheError`]; the caller continues without the cache.
    pub async fn get_many(&self, keys: &[String]) -> Result<Vec<Option<Bytes>>, CacheError> {
        self.observe("get_many", READ_PATIENCE, self.cache.get_many(keys))
            .await
    }

    /// See [`Cache::put`].
    ///
    /// # Errors
    /// Any [`CacheError`]; the caller continues without the cache.
    pub async fn put(&self, key: &str, value: &[u8], ttl: Duration) -> Result<(), CacheError> {
        self.observe("put", WRITE_PATIENCE, self.cache.put(key, value, ttl))
            .await
    }

    /// [`Cache::put_newer`] of one value. Returns whether it was put.
    ///
    /// # Errors
    /// Any [`CacheError`]; the caller continues without the cache.
    pub async fn put_newer(&self, put: &Put) -> Result<bool, CacheError> {
        let put = self.cache.put_newer(std::slice::from_ref(put));
        let done = self.observe("put_newer", WRITE_PATIENCE, put).await?;
        Ok(done == 1)
    }

    /// [`Cache::put_newer`] of many values, or of a large one: it may take a second.
    ///
    /// # Errors
    /// Any [`CacheError`]; the caller continues without the cache.
    pub async fn put_newer_many(&self, puts: &[Put]) -> Result<usize, CacheError> {
        let put = self.cache.put_newer(puts);
        self.observe("put_newer_many", BULK_PATIENCE, put).await
    }

    /// See [`Cache::claim`], and [`super::Lease`], which makes all claims.
    pub(super) async fn claim(
        &self,
        lease: &str,
        value: Option<&str>,
        owner: &[u8],
        ttl: Duration,
    ) -> Result<Claim, CacheError> {
        let patience = value.map_or(READ_PATIENCE, |_| WRITE_PATIENCE);
        let value = value.unwrap_or(lease);
        let claim = self.cache.claim(lease, value, owner, ttl);
        self.observe("claim", patience, claim).await
    }

    /// See [`Cache::extend`], and [`super::Lease`].
    pub(super) async fn extend(
        &self,
        lease: &str,
        owner: &[u8],
        ttl: Duration,
    ) -> Result<bool, CacheError> {
        let extended = self.cache.extend(lease, owner, ttl);
        self.observe("extend", WRITE_PATIENCE, extended).await
    }

    /// See [`Cache::put_held`], and [`super::Lease`].
    pub(super) async fn put_held(
        &self,
        lease: &str,
        owner: &[u8],
        put: &Put,
    ) -> Result<bool, CacheError> {
        let put = self.cache.put_held(lease, owner, put);
        self.observe("put_held", WRITE_PATIENCE, put).await
    }

    /// See [`Cache::delete`].
    ///
    /// # Errors
    /// Any [`CacheError`]; the caller continues without the cache.
    pub async fn delete(&self, key: &str) -> Result<bool, CacheError> {
        let deleted = self.cache.delete(key, None);
        self.observe("delete", WRITE_PATIENCE, deleted).await
    }

    /// [`Cache::delete`] of what equals `value`.
    pub(super) async fn delete_equal(&self, key: &str, value: &[u8]) -> Result<bool, CacheError> {
        let deleted = self.cache.delete(key, Some(value));
        self.observe("delete_equal", WRITE_PATIENCE, deleted).await
    }

    /// See [`Cache::throttle`].
    ///
    /// # Errors
    /// Any [`CacheError`]; the caller limits itself. Whether the cost was taken is then unknown.
    pub async fn throttle(
        &self,
        key: &str,
        quotas: &[Quota],
        cost: u32,
    ) -> Result<Decision, CacheError> {
        let decided = self.cache.throttle(key, quotas, cost);
        self.observe("throttle", READ_PATIENCE, decided).await
    }

    /// See [`Cache::reserve`].
    ///
    /// # Errors
    /// Any [`CacheError`]; the caller limits itself. Whether a place was assigned is then unknown.
    pub async fn reserve(
        &self,
        key: &str,
        windows: &[Window],
        patience: Duration,
    ) -> Result<Reservation, CacheError> {
        let reserved = self.cache.reserve(key, windows, patience);
        self.observe("reserve", READ_PATIENCE, reserved).await
    }

    /// See [`Cache::give_back`].
    ///
    /// # Errors
    /// Any [`CacheError`]; the place is then lost, or given back all the same.
    pub async fn give_back(
        &self,
        key: &str,
        windows: &[Window],
        place: Place,
    ) -> Result<bool, CacheError> {
        let given = self.cache.give_back(key, windows, place);
        self.observe("give_back", READ_PATIENCE, given).await
    }

    /// See [`Cache::pause`].
    ///
    /// # Errors
    /// Any [`CacheError`]; the caller keeps the pause itself.
    pub async fn pause(&self, key: &str, length: Duration) -> Result<(), CacheError> {
        self.observe("pause", READ_PATIENCE, self.cache.pause(key, length))
            .await
    }

    /// See [`Cache::add_scores`].
    ///
    /// # Errors
    /// Any [`CacheError`]; the caller continues without the cache. Whether the scores were added is then unknown.
    pub async fn add_scores(
        &self,
        key: &str,
        scores: &[(String, f64)],
        keep: usize,
        ttl: Duration,
    ) -> Result<(), CacheError> {
        self.observe(
            "add_scores",
            WRITE_PATIENCE,
            self.cache.add_scores(key, scores, keep, ttl),
        )
        .await
    }

    /// See [`Cache::top_scores`].
    ///
    /// # Errors
    /// Any [`CacheError`]; the caller continues without the cache.
    pub async fn top_scores(
        &self,
        key: &str,
        limit: usize,
    ) -> Result<Vec<(String, f64)>, CacheError> {
        self.observe(
            "top_scores",
            READ_PATIENCE,
            self.cache.top_scores(key, limit),
        )
        .await
    }

    /// See [`Cache::take_scores`].
    ///
    /// # Errors
    /// Any [`CacheError`]; the scores are then either lost or still stored.
    pub async fn take_scores(&self, key: &str) -> Result<Vec<(String, f64)>, CacheError> {
        self.observe("take_scores", WRITE_PATIENCE, self.cache.take_scores(key))
            .await
    }

    /// See [`Cache::now_us`].
    ///
    /// # Errors
    /// Any [`CacheError`]; the caller goes by its own clock.
    pub async fn now_us(&self) -> Result<u64, CacheError> {
        self.observe("now", READ_PATIENCE, self.cache.now_us())
            .await
    }

    /// Whether the cache answers within its time-out, regardless of the breaker.
    ///
    /// # Errors
    /// Any [`CacheError`] but [`CacheError::Skipped`].
    pub async fn ping(&self) -> Result<(), CacheError> {
        tokio::time::timeout(self.timeout, self.cache.ping())
            .await
            .unwrap_or(Err(CacheError::Timeout))
    }

    async fn observe<T>(
        &self,
        operation: &'static str,
        patience: Duration,
        work: impl Future<Output = Result<T, CacheError>>,
    ) -> Result<T, CacheError> {
        let before = match self.breaker.admit() {
            Admission::Ask(before) => before,
            Admission::Skip => return Err(CacheError::Skipped),
            Admission::Probe(_) => {
                self.start_probe();
                return Err(CacheError::Skipped);
            }
        };
        let started = Instant::now();
        let Waited {
            outcome,
            was_stopped,
        } = self.wait(patience, before, work).await;
        metrics::cache_operation(operation, result_label(&outcome), started.elapsed());
        match &outcome {
            Ok(_) => self.breaker.succeeded(),
            // The connection may have died in the meantime; the next operation finds out about the cache.
            Err(_) if was_stopped => {}
            Err(error) => {
                if let Some(failure) = failure(error, patience.min(self.timeout)) {
                    self.breaker.failed(operation, before, failure, error);
                }
            }
        }
        outcome
    }

    /// Waits for `work` up to `patience`, but no longer than for a read once the breaker is open and no operation succeeded
    /// since it started. If the process was stopped meanwhile, the answer may be there unread: it is waited for once more.
    async fn wait<T>(
        &self,
        patience: Duration,
        before: Started,
        work: impl Future<Output = Result<T, CacheError>>,
    ) -> Waited<T> {
        let mut work = pin!(work);
        let mut left = patience.min(self.timeout);
        let mut was_stopped = false;
        let outcome = loop {
            let step = left.min(READ_PATIENCE);
            let began = Instant::now();
            let answer = tokio::time::timeout(step, work.as_mut()).await;
            let is_stopped = began.elapsed() > step + STOPPED;
            if let Ok(outcome) = answer {
                was_stopped |= is_stopped;
                break outcome;
            }
            if is_stopped && !was_stopped {
                was_stopped = true;
                continue;
            }
            left -= step;
            if left.is_zero() || self.breaker.gives_up(before) {
                break Err(CacheError::Timeout);
            }
        };
        Waited {
            outcome,
            was_stopped,
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "no answer depends on it, it ends within 50 ms, and a process that freezes meanwhile only learns it late"
    )]
    fn start_probe(&self) {
        let client = self.clone();
        tokio::spawn(async move { client.probe().await });
    }

    async fn probe(&self) {
        let started = Instant::now();
        let outcome = tokio::time::timeout(READ_PATIENCE.min(self.timeout), self.cache.ping())
            .await
            .unwrap_or(Err(CacheError::Timeout));
        metrics::cache_operation("probe", result_label(&outcome), started.elapsed());
        match outcome {
            Ok(()) => self.breaker.succeeded(),
            Err(error) => self.breaker.probe_failed(&error),
        }
    }
}

const fn result_label<T>(outcome: &Result<T, CacheError>) -> &'static str {
    match outcome {
        Ok(_) => "ok",
        Err(_) => "error",
    }
}

/// The error of an operation that was `allowed` so much time, for the breaker.
const fn failure(error: &CacheError, allowed: Duration) -> Option<Failure> {
    match error {
        CacheError::Timeout => Some(Failure::Timeout(allowed)),
        CacheError::Unavailable(_) => Some(Failure::Error),
        CacheError::Skipped => None,
    }
}

#[cfg(test)]
mod tests;
