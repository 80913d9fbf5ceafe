//! The platform's limits per app, tenant and API ("Frequency control" in its guide), by the simulated clock.

mod history;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

pub(crate) use history::History;

/// A tier of the platform's table of limits, by its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// 10 per minute.
    One,
    /// 20 per minute.
    Two,
    /// 100 per minute.
    Three,
    /// 1,000 per minute and 50 per second; a call must fit into both.
    Four,
    /// 1 per second.
    Five,
    /// 5 per second.
    Six,
    /// 10 per second.
    Seven,
    /// 20 per second.
    Eight,
    /// 50 per second.
    Nine,
    /// 50 per second; the platform gives business customers 100.
    Ten,
    /// 100 per second.
    Eleven,
    /// 3 per second.
    TwentyOne,
    /// The table refers to the platform's support; here the same as [`Four`](Self::Four).
    Special,
}

/// The kind of window for the limits. The platform does not document which it uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RateLimitWindows {
    /// Consecutive windows, aligned to the clock.
    #[default]
    Fixed,
    /// The last second or minute before each call.
    Sliding,
}

/// A number of calls in a length of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) limit: u32,
    pub(crate) length_ms: u64,
}

/// The app, and for a marketplace app the tenant, that makes a call. Each has its own budgets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Caller {
    pub(crate) app_id: Arc<str>,
    /// Only for a marketplace app's tenant token.
    pub(crate) tenant: Option<Arc<str>>,
}

/// A rejected call: the limit that it exceeds, and the whole seconds until a call is allowed again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exceeded {
    pub(crate) limit: u32,
    pub(crate) reset_seconds: u64,
}

#[derive(Default)]
pub(crate) struct RateLimits(Mutex<State>);

#[derive(Default)]
struct State {
    /// Endpoints with another tier than the documented one.
    tiers: HashMap<&'static str, Tier>,
    budgets: HashMap<(&'static str, Caller), Budget>,
}

/// The used part of one caller's budget for one API.
#[derive(Default)]
struct Budget {
    /// By the window's length: the number of the fixed window, and the calls in it.
    fixed: BTreeMap<u64, (u64, u32)>,
    sliding: History,
}

impl Tier {
    /// The windows, shorter by a factor, for tests.
    pub(crate) fn windows(self, scale: u32) -> impl Iterator<Item = Window> {
        let per = |limit, length_ms| Window { limit, length_ms };
        let (shorter, longer) = match self {
            Self::One => (None, Some(per(10, MINUTE_MS))),
            Self::Two => (None, Some(per(20, MINUTE_MS))),
            Self::Three => (None, Some(per(100, MINUTE_MS))),
            Self::Four | Self::Special => (Some(per(50, SECOND_MS)), Some(per(1000, MINUTE_MS))),
            Self::Five => (Some(per(1, SECOND_MS)), None),
            Self::Six => (Some(per(5, SECOND_MS)), None),
            Self::Seven => (Some(per(10, SECOND_MS)), None),
            Self::Eight => (Some(per(20, SECOND_MS)), None),
            Self::Nine | Self::Ten => (Some(per(50, SECOND_MS)), None),
            Self::Eleven => (Some(per(100, SECOND_MS)), None),
            Self::TwentyOne => (Some(per(3, SECOND_MS)), None),
        };
        shorter.into_iter().chain(longer).map(move |window| Window {
            length_ms: (window.length_ms / u64::from(scale)).max(1),
            ..window
        })
    }
}

const SECOND_MS: u64 = 1000;
const MINUTE_MS: u64 = 60_000;

impl RateLimits {
    /// The current tier of an endpoint, given the documented one.
    pub(crate) fn tier(&self, endpoint: &str, documented: Tier) -> Tier {
        *self.lock().tiers.get(endpoint).unwrap_or(&documented)
    }

    /// Sets the tier of an endpoint; `None` restores the documented one.
    pub(crate) fn set_tier(&self, endpoint: &'static str, tier: Option<Tier>) {
        let mut state = self.lock();
        match tier {
            Some(tier) => state.tiers.insert(endpoint, tier),
            None => state.tiers.remove(endpoint),
        };
    }

    /// Takes one call from the budget; a rejected call takes none.
    pub(crate) fn take(
        &self,
        endpoint: &'static str,
        caller: &Caller,
        windows: &[Window],
        kind: RateLimitWindows,
        now_ms: u64,
    ) -> Result<(), Exceeded> {
        let mut state = self.lock();
        let key = (endpoint, caller.clone());
        let budget = state.budgets.entry(key).or_default();
        match kind {
            RateLimitWindows::Fixed => budget.take_fixed(windows, now_ms),
            RateLimitWindows::Sliding => budget.take_sliding(windows, now_ms),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Budget {
    fn take_fixed(&mut self, windows: &[Window], now_ms: u64) -> Result<(), Exceeded> {
        for window in windows {
            let current = now_ms / window.length_ms;
            let (counted, used) = self.fixed.entry(window.length_ms).or_default();
            if *counted != current {
                (*counted, *used) = (current, 0);
            }
            if *used >= window.limit {
                let left_ms = window.length_ms - now_ms % window.length_ms;
                return Err(window.exceeded(left_ms));
            }
        }
        for window in windows {
            if let Some((_, used)) = self.fixed.get_mut(&window.length_ms) {
                *used += 1;
            }
        }
        Ok(())
    }

    fn take_sliding(&mut self, windows: &[Window], now_ms: u64) -> Result<(), Exceeded> {
        let longest_ms = windows.iter().map(|window| window.length_ms).max();
        let now_ms = self.sliding.prune(now_ms, longest_ms.unwrap_or(1));
        for window in windows {
            if self.sliding.within(now_ms, window.length_ms) >= u64::from(window.limit) {
                let oldest_ms = self.sliding.oldest_within(now_ms, window.length_ms);
                let left_ms = (oldest_ms + window.length_ms).saturating_sub(now_ms);
                return Err(window.exceeded(left_ms));
            }
        }
        self.sliding.add(now_ms);
        Ok(())
    }
}

impl Window {
    fn exceeded(self, left_ms: u64) -> Exceeded {
        Exceeded {
            limit: self.limit,
            reset_seconds: left_ms.div_ceil(1000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(app_id: &str) -> Caller {
        Caller {
            app_id: app_id.into(),
            tenant: None,
        }
    }

    struct Limiter {
        limits: RateLimits,
        windows: Vec<Window>,
        kind: RateLimitWindows,
    }

    impl Limiter {
        fn new(tier: Tier, scale: u32, kind: RateLimitWindows) -> Self {
            Self {
                limits: RateLimits::default(),
                windows: tier.windows(scale).collect(),
                kind,
            }
        }

        fn take_for(&self, caller: &Caller, now_ms: u64) -> Result<(), Exceeded> {
            self.limits
                .take("some.api", caller, &self.windows, self.kind, now_ms)
        }

        fn take(&self, now_ms: u64) -> Result<(), Exceeded> {
            self.take_for(&caller("cli_a"), now_ms)
        }
    }

    fn exceeded(limit: u32, reset_seconds: u64) -> Result<(), Exceeded> {
        Err(Exceeded {
            limit,
            reset_seconds,
        })
    }

    #[test]
    fn the_fifty_first_call_of_a_second_must_wait_for_the_next() {
        let limiter = Limiter::new(Tier::Four, 1, RateLimitWindows::Fixed);
        for _ in 0..50 {
            limiter.take(999).expect("within the limit");
        }
        assert_eq!(limiter.take(999), exceeded(50, 1));
        assert_eq!(limiter.take(1000), Ok(()));
    }

    #[test]
    fn a_minute_holds_a_thousand_calls_however_they_are_spread() {
        let limiter = Limiter::new(Tier::Four, 1, RateLimitWindows::Fixed);
        let allowed = (0..60_000)
            .step_by(10)
            .filter(|now_ms| limiter.take(*now_ms).is_ok())
            .count();
        assert_eq!(allowed, 1000);
        assert_eq!(limiter.take(30_500), exceeded(1000, 30));
    }

    #[test]
    fn apps_tenants_and_apis_have_their_own_budgets() {
        let limiter = Limiter::new(Tier::Four, 1, RateLimitWindows::Fixed);
        for _ in 0..50 {
            limiter.take(0).expect("within the limit");
        }
        assert_eq!(limiter.take(0), exceeded(50, 1));
        let tenant = Caller {
            tenant: Some("tenant".into()),
            ..caller("cli_a")
        };
        for other in [caller("cli_b"), tenant] {
            assert_eq!(limiter.take_for(&other, 0), Ok(()));
        }
        let windows = &limiter.windows;
        let other = limiter
            .limits
            .take("other.api", &caller("cli_a"), windows, limiter.kind, 0);
        assert_eq!(other, Ok(()));
    }

    #[test]
    fn a_sliding_window_has_no_boundary_to_burst_across() {
        let fixed = Limiter::new(Tier::Six, 1, RateLimitWindows::Fixed);
        let sliding = Limiter::new(Tier::Six, 1, RateLimitWindows::Sliding);
        for limiter in [&fixed, &sliding] {
            for _ in 0..5 {
                limiter.take(900).expect("within the limit");
            }
        }
        assert_eq!(fixed.take(1000), Ok(()));
        assert_eq!(sliding.take(1000), exceeded(5, 1));
        assert_eq!(sliding.take(1899), exceeded(5, 1));
        assert_eq!(sliding.take(1900), Ok(()));
    }

    #[test]
    fn a_sliding_minute_tells_when_its_first_call_leaves() {
        let limiter = Limiter::new(Tier::Three, 1, RateLimitWindows::Sliding);
        for now_ms in (0..100).map(|call| call * 100) {
            limiter.take(now_ms).expect("within the limit");
        }
        assert_eq!(limiter.take(10_000), exceeded(100, 50));
        assert_eq!(limiter.take(59_999), exceeded(100, 1));
        assert_eq!(limiter.take(60_000), Ok(()));
    }

    #[test]
    fn a_clock_that_is_set_back_starts_a_new_history() {
        let limiter = Limiter::new(Tier::Five, 1, RateLimitWindows::Sliding);
        assert_eq!(limiter.take(100_000), Ok(()));
        assert_eq!(limiter.take(99_990), exceeded(1, 1));
        assert_eq!(limiter.take(5_000), Ok(()));
    }

    #[test]
    fn a_scale_shortens_every_window() {
        let lengths = |tier: Tier, scale| -> Vec<_> {
            tier.windows(scale)
                .map(|window| (window.limit, window.length_ms))
                .collect()
        };
        assert_eq!(lengths(Tier::Special, 1), [(50, 1000), (1000, 60_000)]);
        assert_eq!(lengths(Tier::Four, 60), [(50, 16), (1000, 1000)]);
        assert_eq!(lengths(Tier::TwentyOne, 5000), [(3, 1)]);
    }
}
