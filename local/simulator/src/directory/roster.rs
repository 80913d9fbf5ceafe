//! Who is in which department, so that neither a list nor a count goes through everybody.

use std::collections::BTreeSet;

use super::departments::{self, COUNT};

/// People who work in the company: not those who left.
pub(super) struct Roster {
    /// By department, those below it not counted; the root's place is empty.
    headcounts: Vec<u32>,
    /// The changed and created people of each department; the others follow from their numbers.
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

    /// Somebody was in one department, if any, and is in another, if any, from now on by name.
    pub(super) fn place(&mut self, n: u32, before: Option<u32>, now: Option<u32>) {
        if let Some(department) = before {
            self.headcounts[department as usize] -= 1;
            self.changed[department as usize].remove(&n);
        }
        if let Some(department) = now {
            self.headcounts[department as usize] += 1;
            self.changed[department as usize].insert(n);
        }
    }

    /// People of the department and of those below it.
    pub(super) fn headcount(&self, department: u32) -> u32 {
        let own = self.headcounts[department as usize];
        departments::descendants(department).fold(own, |sum, below| {
            sum.saturating_add(self.headcounts[below as usize])
        })
    }

    /// The changed and created people of the department itself, behind a number.
    pub(super) fn changed_after(
        &self,
        department: u32,
        after: u32,
    ) -> impl Iterator<Item = u32> + '_ {
        let behind = after.saturating_add(1);
        self.changed[department as usize].range(behind..).copied()
    }
}
