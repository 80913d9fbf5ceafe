//! Urgent messages: in the app, by text message, by phone. In the simulator they differ only in their names.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::json;

use super::{change, check_not_recalled, error, find, invalid};
use crate::answer::{Answer, ApiError};
use crate::endpoint::Call;
use crate::im::id_type;
use crate::messages::{Chat, Place};
use crate::platform::Platform;
use crate::user_lookup;

/// The most people of one call.
const PEOPLE_MAX: usize = 200;

/// Makes a message of the app's own urgent for members of its chat.
pub(super) fn urgent(platform: &Platform, call: &Call<'_>) -> Result<Answer, ApiError> {
    #[derive(Deserialize)]
    struct Body {
        user_id_list: Vec<String>,
    }
    let id_type = id_type(call, "user_id_type")?;
    let body: Body = call.request.json().map_err(ApiError::body)?;
    if body.user_id_list.len() > PEOPLE_MAX {
        let description = format!("the max len is {PEOPLE_MAX}");
        return Err(ApiError::field("user_id_list", "", description));
    }
    let message = find(platform, call)?;
    let members = members(platform, &message.chat);
    let mut people = BTreeSet::new();
    let mut invalid_ids = Vec::new();
    for id in &body.user_id_list {
        match user_lookup::resolve(platform, call, id_type, id) {
            Ok(user) if members.contains(&user.n) => _ = people.insert(user.n),
            Ok(_) | Err(_) => invalid_ids.push(id),
        }
    }
    if people.is_empty() {
        return Err(invalid("user_id_list has no valid id"));
    }
    change(platform, message.number, |message| {
        if *message.app_id != *call.app.app_id {
            return Err(error(230_012, "Bot is NOT the sender of the message."));
        }
        check_not_recalled(message)?;
        message.urgent_for.extend(&people);
        Ok(())
    })?;
    Ok(Answer::data(
        &json!({ "invalid_user_id_list": invalid_ids }),
    ))
}

fn members(platform: &Platform, chat: &Chat) -> BTreeSet<u32> {
    match chat.place {
        Place::Direct { user, .. } => [user].into(),
        Place::Group(n) => {
            let group = platform.chats.get(n.into());
            let members = group.map(|group| group.members(&platform.directory));
            members.unwrap_or_default().into_iter().collect()
        }
    }
}
