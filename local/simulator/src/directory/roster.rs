//! The people of each department, so that neither a list nor a count visits everybody.

use std::collections::BTreeSet;

use super::departments::{self, COUNT};

/// The people who are employed, without those who have left.
pub(super) struct Roster {
    /// By department, without those below it. The entry of the root is 0.
    headcounts: Vec<u32>,
    /// The changed and created people of each department; the others are computed from their numbers.
    changed: Vec<BTreeSet<u32>>,
}

impl Roster {
    pub(super) fn new(seeded: u32) -> Self {
        Self {
            headcounts: (0..=COUNT)
                .map(|department| departments::seeded_in(department, seeded))
                .collect(),
            changed: vec![BTreeSet::new(); COUNT as usize + 1],
        }
    }

    /// Moves a user from one department to another; `None` for no department. From now on the user counts as changed.
    pub(super) fn move_user(&mut self, n: u32, before: Option<u32>, now: Option<u32>) {
        if let Some(department) = before {
            self.headcounts[department as usize] -= 1;
            self.changed[department as usize].remove(&n);
        }
        if let Some(department) = now {
            self.headcounts[department as usize] += 1;
            self.changed[department as usize].insert(n);
        }
    }

    /// The number of people in the department and those below it.
    pub(super) fn headcount(&self, department: u32) -> u32 {
        let own = self.headcounts[department as usize];
        departments::descendants(department).fold(own, |sum, below| {
            sum.saturating_add(self.headcounts[below as usize])
        })
    }

    /// The changed and created people of the department itself with numbers above `after`.
    pub(super) fn changed_after(
        &self,
        department: u32,
        after: u32,
    ) -> impl Iterator<Item = u32> + '_ {
        let behind = after.saturating_add(1);
        self.changed[department as usize].range(behind..).copied()
    }
}
