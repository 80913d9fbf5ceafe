//! A fair queue of renewals: apps take turns, so that one with thousands of logins, or one for which the platform hangs, does
//! not delay the others. Pure.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// Work of several owners, who take turns.
#[derive(Debug)]
pub(super) struct FairQueue<O, W> {
    owners: HashMap<O, Owner<W>>,
    /// Those with waiting work, the next one first.
    turns: VecDeque<O>,
    waiting: usize,
    /// Waiting work that could start, counting for each owner at most its share of what may be in flight.
    startable: usize,
    in_flight: usize,
    limits: Limits,
}

#[derive(Debug)]
struct Owner<W> {
    waiting: VecDeque<W>,
    in_flight: usize,
}

/// The limits of a queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Work in flight, of all owners together.
    pub in_flight: usize,
    /// Waiting work of one owner; more is rejected.
    pub waiting_per_owner: usize,
}

impl Limits {
    /// Work in flight of one owner while others wait.
    fn share(self) -> usize {
        (self.in_flight / 8).max(1)
    }

    /// Work in flight of one owner while no other waits: others may come.
    fn most(self) -> usize {
        self.in_flight.div_ceil(2)
    }
}

impl<O: Clone + Eq + Hash, W> FairQueue<O, W> {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            owners: HashMap::new(),
            turns: VecDeque::new(),
            waiting: 0,
            startable: 0,
            in_flight: 0,
            limits,
        }
    }

    /// Adds work; returns whether there was room for it.
    pub(super) fn push(&mut self, owner: &O, work: W) -> bool {
        let entry = self.owners.entry(owner.clone()).or_insert_with(|| Owner {
            waiting: VecDeque::new(),
            in_flight: 0,
        });
        if entry.waiting.len() >= self.limits.waiting_per_owner {
            return false;
        }
        if entry.waiting.is_empty() {
            self.turns.push_back(owner.clone());
        }
        self.startable += usize::from(entry.waiting.len() < self.limits.share());
        entry.waiting.push_back(work);
        self.waiting += 1;
        true
    }

    /// The work to begin now; `None` when there is none or enough is in flight. Call [`FairQueue::finished`] when it ends.
    pub(super) fn pop(&mut self) -> Option<(O, W)> {
        if self.in_flight >= self.limits.in_flight {
            return None;
        }
        let alone = self.turns.len() == 1;
        let limit = if alone {
            self.limits.most()
        } else {
            self.limits.share()
        };
        let turn = self.turns.iter().position(|owner| {
            self.owners
                .get(owner)
                .is_some_and(|it| it.in_flight < limit)
        });
        let owner = self.turns.remove(turn?)?;
        let entry = self.owners.get_mut(&owner)?;
        let work = entry.waiting.pop_front()?;
        self.startable -= usize::from(entry.waiting.len() < self.limits.share());
        entry.in_flight += 1;
        self.in_flight += 1;
        self.waiting -= 1;
        if !entry.waiting.is_empty() {
            self.turns.push_back(owner.clone());
        }
        Some((owner, work))
    }

    /// Records that work of `owner` has ended.
    pub(super) fn finished(&mut self, owner: &O) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if let Some(entry) = self.owners.get_mut(owner) {
            entry.in_flight = entry.in_flight.saturating_sub(1);
            if entry.in_flight == 0 && entry.waiting.is_empty() {
                self.owners.remove(owner);
            }
        }
    }

    /// The owners of waiting work and of work in flight.
    pub(super) fn owners(&self) -> impl Iterator<Item = &O> {
        self.owners.keys()
    }

    /// How much waiting work could be begun if no other owner competed: one owner's thousands count as its share.
    pub(super) const fn startable(&self) -> usize {
        self.startable
    }

    /// How much work waits.
    pub(super) const fn waiting(&self) -> usize {
        self.waiting
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn queue(in_flight: usize) -> FairQueue<u8, u32> {
        FairQueue::new(Limits {
            in_flight,
            waiting_per_owner: 1_000,
        })
    }

    #[test]
    fn owners_take_turns_whoever_came_with_more() {
        let mut queue = queue(64);
        for work in 0..100 {
            queue.push(&1, work);
        }
        queue.push(&2, 0);
        queue.push(&3, 0);
        let first: Vec<_> = (0..3).filter_map(|_| queue.pop()).map(|(o, _)| o).collect();
        assert_eq!(first, [1, 2, 3]);
    }

    #[test]
    fn one_that_hangs_leaves_room_for_the_others() {
        let mut queue = queue(64);
        for work in 0..1_000 {
            queue.push(&1, work);
            queue.push(&2, work);
        }
        let mut began = [0; 3];
        while let Some((owner, _)) = queue.pop() {
            began[usize::from(owner)] += 1;
        }
        assert_eq!(
            began,
            [0, 8, 8],
            "none of it ends, and neither gets more than its share"
        );
        for _ in 0..100 {
            queue.finished(&2);
            assert_eq!(queue.pop().map(|(owner, _)| owner), Some(2));
        }
    }

    #[test]
    fn one_alone_gets_half() {
        let mut queue = queue(64);
        for work in 0..100 {
            queue.push(&1, work);
        }
        assert_eq!(std::iter::from_fn(|| queue.pop()).count(), 32);
    }

    #[test]
    fn thousands_of_one_owner_do_not_look_like_enough() {
        let mut queue = queue(64);
        for work in 0..1_000 {
            queue.push(&1, work);
        }
        assert_eq!((queue.waiting(), queue.startable()), (1_000, 8));
        queue.push(&2, 0);
        assert_eq!(queue.startable(), 9);
        while queue.pop().is_some() {}
        assert_eq!((queue.waiting(), queue.startable()), (968, 8));
    }

    #[test]
    fn what_has_no_room_is_left() {
        let mut queue = FairQueue::new(Limits {
            in_flight: 1,
            waiting_per_owner: 2,
        });
        assert_eq!(
            [1, 2, 3].map(|work| queue.push(&1, work)),
            [true, true, false]
        );
        assert!(queue.push(&2, 1));
        assert_eq!(queue.waiting(), 3);
    }

    proptest! {
        #[test]
        fn everything_is_begun_once_and_never_too_much_at_a_time(
            work in proptest::collection::vec(0_u8..20, 0..400),
            in_flight in 1_usize..40,
        ) {
            let mut queue = queue(in_flight);
            for (number, owner) in (0..).zip(&work) {
                queue.push(owner, number);
            }
            let (mut running, mut begun) = (VecDeque::new(), Vec::new());
            loop {
                while let Some((owner, number)) = queue.pop() {
                    running.push_back(owner);
                    begun.push(number);
                    prop_assert!(running.len() <= in_flight);
                }
                let Some(owner) = running.pop_front() else { break };
                queue.finished(&owner);
            }
            prop_assert_eq!((queue.waiting(), queue.startable()), (0, 0));
            begun.sort_unstable();
            prop_assert_eq!(begun, (0..u32::try_from(work.len()).unwrap()).collect::<Vec<_>>());
            prop_assert!(queue.owners.is_empty());
        }
    }
}
