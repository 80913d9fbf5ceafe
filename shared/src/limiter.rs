//! Rate limiting, shared by all processes through the cache.
//!
//! [`Limiter`] limits those who call the service: a burst, and so much more per window. [`Pacer`] keeps the service within the
//! limits of the platform: its calls wait for places. Pure functions decide ([`crate::quota`]); the cache applies them atomically.
//! While the cache is down, each process limits itself to a share of each limit.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;

use crate::cache::CacheClient;
use crate::cache::memory::MemoryCache;
use crate::clock::Clock;
use crate::quota::{Decision, Quota};
use crate::telemetry::metrics;

mod pacer;

pub use pacer::{LATE, Pace, Pacer, Turn};

/// A process that limits itself takes this fraction of a limit: one part in so many.
pub const DEFAULT_SHARE: NonZeroU32 = NonZeroU32::new(4).expect("four is not zero");
/// How many bytes a process keeps for limiting itself: about 10,000 keys.
const LOCAL_BYTES: u64 = 10_000 * 256;

/// Who is limited.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LimitKey {
    scope: &'static str,
    text: String,
}

impl LimitKey {
    /// `id` within `scope`, which is also a label of the metric: `api_key`.
    #[must_use]
    pub fn new(scope: &'static str, id: impl fmt::Display) -> Self {
        Self {
            scope,
            text: format!("lark:limit:{scope}:{id}"),
        }
    }
}

/// Admits requests within quotas. It always decides: without the cache by itself, with [`DEFAULT_SHARE`].
#[derive(Clone, Debug)]
pub struct Limiter {
    cache: Option<CacheClient>,
    /// What this process has admitted without the cache.
    shares: Arc<MemoryCache>,
    one_in: NonZeroU32,
}

impl Limiter {
    /// Limits all processes with this `cache` together; without one, this process. `clock` is for what the process decides by
    /// itself; the cache uses its own.
    #[must_use]
    pub fn new(cache: Option<CacheClient>, clock: Arc<dyn Clock>) -> Self {
        Self {
            cache,
            shares: Arc::new(MemoryCache::new(LOCAL_BYTES, clock)),
            one_in: DEFAULT_SHARE,
        }
    }

    /// The same limiter that takes one part in `one_in` of each quota when it decides by itself: up to that many processes
    /// together stay within the quota. Use 1 for a single process.
    #[must_use]
    pub const fn with_share(mut self, one_in: NonZeroU32) -> Self {
        self.one_in = one_in;
        self
    }

    /// Whether a request of `cost` may proceed; takes the cost from every one of `quotas`, or from none. Always use a key with
    /// the same quotas, see [`decide`](crate::quota::gcra::decide).
    pub async fn admit(&self, key: &LimitKey, quotas: &[Quota], cost: u32) -> Decision {
        let (tier, decision) = self.decide(key, quotas, cost).await;
        let result = if decision.is_allowed {
            "allowed"
        } else {
            "refused"
        };
        metrics::rate_limit(key.scope, tier, result);
        decision
    }

    /// The tier that decided, and how.
    async fn decide(
        &self,
        key: &LimitKey,
        quotas: &[Quota],
        cost: u32,
    ) -> (&'static str, Decision) {
        if let Some(cache) = &self.cache
            && let Ok(decision) = cache.throttle(&key.text, quotas, cost).await
        {
            return ("shared", decision);
        }
        let shares = quotas.iter().map(|quota| quota.share(self.one_in, cost));
        let shares: Vec<Quota> = shares.collect();
        ("local", self.shares.admit(&key.text, &shares, cost))
    }
}

#[cfg(test)]
mod tests;
