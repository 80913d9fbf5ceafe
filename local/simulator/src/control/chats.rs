//! Chats, so that a test can watch them change.

use super::Control;
use crate::chats::{ChatInfo, ChatPatch};
use crate::directory::ids;
use crate::invalid::Invalid;

impl Control {
    /// Adds a chat and tells the number; its members are [`ChatPatch::add_members`].
    ///
    /// # Errors
    /// When a member is no user of the directory.
    pub fn create_chat(&self, chat: ChatPatch) -> Result<u32, Invalid> {
        self.check_members(&chat)?;
        self.0.chats.create(chat)
    }

    /// Changes a chat, seeded or created: its name, its members.
    ///
    /// # Errors
    /// When there is no such chat, it was dissolved, or somebody who comes in is no user of the directory.
    pub fn update_chat(&self, n: u32, patch: ChatPatch) -> Result<(), Invalid> {
        self.check_members(&patch)?;
        self.0.chats.update(n, |chat| chat.apply(patch))
    }

    /// Ends a chat: it is in no list any more, and asking for it is answered with 232009. The number is not given again.
    ///
    /// # Errors
    /// When there is no such chat, or it was dissolved before.
    pub fn dissolve_chat(&self, n: u32) -> Result<(), Invalid> {
        self.0.chats.update(n, |chat| chat.is_dissolved = true)
    }

    /// A chat as it is, dissolved ones too. `None` when there is no such chat.
    pub fn chat(&self, n: u32) -> Option<ChatInfo> {
        let chat = self.0.chats.get(n.into())?;
        Some(ChatInfo {
            n,
            chat_id: ids::chat_id(n),
            members: chat.members(&self.0.directory),
            name: chat.name,
            has_bot: chat.has_bot,
            is_dissolved: chat.is_dissolved,
        })
    }

    fn check_members(&self, patch: &ChatPatch) -> Result<(), Invalid> {
        let mut strangers = patch
            .add_members
            .iter()
            .filter(|n| self.0.directory.profile((**n).into()).is_none());
        match strangers.next() {
            Some(n) => Err(Invalid::new("add_members", format!("there is no user {n}"))),
            None => Ok(()),
        }
    }
}
