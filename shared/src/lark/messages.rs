//! Messages: the platform's `im/v1/messages` family. Sources: "Send message", "Reply message", "Edit message", "Update the message
//! card", "Recall message", "Get the content of the specified message", "Get chat history". All of it needs the app's bot to be
//! switched on.

use reqwest::Method;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::apis::{
    Api, IM_MESSAGE_CREATE, IM_MESSAGE_DELETE, IM_MESSAGE_GET, IM_MESSAGE_LIST, IM_MESSAGE_PATCH,
    IM_MESSAGE_REPLY, IM_MESSAGE_UPDATE,
};
use super::{Receiver, Request};
use crate::error::LarkFailure;
use crate::ids::is_identifier;
use crate::page::{Page, PageRequest};

mod message;
mod message_id;

pub use message::{Mention, MessageSender, PlatformMessage};
pub use message_id::MessageId;

/// The longest `uuid`, in characters.
pub const MAX_UUID: usize = 50;

/// The longest id of a message that is believed.
const MAX_ID_BYTES: usize = 128;

/// Whom a message goes to, in the platform's terms.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
#[serde(tag = "type", content = "id", rename_all = "snake_case")]
pub enum Address {
    /// A user, as the sending app knows them.
    OpenId(String),
    /// A chat.
    ChatId(String),
}

impl Address {
    /// The platform's `receive_id_type`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::OpenId(_) => "open_id",
            Self::ChatId(_) => "chat_id",
        }
    }

    /// Whose limit a message to it counts against.
    #[must_use]
    pub fn receiver(&self) -> Receiver {
        match self {
            Self::OpenId(id) => Receiver::Person(id.clone()),
            Self::ChatId(id) => Receiver::Chat(id.clone()),
        }
    }

    /// The platform's `receive_id`.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::OpenId(id) | Self::ChatId(id) => id,
        }
    }
}

/// A message that the platform took.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
pub struct Sent {
    /// Its id, `om_…`.
    pub message_id: String,
    /// The chat that it is in; of a message to a user, the chat between the bot and the user.
    #[serde(default)]
    pub chat_id: Option<String>,
    /// When the platform made it, in milliseconds since the Unix epoch, as digits.
    #[serde(default)]
    pub create_time: Option<String>,
    /// The platform's id of the call.
    #[serde(default)]
    pub log_id: Option<String>,
}

#[derive(Serialize)]
struct Create<'m> {
    receive_id: &'m str,
    msg_type: &'m str,
    content: &'m str,
    uuid: &'m str,
}

/// Sends a message of `msg_type` with `content`, JSON as text. Of calls with the same `uuid`, of at most [`MAX_UUID`] characters, one
/// within an hour makes a message; what a later one answers is not documented.
///
/// It is sent once: whoever repeats it must know when the first call with its `uuid` was.
#[must_use]
pub fn create(to: &Address, msg_type: &str, content: &str, uuid: &str) -> Request<Sent> {
    let body = Create {
        receive_id: to.id(),
        msg_type,
        content,
        uuid,
    };
    let request = Request::post(IM_MESSAGE_CREATE, &PATH)
        .query("receive_id_type", to.kind())
        .to(to.receiver())
        .json(&body);
    reading_sent(request)
}

#[derive(Serialize)]
struct ReplyBody<'m> {
    msg_type: &'m str,
    content: &'m str,
    reply_in_thread: bool,
    uuid: &'m str,
}

/// Replies to the message `id`, as [`create`] sends one. `in_thread` begins a thread at it; a reply to a message that is in a thread is
/// in it too. Its turn is that of `receivers`: the chat that the message is in, and the person in it.
///
/// Refused with `NotFound` when the message does not exist or was recalled.
#[must_use]
pub fn reply(
    id: &MessageId,
    in_thread: bool,
    receivers: Vec<Receiver>,
    msg_type: &str,
    content: &str,
    uuid: &str,
) -> Request<Sent> {
    let body = ReplyBody {
        msg_type,
        content,
        reply_in_thread: in_thread,
        uuid,
    };
    let path = ["open-apis", "im", "v1", "messages", id.as_str(), "reply"];
    let request = Request::post(IM_MESSAGE_REPLY, &path).json(&body);
    reading_sent(receivers.into_iter().fold(request, Request::to))
}

#[derive(Serialize)]
struct Edit<'m> {
    msg_type: &'m str,
    content: &'m str,
}

/// Puts this text or post in place of the content of the message `id`, which is one of both: 20 times at most. Repeated, it changes
/// nothing more, but counts as one more edit.
#[must_use]
pub fn edit(id: &MessageId, msg_type: &str, content: &str) -> Request<()> {
    done(about(IM_MESSAGE_UPDATE, Method::PUT, id).json(&Edit { msg_type, content }))
}

#[derive(Serialize)]
struct Patch<'m> {
    content: &'m str,
}

/// Puts this card in place of that in the message `id`, for 14 days. Both must be shared cards: `update_multi`.
#[must_use]
pub fn patch(id: &MessageId, content: &str) -> Request<()> {
    done(about(IM_MESSAGE_PATCH, Method::PATCH, id).json(&Patch { content }))
}

/// Recalls the message `id`. Refused with [`RECALLED`] when it was recalled before.
#[must_use]
pub fn recall(id: &MessageId) -> Request<()> {
    done(about(IM_MESSAGE_DELETE, Method::DELETE, id))
}

/// The message `id`, a card as it was sent. One that was recalled is there, without its content.
#[must_use]
pub fn get(id: &MessageId) -> Request<PlatformMessage> {
    let path = ["open-apis", "im", "v1", "messages", id.as_str()];
    Request::get(IM_MESSAGE_GET, &path)
        .query("user_id_type", "open_id")
        .query("card_msg_content_type", "user_card_content")
        .reading_page()
        .map(|page: Page<PlatformMessage>| {
            // Of a merged message the others are in it.
            let first = page.items.into_iter().next();
            first.ok_or_else(|| LarkFailure::lacking("message"))
        })
}

/// The most messages of a page of [`list_history`].
pub const MAX_HISTORY_PAGE: u32 = 50;

/// A page, of up to [`MAX_HISTORY_PAGE`], of the messages in the chat `chat_id` from the second `from` to the second `until`, both
/// since the Unix epoch, oldest first. Of a thread only its first message is there.
///
/// Refused with `Forbidden` when the app's bot is not in the chat, and for a group without the permission for its messages.
#[must_use]
pub fn list_history(
    chat_id: &str,
    from: i64,
    until: i64,
    page: &PageRequest,
) -> Request<Page<PlatformMessage>> {
    Request::get(IM_MESSAGE_LIST, &PATH)
        .query("container_id_type", "chat")
        .query("container_id", chat_id)
        .query("start_time", from.to_string())
        .query("end_time", until.to_string())
        .query("sort_type", "ByCreateTimeAsc")
        .query("card_msg_content_type", "user_card_content")
        .page(page)
        .reading_page()
}

/// The code of a call about a message that was recalled.
pub const RECALLED: i64 = 230_011;
/// The code of a call about a message that was deleted.
pub const DELETED: i64 = 230_110;
/// The code of an edit after the last one that the platform allows.
pub const EDITS_USED_UP: i64 = 230_072;

const PATH: [&str; 4] = ["open-apis", "im", "v1", "messages"];

/// A change of the message `id`: five a second, and repeated it does no harm.
fn about(api: Api, method: Method, id: &MessageId) -> Request {
    let path = ["open-apis", "im", "v1", "messages", id.as_str()];
    Request::new(api, method, &path)
        .to(Receiver::Message(id.as_str().to_owned()))
        .repeatable()
}

/// The same call, of whose answer only matters that it is no refusal.
fn done(request: Request) -> Request<()> {
    request.reading(|answer| answer.json::<IgnoredAny>().map(|_| ()))
}

fn reading_sent(request: Request) -> Request<Sent> {
    request.reading(|answer| {
        let data: Data = answer.json()?;
        let sent = data.data.filter(|sent| is_id(&sent.message_id));
        let sent = sent.ok_or_else(|| LarkFailure::lacking("message_id"))?;
        Ok(Sent {
            log_id: answer.log_id(),
            ..sent
        })
    })
}

/// Whether `text` can be a message's id.
fn is_id(text: &str) -> bool {
    is_identifier(text, MAX_ID_BYTES)
}

#[derive(Deserialize)]
struct Data {
    data: Option<Sent>,
}
