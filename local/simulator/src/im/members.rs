//! Members of a chat. Bots do not count as members.

use serde::Serialize;
use serde_json::{Value, json};

use super::{SIZES, error, find_chat, id_type, page_error};
use crate::answer::{Answer, ApiError};
use crate::endpoint::Call;
use crate::paging::{PageData, PageRequest};
use crate::platform::Platform;

/// In the order of their numbers; only for a bot that is in the chat.
pub(super) fn get(platform: &Platform, call: &Call<'_>) -> Result<Answer, ApiError> {
    #[derive(Serialize)]
    struct Data {
        #[serde(flatten)]
        page: PageData<Value>,
        member_total: usize,
    }
    let id_type = id_type(call, "member_id_type")?;
    let chat = find_chat(platform, call)?;
    if !chat.has_bot {
        return Err(error(232_011, "Operator can NOT be out of the chat."));
    }
    let list = format!("im.chat.members.get/{}", chat.n);
    let page = PageRequest::parse(&call.request.query, list, SIZES).map_err(page_error)?;
    let members = chat.members(&platform.directory);
    let behind = members.partition_point(|member| u64::from(*member) <= page.after);
    let items = members[behind..].iter().map(|member| {
        let profile = platform.directory.profile((*member).into());
        let item = json!({
            "member_id_type": id_type.name(),
            "member_id": id_type.user_id(*member, &call.app.app_id),
            "name": profile.map_or_else(String::new, |profile| profile.name),
            "tenant_key": call.tenant_key(),
        });
        (u64::from(*member), item)
    });
    Ok(Answer::data(&Data {
        page: page.fill(items),
        member_total: members.len(),
    }))
}

/// Whether the bot is in the chat.
pub(super) fn is_in_chat(platform: &Platform, call: &Call<'_>) -> Result<Answer, ApiError> {
    let chat = find_chat(platform, call)?;
    Ok(Answer::data(&json!({ "is_in_chat": chat.has_bot })))
}
