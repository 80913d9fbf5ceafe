//! Who is in a chat. Bots are not among the members.

use serde::Serialize;
use serde_json::{Value, json};

use super::{SIZES, bad_page, existing, id_type, refusal};
use crate::answer::{Answer, Refusal};
use crate::endpoint::Call;
use crate::paging::{Filled, Page};
use crate::platform::Platform;

/// By number; only for a bot that is a member itself.
pub(super) fn get(platform: &Platform, call: &Call<'_>) -> Result<Answer, Refusal> {
    #[derive(Serialize)]
    struct Data {
        #[serde(flatten)]
        page: Filled<Value>,
        member_total: usize,
    }
    let id_type = id_type(call, "member_id_type")?;
    let chat = existing(platform, call)?;
    if !chat.has_bot {
        return Err(refusal(232_011, "Operator can NOT be out of the chat."));
    }
    let list = format!("im.chat.members.get/{}", chat.n);
    let page = Page::asked(&call.request.query, list, SIZES).map_err(bad_page)?;
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

/// Whether the bot is.
pub(super) fn is_in_chat(platform: &Platform, call: &Call<'_>) -> Result<Answer, Refusal> {
    let chat = existing(platform, call)?;
    Ok(Answer::data(&json!({ "is_in_chat": chat.has_bot })))
}
