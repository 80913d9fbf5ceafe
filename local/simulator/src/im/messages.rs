//! Messages ("IM v1, Message" in the platform's reference), as an app's bot sends, changes and reads them.

mod change;
mod content;
mod forward;
mod object;
mod read;
mod receiver;
mod send;
mod urgent;

use std::sync::Arc;

use http::{Method, StatusCode};

use super::Handler;
use crate::answer::ApiError;
use crate::endpoint::{AuthMethod, Call, Endpoint};
use crate::messages::{Chat, Limits, Message, Place};
use crate::platform::Platform;
use crate::rate_limit::Tier;

pub(super) use content::{Context, read as read_content};

const MESSAGES: &str = "/open-apis/im/v1/messages";
const MESSAGE: &str = "/open-apis/im/v1/messages/{message_id}";

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    endpoint(
        "im.message.create",
        Method::POST,
        MESSAGES,
        SEND_SCOPES,
        send::create,
    ),
    endpoint(
        "im.message.list",
        Method::GET,
        MESSAGES,
        READ_SCOPES,
        read::list,
    ),
    endpoint(
        "im.message.get",
        Method::GET,
        MESSAGE,
        READ_SCOPES,
        read::get,
    ),
    endpoint(
        "im.message.update",
        Method::PUT,
        MESSAGE,
        UPDATE_SCOPES,
        change::update,
    ),
    endpoint(
        "im.message.patch",
        Method::PATCH,
        MESSAGE,
        UPDATE_SCOPES,
        change::patch,
    ),
    endpoint(
        "im.message.delete",
        Method::DELETE,
        MESSAGE,
        RECALL_SCOPES,
        change::delete,
    ),
    endpoint(
        "im.message.reply",
        Method::POST,
        "/open-apis/im/v1/messages/{message_id}/reply",
        SEND_SCOPES,
        send::reply,
    ),
    endpoint(
        "im.message.forward",
        Method::POST,
        "/open-apis/im/v1/messages/{message_id}/forward",
        SEND_SCOPES,
        forward::forward,
    ),
    endpoint(
        "im.message.read_users",
        Method::GET,
        "/open-apis/im/v1/messages/{message_id}/read_users",
        READ_SCOPES,
        read::read_users,
    ),
    endpoint(
        "im.message.urgent_app",
        Method::PATCH,
        "/open-apis/im/v1/messages/{message_id}/urgent_app",
        URGENT_SCOPES,
        urgent::urgent,
    ),
    endpoint(
        "im.message.urgent_sms",
        Method::PATCH,
        "/open-apis/im/v1/messages/{message_id}/urgent_sms",
        URGENT_SCOPES,
        urgent::urgent,
    ),
    endpoint(
        "im.message.urgent_phone",
        Method::PATCH,
        "/open-apis/im/v1/messages/{message_id}/urgent_phone",
        URGENT_SCOPES,
        urgent::urgent,
    ),
];

const SEND_SCOPES: &[&str] = &["im:message", "im:message:send_as_bot", "im:message:send"];
const READ_SCOPES: &[&str] = &[
    "im:message",
    "im:message:readonly",
    "im:message.history:readonly",
];
const UPDATE_SCOPES: &[&str] = &["im:message", "im:message:send_as_bot", "im:message:update"];
const RECALL_SCOPES: &[&str] = &["im:message", "im:message:send_as_bot", "im:message:recall"];
const URGENT_SCOPES: &[&str] = &[
    "im:message.urgent",
    "im:message.urgent:sms",
    "im:message.urgent:phone",
];

/// Besides, to read the messages of a group in which nobody mentions the bot.
const GROUP_HISTORY_SCOPE: &str = "im:message.group_msg";

const fn endpoint(
    name: &'static str,
    method: Method,
    path: &'static str,
    scopes: &'static [&'static str],
    handler: Handler,
) -> Endpoint {
    Endpoint {
        name,
        method,
        path,
        auth: AuthMethod::TenantToken,
        scopes,
        tier: Tier::Four,
        handler,
    }
}

/// The message in the path, which is in a chat with the bot.
pub(super) fn find(platform: &Platform, call: &Call<'_>) -> Result<Arc<Message>, ApiError> {
    let id = call.parameter("message_id");
    let message = Message::decode_id(id).and_then(|number| platform.messages.get(number));
    let message = message
        .filter(|message| *message.chat.tenant == *call.tenant_key())
        .ok_or_else(|| {
            let msg = format!(
                "The request you send is not a valid {{message_id}} or not exists. Invalid ids: [{id}]"
            );
            error(99_992_354, msg)
        })?;
    check_access(platform, call, &message.chat)?;
    Ok(message)
}

/// Whether the bot is in the chat.
fn check_access(platform: &Platform, call: &Call<'_>, chat: &Chat) -> Result<(), ApiError> {
    match &chat.place {
        Place::Direct { app_id, .. } if **app_id == *call.app.app_id => Ok(()),
        Place::Direct { .. } => Err(outside()),
        Place::Group(n) => match platform.chats.get((*n).into()) {
            Some(group) if group.is_dissolved => {
                Err(error(232_009, "The chat has been dissolved."))
            }
            Some(group) if group.has_bot => Ok(()),
            Some(_) | None => Err(outside()),
        },
    }
}

pub(super) fn check_not_recalled(message: &Message) -> Result<(), ApiError> {
    match message.is_recalled {
        true => Err(error(230_011, "The message was recalled.")),
        false => Ok(()),
    }
}

/// Changes a message that was found before. If it was forgotten meanwhile, it is as if it never existed.
pub(super) fn change(
    platform: &Platform,
    number: u64,
    change: impl FnOnce(&mut Message) -> Result<(), ApiError>,
) -> Result<Arc<Message>, ApiError> {
    let changed = platform.messages.change(number, change);
    changed.unwrap_or_else(|| Err(error(230_110, "The message has been deleted.")))
}

/// The limits for a message of this moment.
fn limits(platform: &Platform) -> Limits {
    let settings = platform.settings();
    Limits {
        are_on: settings.rate_limits,
        per_chat: settings.chat_messages_per_second,
        per_person: settings.person_messages_per_second,
        window_ms: settings.second_ms(),
    }
}

fn outside() -> ApiError {
    error(230_002, "The bot can not be outside the group.")
}

fn too_many() -> ApiError {
    error(
        230_020,
        "This operation triggers the frequency limit, ext=the frequency limit of messages.",
    )
}

/// 230001, and what is wrong.
fn invalid(problem: impl std::fmt::Display) -> ApiError {
    let msg = format!("Your request contains an invalid request parameter, ext={problem}.");
    error(230_001, msg)
}

pub(super) fn error(code: i64, msg: impl Into<String>) -> ApiError {
    ApiError::documented(StatusCode::BAD_REQUEST, code, msg)
}
