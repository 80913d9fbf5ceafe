//! Group chats ("IM v1, Chat" and "Chat members" in the platform's reference), as the app's bot sees them.

mod chat;
mod members;

use http::{Method, StatusCode};

use crate::answer::{Answer, Refusal};
use crate::chats::Chat;
use crate::directory::ids;
use crate::endpoint::{Access, Call, Endpoint};
use crate::paging::{BadPage, Sizes};
use crate::platform::Platform;
use crate::rate_limit::Tier;
use crate::user_object::UserIdType;

/// A list comes in pages of 20, of 100 at most.
const SIZES: Sizes = Sizes {
    default: 20,
    max: 100,
};

type Handler = fn(&Platform, &Call<'_>) -> Result<Answer, Refusal>;

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    endpoint(
        "im.chat.list",
        "/open-apis/im/v1/chats",
        OF_CHATS,
        chat::list,
    ),
    endpoint(
        "im.chat.search",
        "/open-apis/im/v1/chats/search",
        OF_CHATS,
        chat::search,
    ),
    endpoint(
        "im.chat.get",
        "/open-apis/im/v1/chats/{chat_id}",
        OF_CHATS,
        chat::get,
    ),
    endpoint(
        "im.chat.members.get",
        "/open-apis/im/v1/chats/{chat_id}/members",
        OF_MEMBERS,
        members::get,
    ),
    endpoint(
        "im.chat.members.is_in_chat",
        "/open-apis/im/v1/chats/{chat_id}/members/is_in_chat",
        OF_MEMBERS,
        members::is_in_chat,
    ),
];

const OF_CHATS: &[&str] = &[
    "im:chat:readonly",
    "im:chat",
    "im:chat.group_info:readonly",
    "im:chat:read",
];

const OF_MEMBERS: &[&str] = &[
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
        access: Access::TenantToken,
        scopes,
        tier: Tier::Four,
        handler,
    }
}

/// The chat that the path names.
fn existing(platform: &Platform, call: &Call<'_>) -> Result<Chat, Refusal> {
    let chat = ids::decode_chat_id(call.parameter("chat_id"))
        .and_then(|n| platform.chats.get(n))
        .ok_or_else(|| {
            refusal(
                232_006,
                "Your request specifies a chat_id which is invalid.",
            )
        })?;
    match chat.is_dissolved {
        true => Err(refusal(232_009, "The chat has been dissolved.")),
        false => Ok(chat),
    }
}

/// In which ids a parameter of this name wants users.
fn id_type(call: &Call<'_>, parameter: &str) -> Result<UserIdType, Refusal> {
    UserIdType::parse(parameter, call.request.query.first(parameter))
}

fn bad_page(problem: BadPage) -> Refusal {
    bad_parameter(match problem {
        BadPage::Size => "page_size",
        BadPage::Token => "page_token",
    })
}

fn bad_parameter(name: &str) -> Refusal {
    let msg = format!("Your request contains an invalid request parameter: {name}.");
    refusal(232_001, msg)
}

fn refusal(code: i64, msg: impl Into<String>) -> Refusal {
    Refusal::documented(StatusCode::BAD_REQUEST, code, msg)
}
