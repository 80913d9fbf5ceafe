//! Limits in sliding windows, and the places that calls get within them.

use std::num::NonZeroU32;
use std::time::Duration;

use super::micros;

/// The longest window; a longer one counts as this.
const MAX_LENGTH_US: u64 = 24 * 60 * 60 * 1_000_000;
/// A window keeps the moments of at most this many calls, or groups of calls.
const MAX_GROUPS: u32 = 1_024;
/// So many places can be given back one after the other, the last one first, as if they had never been taken.
const SPARE_GROUPS: u32 = 16;

/// So many calls in any window of this length, wherever it begins: exact, and all of them at once if there were none for that
/// long.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Window {
    limit: NonZeroU32,
    length_us: u64,
}

impl Window {
    /// `limit` calls in any `length`. A window is at least a microsecond and at most a day long.
    #[must_use]
    pub fn new(limit: NonZeroU32, length: Duration) -> Self {
        let length_us = micros(length).clamp(1, MAX_LENGTH_US);
        Self { limit, length_us }
    }

    /// How many calls.
    #[must_use]
    pub const fn limit(&self) -> u32 {
        self.limit.get()
    }

    /// In what time.
    #[must_use]
    pub const fn length(&self) -> Duration {
        Duration::from_micros(self.length_us)
    }

    /// One part in `one_in` of this window: so many of them together stay within it. Where a part is less than a call, it is one
    /// call in a longer window.
    #[must_use]
    pub fn share(&self, one_in: NonZeroU32) -> Self {
        let Some(limit) = NonZeroU32::new(self.limit.get() / one_in) else {
            let calls = u64::from(self.limit.get());
            let length_us = self.length_us.saturating_mul(one_in.get().into());
            return Self::new(
                NonZeroU32::MIN,
                Duration::from_micros(length_us.div_ceil(calls)),
            );
        };
        Self { limit, ..*self }
    }

    pub(crate) const fn length_us(&self) -> u64 {
        self.length_us
    }

    /// How many calls share a slot. Of a group the moment of the last call is kept, so the window holds at most a group less than
    /// its limit: below 0.1 %.
    pub(crate) const fn group(&self) -> u32 {
        self.limit.get().div_ceil(MAX_GROUPS)
    }

    /// How many slots the window has: the groups of the last `limit` calls and some to spare.
    pub(crate) const fn slots(&self) -> u32 {
        self.limit.get().div_ceil(self.group()) + SPARE_GROUPS
    }
}

/// The place of a call in the queue.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Place {
    /// How many calls came before it.
    pub(crate) number: u64,
    /// Its moment, in microseconds of the clock that decided.
    pub(crate) at_us: u64,
}

/// What a call was told that asked for a place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Reservation {
    /// Whether it has a place.
    pub is_allowed: bool,
    /// How long until its place, at most its patience; zero if it has none.
    pub wait: Duration,
    /// How long until it is worth asking again with the same patience, given those who have places and those who were refused
    /// before; zero if it has a place.
    pub retry_after: Duration,
    /// The place, to give it back if the call does not go out.
    pub place: Place,
    /// The limit of the window that it waits for. Without any window, the maximum.
    pub limit: u32,
    /// The length of that window. Without any window, zero.
    pub window: Duration,
}

impl Reservation {
    /// A refusal for other reasons than `windows`, until `retry_after` has passed.
    pub(crate) fn refused(windows: &[Window], retry_after: Duration) -> Self {
        Self::new(windows, 0, None, micros(retry_after).max(1))
    }

    /// The place after `wait`, or the refusal, decided by the window at `tightest` (counted from one; zero: no window).
    pub(crate) fn new(
        windows: &[Window],
        tightest: usize,
        place: Option<(Place, u64)>,
        retry_us: u64,
    ) -> Self {
        let window = windows.get(tightest.saturating_sub(1));
        let (place, wait_us) = place.unwrap_or_default();
        Self {
            is_allowed: retry_us == 0,
            wait: Duration::from_micros(wait_us),
            retry_after: Duration::from_micros(retry_us),
            place,
            limit: window.map_or(u32::MAX, Window::limit),
            window: window.map_or(Duration::ZERO, Window::length),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn window(limit: u32, length_ms: u64) -> Window {
        Window::new(
            NonZeroU32::new(limit).unwrap(),
            Duration::from_millis(length_ms),
        )
    }

    fn share(of: Window, one_in: u32) -> Window {
        of.share(NonZeroU32::new(one_in).unwrap())
    }

    #[test]
    fn shares_stay_within_the_whole() {
        assert_eq!(share(window(50, 1_050), 4), window(12, 1_050));
        assert_eq!(share(window(1, 1_050), 4), window(1, 4_200));
        assert_eq!(
            share(window(3, 1_000), 4),
            window(1, 1_334).clamped(1_333_334)
        );
    }

    impl Window {
        fn clamped(self, length_us: u64) -> Self {
            Self { length_us, ..self }
        }
    }

    #[test]
    fn a_window_is_kept_in_eight_kilobytes() {
        for (limit, group, slots) in [
            (1, 1, 17),
            (1_000, 1, 1_016),
            (1_024, 1, 1_040),
            (1_025, 2, 529),
            (1_000_000, 977, 1_040),
        ] {
            let window = window(limit, 1_000);
            assert_eq!((window.group(), window.slots()), (group, slots), "{limit}");
        }
    }

    proptest! {
        #[test]
        fn a_window_has_slots_for_the_calls_that_count(limit in 1_u32..) {
            let window = window(limit, 1_000);
            prop_assert!(window.group() <= limit);
            prop_assert!(u64::from(window.slots()) * u64::from(window.group()) >= u64::from(limit) + 16);
            prop_assert!(window.slots() <= MAX_GROUPS + SPARE_GROUPS);
        }
    }
}
