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
use crate::quota::Quota;

/// The labels of the limits: of what does not exist, and of searches.
const NOT_FOUND: [&str; 2] = ["not_found", "not_found_day"];
const SEARCHES: [&str; 2] = ["searches", "searches_day"];
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3_600);
/// How many times its budget a key can be in debt: calls that are under way together are all charged, and paid off before the next.
const DEBT: u32 = 100;

/// How many calls of each API key may find nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NotFoundLimits {
    /// In a minute.
    pub per_minute: NonZeroU32,
    /// In a day.
    pub per_day: NonZeroU32,
}

impl NotFoundLimits {
    /// The most of either: with its debts, a limit must stay a number that the limiter counts.
    pub const MOST: NonZeroU32 = NonZeroU32::new(1_000_000).expect("not zero");
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
    key_id: String,
    limits: NotFoundLimits,
}

/// What a call is charged to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Budget {
    /// What does not exist, or is refused.
    NotFound,
    /// Searches, whatever they find: every name finds something. They have a budget of their own, so that they use up nothing else.
    Searches,
}

impl Asker {
    /// The holder of the key `key_id`, counted by `limiter`.
    #[must_use]
    pub fn new(limiter: Limiter, key_id: &str, limits: NotFoundLimits) -> Self {
        Self(Arc::new(Inner {
            limiter,
            key_id: key_id.to_owned(),
            limits,
        }))
    }

    /// The id of the key.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.0.key_id
    }

    /// Passes if they may have the platform asked. It takes nothing: calls that find something are free.
    ///
    /// # Errors
    /// [`Error::NotFoundLimit`].
    pub async fn may_ask(&self, budget: Budget) -> Result<()> {
        let [minute, day] = self.windows(budget);
        let (minute, day) = tokio::join!(self.debt(&minute), self.debt(&day));
        let retry_after = minute.max(day);
        if retry_after.is_zero() {
            return Ok(());
        }
        Err(Error::NotFoundLimit { retry_after })
    }

    /// Charges a call.
    pub async fn charge(&self, budget: Budget) {
        let [(minute, per_minute), (day, per_day)] = self.windows(budget);
        let limiter = &self.0.limiter;
        let (per_minute, per_day) = ([per_minute], [per_day]);
        tokio::join!(
            limiter.admit(&minute, &per_minute, 1),
            limiter.admit(&day, &per_day, 1)
        );
    }

    /// The windows of `budget`. Each can take more than its budget, which is the debt.
    fn windows(&self, budget: Budget) -> [(LimitKey, Quota); 2] {
        let Inner { key_id, limits, .. } = &*self.0;
        let [minute, day] = match budget {
            Budget::NotFound => NOT_FOUND,
            Budget::Searches => SEARCHES,
        };
        [
            (minute, limits.per_minute, MINUTE),
            (day, limits.per_day, DAY),
        ]
        .map(|(label, limit, window)| {
            let burst = limit.saturating_mul(NonZeroU32::MIN.saturating_add(DEBT));
            let quota = Quota::new(limit, window).with_burst(burst);
            (LimitKey::new(label, key_id), quota)
        })
    }

    /// How long it takes until something of the budget is left again; zero if something is.
    async fn debt(&self, (key, quota): &(LimitKey, Quota)) -> Duration {
        let decision = self.0.limiter.admit(key, &[*quota], 0).await;
        // Without the shared cache a process has a part of each.
        let debt = decision.limit.saturating_mul(DEBT);
        let missing = (debt + 1).saturating_sub(decision.remaining);
        let one = decision.window / decision.limit.max(1);
        decision.retry_after.max(one.saturating_mul(missing))
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
        match asker.may_ask(Budget::NotFound).await {
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
            asker.charge(Budget::NotFound).await;
        }
        assert_eq!(refused_for(&asker).await, Some(20));
    }

    #[tokio::test]
    async fn searches_use_up_nothing_else() {
        let (_, asker) = asker();
        for _ in 0..3 {
            asker.charge(Budget::Searches).await;
        }
        assert!(asker.may_ask(Budget::Searches).await.is_err());
        assert_eq!(refused_for(&asker).await, None);
    }

    #[tokio::test]
    async fn without_the_shared_cache_a_process_has_a_part_of_it() {
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_800_000_000_000)));
        let asker = Asker::new(Limiter::new(None, clock), "k", NotFoundLimits::default());
        let mut in_vain = 0;
        while refused_for(&asker).await.is_none() {
            asker.charge(Budget::NotFound).await;
            in_vain += 1;
        }
        assert_eq!(in_vain, 15);
    }

    #[tokio::test]
    async fn a_minute_gives_back_what_the_day_still_has() {
        let (clock, asker) = asker();
        let mut in_vain = 0;
        for _ in 0..60 {
            if refused_for(&asker).await.is_none() {
                asker.charge(Budget::NotFound).await;
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
        for _ in 0..260 {
            asker.charge(Budget::NotFound).await;
        }
        // 200 more than the budget: what they cost is not forgotten.
        assert_eq!(refused_for(&asker).await, Some(201));
        clock.advance(Duration::from_secs(200));
        assert_eq!(refused_for(&asker).await, Some(1));
        clock.advance(Duration::from_secs(1));
        assert_eq!(refused_for(&asker).await, None);
    }
}
