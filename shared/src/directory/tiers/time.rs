//! Which clock decides, and when a request to Lark was begun.
//!
//! Versions order what several processes fetched, so they come from one clock: the shared cache's. A process also goes by that
//! clock for ages and times to live, as far as it has heard it, so that a host whose clock is wrong neither spoils what others
//! read nor fetches everything anew. Only a process that never reached the cache goes by its host's clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use super::entry::FetchStamp;
use super::{Inner, Tiers};
use crate::clock::{Clock, Stopwatch, Timestamp};

/// How far clocks of hosts in good order are apart, at most: what begins this much later than now is no error.
pub(super) const CLOCK_SKEW: Duration = Duration::from_secs(60);
/// A smaller difference to the cache's clock may be the time that its answer took.
const MEASURABLE_MS: u64 = 1_000;
/// An answer of the cache that took longer says little about what time it is.
const HEARD_WITHIN: Duration = Duration::from_millis(250);

/// The time as the tiers see it.
#[derive(Debug)]
pub(super) struct TierClock {
    host: Arc<dyn Clock>,
    /// How far the cache's clock is ahead of the host's.
    ahead_ms: AtomicI64,
}

impl TierClock {
    pub(super) fn new(host: Arc<dyn Clock>) -> Self {
        Self {
            host,
            ahead_ms: AtomicI64::new(0),
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        let ahead_ms = self.ahead_ms.load(Ordering::Relaxed);
        Timestamp::from_millis(self.host.now().as_millis().saturating_add(ahead_ms))
    }

    /// The host's clock, for lengths.
    pub(super) fn host(&self) -> &dyn Clock {
        &*self.host
    }

    pub(super) fn stopwatch(&self) -> Stopwatch {
        Stopwatch::start(self.host())
    }

    /// How long ago `watch` was started.
    pub(super) fn since(&self, watch: &Stopwatch) -> Duration {
        watch.elapsed(self.host())
    }

    /// The cache, asked when `asked` was started, says that it is `cache_us`. Returns whether it is another time now than
    /// it was thought to be.
    pub(super) fn hear(&self, asked: &Stopwatch, cache_us: u64) -> bool {
        if self.since(asked) > HEARD_WITHIN {
            return false;
        }
        let cache_ms = i64::try_from(cache_us / 1_000).unwrap_or(i64::MAX);
        let ahead_ms = cache_ms.saturating_sub(self.host.now().as_millis());
        let ahead_ms = if ahead_ms.unsigned_abs() > MEASURABLE_MS {
            ahead_ms
        } else {
            0
        };
        let before_ms = self.ahead_ms.swap(ahead_ms, Ordering::Relaxed);
        before_ms.abs_diff(ahead_ms) > MEASURABLE_MS
    }
}

/// A request to Lark, or several that belong together, as begun: what they bring is as old as that and is ordered by it.
#[derive(Clone, Copy, Debug)]
pub struct Inquiry {
    pub(super) version: u64,
    pub(super) at: Timestamp,
    pub(super) watch: Stopwatch,
    /// Whether the version is of the cache's clock: no other goes into the cache.
    pub(super) is_ordered: bool,
}

impl Inquiry {
    /// The stamp of what is brought now.
    pub(super) fn stamp(&self, clock: &TierClock) -> FetchStamp {
        FetchStamp {
            version: self.version,
            at: self.at,
            took: clock.since(&self.watch),
        }
    }
}

impl Tiers {
    /// Begins a request to Lark; to be called right before it is sent.
    pub async fn inquire(&self) -> Inquiry {
        self.inner.inquire().await
    }
}

impl Inner {
    async fn inquire(&self) -> Inquiry {
        let asked = self.clock.stopwatch();
        let Some(cache) = &self.cache else {
            return self.inquire_alone();
        };
        let Ok(now_us) = cache.client().now_us().await else {
            return self.inquire_alone();
        };
        self.clock.hear(&asked, now_us);
        self.inquire_as(now_us)
    }

    /// A request whose version comes from the cache.
    pub(super) fn inquire_as(&self, version: u64) -> Inquiry {
        Inquiry {
            version,
            at: self.clock.now(),
            watch: self.clock.stopwatch(),
            is_ordered: true,
        }
    }

    /// A request of a process that does not reach the cache.
    pub(super) fn inquire_alone(&self) -> Inquiry {
        let at = self.clock.now();
        Inquiry {
            version: micros(at),
            at,
            watch: self.clock.stopwatch(),
            is_ordered: false,
        }
    }

    /// The latest version that anybody can have given by now. A later one is a mistake of some clock and protects nothing.
    pub(super) fn latest_version(&self, now: Timestamp) -> u64 {
        micros(now + CLOCK_SKEW)
    }
}

/// A moment as a version.
fn micros(moment: Timestamp) -> u64 {
    u64::try_from(moment.as_millis())
        .unwrap_or(0)
        .saturating_mul(1_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    const NOON: Timestamp = Timestamp::from_seconds(1_800_000_000);
    const HOUR: Duration = Duration::from_secs(3_600);

    #[tokio::test(start_paused = true)]
    async fn a_wrong_clock_is_set_by_the_cache_s_unless_the_answer_was_slow() {
        let host = Arc::new(ManualClock::at(NOON + HOUR * 3));
        let clock = TierClock::new(Arc::clone(&host) as Arc<dyn Clock>);
        assert_eq!(clock.now(), NOON + HOUR * 3);
        assert!(clock.hear(&clock.stopwatch(), micros(NOON)));
        assert_eq!(clock.now(), NOON);
        host.advance(HOUR);
        assert_eq!(clock.now(), NOON + HOUR);
        // A little more or less is the way of the answer, and no news.
        let about = micros(NOON + HOUR + Duration::from_millis(40));
        assert!(!clock.hear(&clock.stopwatch(), about));
        // Frozen while the answer was on its way.
        for is_by_timers in [false, true] {
            let asked = clock.stopwatch();
            let frozen = Duration::from_secs(70);
            host.advance(frozen);
            if is_by_timers {
                tokio::time::advance(frozen).await;
            }
            let before = clock.now();
            assert!(!clock.hear(&asked, micros(NOON + HOUR)));
            assert_eq!(clock.now(), before);
        }
    }

    #[test]
    fn a_clock_in_good_order_is_left_alone() {
        let clock = TierClock::new(Arc::new(ManualClock::at(NOON)));
        for apart in [0, 1, 999] {
            let apart = Duration::from_millis(apart);
            assert!(!clock.hear(&clock.stopwatch(), micros(NOON + apart)));
            assert!(!clock.hear(&clock.stopwatch(), micros(NOON - apart)));
            assert_eq!(clock.now(), NOON);
        }
        assert!(clock.hear(&clock.stopwatch(), micros(NOON + HOUR)));
        assert!(clock.hear(&clock.stopwatch(), micros(NOON)), "set right");
        assert_eq!(clock.now(), NOON);
    }
}
