//! The lease under which Lark is asked, from the question to the answer.

use std::time::Duration;

use super::time::{Inquiry, TierClock};
use crate::cache::{Lease, Put};
use crate::clock::Stopwatch;
use crate::seal::Purpose;
use crate::sealed_cache::SealedCache;

/// The TTL of the fetch lease; a slow fetch extends it. If the holder dies, the others wait this long.
pub(super) const LEASE_TTL: Duration = Duration::from_secs(3);
/// The time for one fetch from Lark, whether or not a caller still waits for it. What takes longer was frozen meanwhile.
pub(super) const FETCH_TIMEOUT: Duration = Duration::from_secs(28);

/// One fetch from Lark, and the lease that it holds, if there is a shared cache.
#[derive(Debug)]
pub(super) struct Tenure {
    pub(super) inquiry: Inquiry,
    lease: Option<Lease>,
    /// Since when the lease was surely held last.
    held: Stopwatch,
    is_lost: bool,
}

impl Tenure {
    /// A fetch under `lease`, which was taken after `held` was started.
    pub(super) const fn under(lease: Lease, inquiry: Inquiry, held: Stopwatch) -> Self {
        Self {
            inquiry,
            lease: Some(lease),
            held,
            is_lost: false,
        }
    }

    /// A fetch of a process that does not reach the cache.
    pub(super) const fn without_lease(inquiry: Inquiry) -> Self {
        Self {
            inquiry,
            lease: None,
            held: inquiry.watch,
            is_lost: false,
        }
    }

    /// Extends the lease, if it is still held.
    pub(super) async fn extend(&mut self, clock: &TierClock) {
        let Some(lease) = self.lease.as_ref().filter(|_| !self.is_lost) else {
            return;
        };
        let asked = clock.stopwatch();
        match lease.extend().await {
            Ok(true) => self.held = asked,
            Ok(false) => self.is_lost = true,
            // Whether it is still held turns out at the end.
            Err(_) => {}
        }
    }

    /// Publishes `put`, the answer to the question, in the shared cache. Returns whether the answer counts: not if the lease was
    /// lost, because another process may have asked later, and what it found may have ended since.
    pub(super) async fn publish(
        &self,
        cache: Option<&SealedCache>,
        put: &Put,
        clock: &TierClock,
    ) -> bool {
        let (Some(lease), Some(cache)) = (&self.lease, cache) else {
            return clock.since(&self.inquiry.watch) <= FETCH_TIMEOUT;
        };
        if self.is_lost {
            return false;
        }
        let published = match cache.seal(Purpose::Directory, put).await {
            Ok(sealed) => lease.put(&sealed).await,
            Err(error) => Err(error),
        };
        published.unwrap_or_else(|_| clock.since(&self.held) < LEASE_TTL)
    }

    /// Gives the lease back.
    pub(super) async fn end(self) {
        if let Some(lease) = self.lease.filter(|_| !self.is_lost) {
            lease.release().await;
        }
    }
}
