//! Limits of callers. Windows are hours long, so that time passing on a real server does not matter.

use std::num::NonZeroU32;

use super::*;
use crate::quota::gcra::{self, State};

/// How many callers race.
const CALLERS: u32 = 100;
/// More than the time between two steps of a case, much less than any interval.
const MEANWHILE: Duration = Duration::from_secs(60);
/// The moment at which time stands still.
const NOW_US: u64 = 1_700_000_000_000_000;
const HOUR: Duration = Duration::from_secs(3_600);

/// `limit` units, one of which comes back per hour.
fn hourly(limit: u32) -> Quota {
    quota(limit, HOUR * limit)
}

fn quota(limit: u32, window: Duration) -> Quota {
    Quota::new(NonZeroU32::new(limit).unwrap(), window)
}

/// One unit that comes back after [`SHORT`].
fn quick() -> Quota {
    quota(1, SHORT)
}

pub(super) fn assert_about(length: Duration, expected: Duration) {
    assert!(
        length <= expected && length + MEANWHILE > expected,
        "{length:?}, not {expected:?}"
    );
}

pub async fn a_burst_is_admitted_and_then_nothing(cache: &Aged) {
    let key = cache.key("a");
    for remaining in (0..5).rev() {
        let decision = cache.throttle(&key, &[hourly(5)], 1).await;
        assert!(decision.is_allowed);
        assert_eq!(decision.retry_after, Duration::ZERO);
        assert_eq!(decision.remaining, remaining);
        assert_about(decision.reset_after, HOUR * (5 - remaining));
    }
    for _ in 0..2 {
        let decision = cache.throttle(&key, &[hourly(5)], 1).await;
        assert!(!decision.is_allowed);
        assert_about(decision.retry_after, HOUR);
        assert_about(decision.reset_after, HOUR * 5);
        assert_eq!((decision.remaining, decision.limit), (0, 5));
        assert_eq!(decision.window, HOUR * 5);
    }
}

pub async fn what_is_refused_is_admitted_after_its_wait(cache: &Aged) {
    let key = cache.key("a");
    let mut decision = cache.throttle(&key, &[quick()], 1).await;
    while decision.is_allowed {
        decision = cache.throttle(&key, &[quick()], 1).await;
    }
    assert!(decision.retry_after <= SHORT);
    (cache.let_time_pass)(decision.retry_after).await;
    assert!(cache.throttle(&key, &[quick()], 1).await.is_allowed);
}

pub async fn the_tightest_window_decides(cache: &Aged) {
    let (wide, narrow) = (hourly(10), quota(2, HOUR * 20));
    for (name, quotas) in [("a", [wide, narrow]), ("b", [narrow, wide])] {
        let key = cache.key(name);
        for remaining in [1, 0] {
            let decision = cache.throttle(&key, &quotas, 1).await;
            assert!(decision.is_allowed);
            assert_eq!((decision.remaining, decision.limit), (remaining, 2));
        }
        let decision = cache.throttle(&key, &quotas, 1).await;
        assert!(!decision.is_allowed);
        assert_eq!((decision.limit, decision.window), (2, HOUR * 20));
        assert_about(decision.retry_after, HOUR * 10);
    }
}

pub async fn what_is_refused_costs_nothing(cache: &Aged) {
    let key = cache.key("a");
    let (wide, narrow) = (hourly(10), quota(2, HOUR * 20));
    for call in 0..8 {
        let decision = cache.throttle(&key, &[wide, narrow], 1).await;
        assert_eq!(decision.is_allowed, call < 2);
    }
    assert_eq!(cache.throttle(&key, &[wide], 0).await.remaining, 8);
}

pub async fn a_cost_is_taken_as_a_whole(cache: &Aged) {
    let key = cache.key("a");
    assert_eq!(cache.throttle(&key, &[hourly(10)], 7).await.remaining, 3);
    let refused = cache.throttle(&key, &[hourly(10)], 5).await;
    assert!(!refused.is_allowed);
    assert_eq!(refused.remaining, 3);
    assert_about(refused.retry_after, HOUR * 2);
    assert!(cache.throttle(&key, &[hourly(10)], 3).await.is_allowed);
    let untouched = cache.key("b");
    for cost in [11, u32::MAX] {
        let refused = cache.throttle(&untouched, &[hourly(10)], cost).await;
        assert!(!refused.is_allowed, "more than a burst never fits");
    }
    assert!(
        cache
            .throttle(&untouched, &[hourly(10)], 10)
            .await
            .is_allowed
    );
}

pub async fn what_costs_nothing_takes_nothing(cache: &Aged) {
    let key = cache.key("a");
    assert_eq!(cache.throttle(&key, &[hourly(2)], 0).await.remaining, 2);
    assert_eq!(cache.get(&key).await, None);
    assert_eq!(cache.throttle(&key, &[hourly(2)], 2).await.remaining, 0);
    let decision = cache.throttle(&key, &[hourly(2)], 0).await;
    assert!(decision.is_allowed);
    assert_eq!(decision.remaining, 0);
}

pub async fn keys_do_not_share_a_quota(cache: &Aged) {
    for name in ["a", "b", "名前 {c}"] {
        let key = cache.key(name);
        assert!(cache.throttle(&key, &[hourly(1)], 1).await.is_allowed);
        assert!(!cache.throttle(&key, &[hourly(1)], 1).await.is_allowed);
    }
}

pub async fn many_callers_get_no_more_than_the_burst(cache: &Aged) {
    let key = &cache.key("a");
    let quotas = [
        hourly(50),
        hourly(40).with_burst(NonZeroU32::new(10).unwrap()),
    ];
    let calls = (0..CALLERS).map(|_| cache.throttle(key, &quotas, 1));
    let decisions = join_all(calls).await;
    let admitted = decisions.iter().filter(|decision| decision.is_allowed);
    assert_eq!(admitted.count(), 10);
}

pub async fn a_state_out_of_all_measure_counts_as_empty(cache: &Aged) {
    let (key, quota) = (cache.key("a"), hourly(1));
    // Another quota was in force here: a day per unit.
    let slow = quota_of_days(5);
    assert!(cache.throttle(&key, &[slow], 5).await.is_allowed);
    assert!(cache.throttle(&key, &[quota], 1).await.is_allowed);
    assert!(!cache.throttle(&key, &[quota], 1).await.is_allowed);
    let now_us = cache.cache.now_us().await.unwrap();
    let day_us = 24 * 3_600 * 1_000_000;
    for state in [now_us + 2 * day_us, 1 << 53, u64::MAX].map(|at| format!("{at} {at}")) {
        let key = cache.key(&state);
        cache.put(&key, state.as_bytes()).await;
        let allowed = cache.throttle(&key, &[quota], 1).await;
        assert!(allowed.is_allowed, "{state}");
    }
}

pub async fn a_state_a_little_out_of_measure_is_cut_off(cache: &Aged) {
    let (key, quota) = (cache.key("a"), hourly(1));
    let now_us = cache.cache.now_us().await.unwrap();
    let ahead_us = now_us + 3_630 * 1_000_000;
    cache.put(&key, ahead_us.to_string().as_bytes()).await;
    let refused = cache.throttle(&key, &[quota], 1).await;
    assert!(!refused.is_allowed);
    assert_about(refused.retry_after, HOUR);
    let kept = State::from_text(&cache.get(&key).await.unwrap());
    assert!(kept.ends_at_us() < ahead_us);
}

fn quota_of_days(limit: u32) -> Quota {
    quota(limit, HOUR * 24 * limit)
}

/// Time stands still for the core. What comes back on a real server meanwhile is less than a unit and changes no decision.
pub async fn it_decides_as_the_core_does(cache: &Aged) {
    let mut random = fastrand::Rng::with_seed(7);
    for round in 0..20 {
        let key = cache.key(&round.to_string());
        let quotas: Vec<Quota> = (0..random.u32(1..=4))
            .map(|_| {
                let burst = NonZeroU32::new(random.u32(1..30)).unwrap();
                quota(random.u32(1..100), HOUR * 100 * random.u32(1..50)).with_burst(burst)
            })
            .collect();
        let mut state = State::default();
        for _ in 0..20 {
            let cost = random.u32(0..4);
            let (expected, next) = gcra::decide(&state, &quotas, cost, NOW_US);
            state = next.unwrap_or(state);
            let decision = cache.throttle(&key, &quotas, cost).await;
            assert_about(decision.retry_after, expected.retry_after);
            assert_about(decision.reset_after, expected.reset_after);
            let exact = Decision {
                retry_after: expected.retry_after,
                reset_after: expected.reset_after,
                ..decision
            };
            assert_eq!(exact, expected, "{quotas:?}");
        }
    }
}

pub async fn an_entry_is_gone_once_all_has_come_back(cache: &Aged) {
    let key = cache.key("a");
    assert!(cache.throttle(&key, &[quick()], 1).await.is_allowed);
    cache.let_expire(&key).await;
}
