//! Who asks: an API key, and for how many more things that nobody knows it may ask.
//!
//! What no tier knows costs a call of the platform, and ids, addresses, names and tenants can be made up without end. So each API
//! key has a budget of calls that found nothing, for a minute and for a day: the platform's free plan counts the calls of a month.
//! It is looked at before such a call and charged after one that was in vain. What is cached is answered whatever is left of it.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::limiter::{LimitKey, Limiter};
use crate::quota::{Quota, gcra};

/// The label of the limit.
const SCOPE: &str = "not_found";
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// How many calls of each API key may find nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NotFoundLimits {
    /// In a minute.
    pub per_minute: NonZeroU32,
    /// In a day.
    pub per_day: NonZeroU32,
}

impl Default for NotFoundLimits {
    fn default() -> Self {
        let some = |number| NonZeroU32::new(number).expect("not zero");
        Self {
            per_minute: some(60),
            per_day: some(1_000),
        }
    }
}

/// An API key that asks. Cheap to clone; clones share everything.
#[derive(Clone, Debug)]
pub struct Asker(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limiter: Limiter,
    key: LimitKey,
    quotas: [Quota; 2],
}

impl Asker {
    /// The holder of the key `key_id`, counted by `limiter`.
    #[must_use]
    pub fn new(limiter: Limiter, key_id: &str, limits: NotFoundLimits) -> Self {
        Self(Arc::new(Inner {
            limiter,
            key: LimitKey::new(SCOPE, key_id),
            quotas: [
                Quota::new(limits.per_minute, MINUTE),
                Quota::new(limits.per_day, DAY),
            ],
        }))
    }

    /// Passes if they may ask the platform for something that no tier knows. It takes nothing: calls that find something are free.
    /// Those that are under way together can find nothing together, and are charged all the same.
    ///
    /// # Errors
    /// [`Error::NotFoundLimit`].
    pub async fn may_ask(&self) -> Result<()> {
        let Inner {
            limiter,
            key,
            quotas,
        } = &*self.0;
        let decision = limiter.admit(key, quotas, 0).await;
        if decision.is_allowed && decision.remaining > 0 {
            return Ok(());
        }
        let next = decision.window / decision.limit.max(1);
        Err(Error::NotFoundLimit {
            retry_after: next.max(decision.retry_after),
        })
    }

    /// Charges a call that found nothing.
    pub async fn found_nothing(&self) {
        let Inner {
            limiter,
            key,
            quotas,
        } = &*self.0;
        // Beyond the budget by as much as comes back in the longest patience, for calls that were under way together.
        limiter.reserve(key, quotas, 1, gcra::MAX_PATIENCE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock as _, ManualClock, Timestamp};

    const LIMITS: NotFoundLimits = NotFoundLimits {
        per_minute: NonZeroU32::new(3).expect("not zero"),
        per_day: NonZeroU32::new(5).expect("not zero"),
    };

    fn asker() -> (Arc<ManualClock>, Asker) {
        asker_with(LIMITS)
    }

    fn asker_with(limits: NotFoundLimits) -> (Arc<ManualClock>, Asker) {
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_800_000_000_000)));
        let limiter = Limiter::new(None, clock.clone()).with_share(NonZeroU32::MIN);
        (clock, Asker::new(limiter, "k", limits))
    }

    async fn refused_for(asker: &Asker) -> Option<u64> {
        match asker.may_ask().await {
            Ok(()) => None,
            Err(Error::NotFoundLimit { retry_after }) => Some(retry_after.as_secs()),
            Err(other) => panic!("{other}"),
        }
    }

    #[tokio::test]
    async fn only_calls_in_vain_are_charged() {
        let (_, asker) = asker();
        for _ in 0..100 {
            assert_eq!(refused_for(&asker).await, None);
        }
        for _ in 0..3 {
            assert_eq!(refused_for(&asker).await, None);
            asker.found_nothing().await;
        }
        assert_eq!(refused_for(&asker).await, Some(20));
    }

    #[tokio::test]
    async fn a_minute_gives_back_what_the_day_still_has() {
        let (clock, asker) = asker();
        let mut in_vain = 0;
        for _ in 0..60 {
            if refused_for(&asker).await.is_none() {
                asker.found_nothing().await;
                in_vain += 1;
            }
            clock.advance(Duration::from_secs(20));
        }
        assert_eq!(in_vain, 5);
        let day = refused_for(&asker).await;
        assert_eq!(day, Some(17_280), "{}", clock.now());
    }

    #[tokio::test]
    async fn calls_that_were_under_way_together_are_charged_together() {
        let (clock, asker) = asker_with(NotFoundLimits::default());
        for _ in 0..65 {
            asker.found_nothing().await;
        }
        clock.advance(Duration::from_secs(5));
        assert_eq!(refused_for(&asker).await, Some(1));
        clock.advance(Duration::from_secs(1));
        assert_eq!(refused_for(&asker).await, None);
    }
}
