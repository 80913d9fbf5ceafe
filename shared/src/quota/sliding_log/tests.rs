//! The promises of the log, whatever comes: arrivals, patience, pauses, places that are given back.

use std::num::NonZeroU32;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;

mod cases;

const NOW_US: u64 = 1_700_000_000_000_000;

fn window(limit: u32, length_us: u64) -> Window {
    Window::new(
        NonZeroU32::new(limit).unwrap(),
        Duration::from_micros(length_us),
    )
}

/// What the platform documents for most APIs.
fn standard() -> [Window; 2] {
    [window(50, 1_000_000), window(1_000, 60_000_000)]
}

/// What happens to a key: time passes, the platform asks for a pause, then a call asks for a place. With `lapse`, it does not
/// go out, and gives its place back after so many steps.
#[derive(Clone, Debug)]
struct Step {
    gap_us: u64,
    patience_us: u64,
    pause_us: u64,
    lapse: Option<usize>,
}

fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    let gap_us = prop_oneof![4 => Just(0), 2 => 0_u64..20_000, 1 => 0_u64..3_000_000];
    let patience_us = prop_oneof![1 => Just(0), 2 => 0_u64..2_000_000, 2 => 0_u64..12_000_000];
    let pause_us = prop_oneof![20 => Just(0), 1 => 0_u64..5_000_000];
    let lapse = prop_oneof![3 => Just(None), 1 => option::of(0_usize..6)];
    let step = (gap_us, patience_us, pause_us, lapse);
    let step = step.prop_map(|(gap_us, patience_us, pause_us, lapse)| Step {
        gap_us,
        patience_us,
        pause_us,
        lapse,
    });
    vec(step, 1..most)
}

fn some_window() -> impl Strategy<Value = Window> {
    (1_u32..40, 1_u64..5_000_000).prop_map(|(limit, length_us)| window(limit, length_us))
}

fn windows() -> impl Strategy<Value = Vec<Window>> {
    vec(some_window(), 1..=3)
}

/// A window, and perhaps a longer one with a larger limit.
fn nested() -> impl Strategy<Value = Vec<Window>> {
    let longer = option::of((1_u32..40, 1_u64..20_000_000));
    (1_u32..40, 1_u64..5_000_000, longer).prop_map(|(limit, length_us, longer)| {
        let longer = longer.map(|(more, longer_us)| window(limit + more, length_us + longer_us));
        std::iter::once(window(limit, length_us))
            .chain(longer)
            .collect()
    })
}

/// A key, and the moments at which its calls go out.
struct Key<'k> {
    windows: &'k [Window],
    state: State,
    now_us: u64,
    acts: Vec<u64>,
    /// Places that are given back once so many steps have passed.
    unused: Vec<(usize, Place)>,
}

impl<'k> Key<'k> {
    fn new(windows: &'k [Window]) -> Self {
        Self {
            windows,
            state: State::default(),
            now_us: NOW_US,
            acts: Vec::new(),
            unused: Vec::new(),
        }
    }

    fn after(windows: &'k [Window], steps: &[Step]) -> Self {
        let mut key = Self::new(windows);
        steps.iter().enumerate().for_each(|it| key.take(it));
        key
    }

    fn ask(&mut self, patience_us: u64) -> Reservation {
        let patience = Duration::from_micros(patience_us);
        let state = std::mem::take(&mut self.state);
        let (reservation, next) = decide(state, self.windows, patience, self.now_us);
        self.state = next;
        reservation
    }

    fn give_back(&mut self, place: Place) -> bool {
        let given = give_back(self.state.clone(), self.windows, place);
        let is_given = given.is_some();
        self.state = given.unwrap_or_else(|| std::mem::take(&mut self.state));
        is_given
    }

    fn take(&mut self, (number, step): (usize, &Step)) {
        self.now_us += step.gap_us;
        let due = |(at, _): &mut (usize, Place)| *at <= number;
        let due: Vec<_> = self.unused.extract_if(.., due).collect();
        for (_, place) in due.into_iter().rev() {
            self.give_back(place);
        }
        let pause = Duration::from_micros(step.pause_us);
        if step.pause_us > 0 {
            self.state = std::mem::take(&mut self.state).paused(pause, self.now_us);
        }
        let reservation = self.ask(step.patience_us);
        match step.lapse {
            Some(after) if reservation.is_allowed => {
                self.unused.push((number + after, reservation.place));
            }
            None if reservation.is_allowed => {
                self.acts.push(self.now_us + micros(reservation.wait));
            }
            Some(_) | None => {}
        }
    }
}

/// The most of `acts` in any window of this length, its end excluded.
fn most_in(length_us: u64, acts: &[u64]) -> usize {
    let from = |first: usize| {
        let ends_us = acts[first] + length_us;
        acts[first..].partition_point(|at_us| *at_us < ends_us)
    };
    (0..acts.len()).map(from).max().unwrap_or(0)
}

fn assert_within(windows: &[Window], acts: &[u64]) {
    let mut acts = acts.to_vec();
    acts.sort_unstable();
    for window in windows {
        let most = most_in(window.length_us(), &acts);
        assert!(most <= window.limit() as usize, "{most} in {window:?}");
    }
}

proptest! {
    #[test]
    fn no_window_sees_more_than_its_limit(windows in windows(), steps in steps(400)) {
        assert_within(&windows, &Key::after(&windows, &steps).acts);
    }

    #[test]
    fn who_asks_later_acts_later(windows in windows(), mut steps in steps(300)) {
        steps.iter_mut().for_each(|step| step.lapse = None);
        prop_assert!(Key::after(&windows, &steps).acts.is_sorted());
    }

    #[test]
    fn after_a_silence_all_of_the_tightest_limit_go_at_once(windows in windows(), steps in steps(200)) {
        let mut key = Key::after(&windows, &steps);
        key.now_us = key.state.ends_at_us(&windows).max(key.now_us);
        let least = windows.iter().map(Window::limit).min().unwrap();
        for _ in 0..least {
            let reservation = key.ask(0);
            prop_assert!(reservation.is_allowed && reservation.wait.is_zero());
        }
        prop_assert!(!key.ask(0).is_allowed);
    }

    #[test]
    fn a_refusal_says_when_the_same_patience_is_enough(
        windows in windows(), steps in steps(300), patience_us in 0_u64..12_000_000,
    ) {
        let mut key = Key::after(&windows, &steps);
        // Nobody else has been refused.
        let mut header = key.state.header();
        (header.told, header.told_until_us) = (0, 0);
        key.state.set_header(header);
        let before = key.state.clone();
        let refused = key.ask(patience_us);
        if !refused.is_allowed {
            let (asked_us, after) = (key.now_us, key.state.clone());
            for state in [before, after] {
                key.now_us = asked_us + micros(refused.retry_after) - 1;
                key.state = state.clone();
                prop_assert!(!key.ask(patience_us).is_allowed);
                key.now_us += 1;
                key.state = state;
                prop_assert!(key.ask(patience_us).is_allowed);
            }
        }
    }

    /// Of those who are refused, as many as the largest limit, none comes back in vain if they come when they were told. The longer
    /// window allows more.
    #[test]
    fn who_comes_back_when_told_gets_a_place(
        windows in nested(), mut steps in steps(200), patience_us in 0_u64..11_000_000, callers in 1_usize..120,
    ) {
        // Callers with other patience are told other moments.
        steps.iter_mut().for_each(|step| step.patience_us = patience_us);
        let mut key = Key::after(&windows, &steps);
        key.now_us = key.now_us.max(key.state.header().told_until_us);
        let longest = windows.iter().map(Window::limit).max().unwrap() as usize;
        let mut told = Vec::new();
        for _ in 0..callers {
            let reservation = key.ask(patience_us);
            let is_told = !reservation.is_allowed && reservation.retry_after < LONGEST_ESTIMATE;
            if is_told && told.len() < longest {
                told.push(key.now_us + micros(reservation.retry_after));
            }
        }
        prop_assert!(told.is_sorted());
        for at_us in told {
            key.now_us = at_us;
            prop_assert!(key.ask(patience_us).is_allowed);
        }
    }

    #[test]
    fn a_pause_delays_all_who_ask_after_it(windows in windows(), steps in steps(100), pause_us in 0_u64..200_000_000) {
        let mut key = Key::after(&windows, &steps);
        key.state = key.state.paused(Duration::from_micros(pause_us), key.now_us);
        let until_us = key.now_us + pause_us.min(micros(MAX_PAUSE));
        prop_assert!(key.state.paused_until_us(key.now_us) >= until_us);
        for _ in 0..10 {
            let reservation = key.ask(10_000_000);
            let acts_us = key.now_us + micros(reservation.wait);
            prop_assert!(!reservation.is_allowed || acts_us >= until_us);
        }
    }

    #[test]
    fn places_given_back_at_once_are_as_good_as_new(windows in windows(), steps in steps(300), callers in 1_usize..16) {
        let mut key = Key::after(&windows, &steps);
        let before = key.state.clone();
        let taken: Vec<Reservation> = (0..callers).map(|_| key.ask(10_000_000)).collect();
        for reservation in taken.iter().rev().filter(|it| it.is_allowed) {
            prop_assert!(key.give_back(reservation.place));
        }
        if before != State::default() {
            prop_assert!(key.state.header().count == before.header().count);
        }
        let again: Vec<Reservation> = (0..callers).map(|_| key.ask(10_000_000)).collect();
        let places = |of: &[Reservation]| of.iter().filter(|it| it.is_allowed).map(|it| it.place).collect::<Vec<_>>();
        prop_assert_eq!(places(&again), places(&taken));
    }

    #[test]
    fn any_bytes_are_a_state_that_ends(
        bytes in vec(prop_oneof![Just(0), any::<u8>()], 0..400), windows in windows(), steps in steps(50),
    ) {
        let mut key = Key::new(&windows);
        key.state = State::from_bytes(bytes);
        steps.iter().enumerate().for_each(|it| key.take(it));
        let longest_us = windows.iter().map(Window::length_us).max().unwrap();
        key.now_us += micros(MAX_PAUSE + TOLERANCE + MAX_PATIENCE) + longest_us;
        prop_assert!(key.ask(0).is_allowed);
    }

    /// Whatever a hostile state says, it refuses for a bounded time.
    #[test]
    fn moments_that_cannot_have_come_about_count_for_nothing(ahead_us in 15_000_001_u64..1 << 62, slots in 0_usize..80) {
        let windows = [window(5, 1_000_000), window(30, 60_000_000)];
        let moment = NOW_US + ahead_us;
        let mut state = State::default();
        state.set_header(Header { paused_until_us: moment + micros(MAX_PAUSE), count: 40, last_us: moment, ..Header::default() });
        for slot in 0..slots {
            state.set_number(HEADER_BYTES + slot * NUMBER_BYTES, moment);
        }
        let (reservation, _) = decide(state, &windows, Duration::ZERO, NOW_US);
        prop_assert!(reservation.is_allowed);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_windows_that_the_platform_documents_are_kept(steps in steps(3_000)) {
        assert_within(&standard(), &Key::after(&standard(), &steps).acts);
    }

    #[test]
    fn a_window_kept_in_groups_is_kept(limit in 1_025_u32..2_500, length_us in 1_u64..200_000, patience_us in 0_u64..500_000) {
        let windows = [window(limit, length_us)];
        let mut key = Key::new(&windows);
        for number in 0..3 * limit {
            let reservation = key.ask(patience_us);
            if reservation.is_allowed {
                key.acts.push(key.now_us + micros(reservation.wait));
            }
            key.now_us += u64::from(number % 7 == 0) * length_us / 900;
        }
        assert_within(&windows, &key.acts);
        let group = windows[0].group();
        prop_assert!(key.acts.len() >= (limit - group) as usize, "{} of {limit}", key.acts.len());
    }
}
