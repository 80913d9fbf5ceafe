//! Chats: the platform's `im/v1/chats` family. Sources: "Obtain groups where the user or bot is", "Search for groups visible to
//! a user or bot", "Obtain group information", "Obtain group member list". All of it needs the app's bot to be switched on.

use secrecy::SecretString;

use super::apis::{IM_CHAT_GET, IM_CHAT_LIST, IM_CHAT_MEMBERS_GET, IM_CHAT_SEARCH};
use super::reading::Reading;
use super::{Installation, LarkClient};
use crate::deadline::Deadline;
use crate::error::LarkFailure;
use crate::page::{Page, PageRequest};

mod chat;
mod chat_id;
mod chat_name;

pub use chat::{Chat, ChatMember};
pub use chat_id::ChatId;
pub use chat_name::ChatName;

/// The longest page of chats, and of members of a chat.
pub const MAX_CHAT_PAGE: u32 = 100;

/// Users are told by their open_id.
const OPEN_ID: (&str, &str) = ("user_id_type", "open_id");

impl LarkClient {
    /// A page, of up to [`MAX_CHAT_PAGE`], of the chats that the app's bot is in, oldest first. Safe to repeat.
    ///
    /// # Errors
    /// [`crate::error::FailureKind::Forbidden`] for an app without a bot, [`crate::error::FailureKind::Invalid`] for a token of
    /// another list, [`crate::error::FailureKind::TokenInvalid`], and what the transport says.
    pub async fn fetch_chats(
        &self,
        installation: Installation<'_>,
        token: &SecretString,
        page: &PageRequest,
        deadline: Deadline,
    ) -> Result<Page<Chat>, LarkFailure> {
        let reading = Reading {
            api: &IM_CHAT_LIST,
            installation,
            token,
            path: &["open-apis", "im", "v1", "chats"],
            // By activity, chats would move between pages while the list is read.
            query: &[OPEN_ID, ("sort_type", "ByCreateTimeAsc")],
        };
        self.read_page(&reading, page, deadline).await
    }

    /// A page, of up to [`MAX_CHAT_PAGE`], of the chats that the app's bot may see and that `query` finds, of 1 to 64
    /// characters.
    ///
    /// # Errors
    /// As [`LarkClient::fetch_chats`].
    pub async fn search_chats(
        &self,
        installation: Installation<'_>,
        token: &SecretString,
        query: &str,
        page: &PageRequest,
        deadline: Deadline,
    ) -> Result<Page<Chat>, LarkFailure> {
        let reading = Reading {
            api: &IM_CHAT_SEARCH,
            installation,
            token,
            path: &["open-apis", "im", "v1", "chats", "search"],
            query: &[OPEN_ID, ("query", query)],
        };
        self.read_page(&reading, page, deadline).await
    }

    /// The chat `id`; of one that the app's bot is not in, a part.
    ///
    /// # Errors
    /// [`crate::error::FailureKind::NotFound`], also when it was dissolved; [`crate::error::FailureKind::Forbidden`];
    /// [`crate::error::FailureKind::TokenInvalid`]; and what the transport says.
    pub async fn fetch_chat(
        &self,
        installation: Installation<'_>,
        token: &SecretString,
        id: &ChatId,
        deadline: Deadline,
    ) -> Result<Chat, LarkFailure> {
        let reading = Reading {
            api: &IM_CHAT_GET,
            installation,
            token,
            path: &["open-apis", "im", "v1", "chats", id.as_str()],
            query: &[OPEN_ID],
        };
        let chat: Chat = self.read(&reading, deadline).await?;
        // Lark does not repeat it here, unlike in lists.
        Ok(Chat {
            chat_id: Some(id.as_str().to_owned()),
            ..chat
        })
    }

    /// A page of the people in the chat, bots left out: of about as many as asked for, up to [`MAX_CHAT_PAGE`].
    ///
    /// # Errors
    /// As [`LarkClient::fetch_chat`]; [`crate::error::FailureKind::Forbidden`] when the app's bot is not in the chat;
    /// [`crate::error::FailureKind::Invalid`] for a token of another list.
    pub async fn fetch_chat_members(
        &self,
        installation: Installation<'_>,
        token: &SecretString,
        id: &ChatId,
        page: &PageRequest,
        deadline: Deadline,
    ) -> Result<Page<ChatMember>, LarkFailure> {
        let reading = Reading {
            api: &IM_CHAT_MEMBERS_GET,
            installation,
            token,
            path: &["open-apis", "im", "v1", "chats", id.as_str(), "members"],
            query: &[("member_id_type", "open_id")],
        };
        self.read_page(&reading, page, deadline).await
    }
}
