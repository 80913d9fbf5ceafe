//! Places of calls. Windows are so long that time passing on a real server decides nothing, unless a case waits for it.

use std::num::NonZeroU32;

use super::*;
use crate::quota::sliding_log::{self, MAX_PATIENCE, MAX_PAUSE, State};

/// How many callers race.
const CALLERS: u32 = 100;
/// More than the time between two steps of a case, on a busy machine.
const PAUSE_OF_A_MACHINE: Duration = Duration::from_millis(900);
/// The moment at which time stands still.
const NOW_US: u64 = 1_700_000_000_000_000;
/// The length of a window whose next places come within the longest patience.
const WINDOW: Duration = Duration::from_secs(4);
const HOUR: Duration = Duration::from_secs(3_600);

fn window(limit: u32, length: Duration) -> Window {
    Window::new(NonZeroU32::new(limit).unwrap(), length)
}

fn assert_around(length: Duration, expected: Duration) {
    assert!(
        length <= expected && length + PAUSE_OF_A_MACHINE > expected,
        "{length:?}, not {expected:?}"
    );
}

async fn wait(cache: &Aged, key: &str, windows: &[Window]) -> Duration {
    let reservation = cache.reserve(key, windows, MAX_PATIENCE).await;
    assert!(reservation.is_allowed, "{reservation:?}");
    assert_eq!(reservation.retry_after, Duration::ZERO);
    reservation.wait
}

pub async fn all_of_a_window_go_at_once_and_the_next_wait(cache: &Aged) {
    let (key, windows) = (cache.key("a"), [window(3, WINDOW)]);
    for round in [0, 0, 0, 1, 1, 1, 2, 2, 2] {
        assert_around(wait(cache, &key, &windows).await, WINDOW * round);
    }
    let refused = cache.reserve(&key, &windows, MAX_PATIENCE).await;
    assert_eq!((refused.is_allowed, refused.wait), (false, Duration::ZERO));
    assert_around(refused.retry_after, WINDOW * 3 - MAX_PATIENCE);
    assert_eq!((refused.limit, refused.window), (3, WINDOW));
}

pub async fn who_has_no_patience_is_refused_with_the_wait(cache: &Aged) {
    let (key, windows) = (cache.key("a"), [window(1, SHORT)]);
    assert!(
        cache
            .reserve(&key, &windows, Duration::ZERO)
            .await
            .is_allowed
    );
    let mut reservation = cache.reserve(&key, &windows, Duration::ZERO).await;
    while !reservation.is_allowed {
        assert!(reservation.retry_after <= SHORT);
        (cache.let_time_pass)(reservation.retry_after).await;
        reservation = cache.reserve(&key, &windows, Duration::ZERO).await;
    }
    assert_eq!(reservation.wait, Duration::ZERO);
}

pub async fn many_callers_get_places_that_differ(cache: &Aged) {
    let (key, windows) = (&cache.key("a"), &[window(20, WINDOW)]);
    let calls = (0..CALLERS).map(|_| cache.reserve(key, windows, MAX_PATIENCE));
    let reservations = join_all(calls).await;
    let allowed = reservations.iter().filter(|it| it.is_allowed);
    let mut places: Vec<_> = allowed
        .map(|it| (it.place.number, it.place.at_us))
        .collect();
    places.sort_unstable();
    assert_eq!(places.len(), 60);
    for (number, (place, _)) in (0_u64..).zip(&places) {
        assert_eq!(*place, number);
    }
    for apart in places.windows(21) {
        assert!(apart[20].1 - apart[0].1 >= 4_000_000);
    }
}

pub async fn every_window_is_kept(cache: &Aged) {
    let windows = [window(2, WINDOW), window(5, HOUR)];
    for (name, windows) in [("a", windows), ("b", [windows[1], windows[0]])] {
        let key = cache.key(name);
        for round in [0, 0, 1, 1, 2] {
            assert_around(wait(cache, &key, &windows).await, WINDOW * round);
        }
        let refused = cache.reserve(&key, &windows, MAX_PATIENCE).await;
        assert_eq!((refused.is_allowed, refused.limit), (false, 5));
        assert_around(refused.retry_after, HOUR - MAX_PATIENCE);
    }
}

pub async fn who_is_refused_later_is_told_to_come_later(cache: &Aged) {
    let (key, windows) = (cache.key("a"), [window(2, WINDOW * 5)]);
    for _ in 0..2 {
        wait(cache, &key, &windows).await;
    }
    for round in [1, 1, 2, 2, 3] {
        let refused = cache.reserve(&key, &windows, Duration::ZERO).await;
        assert!(!refused.is_allowed);
        assert_around(refused.retry_after, WINDOW * 5 * round);
    }
}

pub async fn keys_have_places_of_their_own(cache: &Aged) {
    for name in ["a", "b", "名前 {c}"] {
        let (key, windows) = (cache.key(name), [window(1, HOUR)]);
        assert_eq!(wait(cache, &key, &windows).await, Duration::ZERO);
        assert!(!cache.reserve(&key, &windows, MAX_PATIENCE).await.is_allowed);
    }
}

pub async fn a_pause_delays_or_refuses_everything(cache: &Aged) {
    let (paused, other, windows) = (cache.key("a"), cache.key("b"), [window(2, WINDOW)]);
    let pause = Duration::from_secs(5);
    cache.pause(&paused, pause).await;
    for round in [0, 0, 1] {
        let expected = pause + WINDOW * round;
        assert_around(wait(cache, &paused, &windows).await, expected);
    }
    let refused = cache.reserve(&paused, &[], Duration::ZERO).await;
    assert!(!refused.is_allowed);
    assert_eq!(wait(cache, &other, &windows).await, Duration::ZERO);
    cache.pause(&other, LONG).await;
    let refused = cache.reserve(&other, &windows, Duration::MAX).await;
    assert!(!refused.is_allowed);
    assert_around(refused.retry_after, MAX_PAUSE - MAX_PATIENCE);
}

pub async fn a_pause_ends(cache: &Aged) {
    let (key, windows) = (cache.key("a"), [window(1, HOUR)]);
    cache.pause(&key, SHORT).await;
    let refused = cache.reserve(&key, &windows, Duration::ZERO).await;
    assert!(!refused.is_allowed);
    (cache.let_time_pass)(refused.retry_after).await;
    assert_eq!(wait(cache, &key, &windows).await, Duration::ZERO);
    cache.let_short_pass().await;
    let alone = cache.key("b");
    cache.pause(&alone, SHORT).await;
    cache.let_expire(&alone).await;
}

pub async fn a_pause_is_made_longer_but_not_shorter(cache: &Aged) {
    let (key, minute) = (cache.key("a"), Duration::from_secs(60));
    for (length, left) in [
        (minute, minute),
        (SHORT, minute),
        (minute * 3 / 2, minute * 3 / 2),
        (Duration::ZERO, minute * 3 / 2),
        (Duration::MAX, MAX_PAUSE),
    ] {
        cache.pause(&key, length).await;
        let refused = cache.reserve(&key, &[], Duration::ZERO).await;
        assert_around(refused.retry_after, left);
    }
}

pub async fn a_pause_leaves_places_where_they_are(cache: &Aged) {
    let (key, windows) = (cache.key("a"), [window(1, HOUR)]);
    wait(cache, &key, &windows).await;
    cache.pause(&key, SHORT).await;
    cache.let_short_pass().await;
    let refused = cache.reserve(&key, &windows, MAX_PATIENCE).await;
    assert!(!refused.is_allowed);
}

pub async fn the_last_place_is_given_back(cache: &Aged) {
    let (key, windows) = (cache.key("a"), [window(2, WINDOW), window(5, HOUR)]);
    for _ in 0..3 {
        wait(cache, &key, &windows).await;
    }
    for _ in 0..9 {
        let last = cache.reserve(&key, &windows, MAX_PATIENCE).await;
        assert!(last.is_allowed);
        assert_around(last.wait, WINDOW);
        assert!(cache.give_back(&key, &windows, last.place).await);
    }
}

pub async fn places_are_given_back_in_the_order_of_leaving(cache: &Aged) {
    let (key, windows) = (cache.key("a"), [window(5, HOUR)]);
    let mut places = Vec::new();
    for _ in 0..5 {
        let reservation = cache.reserve(&key, &windows, Duration::ZERO).await;
        places.push(reservation.place);
    }
    assert!(!cache.reserve(&key, &windows, MAX_PATIENCE).await.is_allowed);
    assert!(!cache.give_back(&key, &windows, places[3]).await);
    for place in places.iter().rev() {
        assert!(cache.give_back(&key, &windows, *place).await);
    }
    for _ in 0..5 {
        assert!(
            cache
                .reserve(&key, &windows, Duration::ZERO)
                .await
                .is_allowed
        );
    }
    assert!(!cache.reserve(&key, &windows, MAX_PATIENCE).await.is_allowed);
}

pub async fn a_place_is_kept_once_somebody_came_after_it(cache: &Aged) {
    let (key, windows) = (cache.key("a"), [window(1, WINDOW)]);
    let first = cache.reserve(&key, &windows, MAX_PATIENCE).await;
    let second = cache.reserve(&key, &windows, MAX_PATIENCE).await;
    assert!(!cache.give_back(&key, &windows, first.place).await);
    assert_around(wait(cache, &key, &windows).await, WINDOW * 2);
    assert!(!cache.give_back(&key, &windows, second.place).await);
}

pub async fn a_place_is_given_back_once(cache: &Aged) {
    let (key, other, windows) = (cache.key("a"), cache.key("b"), [window(2, HOUR)]);
    wait(cache, &key, &windows).await;
    let reservation = cache.reserve(&key, &windows, MAX_PATIENCE).await;
    assert!(!cache.give_back(&other, &windows, reservation.place).await);
    assert!(cache.give_back(&key, &windows, reservation.place).await);
    assert!(!cache.give_back(&key, &windows, reservation.place).await);
    assert!(!cache.give_back(&key, &windows, Place::default()).await);
    wait(cache, &key, &windows).await;
    let refused = cache.reserve(&key, &windows, MAX_PATIENCE).await;
    assert_eq!(
        (refused.is_allowed, refused.place),
        (false, Place::default())
    );
}

pub async fn giving_a_place_back_leaves_a_pause(cache: &Aged) {
    let (key, windows) = (cache.key("a"), [window(5, HOUR)]);
    let reservation = cache.reserve(&key, &windows, MAX_PATIENCE).await;
    cache.pause(&key, MAX_PAUSE).await;
    assert!(cache.give_back(&key, &windows, reservation.place).await);
    let refused = cache.reserve(&key, &windows, Duration::ZERO).await;
    assert!(!refused.is_allowed);
    assert_around(refused.retry_after, MAX_PAUSE);
}

pub async fn a_state_that_cannot_have_come_about_counts_for_nothing(cache: &Aged) {
    let now_us = cache.cache.now_us().await.unwrap();
    let (key, windows) = (cache.key("a"), [window(1, WINDOW), window(2, HOUR)]);
    for ahead in [now_us + 200_000_000, 1 << 53, u64::MAX] {
        for numbers in [5, 6, 90] {
            let state = ahead.to_le_bytes().repeat(numbers);
            cache.put(&key, &state).await;
            assert_eq!(wait(cache, &key, &windows).await, Duration::ZERO);
            assert_around(wait(cache, &key, &windows).await, WINDOW);
            cache.put(&key, &state).await;
            cache.pause(&key, MAX_PAUSE).await;
            let refused = cache.reserve(&key, &windows, Duration::ZERO).await;
            assert_around(refused.retry_after, MAX_PAUSE);
        }
    }
    for text in [
        "",
        "0 1700000000000000",
        "not a state",
        "0123456789012345678901234567890123456789",
    ] {
        let key = cache.key(text);
        cache.put(&key, text.as_bytes()).await;
        assert_eq!(wait(cache, &key, &windows).await, Duration::ZERO);
    }
}

/// Time stands still for the core. Waits are multiples of four seconds, so the time that passes meanwhile decides nothing. Which of
/// several equally tight windows is told is unspecified.
pub async fn it_queues_as_the_core_does(cache: &Aged) {
    let mut random = fastrand::Rng::with_seed(7);
    for round in 0..20 {
        let key = cache.key(&round.to_string());
        let windows = 0..random.u32(1..=3);
        let windows: Vec<Window> = windows
            .map(|_| window(random.u32(1..9), WINDOW * random.u32(1..4)))
            .collect();
        let mut state = State::default();
        for _ in 0..40 {
            let patience = WINDOW * random.u32(0..3) + Duration::from_secs(2);
            let (expected, next) = sliding_log::decide(state, &windows, patience, NOW_US);
            let reservation = cache.reserve(&key, &windows, patience).await;
            assert_eq!(reservation.is_allowed, expected.is_allowed, "{windows:?}");
            assert_around(reservation.wait, expected.wait);
            assert_around(reservation.retry_after, expected.retry_after);
            assert_eq!(reservation.place.number, expected.place.number);
            state = next;
            if random.u32(0..4) == 0 {
                let given = sliding_log::give_back(state.clone(), &windows, expected.place);
                let is_given = cache.give_back(&key, &windows, reservation.place).await;
                assert_eq!(is_given, given.is_some());
                state = given.unwrap_or(state);
            }
        }
    }
}

/// Whatever the cache keeps, the core keeps from the same moments. The groups of a large limit too.
pub async fn it_keeps_the_bytes_of_the_core(cache: &Aged) {
    for windows in [
        vec![window(3, WINDOW), window(40, HOUR)],
        vec![window(3_000, HOUR)],
    ] {
        let key = cache.key(&format!("{windows:?}"));
        let mut state = State::default();
        for _ in 0..30 {
            let reservation = cache.reserve(&key, &windows, Duration::MAX).await;
            if !reservation.is_allowed {
                break;
            }
            let at_us = reservation.place.at_us;
            let asked_us = at_us - u64::try_from(reservation.wait.as_micros()).unwrap();
            let (expected, next) = sliding_log::decide(state, &windows, Duration::MAX, asked_us);
            assert_eq!(expected, reservation);
            state = next;
            let kept = cache.get(&key).await.unwrap();
            assert_eq!(kept, state.as_bytes());
        }
    }
}

pub async fn an_entry_of_places_is_gone_with_the_last(cache: &Aged) {
    let (key, windows) = (cache.key("a"), [window(1, SHORT)]);
    assert_eq!(wait(cache, &key, &windows).await, Duration::ZERO);
    cache.let_expire(&key).await;
}
