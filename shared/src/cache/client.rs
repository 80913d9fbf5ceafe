//! The policy around every cache: a short time-out for reads, a breaker, metrics. Losing the cache costs speed, never an
//! answer, so a failing cache is left alone for a while instead of being waited for.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use tracing::warn;

use super::{Cache, CacheError};
use crate::limiter::{Decision, Quota};
use crate::telemetry::metrics;

/// A read that takes longer goes on to the next tier.
const READ_PATIENCE: Duration = Duration::from_millis(50);
/// A write that takes longer is given up: the next reader fills the cache.
const WRITE_PATIENCE: Duration = Duration::from_millis(250);
/// This many failures in a row open the breaker.
const FAILURES_TO_OPEN: u32 = 3;
/// How long an open breaker skips the cache, doubling with each failed probe up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause of the breaker.
const MAX_PAUSE: Duration = Duration::from_secs(10);

/// A [`Cache`] with the service's policy.
#[derive(Clone, Debug)]
pub struct CacheClient {
    cache: Arc<dyn Cache>,
    timeout: Duration,
    breaker: Arc<Breaker>,
}

impl CacheClient {
    /// `cache`, every operation limited to `timeout`; reads, leases and limits to 50 ms and writes to 250 ms if that is less.
    #[must_use]
    pub fn new(cache: Arc<dyn Cache>, timeout: Duration) -> Self {
        Self {
            cache,
            timeout,
            breaker: Arc::default(),
        }
    }

    /// See [`Cache::get`].
    ///
    /// # Errors
    /// Any [`CacheError`]; the caller goes on without the cache.
    pub async fn get(&self, key: &str) -> Result<Option<Bytes>, CacheError> {
        self.observe("get", READ_PATIENCE, self.cache.get(key))
            .await
    }

    /// See [`Cache::get_many`].
    ///
    /// # Errors
    /// Any [`CacheError`]; the caller goes on without the cache.
    pub async fn get_many(&self, keys: &[String]) -> Result<Vec<Option<Bytes>>, CacheError> {
        self.observe("get_many", READ_PATIENCE, self.cache.get_many(keys))
            .await
    }

    /// See [`Cache::put`].
    ///
    /// # Errors
    /// Any [`CacheError`]; the caller goes on without the cache.
    pub async fn put(&self, key: &str, value: &[u8], ttl: Duration) -> Result<(), CacheError> {
        self.observe("put", WRITE_PATIENCE, self.cache.put(key, value, ttl))
            .await
    }

    /// See [`Cache::put_newer`].
    ///
    /// # Errors
    /// Any [`CacheError`]; the caller goes on without the cache.
    pub async fn put_newer(
        &self,
        key: &str,
        version: u64,
        value: &[u8],
        ttl: Duration,
    ) -> Result<bool, CacheError> {
        self.observe(
            "put_newer",
            WRITE_PATIENCE,
            self.cache.put_newer(key, version, value, ttl),
        )
        .await
    }

    /// See [`Cache::put_absent`].
    ///
    /// # Errors
    /// Any [`CacheError`]; the caller goes on without the cache.
    pub async fn put_absent(
        &self,
        key: &str,
        value: &[u8],
        ttl: Duration,
    ) -> Result<bool, CacheError> {
        self.observe(
            "put_absent",
            READ_PATIENCE,
            self.cache.put_absent(key, value, ttl),
        )
        .await
    }

    /// See [`Cache::delete`].
    ///
    /// # Errors
    /// Any [`CacheError`]; the caller goes on without the cache.
    pub async fn delete(&self, key: &str) -> Result<(), CacheError> {
        self.observe("delete", WRITE_PATIENCE, self.cache.delete(key))
            .await
    }

    /// See [`Cache::delete_equal`].
    ///
    /// # Errors
    /// Any [`CacheError`]; the caller goes on without the cache.
    pub async fn delete_equal(&self, key: &str, value: &[u8]) -> Result<bool, CacheError> {
        self.observe(
            "delete_equal",
            WRITE_PATIENCE,
            self.cache.delete_equal(key, value),
        )
        .await
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
        self.observe(
            "throttle",
            READ_PATIENCE,
            self.cache.throttle(key, quotas, cost),
        )
        .await
    }

    /// See [`Cache::pause`].
    ///
    /// # Errors
    /// Any [`CacheError`]; the caller keeps the pause itself.
    pub async fn pause(&self, key: &str, length: Duration) -> Result<(), CacheError> {
        self.observe("pause", READ_PATIENCE, self.cache.pause(key, length))
            .await
    }

    /// Whether the cache answers within its time-out, whatever the breaker thinks.
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
        if !self.breaker.admits() {
            return Err(CacheError::Skipped);
        }
        let started = Instant::now();
        let outcome = tokio::time::timeout(patience.min(self.timeout), work)
            .await
            .unwrap_or(Err(CacheError::Timeout));
        metrics::cache_operation(
            operation,
            if outcome.is_ok() { "ok" } else { "error" },
            started.elapsed(),
        );
        match &outcome {
            Ok(_) => self.breaker.succeeded(),
            Err(error) => self.breaker.failed(operation, error),
        }
        outcome
    }
}

/// Counts failures in a row and closes the way for a while after too many. While open, one probe per pause is let through.
#[derive(Debug, Default)]
struct Breaker {
    failures: AtomicU32,
    closed_until: Mutex<Option<Instant>>,
}

impl Breaker {
    fn admits(&self) -> bool {
        if self.failures.load(Ordering::Relaxed) < FAILURES_TO_OPEN {
            return true;
        }
        let now = Instant::now();
        let mut closed_until = self
            .closed_until
            .lock()
            .expect("no panic while holding the breaker");
        match *closed_until {
            Some(until) if until > now => false,
            // This caller is the probe; the others wait for what it finds.
            Some(_) | None => {
                *closed_until = Some(now + FIRST_PAUSE);
                true
            }
        }
    }

    fn succeeded(&self) {
        if self.failures.swap(0, Ordering::Relaxed) >= FAILURES_TO_OPEN {
            warn!("the cache answers again");
        }
    }

    fn failed(&self, operation: &'static str, error: &CacheError) {
        let failures = self
            .failures
            .fetch_add(1, Ordering::Relaxed)
            .saturating_add(1);
        if failures < FAILURES_TO_OPEN {
            return;
        }
        let pause = (FIRST_PAUSE * 2_u32.saturating_pow((failures - FAILURES_TO_OPEN).min(5)))
            .min(MAX_PAUSE);
        *self
            .closed_until
            .lock()
            .expect("no panic while holding the breaker") = Some(Instant::now() + pause);
        let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        let cause = std::error::Error::source(error)
            .map(ToString::to_string)
            .unwrap_or_default();
        warn!(cache.operation = operation, cache.failures = failures, pause_ms, error = %error, cause, "the cache is skipped");
    }
}
