//! Rate limits as pure functions of state and time.
//!
//! Callers of the service have a [`Quota`]: a burst, and so much more per window ([`gcra`], [`Decision`]). The service itself keeps
//! within the windows that the platform counts in ([`Window`]): exactly, with places for those who wait ([`sliding_log`],
//! [`Reservation`]).

use std::num::NonZeroU32;
use std::time::Duration;

mod decision;
pub mod gcra;
pub mod sliding_log;
mod window;

pub use decision::Decision;
pub(crate) use decision::Levels;
pub use window::{Place, Reservation, Window};

/// The longest window; a longer one counts as this.
const MAX_WINDOW_US: u64 = 366 * 24 * 60 * 60 * 1_000_000;
/// A burst takes at most this long to come back, and with the time of day (below 2^51 until 2041, below 2^52 until 2112) it
/// stays below 2^53, up to which a script's floating-point numbers are exact.
const MAX_FULL_US: u64 = 1 << 51;
/// The highest cost: more than any burst.
const MAX_COST_US: u64 = 1 << 52;

/// A number of units per window, and how many of them at once.
///
/// One unit comes back per interval, `window / limit` or a little more, until `burst` are there. So within any time `t`, ends
/// included, at most `burst + t / interval` are admitted: with a burst of `limit`, twice the limit in the first window and
/// the limit in every later one. Intervals are whole microseconds, rounded up.
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
    /// quota does.
    #[must_use]
    pub fn share(&self, one_in: NonZeroU32, cost: u32) -> Self {
        let part = |of: NonZeroU32| NonZeroU32::new(of.get() / one_in).unwrap_or(NonZeroU32::MIN);
        let needed = NonZeroU32::new(cost).unwrap_or(NonZeroU32::MIN);
        let burst = part(self.burst).max(needed.min(self.burst));
        Self::new(part(self.limit), self.window()).with_burst(burst)
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
}

/// `length` in microseconds.
pub(crate) fn micros(length: Duration) -> u64 {
    u64::try_from(length.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn some(number: u32) -> NonZeroU32 {
        NonZeroU32::new(number).unwrap()
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
        fn a_quota_is_never_faster_than_its_limit(limit in 1_u32.., window_us in 1_u64..1 << 44) {
            let quota = Quota::new(some(limit), Duration::from_micros(window_us));
            prop_assert!(u128::from(quota.interval_us) * u128::from(limit) >= u128::from(quota.window_us));
        }
    }
}
