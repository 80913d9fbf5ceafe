//! A lane in memory: which messages wait, which are in flight and until when.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use tokio::time::Instant;

use super::moment::Moment;
use crate::clock::Timestamp;
use crate::queue::Depth;

/// A lane. Messages are named by their numbers, which grow in the order of sending.
#[derive(Debug, Default)]
pub(super) struct State {
    groups: HashMap<Arc<str>, Group>,
    /// The groups with something to receive, in the order of their turns. May name a group in which nothing is left.
    turns: VecDeque<Arc<str>>,
    /// What is with a receiver, or hidden.
    flights: HashMap<u64, Flight>,
    /// The ends of the flights, as the clock and as the timer have them.
    ends_by_clock: BTreeSet<(Timestamp, u64)>,
    ends_by_timer: BTreeSet<(Instant, u64)>,
    /// How often a message was received, of those that were and are not deleted.
    receive_counts: HashMap<u64, u32>,
    waiting: usize,
    /// How many receptions there were.
    receptions: u64,
}

#[derive(Debug, Default)]
struct Group {
    /// In their order.
    waiting: VecDeque<u64>,
    in_flight: usize,
    /// Whether it is in [`State::turns`].
    has_turn: bool,
}

impl Group {
    fn is_ready(&self) -> bool {
        self.in_flight == 0 && !self.waiting.is_empty()
    }
}

#[derive(Debug)]
struct Flight {
    group: Arc<str>,
    reception: u64,
    end: Moment,
}

/// A message that a receiver took.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) number: u64,
    pub(super) reception: u64,
    pub(super) receive_count: u32,
}

/// Who has a message.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Holder {
    /// The reception that was asked about.
    This,
    /// Another one, or nobody.
    Another,
    /// There is no such message any more.
    Deleted,
}

impl State {
    /// Adds a message that nobody has received yet, behind all others of its group.
    pub(super) fn push(&mut self, group: &str, number: u64) {
        let name = match self.groups.get_key_value(group) {
            Some((name, _)) => Arc::clone(name),
            None => Arc::from(group),
        };
        let group = self.groups.entry(Arc::clone(&name)).or_default();
        group.waiting.push_back(number);
        self.waiting += 1;
        self.give_turn(&name);
    }

    /// At most `limit` messages, in flight until `end`: one of each group that has its turn, then the next of each.
    pub(super) fn take(&mut self, limit: usize, end: Moment, now: Moment) -> Vec<Taken> {
        self.end_flights(now);
        let mut groups = Vec::new();
        while groups.len() < limit && self.is_ready() {
            let Some(name) = self.turns.pop_front() else {
                break;
            };
            if let Some(group) = self.groups.get_mut(&name) {
                group.has_turn = false;
                groups.push(name);
            }
        }
        let mut taken: Vec<Taken> = Vec::with_capacity(limit);
        loop {
            let before = taken.len();
            for name in &groups {
                if taken.len() < limit {
                    taken.extend(self.take_first(name, end));
                }
            }
            if taken.len() == before {
                break;
            }
        }
        taken.sort_unstable_by_key(|taken| taken.number);
        taken
    }

    fn take_first(&mut self, name: &Arc<str>, end: Moment) -> Option<Taken> {
        let group = self.groups.get_mut(name)?;
        let number = group.waiting.pop_front()?;
        group.in_flight += 1;
        self.waiting -= 1;
        self.receptions += 1;
        let reception = self.receptions;
        let receive_count = self.receive_counts.entry(number).or_default();
        *receive_count = receive_count.saturating_add(1);
        let taken = Taken {
            number,
            reception,
            receive_count: *receive_count,
        };
        let flight = Flight {
            group: Arc::clone(name),
            reception,
            end,
        };
        self.schedule(number, flight);
        Some(taken)
    }

    /// Gives back what was taken and could not be read.
    pub(super) fn give_back(&mut self, taken: &[Taken]) {
        for taken in taken {
            if self.is_in_flight(taken.number, taken.reception) {
                self.end_flight(taken.number);
            }
        }
    }

    /// Lets the flight of a message end at `end`; false if this reception does not have it.
    pub(super) fn hide(&mut self, number: u64, reception: u64, end: Moment, now: Moment) -> bool {
        self.end_flights(now);
        if !self.is_in_flight(number, reception) {
            return false;
        }
        if let Some(flight) = self.unschedule(number) {
            self.schedule(number, Flight { end, ..flight });
        }
        self.end_flights(now);
        true
    }

    /// Who has a message that was received once.
    pub(super) fn holder(&mut self, number: u64, reception: u64, now: Moment) -> Holder {
        self.end_flights(now);
        if self.is_in_flight(number, reception) {
            Holder::This
        } else if self.receive_counts.contains_key(&number) {
            Holder::Another
        } else {
            Holder::Deleted
        }
    }

    /// Forgets a message that was deleted, whoever has it.
    pub(super) fn remove(&mut self, group: &str, number: u64) {
        self.receive_counts.remove(&number);
        let is_in_flight = self.unschedule(number).is_some();
        let Some((name, _)) = self.groups.get_key_value(group) else {
            return;
        };
        let name = Arc::clone(name);
        let Some(group) = self.groups.get_mut(&name) else {
            return;
        };
        if is_in_flight {
            group.in_flight -= 1;
        } else if let Ok(place) = group.waiting.binary_search(&number) {
            group.waiting.remove(place);
            self.waiting -= 1;
        }
        self.give_turn(&name);
    }

    pub(super) fn depth(&mut self, now: Moment) -> Depth {
        self.end_flights(now);
        let count = |count| u64::try_from(count).unwrap_or(u64::MAX);
        Depth {
            waiting: count(self.waiting),
            in_flight: count(self.flights.len()),
        }
    }

    /// Whether there is something to receive.
    pub(super) fn is_ready(&mut self) -> bool {
        while let Some(name) = self.turns.front() {
            match self.groups.get_mut(name) {
                Some(group) if group.is_ready() => return true,
                Some(group) => group.has_turn = false,
                None => {}
            }
            if let Some(name) = self.turns.pop_front() {
                self.drop_if_empty(&name);
            }
        }
        false
    }

    /// When the next flight ends.
    pub(super) fn next_end(&self) -> Option<Instant> {
        self.ends_by_timer.first().map(|(end, _)| *end)
    }

    fn is_in_flight(&self, number: u64, reception: u64) -> bool {
        let flight = self.flights.get(&number);
        flight.is_some_and(|flight| flight.reception == reception)
    }

    /// Lets what is over at `now` wait again.
    fn end_flights(&mut self, now: Moment) {
        loop {
            let by_clock = self.ends_by_clock.first().copied();
            let by_clock = by_clock.filter(|(end, _)| *end <= now.clock);
            let by_timer = self.ends_by_timer.first().copied();
            let by_timer = by_timer.filter(|(end, _)| *end <= now.timer);
            let over = by_clock.map(|(_, number)| number);
            match over.or(by_timer.map(|(_, number)| number)) {
                Some(number) => self.end_flight(number),
                None => return,
            }
        }
    }

    /// Lets a message wait again, at its place in the group.
    fn end_flight(&mut self, number: u64) {
        let Some(flight) = self.unschedule(number) else {
            return;
        };
        let Some(group) = self.groups.get_mut(&flight.group) else {
            return;
        };
        group.in_flight -= 1;
        let place = group.waiting.partition_point(|other| *other < number);
        group.waiting.insert(place, number);
        self.waiting += 1;
        self.give_turn(&flight.group);
    }

    fn schedule(&mut self, number: u64, flight: Flight) {
        self.ends_by_clock.insert((flight.end.clock, number));
        self.ends_by_timer.insert((flight.end.timer, number));
        self.flights.insert(number, flight);
    }

    fn unschedule(&mut self, number: u64) -> Option<Flight> {
        let flight = self.flights.remove(&number)?;
        self.ends_by_clock.remove(&(flight.end.clock, number));
        self.ends_by_timer.remove(&(flight.end.timer, number));
        Some(flight)
    }

    /// Puts a group at the end of the turns if it has something to receive; forgets one in which nothing is left.
    fn give_turn(&mut self, name: &Arc<str>) {
        let Some(group) = self.groups.get_mut(name) else {
            return;
        };
        if group.is_ready() && !group.has_turn {
            group.has_turn = true;
            self.turns.push_back(Arc::clone(name));
        }
        self.drop_if_empty(name);
    }

    fn drop_if_empty(&mut self, name: &Arc<str>) {
        let group = self.groups.get(name);
        let is_empty =
            |group: &Group| group.in_flight == 0 && group.waiting.is_empty() && !group.has_turn;
        if group.is_some_and(is_empty) {
            self.groups.remove(name);
        }
    }
}

#[cfg(test)]
mod tests;
