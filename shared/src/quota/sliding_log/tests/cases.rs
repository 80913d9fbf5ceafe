//! The log by example.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn four_hundred_at_once_after_a_silence_all_get_places_at_the_full_rate() {
    let windows = standard();
    let mut key = Key::new(&windows);
    let waits: Vec<Duration> = (0..400).map(|_| key.ask(10_000_000).wait).collect();
    for (call, wait) in (0_u32..).zip(&waits) {
        assert_eq!(*wait, SECOND * (call / 50));
    }
}

#[test]
fn under_more_than_the_limit_all_of_it_is_used() {
    let windows = standard();
    let mut key = Key::new(&windows);
    for _ in 0..5 * 60 * 100 {
        let reservation = key.ask(5_000_000);
        if reservation.is_allowed {
            key.acts.push(key.now_us + micros(reservation.wait));
        }
        key.now_us += 10_000;
    }
    assert_within(&windows, &key.acts);
    // The fifth minute's last calls wait beyond it.
    let in_time = key
        .acts
        .partition_point(|at_us| *at_us < NOW_US + 5 * 60_000_000);
    assert_eq!(in_time, 5_000);
}

#[test]
fn a_refusal_tells_the_window_and_the_wait() {
    let windows = standard();
    let mut key = Key::new(&windows);
    for _ in 0..550 {
        assert!(key.ask(10_000_000).is_allowed);
    }
    // The next fifty come a second after the last fifty, and are refused together.
    for _ in 0..50 {
        let refused = key.ask(10_000_000);
        assert_eq!((refused.is_allowed, refused.retry_after), (false, SECOND));
        assert_eq!((refused.limit, refused.window), (50, SECOND));
    }
    assert_eq!(key.ask(10_000_000).retry_after, SECOND * 2);
    // Of the minute's thousand, 550 have places and 450 were told when to come.
    for _ in 0..398 {
        let _ = key.ask(10_000_000);
    }
    assert_eq!(key.ask(10_000_000).retry_after, SECOND * 9);
    let refused = key.ask(10_000_000);
    assert_eq!(refused.retry_after, SECOND * 50);
    assert_eq!(refused.limit, 1_000);
}

#[test]
fn who_never_comes_back_is_forgotten_after_the_last_was_told_to() {
    let windows = [window(1, 1_000_000)];
    let mut key = Key::new(&windows);
    assert!(key.ask(0).is_allowed);
    for seconds in 1..=4 {
        assert_eq!(key.ask(0).retry_after, SECOND * seconds);
    }
    key.now_us += 3_999_999;
    assert!(key.ask(0).is_allowed);
    key.now_us += 1;
    let refused = key.ask(0);
    assert_eq!(refused.retry_after, SECOND - Duration::from_micros(1));
}

#[test]
fn nobody_is_told_more_than_two_minutes_because_of_others() {
    let windows = [window(1, 1_000_000)];
    let mut key = Key::new(&windows);
    assert!(key.ask(0).is_allowed);
    for seconds in (1..=120).chain([120; 1_000]) {
        assert_eq!(key.ask(0).retry_after, SECOND * seconds);
    }
    key.state = key.state.clone().paused(MAX_PAUSE, key.now_us);
    key.state
        .set_number(0, key.now_us + micros(MAX_PAUSE + SECOND));
    assert_eq!(key.ask(0).retry_after, SECOND * 121);
}

#[test]
fn a_pause_is_made_longer_but_not_shorter_and_has_an_end() {
    let until = |state: &State| state.paused_until_us(NOW_US) - NOW_US;
    let paused = State::default().paused(SECOND * 2, NOW_US);
    assert_eq!(until(&paused.clone().paused(SECOND, NOW_US)), 2_000_000);
    let paused = paused.paused(Duration::MAX, NOW_US);
    assert_eq!(until(&paused), micros(MAX_PAUSE));
    assert_eq!(paused.ends_at_us(&[]), NOW_US + micros(MAX_PAUSE));
    let windows = [window(5, 5_000_000)];
    let (refused, _) = decide(paused, &windows, Duration::MAX, NOW_US);
    assert!(!refused.is_allowed);
    assert_eq!(refused.retry_after, MAX_PAUSE - MAX_PATIENCE);
}

#[test]
fn only_the_last_place_is_given_back_and_only_once() {
    let windows = [window(2, 1_000_000)];
    let mut key = Key::new(&windows);
    let places: Vec<Place> = (0..4).map(|_| key.ask(10_000_000).place).collect();
    for place in [places[0], places[1], places[2], Place::default()] {
        assert!(!key.give_back(place));
    }
    assert!(key.give_back(places[3]));
    assert!(!key.give_back(places[3]));
    assert!(key.give_back(places[2]));
    assert_eq!(key.ask(10_000_000).place, places[2]);
}

#[test]
fn a_state_is_small_until_it_is_used() {
    let windows = standard();
    let mut key = Key::new(&windows);
    assert!(key.ask(0).is_allowed);
    let one_call = key.state.as_bytes().len();
    assert_eq!(one_call, HEADER_BYTES + (66 + 1) * NUMBER_BYTES);
    for _ in 0..3_000 {
        key.now_us += 100_000;
        let _ = key.ask(10_000_000);
    }
    let all = HEADER_BYTES + (66 + 1_016) * NUMBER_BYTES;
    assert_eq!(key.state.as_bytes().len(), all);
}
