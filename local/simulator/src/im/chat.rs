//! Chats: list, search, get.

use serde_json::{Value, json};

use super::{SIZES, bad_parameter, find_chat, id_type, page_error};
use crate::answer::{Answer, ApiError};
use crate::chats::Chat;
use crate::directory::ids;
use crate::endpoint::Call;
use crate::paging::PageRequest;
use crate::platform::Platform;
use crate::user_object::UserIdType;

/// A longer query finds nothing.
const QUERY_MAX: usize = 64;

/// The order of a list. The simulator does not know when a chat was active: the newest chats count as the most active.
#[derive(Clone, Copy, Debug)]
enum Order {
    ByCreateTimeAsc,
    ByActiveTimeDesc,
}

/// The chats with the bot.
pub(super) fn list(platform: &Platform, call: &Call<'_>) -> Result<Answer, ApiError> {
    let order = match call.request.query.first("sort_type") {
        None | Some("" | "ByCreateTimeAsc") => Order::ByCreateTimeAsc,
        Some("ByActiveTimeDesc") => Order::ByActiveTimeDesc,
        Some(_) => return Err(bad_parameter("sort_type")),
    };
    let list = format!("im.chat.list/{order:?}");
    answer(platform, call, order, list, |chat| chat.has_bot)
}

/// The chats with the bot whose names contain the query, ignoring case.
pub(super) fn search(platform: &Platform, call: &Call<'_>) -> Result<Answer, ApiError> {
    let query = call.request.query.first("query").unwrap_or_default();
    let wanted = query.to_lowercase();
    let can_match = (1..=QUERY_MAX).contains(&query.chars().count());
    let list = format!("im.chat.search/{wanted}");
    answer(platform, call, Order::ByCreateTimeAsc, list, |chat| {
        can_match && chat.has_bot && chat.name.to_lowercase().contains(&wanted)
    })
}

/// Flat, without the chat's id. A bot outside the chat sees only a few fields.
pub(super) fn get(platform: &Platform, call: &Call<'_>) -> Result<Answer, ApiError> {
    let id_type = id_type(call, "user_id_type")?;
    let chat = find_chat(platform, call)?;
    let members = chat.members(&platform.directory);
    let mut data = json!({
        "avatar": avatar(&chat),
        "name": chat.name,
        "user_count": members.len().to_string(),
        "bot_count": u8::from(chat.has_bot).to_string(),
        "chat_status": "normal",
    });
    if chat.has_bot {
        let more = json!({
            "description": chat.description,
            "i18n_names": { "zh_cn": "", "en_us": chat.name, "ja_jp": "" },
            "add_member_permission": "all_members",
            "share_card_permission": "allowed",
            "at_all_permission": "all_members",
            "edit_permission": "all_members",
            "user_manager_id_list": [],
            "bot_manager_id_list": [],
            "group_message_type": "chat",
            "chat_mode": "group",
            "chat_type": "private",
            "chat_tag": "inner",
            "join_message_visibility": "all_members",
            "leave_message_visibility": "all_members",
            "membership_approval": "no_approval_required",
            "moderation_permission": "all_members",
            "external": false,
            "tenant_key": call.tenant_key(),
        });
        merge(&mut data, more);
        merge(&mut data, owner(&members, id_type, call));
    }
    Ok(Answer::data(&data))
}

fn answer(
    platform: &Platform,
    call: &Call<'_>,
    order: Order,
    list: String,
    fits: impl Fn(&Chat) -> bool,
) -> Result<Answer, ApiError> {
    let id_type = id_type(call, "user_id_type")?;
    let page = PageRequest::parse(&call.request.query, list, SIZES).map_err(page_error)?;
    let after = u32::try_from(page.after).unwrap_or(u32::MAX);
    let fits = |chat: &Chat| !chat.is_dissolved && fits(chat);
    let chats = match (order, after) {
        (Order::ByCreateTimeAsc, after) => {
            platform.chats.ascending(after, page.fetch_limit(), fits)
        }
        (Order::ByActiveTimeDesc, 0) => {
            platform
                .chats
                .descending(u32::MAX, page.fetch_limit(), fits)
        }
        (Order::ByActiveTimeDesc, before) => {
            platform.chats.descending(before, page.fetch_limit(), fits)
        }
    };
    let items = chats.iter().map(|chat| {
        let item = item(platform, call, chat, id_type);
        (chat.n.into(), item)
    });
    Ok(Answer::data(&page.fill(items)))
}

fn item(platform: &Platform, call: &Call<'_>, chat: &Chat, id_type: UserIdType) -> Value {
    let mut item = json!({
        "chat_id": ids::chat_id(chat.n),
        "avatar": avatar(chat),
        "name": chat.name,
        "description": chat.description,
        "external": false,
        "tenant_key": call.tenant_key(),
        "chat_status": "normal",
    });
    let members = chat.members(&platform.directory);
    merge(&mut item, owner(&members, id_type, call));
    item
}

/// The member with the lowest number. Without members the bot owns the chat, and the fields are missing.
fn owner(members: &[u32], id_type: UserIdType, call: &Call<'_>) -> Value {
    members.first().map_or(json!({}), |owner| {
        json!({
            "owner_id": id_type.user_id(*owner, &call.app.app_id),
            "owner_id_type": id_type.name(),
        })
    })
}

fn avatar(chat: &Chat) -> String {
    let id = ids::chat_id(chat.n);
    format!("https://avatar.example.com/chats/{id}.png")
}

fn merge(object: &mut Value, more: Value) {
    if let (Some(object), Value::Object(more)) = (object.as_object_mut(), more) {
        object.extend(more);
    }
}
