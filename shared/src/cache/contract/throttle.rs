//! Limits, pauses and queues. Windows are hours long unless a case needs patience of seconds, so that time passing on a real
//! server does not matter.

use std::num::NonZeroU32;

use super::*;
use crate::quota::gcra::MAX_PATIENCE;
use crate::quota::gcra::{self, State};

/// How many callers race.
const CALLERS: u32 = 100;
/// More than the time between two steps of a case, much less than any interval.
const MEANWHILE: Duration = Duration::from_secs(60);
/// More than the time between two steps of a case whose windows are seconds long.
const PAUSE_OF_A_MACHINE: Duration = Duration::from_millis(900);
/// The moment at which time stands still.
const NOW_US: u64 = 1_700_000_000_000_000;
pub(super) const HOUR: Duration = Duration::from_secs(3_600);

/// `limit` units, one of which comes back per hour.
pub(super) fn hourly(limit: u32) -> Quota {
    quota(limit, HOUR * limit)
}

pub(super) fn quota(limit: u32, window: Duration) -> Quota {
    Quota::new(NonZeroU32::new(limit).unwrap(), window)
}

/// `burst` units, one of which comes back in two seconds.
pub(super) fn slow(burst: u32) -> Quota {
    let quota = quota(30, Duration::from_secs(60));
    quota.with_burst(NonZeroU32::new(burst).unwrap())
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

/// As [`assert_about`], for cases in which less time passes.
pub(super) fn assert_around(length: Duration, expected: Duration) {
    assert!(
        length <= expected && length + PAUSE_OF_A_MACHINE > expected,
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

pub async fn a_pause_refuses_everything(cache: &Aged) {
    let (paused, other) = (cache.key("a"), cache.key("b"));
    cache.pause(&paused, LONG).await;
    for cost in [0, 1] {
        let decision = cache.throttle(&paused, &[hourly(5)], cost).await;
        assert!(!decision.is_allowed);
        assert_about(decision.retry_after, LONG);
        assert_eq!((decision.remaining, decision.limit), (0, 5));
    }
    assert!(!cache.throttle(&paused, &[], 1).await.is_allowed);
    assert!(cache.throttle(&other, &[hourly(5)], 1).await.is_allowed);
}

pub async fn a_pause_ends_and_leaves_what_was_taken(cache: &Aged) {
    let key = cache.key("a");
    assert!(cache.throttle(&key, &[hourly(5)], 3).await.is_allowed);
    cache.pause(&key, SHORT).await;
    let refused = cache.throttle(&key, &[hourly(5)], 1).await;
    assert!(!refused.is_allowed);
    (cache.let_time_pass)(refused.retry_after).await;
    let decision = cache.throttle(&key, &[hourly(5)], 1).await;
    assert!(decision.is_allowed);
    assert_eq!(decision.remaining, 1);
}

pub async fn a_pause_is_made_longer_but_not_shorter(cache: &Aged) {
    let key = cache.key("a");
    for (length, left) in [
        (LONG, LONG),
        (SHORT, LONG),
        (HOUR, HOUR),
        (Duration::ZERO, HOUR),
        (Duration::MAX, gcra::MAX_PAUSE),
    ] {
        cache.pause(&key, length).await;
        let decision = cache.throttle(&key, &[hourly(5)], 1).await;
        assert_about(decision.retry_after, left);
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

pub async fn who_has_patience_is_given_a_place_in_the_queue(cache: &Aged) {
    let (key, quota) = (cache.key("a"), slow(2));
    for place in [0, 0, 1, 2, 3] {
        let decision = cache.throttle_for(&key, &[quota], 1, MAX_PATIENCE).await;
        assert!(decision.is_allowed);
        assert_around(decision.wait, quota.interval() * place);
        assert_eq!(decision.retry_after, Duration::ZERO);
    }
    // A request without patience is refused while places are assigned; one with too little learns when it would be enough.
    let refused = cache.throttle(&key, &[quota], 1).await;
    assert_eq!((refused.is_allowed, refused.wait), (false, Duration::ZERO));
    assert_around(refused.retry_after, quota.interval() * 4);
    let patience = quota.interval() * 3;
    let refused = cache.throttle_for(&key, &[quota], 1, patience).await;
    assert!(!refused.is_allowed);
    assert_around(refused.retry_after, quota.interval());
}

pub async fn many_callers_get_places_that_differ(cache: &Aged) {
    let (key, quota) = (&cache.key("a"), slow(1));
    let quotas = &[quota];
    let calls = (0..CALLERS).map(|_| cache.throttle_for(key, quotas, 1, MAX_PATIENCE));
    let decisions = join_all(calls).await;
    let allowed = decisions.iter().filter(|decision| decision.is_allowed);
    let mut waits: Vec<Duration> = allowed.map(|decision| decision.wait).collect();
    waits.sort_unstable();
    // One at once and one per interval; a busy machine may let one more interval pass meanwhile.
    assert!(matches!(waits.len(), 5..=7), "{waits:?}");
    for pair in waits.windows(2) {
        assert!(pair[1] - pair[0] + PAUSE_OF_A_MACHINE > quota.interval());
    }
}

pub async fn a_wait_counts_in_every_window(cache: &Aged) {
    // Two at once and one per two seconds; of the other window, one per second.
    let (narrow, wide) = (slow(2), quota(8, Duration::from_secs(8)));
    let key = cache.key("a");
    for _ in 0..4 {
        let decision = cache
            .throttle_for(&key, &[narrow, wide], 1, MAX_PATIENCE)
            .await;
        assert!(decision.is_allowed);
    }
    // The last two act after two and four seconds, so the wide window is whole only a second after that.
    let decision = cache.throttle(&key, &[narrow, wide], 0).await;
    assert_around(decision.reset_after, narrow.interval() * 4);
    let wide_alone = cache.throttle(&key, &[hourly(1), wide], 0).await;
    assert_eq!(wide_alone.limit, 1);
    let decision = cache.throttle(&key, &[quota(99, HOUR), wide], 0).await;
    assert_eq!(decision.limit, 8);
    assert_around(decision.reset_after, Duration::from_secs(5));
}

pub async fn who_waits_for_the_end_of_a_pause_is_given_a_place_after_it(cache: &Aged) {
    let (key, quota, pause) = (cache.key("a"), slow(1), Duration::from_secs(3));
    cache.pause(&key, pause).await;
    for place in 0..3 {
        let decision = cache.throttle_for(&key, &[quota], 1, MAX_PATIENCE).await;
        assert!(decision.is_allowed);
        assert_eq!(decision.remaining, 0);
        assert_around(decision.wait, pause + quota.interval() * place);
    }
    // They did not cancel the pause.
    let free = cache.throttle(&key, &[], 0).await;
    assert!(!free.is_allowed);
    assert_around(free.retry_after, pause);
    cache.pause(&key, HOUR).await;
    let refused = cache.throttle_for(&key, &[quota], 1, Duration::MAX).await;
    assert!(!refused.is_allowed);
    assert_about(refused.retry_after, HOUR - MAX_PATIENCE);
}

pub async fn a_state_out_of_all_measure_counts_as_empty(cache: &Aged) {
    let (key, quota) = (cache.key("a"), slow(1));
    // Another quota was in force here: an hour per unit.
    assert!(cache.throttle(&key, &[hourly(5)], 5).await.is_allowed);
    assert!(cache.throttle(&key, &[quota], 1).await.is_allowed);
    assert!(!cache.throttle(&key, &[quota], 1).await.is_allowed);
    // Nobody pauses for longer than a day.
    let now_us = cache.cache.now_us().await.unwrap();
    let day_us = 24 * 3_600 * 1_000_000;
    for state in [now_us + 2 * day_us, 1 << 53, u64::MAX].map(|at| format!("{at} {at}")) {
        let key = cache.key(&state);
        cache.put(&key, state.as_bytes()).await;
        let allowed = cache.throttle(&key, &[quota], 1).await;
        assert!(allowed.is_allowed, "{state}");
        cache.put(&key, state.as_bytes()).await;
        cache.pause(&key, LONG).await;
        let paused = cache.throttle(&key, &[quota], 0).await;
        assert_about(paused.retry_after, LONG);
    }
}

pub async fn a_state_a_little_out_of_measure_is_cut_off(cache: &Aged) {
    let (key, quota) = (cache.key("a"), slow(1));
    let now_us = cache.cache.now_us().await.unwrap();
    let ahead_us = now_us + 30 * 1_000_000;
    cache.put(&key, format!("0 {ahead_us}").as_bytes()).await;
    let refused = cache.throttle(&key, &[quota], 1).await;
    assert!(!refused.is_allowed);
    assert_around(refused.retry_after, MAX_PATIENCE + quota.interval());
    let kept = State::from_text(&cache.get(&key).await.unwrap());
    let others = cache.key("b");
    assert!(cache.throttle(&others, &[quota], 1).await.is_allowed);
    let fresh = State::from_text(&cache.get(&others).await.unwrap());
    let ahead = Duration::from_micros(kept.ends_at_us() - fresh.ends_at_us());
    assert_around(ahead, MAX_PATIENCE);
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
            let (expected, next) = gcra::decide(&state, &quotas, cost, Duration::ZERO, NOW_US);
            state = next.unwrap_or(state);
            let decision = cache.throttle(&key, &quotas, cost).await;
            assert_about(decision.retry_after, expected.retry_after);
            assert_about(decision.reset_after, expected.reset_after);
            let exact = Decision {
                retry_after: expected.retry_after,
                reset_after: expected.reset_after,
                place_us: expected.place_us,
                ..decision
            };
            assert_eq!(exact, expected, "{quotas:?}");
            assert_eq!(decision.place_us > 0, expected.place_us > 0);
        }
    }
}

/// As [`it_decides_as_the_core_does`], with patience. Which of several equally tight windows a decision reports is
/// unspecified.
pub async fn it_queues_as_the_core_does(cache: &Aged) {
    let mut random = fastrand::Rng::with_seed(7);
    for round in 0..20 {
        let key = cache.key(&round.to_string());
        let windows = 0..random.u32(1..=4);
        let quotas: Vec<Quota> = windows.map(|_| slow(random.u32(1..4))).collect();
        let mut state = State::default();
        for _ in 0..20 {
            let cost = random.u32(0..4);
            // Waits are multiples of two seconds, so the time that passes decides nothing.
            let patience = Duration::from_secs(u64::from(random.u32(0..5) * 2 + 1));
            let (expected, next) = gcra::decide(&state, &quotas, cost, patience, NOW_US);
            state = next.unwrap_or(state);
            let decision = cache.throttle_for(&key, &quotas, cost, patience).await;
            assert_eq!(decision.is_allowed, expected.is_allowed, "{quotas:?}");
            assert_around(decision.wait, expected.wait);
            assert_around(decision.retry_after, expected.retry_after);
            if decision.is_allowed {
                assert_eq!(decision.remaining, expected.remaining, "{quotas:?}");
            }
        }
    }
}

pub async fn an_entry_is_gone_once_all_has_come_back(cache: &Aged) {
    let (taken, paused) = (cache.key("a"), cache.key("b"));
    assert!(cache.throttle(&taken, &[quick()], 1).await.is_allowed);
    cache.pause(&paused, SHORT).await;
    cache.let_expire(&taken).await;
    cache.let_expire(&paused).await;
}
