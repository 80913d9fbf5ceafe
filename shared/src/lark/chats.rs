//! Chats: the platform's `im/v1/chats` family. Sources: "Obtain groups where the user or bot is", "Search for groups visible to
//! a user or bot", "Obtain group information", "Obtain group member list". All of it needs the app's bot to be switched on.

use super::Request;
use super::apis::{IM_CHAT_GET, IM_CHAT_LIST, IM_CHAT_MEMBERS_GET, IM_CHAT_SEARCH};
use crate::page::{Page, PageRequest};

mod chat;
mod chat_id;
mod chat_name;

pub use chat::{Chat, ChatMember};
pub use chat_id::ChatId;
pub use chat_name::ChatName;

/// The longest page of chats, and of members of a chat.
pub const MAX_CHAT_PAGE: u32 = 100;

/// A page, of up to [`MAX_CHAT_PAGE`], of the chats that the app's bot is in, oldest first.
///
/// Refused with `Forbidden` for an app without a bot, and with `Invalid` for a token of another list.
#[must_use]
pub fn list_chats(page: &PageRequest) -> Request<Page<Chat>> {
    Request::get(IM_CHAT_LIST, &["open-apis", "im", "v1", "chats"])
        .query("user_id_type", "open_id")
        // By activity, chats would move between pages while the list is read.
        .query("sort_type", "ByCreateTimeAsc")
        .page(page)
        .reading_page()
}

/// A page, of up to [`MAX_CHAT_PAGE`], of the chats that the app's bot may see and that match `name`.
///
/// Refused as [`list_chats`].
#[must_use]
pub fn search_chats(name: &ChatName, page: &PageRequest) -> Request<Page<Chat>> {
    Request::get(
        IM_CHAT_SEARCH,
        &["open-apis", "im", "v1", "chats", "search"],
    )
    .query("user_id_type", "open_id")
    .query("query", name.as_str())
    .page(page)
    .reading_page()
}

/// The chat `id`; only a part of its fields if the app's bot is not in it.
///
/// Refused with `NotFound`, also when it was dissolved, and with `Forbidden`.
#[must_use]
pub fn get_chat(id: &ChatId) -> Request<Chat> {
    // Lark does not repeat it here, unlike in lists.
    let chat_id = id.as_str().to_owned();
    Request::get(
        IM_CHAT_GET,
        &["open-apis", "im", "v1", "chats", id.as_str()],
    )
    .query("user_id_type", "open_id")
    .reading_data()
    .map(move |chat: Chat| {
        Ok(Chat {
            chat_id: Some(chat_id.clone()),
            ..chat
        })
    })
}

/// A page of the people in the chat, without bots: about as many as requested, up to [`MAX_CHAT_PAGE`].
///
/// Refused as [`get_chat`], with `Forbidden` when the app's bot is not in the chat, and with `Invalid` for a token of another
/// list.
#[must_use]
pub fn list_members(id: &ChatId, page: &PageRequest) -> Request<Page<ChatMember>> {
    let path = ["open-apis", "im", "v1", "chats", id.as_str(), "members"];
    Request::get(IM_CHAT_MEMBERS_GET, &path)
        .query("member_id_type", "open_id")
        .page(page)
        .reading_page()
}
