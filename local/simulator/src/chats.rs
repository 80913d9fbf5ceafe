//! The tenant's group chats. Seeded chats are computed from their numbers; only changed ones are stored.

mod chat;

use std::collections::{BTreeSet, HashMap};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use serde::{Deserialize, Serialize};

use crate::invalid::Invalid;
pub(crate) use chat::Chat;

/// Changes to a chat. Absent fields keep their value; a new chat is named by its number and has the bots in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ChatPatch {
    /// Name of the chat.
    pub name: Option<String>,
    /// Description of the chat.
    pub description: Option<String>,
    /// Whether the bots of the apps are in the chat; all are or none.
    pub has_bot: Option<bool>,
    /// Numbers of users to add.
    pub add_members: BTreeSet<u32>,
    /// Numbers of users to remove.
    pub remove_members: BTreeSet<u32>,
}

/// A chat in the controls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChatInfo {
    /// The chat's number.
    pub n: u32,
    /// See [`chat_id`](crate::chat_id).
    pub chat_id: String,
    /// Name of the chat.
    pub name: String,
    /// Numbers of the users in the chat, lowest first, without those who have left the company.
    pub members: Vec<u32>,
    /// Whether the bots of the apps are in the chat.
    pub has_bot: bool,
    /// Whether the chat was dissolved.
    pub is_dissolved: bool,
}

pub(crate) struct Chats(RwLock<State>);

struct State {
    seeded: u32,
    /// The number of seeded users, who are the members of seeded chats.
    users: u32,
    last: u32,
    /// Changed and created chats.
    changed: HashMap<u32, Chat>,
}

impl Chats {
    pub(crate) fn new(seeded: u32, users: u32) -> Self {
        Self(RwLock::new(State {
            seeded,
            users,
            last: seeded,
            changed: HashMap::new(),
        }))
    }

    pub(crate) fn get(&self, n: u64) -> Option<Chat> {
        self.read().get(u32::try_from(n).ok()?)
    }

    /// Chats with numbers above `after` that match, in order; `limit` at most.
    pub(crate) fn ascending(
        &self,
        after: u32,
        limit: usize,
        fits: impl Fn(&Chat) -> bool,
    ) -> Vec<Chat> {
        let state = self.read();
        let numbers = after.saturating_add(1)..=state.last;
        let chats = numbers.filter_map(|n| state.get(n));
        chats.filter(fits).take(limit).collect()
    }

    /// Chats with numbers below `before` that match, in reverse order; `limit` at most.
    pub(crate) fn descending(
        &self,
        before: u32,
        limit: usize,
        fits: impl Fn(&Chat) -> bool,
    ) -> Vec<Chat> {
        let state = self.read();
        let numbers = 1..=state.last.min(before.saturating_sub(1));
        let chats = numbers.rev().filter_map(|n| state.get(n));
        chats.filter(fits).take(limit).collect()
    }

    pub(crate) fn create(&self, patch: ChatPatch) -> Result<u32, Invalid> {
        let mut state = self.write();
        let n = state
            .last
            .checked_add(1)
            .ok_or_else(|| Invalid::new("n", "no chat number is left"))?;
        let mut chat = Chat::empty(n);
        chat.apply(patch);
        state.changed.insert(n, chat);
        state.last = n;
        Ok(n)
    }

    pub(crate) fn update(&self, n: u32, change: impl FnOnce(&mut Chat)) -> Result<(), Invalid> {
        let mut state = self.write();
        let mut chat = state
            .get(n)
            .ok_or_else(|| Invalid::new("n", format!("there is no chat {n}")))?;
        if chat.is_dissolved {
            return Err(Invalid::new("n", format!("chat {n} was dissolved")));
        }
        change(&mut chat);
        state.changed.insert(n, chat);
        Ok(())
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn get(&self, n: u32) -> Option<Chat> {
        match self.changed.get(&n) {
            Some(chat) => Some(chat.clone()),
            None => (1..=self.seeded)
                .contains(&n)
                .then(|| Chat::seeded(n, self.users)),
        }
    }
}
