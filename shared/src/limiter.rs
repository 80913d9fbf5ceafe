//! Rate limiting, shared by all processes through the cache.
//!
//! [`gcra`] decides, a pure function; the cache applies it atomically per request. While the cache is down, each process
//! limits itself to a share of the quota.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use crate::cache::CacheClient;
use crate::cache::memory::MemoryCache;
use crate::clock::Clock;
use crate::deadline::Deadline;
use crate::quota::{Decision, Quota, gcra};
use crate::telemetry::metrics;

/// A process that limits itself takes this fraction of a quota: one part in so many.
pub const DEFAULT_SHARE: NonZeroU32 = NonZeroU32::new(4).expect("four is not zero");
/// Tokio's timers have this resolution: a shorter wait would take longer than asked.
const TICK: Duration = Duration::from_millis(1);
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
    /// Pauses that this process has asked for, kept even if the cache loses them.
    pauses: Arc<MemoryCache>,
    one_in: NonZeroU32,
}

impl Limiter {
    /// Limits all processes with this `cache` together; without one, this process. `clock` is for what the process decides by
    /// itself; the cache uses its own.
    #[must_use]
    pub fn new(cache: Option<CacheClient>, clock: Arc<dyn Clock>) -> Self {
        Self {
            cache,
            shares: Arc::new(MemoryCache::new(LOCAL_BYTES, Arc::clone(&clock))),
            pauses: Arc::new(MemoryCache::new(LOCAL_BYTES, clock)),
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

    /// Whether a request of `cost` may proceed now; takes the cost from every one of `quotas`, or from none. Always use a key
    /// with the same quotas, see [`gcra::decide`].
    pub async fn admit(&self, key: &LimitKey, quotas: &[Quota], cost: u32) -> Decision {
        self.reserve(key, quotas, cost, Duration::ZERO).await
    }

    /// As [`Limiter::admit`], for a request that may wait for up to `patience`, at most [`gcra::MAX_PATIENCE`]: it proceeds
    /// after [`Decision::wait`] without asking again. Later requests proceed later, across all processes.
    pub async fn reserve(
        &self,
        key: &LimitKey,
        quotas: &[Quota],
        cost: u32,
        patience: Duration,
    ) -> Decision {
        let (tier, decision) = self.decide(key, quotas, cost, patience).await;
        let result = if decision.is_allowed {
            "allowed"
        } else {
            "refused"
        };
        metrics::rate_limit(key.scope, tier, result);
        decision
    }

    /// As [`Limiter::reserve`], and waits: if the request is allowed, it proceeds now. A pause that this process asked for
    /// meanwhile is respected too; one from another process takes effect at the next request.
    pub async fn wait_for_turn(
        &self,
        key: &LimitKey,
        quotas: &[Quota],
        cost: u32,
        patience: Duration,
    ) -> Decision {
        let patience = Deadline::after(patience.min(gcra::MAX_PATIENCE));
        loop {
            let left = patience.remaining();
            let decision = self.reserve(key, quotas, cost, left).await;
            if !decision.is_allowed || decision.wait < TICK {
                return decision;
            }
            tokio::time::sleep(decision.wait).await;
            if self.own_pause(key, quotas, Duration::ZERO).is_allowed {
                return decision;
            }
        }
    }

    /// Admits nothing for `key` for `length`, at most for [`gcra::MAX_PAUSE`], in all processes that share the cache. A longer
    /// pause stays.
    pub async fn pause(&self, key: &LimitKey, length: Duration) {
        self.pauses.hold(&key.text, length);
        self.shares.hold(&key.text, length);
        if let Some(cache) = &self.cache {
            // A failing cache is counted and logged there; this process keeps the pause anyway.
            let _ = cache.pause(&key.text, length).await;
        }
    }

    /// The tier that decided, and how.
    async fn decide(
        &self,
        key: &LimitKey,
        quotas: &[Quota],
        cost: u32,
        patience: Duration,
    ) -> (&'static str, Decision) {
        let paused = self.own_pause(key, quotas, patience);
        if !paused.is_allowed {
            return ("local", paused);
        }
        if let Some(cache) = &self.cache
            && let Ok(mut decision) = cache.throttle(&key.text, quotas, cost, patience).await
        {
            if decision.is_allowed && decision.wait < paused.wait {
                // The cache lost the pause or was down. Once it has the pause, requests that wait for its end are spaced
                // again.
                let _ = cache.pause(&key.text, paused.wait).await;
                match cache.throttle(&key.text, quotas, cost, patience).await {
                    Ok(later) => decision = later,
                    Err(_) => decision.wait = paused.wait,
                }
            }
            return ("shared", decision);
        }
        let share = |quota: &Quota| quota.share(self.one_in, cost);
        let shares: Vec<Quota> = quotas.iter().map(share).collect();
        let decision = self.shares.admit(&key.text, &shares, cost, patience);
        ("local", decision)
    }

    /// The decision by the pauses that this process has asked for.
    fn own_pause(&self, key: &LimitKey, quotas: &[Quota], patience: Duration) -> Decision {
        self.pauses.admit(&key.text, quotas, 0, patience)
    }
}

#[cfg(test)]
mod tests;
