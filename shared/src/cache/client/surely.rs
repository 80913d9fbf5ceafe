//! Writes that must arrive, and places that are waited for.

use std::time::Duration;

use tokio::time::Instant;

use super::{CacheClient, WRITE_PATIENCE, result_label};
use crate::cache::{CacheError, Put};
use crate::deadline::Deadline;
use crate::quota::{Reservation, Window};
use crate::telemetry::metrics;

/// How often a write is attempted that must arrive, how long one attempt takes, and the pause before the next.
const SURE_ATTEMPTS: u32 = 3;
const SURE_PATIENCE: Duration = Duration::from_millis(500);
const SURE_PAUSE: Duration = Duration::from_millis(100);

impl CacheClient {
    /// As [`CacheClient::reserve`], for a caller who has no use for a limit of its own: it may take as long as a write.
    ///
    /// # Errors
    /// Any [`CacheError`]. Whether a place was assigned is then unknown.
    pub async fn reserve_patiently(
        &self,
        key: &str,
        windows: &[Window],
        patience: Duration,
    ) -> Result<Reservation, CacheError> {
        let reserved = self.cache.reserve(key, windows, patience);
        self.observe("reserve", WRITE_PATIENCE, reserved).await
    }

    /// [`Cache::put_newer`](crate::cache::Cache::put_newer) of a value that must arrive, because the stored one is void: not held back by the breaker, and up to
    /// three attempts of half a second each, before `deadline`. Returns whether it was put.
    ///
    /// # Errors
    /// The last attempt's [`CacheError`], never [`CacheError::Skipped`]; the caller must see to it that somebody repeats it.
    pub async fn put_newer_surely(
        &self,
        put: &Put,
        deadline: Deadline,
    ) -> Result<bool, CacheError> {
        let mut attempt = 1;
        loop {
            let started = Instant::now();
            let put = self.cache.put_newer(std::slice::from_ref(put));
            let limit = deadline.at_most(SURE_PATIENCE);
            let outcome = limit.run(put).await.unwrap_or(Err(CacheError::Timeout));
            metrics::cache_operation("put_surely", result_label(&outcome), started.elapsed());
            match outcome {
                Ok(done) => {
                    self.breaker.succeeded();
                    return Ok(done == 1);
                }
                Err(error) if attempt == SURE_ATTEMPTS || deadline.has_passed() => {
                    return Err(error);
                }
                Err(_) => attempt += 1,
            }
            tokio::time::sleep(deadline.cut(SURE_PAUSE)).await;
        }
    }
}
