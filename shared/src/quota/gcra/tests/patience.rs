//! What patience promises: places in the order of the requests, and limits that hold for the moments at which they act.

use super::*;

/// A request that was admitted.
struct Act {
    at_us: u64,
    cost: u32,
}

/// What happens to a key: time passes, then a request comes or the platform asks for a pause.
#[derive(Clone, Debug)]
struct Step {
    gap_us: u64,
    cost: u32,
    patience_us: u64,
    pause_us: u64,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let gap_us = prop_oneof![4 => Just(0), 2 => 0_u64..20_000, 1 => 0_u64..3_000_000];
    let cost = prop_oneof![6 => Just(1_u32), 1 => 1_u32..10];
    let patience_us = prop_oneof![1 => Just(0), 2 => 0_u64..2_000_000, 2 => 0_u64..12_000_000];
    let pause_us = prop_oneof![20 => Just(0), 1 => 0_u64..5_000_000];
    let step =
        (gap_us, cost, patience_us, pause_us).prop_map(|(gap_us, cost, patience_us, pause_us)| {
            Step {
                gap_us,
                cost,
                patience_us,
                pause_us,
            }
        });
    vec(step, 1..300)
}

fn strict() -> impl Strategy<Value = Quota> {
    (1_u32..100, 10_000_u64..5_000_000)
        .prop_map(|(limit, window_us)| Quota::strict(some(limit), Duration::from_micros(window_us)))
}

/// The admitted requests of `steps`, at the moments at which they act.
fn acts(quotas: &[Quota], steps: &[Step]) -> Vec<Act> {
    let (mut state, mut now_us, mut acts) = (State::default(), NOW_US, Vec::new());
    for step in steps {
        now_us += step.gap_us;
        let pause = Duration::from_micros(step.pause_us);
        state = state.paused(pause, now_us).unwrap_or(state);
        let patience = Duration::from_micros(step.patience_us);
        let (decision, next) = decide(&state, quotas, step.cost, patience, now_us);
        if decision.is_allowed {
            acts.push(Act {
                at_us: now_us + micros(decision.wait),
                cost: step.cost,
            });
        }
        state = next.unwrap_or(state);
    }
    acts
}

proptest! {
    /// The model queues: a bucket per window, checked when the last of the queue has acted.
    #[test]
    fn it_decides_as_a_queue_before_buckets_that_fill_steadily(quotas in vec(quota(), 1..=4), steps in steps()) {
        let (mut state, mut now_us, mut paused_until_us) = (State::default(), NOW_US, 0);
        let mut buckets = Buckets::full(&quotas, NOW_US);
        for step in steps {
            now_us += step.gap_us;
            let pause = Duration::from_micros(step.pause_us);
            paused_until_us = paused_until_us.max(now_us + step.pause_us);
            state = state.paused(pause, now_us).unwrap_or(state);

            let fits = quotas.iter().all(|quota| step.cost <= quota.burst());
            let mut then = Buckets { quotas: quotas.clone(), levels_us: buckets.levels_us.clone(), at_us: buckets.at_us };
            then.wait_until(now_us.max(buckets.at_us));
            let at_us = paused_until_us.max(then.at_us + then.missing_us(step.cost));
            let wait_us = at_us - now_us;
            let patience_us = step.patience_us.min(micros(MAX_PATIENCE));

            let patience = Duration::from_micros(step.patience_us);
            let (decision, next) = decide(&state, &quotas, step.cost, patience, now_us);
            prop_assert_eq!(decision.is_allowed, fits && wait_us <= patience_us);
            if decision.is_allowed {
                prop_assert_eq!((micros(decision.wait), micros(decision.retry_after)), (wait_us, 0));
                then.wait_until(at_us.max(then.at_us));
                prop_assert!(then.take(step.cost));
                buckets = then;
            } else if fits {
                prop_assert_eq!((micros(decision.wait), micros(decision.retry_after)), (0, wait_us - patience_us));
            }
            state = next.unwrap_or(state);
        }
    }

    /// The reference is a log of the moments at which admitted requests act.
    #[test]
    fn no_window_sees_more_than_a_strict_limit_act(quotas in vec(strict(), 1..=3), steps in steps()) {
        let acts = acts(&quotas, &steps);
        for quota in &quotas {
            for (first, from) in acts.iter().enumerate() {
                let in_window = acts[first..].iter().take_while(|act| act.at_us - from.at_us <= micros(quota.window()));
                prop_assert!(in_window.map(|act| act.cost).sum::<u32>() <= quota.limit());
            }
        }
    }

    #[test]
    fn who_asks_later_acts_later(quotas in vec(quota(), 1..=4), steps in steps()) {
        let acts = acts(&quotas, &steps);
        prop_assert!(acts.is_sorted_by_key(|act| act.at_us));
    }

    #[test]
    fn a_refusal_says_when_the_same_patience_is_enough(quotas in vec(quota(), 1..=4), steps in steps(), patience_us in 0_u64..12_000_000) {
        let (mut state, mut now_us) = (State::default(), NOW_US);
        for step in steps {
            now_us += step.gap_us;
            let patience = Duration::from_micros(step.patience_us);
            state = decide(&state, &quotas, step.cost, patience, now_us).1.unwrap_or(state);
        }
        let patience = Duration::from_micros(patience_us);
        let (refused, _) = decide(&state, &quotas, 1, patience, now_us);
        if !refused.is_allowed {
            let then_us = now_us + micros(refused.retry_after);
            prop_assert!(decide(&state, &quotas, 1, patience, then_us).0.is_allowed);
            prop_assert!(!decide(&state, &quotas, 1, patience, then_us - 1).0.is_allowed);
        }
    }

    /// Three times as many requests as the limit, each once. A refused one finds a queue as long as its patience.
    #[test]
    fn under_three_times_the_limit_95_percent_of_it_act_and_nobody_waits_in_vain(
        limit in 5_u32..300, window_us in 100_000_u64..5_000_000, patience_us in 0_u64..10_000_000,
    ) {
        const WINDOWS: u64 = 10;
        let quota = Quota::strict(some(limit), Duration::from_micros(window_us));
        let patience = Duration::from_micros(patience_us.max(micros(quota.interval())));
        let (mut state, mut acted) = (State::default(), 0_u64);
        for number in 0..3 * u64::from(limit) * WINDOWS {
            let now_us = NOW_US + number * window_us / (3 * u64::from(limit));
            let (decision, next) = decide(&state, &[quota], 1, patience, now_us);
            let at_us = now_us + micros(decision.wait);
            acted += u64::from(decision.is_allowed && at_us < NOW_US + WINDOWS * window_us);
            prop_assert!(decision.wait <= patience);
            prop_assert!(decision.is_allowed || decision.reset_after + quota.interval() > patience);
            state = next.unwrap_or(state);
        }
        prop_assert!(acted * 100 >= 95 * u64::from(limit) * WINDOWS, "{acted}");
    }
}

/// The acts of `steps` when some of those who were admitted do not act, and give their places back after a while: who gives
/// back is chosen by `lapses`, one number for each step, as the number of steps after which it does.
fn acts_but_lapsed(quotas: &[Quota], steps: &[Step], lapses: &[Option<usize>]) -> Vec<Act> {
    let (mut state, mut now_us, mut acts) = (State::default(), NOW_US, Vec::new());
    let mut unused: Vec<(usize, u32, u64)> = Vec::new();
    for (number, (step, lapse)) in steps.iter().zip(lapses).enumerate() {
        now_us += step.gap_us;
        let (due, later) = unused.into_iter().partition(|(at, ..)| *at <= number);
        unused = later;
        let due: Vec<(usize, u32, u64)> = due;
        for (_, cost, place_us) in due.into_iter().rev() {
            state = give_back(&state, quotas, cost, place_us).unwrap_or(state);
        }
        let patience = Duration::from_micros(step.patience_us);
        let (decision, next) = decide(&state, quotas, step.cost, patience, now_us);
        state = next.unwrap_or(state);
        match lapse {
            Some(after) if decision.is_allowed => {
                unused.push((number + after, step.cost, decision.place_us));
            }
            None if decision.is_allowed => acts.push(Act {
                at_us: now_us + micros(decision.wait),
                cost: step.cost,
            }),
            Some(_) | None => {}
        }
    }
    acts
}

proptest! {
    /// Whoever gives back, and whenever: nobody acts too early because of it.
    #[test]
    fn no_window_sees_more_than_a_strict_limit_act_when_places_are_given_back(
        quotas in vec(strict(), 1..=3),
        steps in steps(),
        lapses in vec(proptest::option::of(1_usize..6), 300),
    ) {
        let acts = acts_but_lapsed(&quotas, &steps, &lapses);
        for quota in &quotas {
            for (first, from) in acts.iter().enumerate() {
                let in_window = acts[first..].iter().take_while(|act| act.at_us - from.at_us <= micros(quota.window()));
                prop_assert!(in_window.map(|act| act.cost).sum::<u32>() <= quota.limit());
            }
        }
    }

    /// With one window, what was given back at once was never taken.
    #[test]
    fn a_place_given_back_at_once_is_as_good_as_new(quota in quota(), steps in steps(), cost in 1_u32..10) {
        let quotas = [quota];
        let (mut state, mut now_us) = (State::default(), NOW_US);
        for step in steps {
            now_us += step.gap_us;
            let patience = Duration::from_micros(step.patience_us);
            state = decide(&state, &quotas, step.cost, patience, now_us).1.unwrap_or(state);
        }
        let (taken, next) = decide(&state, &quotas, cost, MAX_PATIENCE, now_us);
        if let Some(next) = next.filter(|_| taken.is_allowed) {
            let back = give_back(&next, &quotas, cost, taken.place_us).unwrap();
            let again = decide(&back, &quotas, cost, MAX_PATIENCE, now_us);
            prop_assert_eq!(again, (taken, Some(next.clone())));
            prop_assert_eq!(give_back(&back, &quotas, cost, taken.place_us), None);
        }
    }
}

#[test]
fn a_place_is_given_back_only_by_the_last_in_the_queue() {
    let quota = [Quota::strict(some(1), Duration::from_secs(1))];
    let mut state = State::default();
    let mut places = Vec::new();
    for _ in 0..3 {
        let (decision, next) = decide(&state, &quota, 1, MAX_PATIENCE, NOW_US);
        state = next.unwrap();
        places.push(decision.place_us);
    }
    for earlier in [places[0], places[1], 0] {
        assert_eq!(give_back(&state, &quota, 1, earlier), None);
    }
    let state = give_back(&state, &quota, 1, places[2]).unwrap();
    let state = give_back(&state, &quota, 1, places[1]).unwrap();
    let (decision, _) = decide(&state, &quota, 1, MAX_PATIENCE, NOW_US);
    assert_eq!(decision.wait, quota[0].interval());
    assert_eq!(decision.place_us, places[1]);
}

#[test]
fn those_who_wait_for_the_end_of_a_pause_leave_one_after_the_other() {
    let quota = [Quota::strict(some(50), Duration::from_secs(1))];
    let pause = Duration::from_secs(2);
    let mut state = State::default().paused(pause, NOW_US).unwrap();
    let mut waits = Vec::new();
    for _ in 0..5 {
        let (decision, next) = decide(&state, &quota, 1, MAX_PATIENCE, NOW_US);
        assert!(decision.is_allowed);
        waits.push(decision.wait - pause);
        state = next.unwrap();
    }
    let interval = quota[0].interval();
    // The burst of three leaves at once, as always.
    let nothing = Duration::ZERO;
    assert_eq!(waits, [nothing, nothing, nothing, interval, interval * 2]);
    // The pause still applies, also without patience.
    let (refused, _) = at_once(&state, &quota, 1, NOW_US);
    assert_eq!(refused.retry_after, pause + interval * 3);
}

#[test]
fn a_pause_longer_than_the_patience_refuses() {
    let quota = [Quota::new(some(5), Duration::from_secs(5))];
    let paused = State::default().paused(MAX_PATIENCE * 3, NOW_US).unwrap();
    let (refused, next) = decide(&paused, &quota, 1, Duration::MAX, NOW_US);
    assert_eq!((refused.is_allowed, next), (false, None));
    assert_eq!(refused.retry_after, MAX_PATIENCE * 2);
}

#[test]
fn what_costs_nothing_waits_for_pauses_only() {
    let quota = [Quota::new(some(1), Duration::from_secs(5))];
    let (_, taken) = decide(&State::default(), &quota, 1, MAX_PATIENCE, NOW_US);
    let (_, queued) = decide(&taken.unwrap(), &quota, 1, MAX_PATIENCE, NOW_US);
    let queued = queued.unwrap();
    let (allowed, next) = decide(&queued, &quota, 0, Duration::ZERO, NOW_US);
    assert_eq!((allowed.is_allowed, next), (true, None));
    let pause = Duration::from_secs(1);
    let paused = queued.paused(pause, NOW_US).unwrap();
    assert!(!at_once(&paused, &quota, 0, NOW_US).0.is_allowed);
    let (allowed, next) = decide(&paused, &quota, 0, pause, NOW_US);
    assert_eq!((allowed.wait, next), (pause, None));
}

#[test]
fn no_patience_makes_more_than_a_burst_fit() {
    let quota = [Quota::new(some(5), Duration::from_secs(5))];
    let (refused, next) = decide(&State::default(), &quota, 6, MAX_PATIENCE, NOW_US);
    assert_eq!((refused.is_allowed, next), (false, None));
    assert!(refused.retry_after > Duration::ZERO);
}
