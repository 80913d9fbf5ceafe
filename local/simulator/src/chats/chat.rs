//! One chat. Everything about a seeded chat is computed from its number.

use std::collections::BTreeSet;

use super::ChatPatch;
use crate::directory::Directory;

/// The number of members of chat 1, if there are as many users.
const LARGEST: u32 = 5000;

/// Each chat with a multiple of this number is without the bots.
const WITHOUT_BOT: u32 = 50;

/// A group chat.
#[derive(Clone, Debug)]
pub(crate) struct Chat {
    pub(crate) n: u32,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) has_bot: bool,
    pub(crate) is_dissolved: bool,
    seeded: SeededMembers,
    added: BTreeSet<u32>,
    removed: BTreeSet<u32>,
}

/// Users with consecutive numbers from `first` on; user 1 follows the last user.
#[derive(Clone, Copy, Debug, Default)]
struct SeededMembers {
    first: u32,
    count: u32,
    users: u32,
}

impl Chat {
    /// A chat with the bots, without members.
    pub(super) fn empty(n: u32) -> Self {
        Self {
            n,
            name: format!("Project {n}"),
            description: format!("The chat of project {n}"),
            has_bot: true,
            is_dissolved: false,
            seeded: SeededMembers::default(),
            added: BTreeSet::new(),
            removed: BTreeSet::new(),
        }
    }

    pub(super) fn seeded(n: u32, users: u32) -> Self {
        Self {
            has_bot: !n.is_multiple_of(WITHOUT_BOT),
            seeded: SeededMembers::of(n, users),
            ..Self::empty(n)
        }
    }

    pub(crate) fn apply(&mut self, patch: ChatPatch) {
        self.name = patch.name.unwrap_or_else(|| std::mem::take(&mut self.name));
        self.description = patch
            .description
            .unwrap_or_else(|| std::mem::take(&mut self.description));
        self.has_bot = patch.has_bot.unwrap_or(self.has_bot);
        for n in patch.add_members {
            self.removed.remove(&n);
            self.added.insert(n);
        }
        for n in patch.remove_members {
            self.added.remove(&n);
            self.removed.insert(n);
        }
    }

    /// Numbers of the users in the chat, lowest first, without those who have left the company.
    pub(crate) fn members(&self, directory: &Directory) -> Vec<u32> {
        let mut members: Vec<_> = self
            .seeded
            .numbers()
            .chain(self.added.iter().copied())
            .filter(|n| !self.removed.contains(n))
            .collect();
        members.sort_unstable();
        members.dedup();
        directory.retain_employed(&mut members);
        members
    }
}

impl SeededMembers {
    /// 2 to 250 members, except for the largest chat.
    fn of(n: u32, users: u32) -> Self {
        let count = match n {
            1 => LARGEST,
            _ => 2 + n.wrapping_mul(7919) % 249,
        };
        Self {
            first: n.wrapping_mul(613).checked_rem(users).unwrap_or(0) + 1,
            count: count.min(users),
            users,
        }
    }

    fn numbers(self) -> impl Iterator<Item = u32> {
        let offsets = u64::from(self.first)..u64::from(self.first) + u64::from(self.count);
        offsets.map(move |offset| ((offset - 1) % u64::from(self.users) + 1) as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(users: u32) -> Vec<usize> {
        let directory = Directory::new(users);
        (1..=200)
            .map(|n| Chat::seeded(n, users).members(&directory).len())
            .collect()
    }

    #[test]
    fn seeded_chats_have_members_of_many_numbers() {
        let of_many = sizes(10_000);
        assert_eq!(of_many[0], 5000);
        let others: BTreeSet<_> = of_many[1..].iter().copied().collect();
        assert!(others.len() > 150 && others.iter().all(|size| (2..=250).contains(size)));
    }

    #[test]
    fn a_small_company_has_small_chats() {
        assert!(sizes(3).iter().all(|size| (2..=3).contains(size)));
        assert!(sizes(0).iter().all(|size| *size == 0));
    }
}
