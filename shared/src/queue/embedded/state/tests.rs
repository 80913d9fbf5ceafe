use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

const GROUPS: [&str; 4] = ["a", "b", "c", "d"];

fn start() -> Moment {
    Moment {
        clock: Timestamp::from_seconds(1_700_000_000),
        timer: Instant::now(),
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn numbers(taken: &[Taken]) -> Vec<u64> {
    taken.iter().map(|taken| taken.number).collect()
}

#[test]
fn groups_take_turns_whatever_their_lengths() {
    let (mut state, now) = (State::default(), start());
    (1..=3_000).for_each(|number| state.push("a", number));
    (3_001..=3_003).for_each(|number| state.push("b", number));
    let mut of_b = Vec::new();
    for _ in 0..6 {
        let taken = state.take(1, now + seconds(30), now);
        let number = taken[0].number;
        let group = if number > 3_000 { "b" } else { "a" };
        of_b.extend(Some(number).filter(|number| *number > 3_000));
        state.remove(group, number);
    }
    assert_eq!(of_b, [3_001, 3_002, 3_003]);
}

#[test]
fn either_of_clock_and_timer_ends_a_flight() {
    let (mut state, now) = (State::default(), start());
    state.push("a", 1);
    let by = |clock, timer| Moment {
        clock: now.clock + seconds(clock),
        timer: now.timer + seconds(timer),
    };
    for over in [by(0, 30), by(30, 0)] {
        assert_eq!(numbers(&state.take(10, now + seconds(30), now)), [1]);
        assert!(state.take(10, now, by(29, 29)).is_empty());
        // Its flight is over at once.
        assert_eq!(numbers(&state.take(10, now, over)), [1]);
    }
}

#[test]
fn nothing_is_left_of_a_lane_that_was_emptied() {
    let (mut state, now) = (State::default(), start());
    for number in 0..1_000 {
        state.push(&format!("g{}", number % 250), number);
    }
    loop {
        let taken = state.take(10, now + seconds(30), now);
        if taken.is_empty() {
            break;
        }
        for number in numbers(&taken) {
            state.remove(&format!("g{}", number % 250), number);
        }
    }
    assert!(!state.is_ready());
    assert!(state.groups.is_empty() && state.turns.is_empty() && state.receive_counts.is_empty());
    assert!(state.ends_by_clock.is_empty() && state.ends_by_timer.is_empty());
}

/// What happens to a lane; indices are taken modulo what there is.
#[derive(Clone, Debug)]
enum Step {
    Push(usize),
    Take(usize, u64),
    Delete(usize),
    Hide(usize, u64),
    /// A deletion that arrives after its time.
    DeleteLate(usize),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..GROUPS.len()).prop_map(Step::Push),
        3 => (1_usize..5, 1_u64..8).prop_map(|(limit, hidden)| Step::Take(limit, hidden)),
        2 => any::<usize>().prop_map(Step::Delete),
        2 => (any::<usize>(), 0_u64..8).prop_map(|(which, hidden)| Step::Hide(which, hidden)),
        1 => any::<usize>().prop_map(Step::DeleteLate),
        2 => (1_u64..6).prop_map(Step::Pass),
    ]
}

/// What a lane promises, in the plainest form: every message with the end of its flight.
#[derive(Default)]
struct Model {
    messages: BTreeMap<u64, (&'static str, Option<u64>)>,
    now: u64,
}

impl Model {
    fn is_in_flight(&self, number: u64) -> bool {
        let end = self.messages.get(&number).and_then(|(_, end)| *end);
        end.is_some_and(|end| end > self.now)
    }

    fn of(&self, group: &str) -> Vec<u64> {
        let of_group = self.messages.iter().filter(|(_, (name, _))| *name == group);
        of_group.map(|(number, _)| *number).collect()
    }

    fn is_free(&self, group: &str) -> bool {
        let of_group = self.of(group);
        !of_group.is_empty() && !of_group.iter().any(|number| self.is_in_flight(*number))
    }

    /// Checks what was taken, and notes it.
    fn take(&mut self, taken: &[Taken], limit: usize, hidden: u64) {
        let free: Vec<_> = GROUPS.iter().filter(|group| self.is_free(group)).collect();
        let available: usize = free.iter().map(|group| self.of(group).len()).sum();
        assert_eq!(taken.len(), limit.min(available));
        let mut places = BTreeMap::<_, Vec<u64>>::new();
        for number in numbers(taken) {
            places
                .entry(self.messages[&number].0)
                .or_default()
                .push(number);
        }
        assert!(places.len() >= limit.min(free.len()), "groups take turns");
        for (group, received) in places {
            assert!(self.is_free(group), "{group} is with somebody");
            assert_eq!(received, self.of(group)[..received.len()]);
        }
        for number in numbers(taken) {
            let message = self.messages.get_mut(&number).unwrap();
            message.1 = Some(self.now + hidden);
        }
    }
}

proptest! {
    #[test]
    fn every_group_stays_in_its_order_whatever_happens(steps in prop::collection::vec(step(), 1..120)) {
        let (mut state, mut model) = (State::default(), Model::default());
        let began = start();
        let mut last = 0;
        let mut receipts: Vec<(u64, u64)> = Vec::new();
        for step in steps {
            let now = began + seconds(model.now);
            let named = |which: usize| receipts.get(which % receipts.len().max(1)).copied();
            match step {
                Step::Push(group) => {
                    last += 1;
                    state.push(GROUPS[group], last);
                    model.messages.insert(last, (GROUPS[group], None));
                }
                Step::Take(limit, hidden) => {
                    let taken = state.take(limit, now + seconds(hidden), now);
                    model.take(&taken, limit, hidden);
                    receipts.retain(|(number, _)| !numbers(&taken).contains(number));
                    receipts.extend(taken.iter().map(|taken| (taken.number, taken.reception)));
                }
                Step::Delete(which) => if let Some((number, reception)) = named(which) {
                    let holder = state.holder(number, reception, now);
                    let expected = match model.messages.get(&number) {
                        None => Holder::Deleted,
                        Some(_) if model.is_in_flight(number) => Holder::This,
                        Some(_) => Holder::Another,
                    };
                    prop_assert_eq!(&holder, &expected);
                    if holder == Holder::This {
                        state.remove(model.messages[&number].0, number);
                        model.messages.remove(&number);
                    }
                },
                Step::Hide(which, hidden) => if let Some((number, reception)) = named(which) {
                    let is_hidden = state.hide(number, reception, now + seconds(hidden), now);
                    prop_assert_eq!(is_hidden, model.is_in_flight(number));
                    if is_hidden {
                        model.messages.get_mut(&number).unwrap().1 = Some(model.now + hidden);
                    }
                },
                Step::DeleteLate(which) => if let Some((number, _)) = named(which)
                    && let Some((group, _)) = model.messages.remove(&number) {
                    state.remove(group, number);
                },
                Step::Pass(length) => model.now += length,
            }
            let depth = state.depth(began + seconds(model.now));
            let in_flight = model.messages.keys().filter(|number| model.is_in_flight(**number)).count();
            prop_assert_eq!(depth.in_flight, in_flight as u64);
            prop_assert_eq!(depth.waiting, (model.messages.len() - in_flight) as u64);
        }
    }
}
