//! The platform's limits per app and API ("Frequency control" in its guide), counted on the simulated clock.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// A level of the platform's table of limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tier {
    /// 1,000 per minute and 50 per second; whichever is reached first refuses.
    Four,
}

impl Tier {
    /// How many calls fit into a window of how many milliseconds.
    fn windows(self) -> [Window; 2] {
        match self {
            Self::Four => [
                Window {
                    limit: 50,
                    length_ms: 1000,
                },
                Window {
                    limit: 1000,
                    length_ms: 60_000,
                },
            ],
        }
    }
}

#[derive(Clone, Copy)]
struct Window {
    limit: u32,
    length_ms: u64,
}

/// A refusal: the limit that was reached, and the whole seconds until its window ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exceeded {
    pub(crate) limit: u32,
    pub(crate) reset_seconds: u64,
}

/// Fixed windows, aligned to the clock. Which kind of window the platform uses is not documented.
#[derive(Default)]
pub(crate) struct RateLimits(Mutex<HashMap<(String, &'static str), [Count; 2]>>);

#[derive(Clone, Copy, Default)]
struct Count {
    window: u64,
    used: u32,
}

impl RateLimits {
    /// Takes one call from the budget; a refused call costs nothing.
    pub(crate) fn take(
        &self,
        app_id: &str,
        endpoint: &'static str,
        tier: Tier,
        now_ms: u64,
    ) -> Result<(), Exceeded> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = counts.entry((app_id.to_owned(), endpoint)).or_default();
        for (window, count) in tier.windows().into_iter().zip(counts.iter_mut()) {
            let current = now_ms / window.length_ms;
            if count.window != current {
                *count = Count {
                    window: current,
                    used: 0,
                };
            }
            if count.used >= window.limit {
                let left_ms = window.length_ms - now_ms % window.length_ms;
                return Err(Exceeded {
                    limit: window.limit,
                    reset_seconds: left_ms.div_ceil(1000),
                });
            }
        }
        for count in counts {
            count.used += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(limits: &RateLimits, now_ms: u64) -> Result<(), Exceeded> {
        limits.take("cli_a", "some.api", Tier::Four, now_ms)
    }

    #[test]
    fn the_fifty_first_call_of_a_second_waits_for_the_next() {
        let limits = RateLimits::default();
        for _ in 0..50 {
            take(&limits, 999).expect("within the limit");
        }
        let refused = Exceeded {
            limit: 50,
            reset_seconds: 1,
        };
        assert_eq!(take(&limits, 999), Err(refused));
        assert_eq!(take(&limits, 1000), Ok(()));
    }

    #[test]
    fn a_minute_holds_a_thousand_calls_however_they_are_spread() {
        let limits = RateLimits::default();
        let allowed = (0..60_000)
            .step_by(10)
            .filter(|now_ms| take(&limits, *now_ms).is_ok())
            .count();
        assert_eq!(allowed, 1000);
        let refused = Exceeded {
            limit: 1000,
            reset_seconds: 30,
        };
        assert_eq!(take(&limits, 30_500), Err(refused));
    }

    #[test]
    fn apps_and_apis_have_their_own_budgets() {
        let limits = RateLimits::default();
        for _ in 0..50 {
            take(&limits, 0).expect("within the limit");
        }
        assert_eq!(limits.take("cli_b", "some.api", Tier::Four, 0), Ok(()));
        assert_eq!(limits.take("cli_a", "other.api", Tier::Four, 0), Ok(()));
    }
}
