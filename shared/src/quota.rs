//! Rate limits as pure functions of state and time: how much is allowed per window ([`Quota`]), how to decide on a request
//! ([`gcra`]) and what the decision says ([`Decision`]).

use std::num::NonZeroU32;
use std::time::Duration;

mod decision;
pub mod gcra;

pub use decision::Decision;
pub(crate) use decision::Levels;

/// The longest window; a longer one counts as this.
const MAX_WINDOW_US: u64 = 366 * 24 * 60 * 60 * 1_000_000;
/// A burst takes at most this long to come back, and with the time of day (below 2^51 until 2041, below 2^52 until 2112) it
/// stays below 2^53, up to which a script's floating-point numbers are exact.
const MAX_FULL_US: u64 = 1 << 51;
/// The highest cost: more than any burst.
const MAX_COST_US: u64 = 1 << 52;
/// A [`Quota::strict`] keeps at least this much of its throughput, in percent.
const STRICT_THROUGHPUT: u64 = 95;

/// A number of units per window, and how many of them at once.
///
/// One unit comes back per interval, `window / limit` or a little more, until `burst` are there. So within any time `t`, ends
/// included, at most `burst + t / interval` are admitted: with a burst of `limit`, twice the limit in the first window and
/// the limit in every later one. [`Quota::strict`] never admits more than `limit` in a window. Intervals are whole
/// microseconds, rounded up.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Quota {
    limit: NonZeroU32,
    window_us: u64,
    burst: NonZeroU32,
    interval_us: u64,
}

impl Quota {
    /// `limit` units per `window`, all of them at once if nothing was taken for a while. A window counts as at least a
    /// microsecond and at most 366 days.
    #[must_use]
    pub fn new(limit: NonZeroU32, window: Duration) -> Self {
        let window_us = micros(window).clamp(1, MAX_WINDOW_US);
        Self {
            limit,
            window_us,
            burst: limit,
            interval_us: window_us.div_ceil(limit.get().into()),
        }
    }

    /// Never more than `limit` units in any window of that length, wherever it begins, ends included, for a counterpart that
    /// counts in its own windows.
    ///
    /// The cost: in the long run 95 % of `limit` per window (up to 50,000 units per second; above that, whole microseconds may
    /// cost more), and a smaller burst: about 5 %, at least one.
    #[must_use]
    pub fn strict(limit: NonZeroU32, window: Duration) -> Self {
        let quota = Self::new(limit, window);
        let (window_us, units) = (quota.window_us, u64::from(limit.get()));
        let slowest_us = window_us * 100 / (units * STRICT_THROUGHPUT);
        // Longer than window / limit, so that fewer than `limit` intervals fit into a window: the rest is the burst.
        let interval_us = slowest_us.max(window_us / units + 1);
        let burst = u32::try_from(units - window_us / interval_us).unwrap_or(u32::MAX);
        Self {
            burst: NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN),
            interval_us,
            ..quota
        }
    }

    /// Never more than `limit` units in any window of that length for a counterpart that counts arrivals, over a network whose
    /// delay varies by less than `jitter`. `burst` of them, at least one and at most `limit`, may leave at once: the more, the
    /// fewer in the long run.
    #[must_use]
    pub fn on_arrival(
        limit: NonZeroU32,
        window: Duration,
        burst: NonZeroU32,
        jitter: Duration,
    ) -> Self {
        let burst = burst.min(limit);
        // From the first of a burst to the first one above the limit it takes this many intervals.
        let intervals = NonZeroU32::MIN.saturating_add(limit.get() - burst.get());
        Self {
            interval_us: Self::new(intervals, window.saturating_add(jitter)).interval_us,
            ..Self::new(limit, window).with_burst(burst)
        }
    }

    /// The same quota with another burst.
    #[must_use]
    pub const fn with_burst(mut self, burst: NonZeroU32) -> Self {
        self.burst = burst;
        self
    }

    /// How many units per window.
    #[must_use]
    pub const fn limit(&self) -> u32 {
        self.limit.get()
    }

    /// The window.
    #[must_use]
    pub const fn window(&self) -> Duration {
        Duration::from_micros(self.window_us)
    }

    /// How many units may come at once.
    #[must_use]
    pub const fn burst(&self) -> u32 {
        self.burst.get()
    }

    /// How long it takes until one unit has come back.
    #[must_use]
    pub const fn interval(&self) -> Duration {
        Duration::from_micros(self.interval_us)
    }

    /// One part in `one_in` of this quota, at least one unit per window, with a burst that admits a request of `cost` if this
    /// quota does. The share of a strict quota is strict, except for such a burst.
    #[must_use]
    pub fn share(&self, one_in: NonZeroU32, cost: u32) -> Self {
        let part = |of: NonZeroU32| NonZeroU32::new(of.get() / one_in).unwrap_or(NonZeroU32::MIN);
        let limit = part(self.limit);
        let share = if self.is_strict() {
            Self::strict(limit, self.window())
        } else {
            Self::new(limit, self.window()).with_burst(part(self.burst))
        };
        let needed = NonZeroU32::new(cost).unwrap_or(NonZeroU32::MIN);
        share.with_burst(share.burst.max(needed.min(self.burst)))
    }

    /// The time of a whole burst.
    pub(crate) fn full_us(&self) -> u64 {
        u64::from(self.burst.get())
            .saturating_mul(self.interval_us)
            .min(MAX_FULL_US)
    }

    /// The time of `cost` units.
    pub(crate) fn cost_us(&self, cost: u32) -> u64 {
        u64::from(cost)
            .saturating_mul(self.interval_us)
            .min(MAX_COST_US)
    }

    /// How long it takes until `cost` units are available when `backlog_us` has yet to come back. A cost of zero is always
    /// available.
    pub(crate) fn missing_us(&self, backlog_us: u64, cost: u32) -> u64 {
        if cost == 0 {
            return 0;
        }
        (backlog_us + self.cost_us(cost)).saturating_sub(self.full_us())
    }

    /// How many whole units of a burst are available when `backlog_us` has yet to come back.
    pub(crate) fn remaining(&self, backlog_us: u64) -> u32 {
        let left = self.full_us().saturating_sub(backlog_us) / self.interval_us;
        u32::try_from(left).unwrap_or(u32::MAX)
    }

    fn is_strict(&self) -> bool {
        u64::from(self.burst.get()) + self.window_us / self.interval_us
            <= u64::from(self.limit.get())
    }
}

/// `length` in microseconds.
pub(crate) fn micros(length: Duration) -> u64 {
    u64::try_from(length.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn some(number: u32) -> NonZeroU32 {
        NonZeroU32::new(number).unwrap()
    }

    #[test]
    fn a_strict_quota_gives_up_about_five_percent() {
        let check = |limit, seconds, burst, interval_us| {
            let quota = Quota::strict(some(limit), Duration::from_secs(seconds));
            assert_eq!((quota.burst(), quota.interval_us), (burst, interval_us));
        };
        check(1_000, 60, 50, 63_157);
        check(600, 60, 30, 105_263);
        check(50, 1, 3, 21_052);
        check(5, 1, 1, 210_526);
        check(1, 1, 1, 1_052_631);
    }

    #[test]
    fn a_share_has_at_least_one_unit_and_fits_the_cost_that_the_whole_fits() {
        let check = |limit, one_in, cost, expected: (u32, u32)| {
            let share = Quota::new(some(limit), Duration::from_secs(60)).share(some(one_in), cost);
            assert_eq!((share.limit(), share.burst()), expected);
        };
        check(600, 4, 1, (150, 150));
        check(3, 4, 1, (1, 1));
        check(8, 4, 5, (2, 5));
        check(8, 4, 9, (2, 8));
    }

    #[test]
    fn numbers_stay_exact_for_scripts_whatever_the_quota() {
        let quota = Quota::new(NonZeroU32::MIN, Duration::MAX).with_burst(NonZeroU32::MAX);
        let now_us = 4_102_444_800_000_000; // The year 2100.
        let largest = now_us + quota.full_us();
        assert!(largest < 1 << 53);
        assert!(quota.full_us() + quota.cost_us(u32::MAX) < 1 << 53);
        assert!(quota.cost_us(u32::MAX) > quota.full_us());
    }

    proptest! {
        #[test]
        fn a_strict_quota_never_admits_more_than_its_limit_and_keeps_its_throughput(
            limit in 1_u32..200_000,
            window_ms in 1_u64..100_000_000,
        ) {
            let quota = Quota::strict(some(limit), Duration::from_millis(window_ms));
            // What the decisions promise, see `gcra`: at most this many in a window.
            let most = u64::from(quota.burst()) + quota.window_us / quota.interval_us;
            prop_assert!(most <= u64::from(limit));
            if u64::from(limit) <= window_ms * 50 {
                prop_assert!(quota.interval_us * u64::from(limit) * 95 <= quota.window_us * 100);
            }
        }

        #[test]
        fn no_window_sees_more_than_the_limit_arrive_out_of_step(
            limit in 1_u32..200,
            burst in 1_u32..250,
            window_ms in 100_u64..5_000,
            jitter_ms in 1_u64..100,
            delays in vec(0_u64..1_000_000, 400),
        ) {
            let (window, jitter) = (Duration::from_millis(window_ms), Duration::from_millis(jitter_ms));
            let quota = Quota::on_arrival(some(limit), window, some(burst), jitter);
            prop_assert_eq!((quota.burst(), quota.limit(), quota.window()), (burst.min(limit), limit, window));
            let places = (0_u64..).map(|place| place.saturating_sub(u64::from(quota.burst()) - 1));
            let arrival = |(place, delay): (u64, &u64)| place * quota.interval_us + delay % (jitter_ms * 1_000);
            let mut arrivals: Vec<u64> = places.zip(&delays).map(arrival).collect();
            arrivals.sort_unstable();
            let limit = usize::try_from(limit).unwrap();
            for one_more in arrivals.windows(limit + 1) {
                prop_assert!(one_more[limit] - one_more[0] > quota.window_us);
            }
        }

        #[test]
        fn a_quota_is_never_faster_than_its_limit(limit in 1_u32.., window_us in 1_u64..1 << 44) {
            let quota = Quota::new(some(limit), Duration::from_micros(window_us));
            prop_assert!(u128::from(quota.interval_us) * u128::from(limit) >= u128::from(quota.window_us));
        }

        #[test]
        fn the_share_of_a_strict_quota_is_strict(limit in 1_u32..5_000, seconds in 1_u64..100, one_in in 1_u32..10) {
            let share = Quota::strict(some(limit), Duration::from_secs(seconds)).share(some(one_in), 1);
            prop_assert!(share.is_strict());
            prop_assert_eq!(share.limit(), (limit / one_in).max(1));
        }
    }
}
