//! The promises of the decision, against a model that keeps units in buckets instead of moments.

use std::num::NonZeroU32;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const NOW_US: u64 = 1_700_000_000_000_000;

fn some(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap()
}

/// A bucket per window that fills steadily, counted in microseconds of filling.
struct Buckets {
    quotas: Vec<Quota>,
    levels_us: Vec<u64>,
    at_us: u64,
}

impl Buckets {
    fn full(quotas: &[Quota], at_us: u64) -> Self {
        Self {
            quotas: quotas.to_vec(),
            levels_us: quotas.iter().map(Quota::full_us).collect(),
            at_us,
        }
    }

    fn wait_until(&mut self, at_us: u64) {
        let passed_us = at_us - self.at_us;
        self.at_us = at_us;
        for (quota, level_us) in self.quotas.iter().zip(&mut self.levels_us) {
            *level_us = (*level_us + passed_us).min(quota.full_us());
        }
    }

    /// How long the window with the largest shortage takes to have enough.
    fn missing_us(&self, cost: u32) -> u64 {
        let windows = self.quotas.iter().zip(&self.levels_us);
        let missing = windows.map(|(quota, level)| quota.cost_us(cost).saturating_sub(*level));
        missing.max().unwrap_or(0)
    }

    /// What is left of the window that `decision` reports, if there is one.
    fn speaks_of(&self, decision: &Decision) -> Option<u32> {
        let mut windows = self.quotas.iter().zip(&self.levels_us);
        windows
            .find(|(quota, level_us)| {
                let reset_after = Duration::from_micros(quota.full_us() - **level_us);
                (decision.limit, decision.window, decision.reset_after)
                    == (quota.limit(), quota.window(), reset_after)
            })
            .map(units)
    }

    fn take(&mut self, cost: u32) -> bool {
        let is_enough = self.missing_us(cost) == 0;
        if is_enough {
            for (quota, level_us) in self.quotas.iter().zip(&mut self.levels_us) {
                *level_us -= quota.cost_us(cost);
            }
        }
        is_enough
    }
}

/// How many whole units a bucket holds.
fn units((quota, level_us): (&Quota, &u64)) -> u32 {
    u32::try_from(level_us / micros(quota.interval())).unwrap()
}

fn quota() -> impl Strategy<Value = Quota> {
    let shapes = (
        1_u32..200,
        1_u64..5_000_000,
        proptest::option::of(1_u32..300),
    );
    shapes.prop_map(|(limit, window_us, burst)| {
        let quota = Quota::new(some(limit), Duration::from_micros(window_us));
        burst.map_or(quota, |burst| quota.with_burst(some(burst)))
    })
}

/// Pauses between requests, many of them none, and costs.
fn requests() -> impl Strategy<Value = Vec<(u64, u32)>> {
    let gap_us = prop_oneof![Just(0), 0_u64..200, 0_u64..200_000, 0_u64..6_000_000];
    vec(
        (gap_us, prop_oneof![4 => Just(1_u32), 1 => 0_u32..20]),
        1..200,
    )
}

/// Moment and cost of each admitted request.
fn admitted(quotas: &[Quota], requests: &[(u64, u32)]) -> Vec<(u64, u32)> {
    let (mut state, mut now_us, mut admitted) = (State::default(), NOW_US, Vec::new());
    for (gap_us, cost) in requests {
        now_us += gap_us;
        let (decision, next) = decide(&state, quotas, *cost, now_us);
        if decision.is_allowed {
            admitted.push((now_us, *cost));
        }
        state = next.unwrap_or(state);
    }
    admitted
}

proptest! {
    #[test]
    fn it_decides_as_buckets_that_fill_steadily(quotas in vec(quota(), 1..=4), requests in requests()) {
        let (mut state, mut buckets, mut now_us) = (State::default(), Buckets::full(&quotas, NOW_US), NOW_US);
        for (gap_us, cost) in requests {
            now_us += gap_us;
            buckets.wait_until(now_us);
            let missing_us = buckets.missing_us(cost);
            let (decision, next) = decide(&state, &quotas, cost, now_us);
            prop_assert_eq!(decision.is_allowed, buckets.take(cost));
            prop_assert_eq!(decision.retry_after, Duration::from_micros(missing_us));
            prop_assert_eq!(Some(decision.remaining), buckets.speaks_of(&decision));
            if decision.is_allowed {
                let least = quotas.iter().zip(&buckets.levels_us).map(units).min();
                prop_assert_eq!(Some(decision.remaining), least);
            }
            prop_assert_eq!(next.is_some(), decision.is_allowed && cost > 0);
            state = next.unwrap_or(state);
        }
    }

    #[test]
    fn no_interval_admits_more_than_the_burst_and_what_comes_back_in_it(quotas in vec(quota(), 1..=4), requests in requests()) {
        let admitted = admitted(&quotas, &requests);
        for (first, (from_us, _)) in admitted.iter().enumerate() {
            let mut sum = 0;
            for (until_us, cost) in &admitted[first..] {
                sum += u64::from(*cost);
                for quota in &quotas {
                    let most = u64::from(quota.burst()) + (until_us - from_us) / micros(quota.interval());
                    prop_assert!(sum <= most, "{sum} in {} µs of {quota:?}", until_us - from_us);
                }
            }
        }
    }

    #[test]
    fn what_is_refused_is_admitted_after_its_wait_and_not_a_microsecond_before(
        quotas in vec(quota(), 1..=4), requests in requests(), cost in 1_u32..20,
    ) {
        let cost = quotas.iter().fold(cost, |cost, quota| cost.min(quota.burst()));
        let (mut state, mut now_us) = (State::default(), NOW_US);
        for (gap_us, cost) in requests {
            now_us += gap_us;
            state = decide(&state, &quotas, cost, now_us).1.unwrap_or(state);
        }
        let (refused, _) = decide(&state, &quotas, cost, now_us);
        let then_us = now_us + micros(refused.retry_after);
        prop_assert!(decide(&state, &quotas, cost, then_us).0.is_allowed);
        if !refused.is_allowed {
            prop_assert!(!decide(&state, &quotas, cost, then_us - 1).0.is_allowed);
        }
    }

    #[test]
    fn a_state_is_as_good_as_none_once_it_ends(
        quotas in vec(quota(), 1..=4), requests in requests(), cost in 0_u32..20,
    ) {
        let (mut state, mut now_us) = (State::default(), NOW_US);
        for (gap_us, cost) in requests {
            now_us += gap_us;
            state = decide(&state, &quotas, cost, now_us).1.unwrap_or(state);
        }
        let then_us = now_us.max(state.ends_at_us());
        prop_assert_eq!(decide(&state, &quotas, cost, then_us), decide(&State::default(), &quotas, cost, then_us));
    }

    #[test]
    fn a_state_comes_back_from_its_text(full_at_us in vec(0_u64.., 0..5)) {
        let state = State { full_at_us };
        prop_assert_eq!(State::from_text(state.to_text().as_bytes()), state);
    }

    #[test]
    fn any_other_text_is_no_state(text in vec(any::<u8>(), 0..30)) {
        let _ = State::from_text(&text);
    }
}

#[test]
fn a_clock_that_goes_back_refuses_for_no_longer_than_the_burst_takes() {
    let quota = [Quota::new(some(5), Duration::from_secs(5))];
    let (_, taken) = decide(&State::default(), &quota, 1, NOW_US);
    let now_us = NOW_US - 50_000_000;
    let (refused, kept) = decide(&taken.unwrap(), &quota, 1, now_us);
    let retry_after = Duration::from_secs(1);
    assert_eq!(
        (refused.is_allowed, refused.retry_after),
        (false, retry_after)
    );
    assert_eq!(refused.reset_after, Duration::from_secs(5));
    // What was cut off does not come back with the next decision.
    let (allowed, _) = decide(&kept.unwrap(), &quota, 1, now_us + micros(retry_after));
    assert!(allowed.is_allowed);
}

#[test]
fn a_state_that_cannot_have_come_about_counts_as_empty() {
    let quota = [Quota::new(some(5), Duration::from_secs(5))];
    let far_us = NOW_US + micros(TOLERANCE) + 5_000_001;
    for text in [far_us.to_string(), u64::MAX.to_string()] {
        let state = State::from_text(text.as_bytes());
        let (allowed, next) = decide(&state, &quota, 1, NOW_US);
        assert_eq!((allowed.is_allowed, allowed.remaining), (true, 4), "{text}");
        assert_eq!(next.unwrap().ends_at_us(), NOW_US + 1_000_000, "{text}");
    }
}

#[test]
fn without_quotas_nothing_is_refused() {
    let (allowed, next) = decide(&State::default(), &[], 9, NOW_US);
    assert!(allowed.is_allowed && next.is_none());
}

#[test]
fn more_than_a_burst_never_fits() {
    let quota = [Quota::new(some(5), Duration::from_secs(5))];
    let (refused, next) = decide(&State::default(), &quota, 6, NOW_US);
    assert_eq!((refused.is_allowed, next), (false, None));
    assert!(refused.retry_after > Duration::ZERO);
}
