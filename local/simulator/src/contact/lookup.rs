//! Users by id, e-mail address or mobile number ("User" in the platform's Contacts reference).

use std::collections::HashSet;

use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{BATCH_MAX, id_types};
use crate::answer::{Answer, ApiError};
use crate::directory::people::Profile;
use crate::endpoint::Call;
use crate::platform::Platform;
use crate::user_lookup::resolve;
use crate::user_object::Status;

/// The most ids of basic_batch.
const BASIC_MAX: usize = 10;

pub(super) fn get(platform: &Platform, call: &Call<'_>) -> Result<Answer, ApiError> {
    let id_types = id_types(call)?;
    let id = call.parameter("user_id");
    let profile = resolve(platform, call, id_types.user_id_type, id)?;
    if !call.app.sees_user(&profile) {
        let msg = "no user authority error";
        return Err(ApiError::documented(StatusCode::BAD_REQUEST, 41_050, msg));
    }
    #[derive(Serialize)]
    struct Data {
        user: serde_json::Value,
    }
    Ok(Answer::data(&Data {
        user: call
            .app
            .without_hidden_fields(id_types.user(&profile, &call.app.app_id)),
    }))
}

/// The answer leaves out ids that do not exist or are outside the app's scope. It has one item for an id that is given
/// twice.
pub(super) fn batch(platform: &Platform, call: &Call<'_>) -> Result<Answer, ApiError> {
    let id_types = id_types(call)?;
    let user_ids = call.request.query.all("user_ids");
    if user_ids.is_empty() {
        return Err(ApiError::field("user_ids", "", "user_ids is required"));
    }
    at_most(BATCH_MAX, "user_ids", user_ids.len())?;
    let mut seen = HashSet::new();
    let items: Vec<_> = user_ids
        .into_iter()
        .filter_map(|id| resolve(platform, call, id_types.user_id_type, id).ok())
        .filter(|profile| call.app.sees_user(profile) && seen.insert(profile.n))
        .map(|profile| {
            call.app
                .without_hidden_fields(id_types.listed_user(&profile, &call.app.app_id))
        })
        .collect();
    #[derive(Serialize)]
    struct Data {
        items: Vec<serde_json::Value>,
    }
    Ok(Answer::data(&Data { items }))
}

/// One entry for each input, in order, e-mail addresses first. The entry of an unknown input has no `user_id`.
pub(super) fn batch_get_id(platform: &Platform, call: &Call<'_>) -> Result<Answer, ApiError> {
    #[derive(Deserialize)]
    struct Inputs {
        #[serde(default)]
        emails: Vec<String>,
        #[serde(default)]
        mobiles: Vec<String>,
        #[serde(default)]
        include_resigned: bool,
    }
    #[derive(Default, Serialize)]
    struct Entry {
        #[serde(skip_serializing_if = "Option::is_none")]
        user_id: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        email: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        mobile: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        status: Option<Status>,
    }
    #[derive(Serialize)]
    struct Data {
        user_list: Vec<Entry>,
    }

    let id_types = id_types(call)?;
    let inputs: Inputs = call.request.json().map_err(ApiError::body)?;
    at_most(BATCH_MAX, "emails", inputs.emails.len())?;
    at_most(BATCH_MAX, "mobiles", inputs.mobiles.len())?;
    let entry = |found: Option<Profile>| {
        let visible = found.filter(|profile| {
            call.app.sees_user(profile) && (inputs.include_resigned || !profile.is_resigned)
        });
        Entry {
            user_id: visible
                .as_ref()
                .map(|profile| id_types.user_id(profile.n, &call.app.app_id)),
            status: visible.as_ref().map(Status::of),
            ..Entry::default()
        }
    };
    let by_email = inputs.emails.iter().map(|email| Entry {
        email: Some(email.clone()),
        ..entry(platform.directory.by_email(email))
    });
    let by_mobile = inputs.mobiles.iter().map(|mobile| Entry {
        mobile: Some(mobile.clone()),
        ..entry(platform.directory.by_mobile(mobile))
    });
    Ok(Answer::data(&Data {
        user_list: by_email.chain(by_mobile).collect(),
    }))
}

/// The names of users, independent of the app's contact scope. The answer leaves out ids that do not exist.
pub(super) fn basic_batch(platform: &Platform, call: &Call<'_>) -> Result<Answer, ApiError> {
    #[derive(Deserialize)]
    struct Ids {
        #[serde(default)]
        user_ids: Vec<String>,
    }
    let id_types = id_types(call)?;
    let Ids { user_ids } = call.request.json().map_err(ApiError::body)?;
    if user_ids.is_empty() {
        return Err(ApiError::field("user_ids", "", "user_ids is required"));
    }
    at_most(BASIC_MAX, "user_ids", user_ids.len())?;
    let users: Vec<_> = user_ids
        .iter()
        .filter_map(|id| resolve(platform, call, id_types.user_id_type, id).ok())
        .map(|profile| {
            json!({
                "user_id": id_types.user_id(profile.n, &call.app.app_id),
                "name": profile.name,
                "i18n_name": { "zh_cn": profile.name, "en_us": profile.en_name, "ja_jp": "" },
            })
        })
        .collect();
    Ok(Answer::data(&json!({ "users": users })))
}

fn at_most(max: usize, field: &str, length: usize) -> Result<(), ApiError> {
    if length <= max {
        return Ok(());
    }
    let description = format!("the max len is {max}");
    Err(ApiError::field(field, length.to_string(), description))
}
