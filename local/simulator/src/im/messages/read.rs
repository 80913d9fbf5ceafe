//! One message, the history of a chat or thread, and who has read a message.

use serde_json::{Value, json};

use super::{GROUP_HISTORY_SCOPE, check_access, error, find, invalid, object, receiver};
use crate::answer::{Answer, ApiError};
use crate::endpoint::Call;
use crate::im::id_type;
use crate::messages::{Chat, HistoryQuery, Message, Order, Place};
use crate::paging::{PageError, PageRequest, PageSizes};
use crate::platform::Platform;

const HISTORY_SIZES: PageSizes = PageSizes {
    default: 20,
    max: 50,
};

const READER_SIZES: PageSizes = PageSizes {
    default: 20,
    max: 100,
};

/// How long the platform tells who has read a message.
const READERS_MS: u64 = 7 * 86_400_000;

/// A list with one message.
pub(super) fn get(platform: &Platform, call: &Call<'_>) -> Result<Answer, ApiError> {
    let id_type = id_type(call, "user_id_type")?;
    let message = find(platform, call)?;
    let item = object::with_ids(&message, call, id_type);
    Ok(Answer::data(&json!({ "items": [item] })))
}

pub(super) fn list(platform: &Platform, call: &Call<'_>) -> Result<Answer, ApiError> {
    let given = |name| {
        call.request
            .query
            .first(name)
            .filter(|value| !value.is_empty())
    };
    let (chat, thread) = container(platform, call)?;
    let order = match given("sort_type") {
        None | Some("ByCreateTimeAsc") => Order::OldestFirst,
        Some("ByCreateTimeDesc") => Order::NewestFirst,
        Some(_) => return Err(invalid("invalid sort_type")),
    };
    let seconds = |name| -> Result<Option<u64>, ApiError> {
        let given = given(name).map(str::parse::<u64>).transpose();
        given.map_err(|_| invalid(format!("invalid {name}")))
    };
    let (start, end) = match thread {
        // Threads have no range of time.
        Some(_) => (None, None),
        None => (seconds("start_time")?, seconds("end_time")?),
    };
    if start.zip(end).is_some_and(|(start, end)| start > end) {
        return Err(invalid("start_time is after end_time"));
    }
    let list = format!(
        "im.message.list/{}/{thread:?}/{order:?}/{start:?}/{end:?}",
        chat.id()
    );
    let page = page(call, list, HISTORY_SIZES)?;
    let query = HistoryQuery {
        chat: &chat,
        thread,
        order,
        from_ms: start.map_or(0, |start| start.saturating_mul(1000)),
        until_ms: end.map_or(u64::MAX, |end| end.saturating_mul(1000).saturating_add(999)),
        after: page.after,
        limit: page.fetch_limit(),
    };
    let messages = platform.messages.history(&query);
    let items = messages
        .iter()
        .map(|message| (message.number, object::of(message, call)));
    Ok(Answer::data(&page.fill(items)))
}

/// The chat whose history is read, and the thread in it.
fn container(platform: &Platform, call: &Call<'_>) -> Result<(Chat, Option<u64>), ApiError> {
    let query = |name| call.request.query.first(name).unwrap_or_default();
    let id = query("container_id");
    let unknown = || invalid("invalid container_id");
    let (chat, thread) = match query("container_id_type") {
        "chat" => (
            receiver::chat(platform, call, id).ok_or_else(unknown)?,
            None,
        ),
        "thread" => {
            let number = Message::decode_thread_id(id).ok_or_else(unknown)?;
            let first = platform.messages.get(number);
            let first = first.filter(|first| first.thread == Some(number));
            (first.ok_or_else(unknown)?.chat.clone(), Some(number))
        }
        _ => return Err(invalid("invalid container_id_type")),
    };
    check_access(platform, call, &chat)?;
    let is_group = matches!(chat.place, Place::Group(_));
    if is_group && !call.app.has_one_of(&[GROUP_HISTORY_SCOPE]) {
        let msg = format!("Lack of necessary permissions, ext=need scope: {GROUP_HISTORY_SCOPE}");
        return Err(error(230_027, msg));
    }
    Ok((chat, thread))
}

/// Who has read a message of the bot's own in the last week, in the order of the users' numbers.
pub(super) fn read_users(platform: &Platform, call: &Call<'_>) -> Result<Answer, ApiError> {
    let id_type = id_type(call, "user_id_type")?;
    let message = find(platform, call)?;
    if *message.app_id != *call.app.app_id {
        return Err(error(230_012, "Bot is NOT the sender of the message."));
    }
    if call.now_ms >= message.created_ms.saturating_add(READERS_MS) {
        return Err(invalid("the message is older than 7 days"));
    }
    let list = format!("im.message.read_users/{}", message.number);
    let page = page(call, list, READER_SIZES)?;
    let readers = message.readers.iter();
    let behind = readers.filter(|(user, _)| u64::from(**user) > page.after);
    let items = behind.map(|(user, at_ms)| {
        let item: Value = json!({
            "user_id_type": id_type.name(),
            "user_id": id_type.user_id(*user, &call.app.app_id),
            "timestamp": at_ms.to_string(),
            "tenant_key": message.chat.tenant,
        });
        (u64::from(*user), item)
    });
    Ok(Answer::data(&page.fill(items)))
}

fn page(call: &Call<'_>, list: String, sizes: PageSizes) -> Result<PageRequest, ApiError> {
    PageRequest::parse(&call.request.query, list, sizes).map_err(|problem| {
        invalid(match problem {
            PageError::Size => "invalid page_size",
            PageError::Token => "invalid page_token",
        })
    })
}
