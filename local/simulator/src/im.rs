//! Instant messages: group chats here ("IM v1, Chat" and "Chat members" in the platform's reference), as the app's bot sees
//! them; messages and what belongs to them in modules of their own.

pub(crate) mod batch;
mod chat;
pub(crate) mod media;
mod members;
pub(crate) mod messages;
pub(crate) mod reactions;

use http::{Method, StatusCode};

use crate::answer::{Answer, ApiError};
use crate::chats::Chat;
use crate::directory::ids;
use crate::endpoint::{AuthMethod, Call, Endpoint};
use crate::paging::{PageError, PageSizes};
use crate::platform::Platform;
use crate::rate_limit::Tier;
use crate::user_object::UserIdType;

/// Lists have pages of 20 items by default and of 100 at most.
const SIZES: PageSizes = PageSizes {
    default: 20,
    max: 100,
};

type Handler = fn(&Platform, &Call<'_>) -> Result<Answer, ApiError>;

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    endpoint(
        "im.chat.list",
        "/open-apis/im/v1/chats",
        CHAT_SCOPES,
        chat::list,
    ),
    endpoint(
        "im.chat.search",
        "/open-apis/im/v1/chats/search",
        CHAT_SCOPES,
        chat::search,
    ),
    endpoint(
        "im.chat.get",
        "/open-apis/im/v1/chats/{chat_id}",
        CHAT_SCOPES,
        chat::get,
    ),
    endpoint(
        "im.chat.members.get",
        "/open-apis/im/v1/chats/{chat_id}/members",
        MEMBER_SCOPES,
        members::get,
    ),
    endpoint(
        "im.chat.members.is_in_chat",
        "/open-apis/im/v1/chats/{chat_id}/members/is_in_chat",
        MEMBER_SCOPES,
        members::is_in_chat,
    ),
];

const CHAT_SCOPES: &[&str] = &[
    "im:chat:readonly",
    "im:chat",
    "im:chat.group_info:readonly",
    "im:chat:read",
];

const MEMBER_SCOPES: &[&str] = &[
    "im:chat:readonly",
    "im:chat",
    "im:chat.group_info:readonly",
    "im:chat.members:read",
];

const fn endpoint(
    name: &'static str,
    path: &'static str,
    scopes: &'static [&'static str],
    handler: Handler,
) -> Endpoint {
    Endpoint {
        name,
        method: Method::GET,
        path,
        auth: AuthMethod::TenantToken,
        scopes,
        tier: Tier::Four,
        handler,
    }
}

/// The chat in the path.
fn find_chat(platform: &Platform, call: &Call<'_>) -> Result<Chat, ApiError> {
    let chat = ids::decode_chat_id(call.parameter("chat_id"))
        .and_then(|n| platform.chats.get(n))
        .ok_or_else(|| {
            error(
                232_006,
                "Your request specifies a chat_id which is invalid.",
            )
        })?;
    match chat.is_dissolved {
        true => Err(error(232_009, "The chat has been dissolved.")),
        false => Ok(chat),
    }
}

/// The type of user ids that this parameter asks for.
fn id_type(call: &Call<'_>, parameter: &str) -> Result<UserIdType, ApiError> {
    UserIdType::parse(parameter, call.request.query.first(parameter))
}

fn page_error(problem: PageError) -> ApiError {
    bad_parameter(match problem {
        PageError::Size => "page_size",
        PageError::Token => "page_token",
    })
}

fn bad_parameter(name: &str) -> ApiError {
    let msg = format!("Your request contains an invalid request parameter: {name}.");
    error(232_001, msg)
}

fn error(code: i64, msg: impl Into<String>) -> ApiError {
    ApiError::documented(StatusCode::BAD_REQUEST, code, msg)
}
