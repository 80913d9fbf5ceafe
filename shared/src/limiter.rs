//! Rate limiting, shared by all processes through the cache.
//!
//! [`gcra`] decides, a pure function; the cache applies it atomically per request. While the cache is down, each process
//! limits itself to a share of the quota.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crate::cache::CacheClient;
use crate::cache::memory::MemoryCache;
use crate::clock::{Clock, Stopwatch};
use crate::deadline::Deadline;
use crate::quota::{Decision, Quota, gcra};
use crate::telemetry::metrics;

/// A process that limits itself takes this fraction of a quota: one part in so many.
pub const DEFAULT_SHARE: NonZeroU32 = NonZeroU32::new(4).expect("four is not zero");
/// A place in the queue that is used this much after its time counts as missed. Quotas towards the platform allow for such a
/// difference (`lark::apis`).
const LATE: Duration = Duration::from_millis(50);
/// How often a caller asks for a place and misses it. One that is frozen while it waits misses one place.
const MAX_PLACES: u32 = 8;
/// What a caller who missed all of them is told to wait.
const MISSED_PAUSE: Duration = Duration::from_secs(1);
/// How many unused places a process remembers until it can give them back.
const MAX_UNUSED: usize = 256;
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
    clock: Arc<dyn Clock>,
    /// Places whose callers were late or gave up, to be given back before the next request.
    unused: Arc<Mutex<Vec<Unused>>>,
}

/// A place that nobody used.
#[derive(Debug)]
struct Unused {
    key: LimitKey,
    quotas: Vec<Quota>,
    cost: u32,
    place_us: u64,
}

/// A place that its caller waits for. Dropped, it counts as unused.
struct Place<'p> {
    limiter: &'p Limiter,
    key: &'p LimitKey,
    quotas: &'p [Quota],
    cost: u32,
    place_us: u64,
}

impl Place<'_> {
    fn was_used(mut self) {
        self.place_us = 0;
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if self.place_us == 0 {
            return;
        }
        let mut unused = self.limiter.unused();
        if unused.len() < MAX_UNUSED {
            unused.push(Unused {
                key: self.key.clone(),
                quotas: self.quotas.to_vec(),
                cost: self.cost,
                place_us: self.place_us,
            });
        }
    }
}

impl Limiter {
    /// Limits all processes with this `cache` together; without one, this process. `clock` is for what the process decides by
    /// itself; the cache uses its own.
    #[must_use]
    pub fn new(cache: Option<CacheClient>, clock: Arc<dyn Clock>) -> Self {
        Self {
            cache,
            shares: Arc::new(MemoryCache::new(LOCAL_BYTES, Arc::clone(&clock))),
            pauses: Arc::new(MemoryCache::new(LOCAL_BYTES, Arc::clone(&clock))),
            one_in: DEFAULT_SHARE,
            clock,
            unused: Arc::default(),
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
        self.decided(key, quotas, cost, patience).await.1
    }

    /// The decision, and how long ago it was asked for.
    async fn decided(
        &self,
        key: &LimitKey,
        quotas: &[Quota],
        cost: u32,
        patience: Duration,
    ) -> (Stopwatch, Decision) {
        self.give_unused_back(key).await;
        let (tier, asked, decision) = self.decide(key, quotas, cost, patience).await;
        let result = if decision.is_allowed {
            "allowed"
        } else {
            "refused"
        };
        metrics::rate_limit(key.scope, tier, result);
        (asked, decision)
    }

    /// As [`Limiter::reserve`], and waits: if the request is allowed, it proceeds now. A pause that this process asked for
    /// meanwhile is respected too; one from another process takes effect at the next request.
    ///
    /// A place is used at its time or not at all: a caller who comes late, because the process was frozen or busy, asks again.
    /// A place that is not used, also because this future was dropped, is given back if nobody came after it.
    pub async fn wait_for_turn(
        &self,
        key: &LimitKey,
        quotas: &[Quota],
        cost: u32,
        patience: Duration,
    ) -> Decision {
        let patience = Deadline::after(patience.min(gcra::MAX_PATIENCE));
        for _ in 0..MAX_PLACES {
            let left = patience.remaining();
            let (asked, decision) = self.decided(key, quotas, cost, left).await;
            if !decision.is_allowed {
                return decision;
            }
            let place = Place {
                limiter: self,
                key,
                quotas,
                cost,
                place_us: decision.place_us,
            };
            let waits = decision.wait >= TICK;
            if waits {
                tokio::time::sleep(decision.wait).await;
            }
            let is_on_time = asked.elapsed(&*self.clock) <= decision.wait + LATE;
            if is_on_time && (!waits || self.own_pause(key, quotas, Duration::ZERO).is_allowed) {
                place.was_used();
                return decision;
            }
        }
        let refused = self.own_pause(key, quotas, Duration::ZERO);
        Decision {
            is_allowed: false,
            wait: Duration::ZERO,
            retry_after: refused.retry_after.max(MISSED_PAUSE),
            ..refused
        }
    }

    /// Takes back a request of `cost` that was allowed by `decision` and does not proceed, if nobody came after it.
    pub async fn give_back(
        &self,
        key: &LimitKey,
        quotas: &[Quota],
        cost: u32,
        decision: &Decision,
    ) {
        drop(Place {
            limiter: self,
            key,
            quotas,
            cost,
            place_us: decision.place_us,
        });
        self.give_unused_back(key).await;
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

    /// Gives the unused places of `key` back, the last one first: once one is refused, none before it can be the last.
    async fn give_unused_back(&self, key: &LimitKey) {
        let mut places: Vec<Unused> = {
            let mut unused = self.unused();
            unused.extract_if(.., |it| it.key == *key).collect()
        };
        places.sort_unstable_by_key(|it| std::cmp::Reverse(it.place_us));
        for place in &places {
            if !self.is_taken_back(place).await {
                break;
            }
        }
    }

    /// Whether the decider of `place` took it back: the cache, or this process itself.
    async fn is_taken_back(&self, place: &Unused) -> bool {
        let Unused {
            key,
            quotas,
            cost,
            place_us,
        } = place;
        let shares = self.shares_of(quotas, *cost);
        if self.shares.take_back(&key.text, &shares, *cost, *place_us) {
            return true;
        }
        let Some(cache) = &self.cache else {
            return false;
        };
        let given = cache.give_back(&key.text, quotas, *cost, *place_us).await;
        given.unwrap_or(false)
    }

    fn unused(&self) -> MutexGuard<'_, Vec<Unused>> {
        self.unused
            .lock()
            .expect("no panic while holding the unused places")
    }

    /// The tier that decided, when it was asked, and how.
    async fn decide(
        &self,
        key: &LimitKey,
        quotas: &[Quota],
        cost: u32,
        patience: Duration,
    ) -> (&'static str, Stopwatch, Decision) {
        let mut asked = Stopwatch::start(&*self.clock);
        let paused = self.own_pause(key, quotas, patience);
        if !paused.is_allowed {
            return ("local", asked, paused);
        }
        if let Some(cache) = &self.cache
            && let Ok(mut decision) = cache.throttle(&key.text, quotas, cost, patience).await
        {
            if decision.is_allowed && decision.wait < paused.wait {
                // The cache lost the pause or was down. Once it has the pause, requests that wait for its end are spaced
                // again.
                let _ = cache.pause(&key.text, paused.wait).await;
                asked = Stopwatch::start(&*self.clock);
                match cache.throttle(&key.text, quotas, cost, patience).await {
                    Ok(later) => decision = later,
                    Err(_) => decision.wait = paused.wait,
                }
            }
            return ("shared", asked, decision);
        }
        let shares = self.shares_of(quotas, cost);
        let asked = Stopwatch::start(&*self.clock);
        let decision = self.shares.admit(&key.text, &shares, cost, patience);
        ("local", asked, decision)
    }

    /// What this process takes of `quotas` when it decides by itself.
    fn shares_of(&self, quotas: &[Quota], cost: u32) -> Vec<Quota> {
        let share = |quota: &Quota| quota.share(self.one_in, cost);
        quotas.iter().map(share).collect()
    }

    /// The decision by the pauses that this process has asked for.
    fn own_pause(&self, key: &LimitKey, quotas: &[Quota], patience: Duration) -> Decision {
        self.pauses.admit(&key.text, quotas, 0, patience)
    }
}

#[cfg(test)]
mod tests;
