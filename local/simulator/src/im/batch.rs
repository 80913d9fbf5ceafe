//! Batch messages ("Send messages to multiple users and departments", and "Batch message" in IM v1). The older API answers
//! its errors with HTTP status 200.

use std::collections::{BTreeMap, BTreeSet};

use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Handler;
use super::messages::{self, Context};
use crate::answer::{Answer, ApiError};
use crate::batches::Batch;
use crate::directory::departments::ROOT;
use crate::directory::ids;
use crate::endpoint::{AuthMethod, Call, Endpoint};
use crate::messages::MessageType;
use crate::platform::Platform;
use crate::rate_limit::Tier;
use crate::user_lookup;
use crate::user_object::UserIdType;

/// The most ids of each kind.
const IDS_MAX: usize = 200;

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    endpoint(
        "message.batch_send",
        Method::POST,
        "/open-apis/message/v4/batch_send",
        send,
    ),
    endpoint(
        "im.batch_message.get_progress",
        Method::GET,
        "/open-apis/im/v1/batch_messages/{batch_message_id}/get_progress",
        get_progress,
    ),
    endpoint(
        "im.batch_message.read_user",
        Method::GET,
        "/open-apis/im/v1/batch_messages/{batch_message_id}/read_user",
        read_user,
    ),
    endpoint(
        "im.batch_message.delete",
        Method::DELETE,
        "/open-apis/im/v1/batch_messages/{batch_message_id}",
        delete,
    ),
];

const fn endpoint(
    name: &'static str,
    method: Method,
    path: &'static str,
    handler: Handler,
) -> Endpoint {
    Endpoint {
        name,
        method,
        path,
        auth: AuthMethod::TenantToken,
        scopes: &[
            "im:message:send_multi_users",
            "im:message:send_multi_depts",
            "im:message",
        ],
        tier: Tier::Four,
        handler,
    }
}

#[derive(Deserialize)]
struct Body {
    msg_type: String,
    content: Option<Value>,
    card: Option<Value>,
    #[serde(default)]
    department_ids: Vec<String>,
    #[serde(default)]
    open_ids: Vec<String>,
    #[serde(default)]
    user_ids: Vec<String>,
    #[serde(default)]
    union_ids: Vec<String>,
}

/// The content is an object here, not a text.
fn send(platform: &Platform, call: &Call<'_>) -> Result<Answer, ApiError> {
    let body: Body = call
        .request
        .json()
        .map_err(|_| error(10_002, "invalid param: the body"))?;
    let kind = MessageType::parse(&body.msg_type).filter(|kind| {
        matches!(
            kind,
            MessageType::Text
                | MessageType::Post
                | MessageType::Image
                | MessageType::ShareChat
                | MessageType::Interactive
        )
    });
    let kind = kind.ok_or_else(|| error(11_203, "unsupported msg_type"))?;
    let content = sorted(&content(&body, kind)?).to_string();
    let context = Context::new(platform, call, None);
    let content = messages::read_content(&context, kind.name(), &content)
        .map_err(|refused| refused.with_status(StatusCode::OK))?;
    let receivers = receivers(platform, call, &body)?;
    let message_id = platform.batches.add(
        &call.app.app_id,
        (kind.name(), content.sha256.into()),
        receivers.people.into_iter().collect(),
        platform.settings().batch_messages_per_second,
        call.now_ms,
    );
    Ok(Answer::data(&json!({
        "message_id": message_id,
        "invalid_department_ids": receivers.invalid_department_ids,
        "invalid_open_ids": receivers.invalid_open_ids,
        "invalid_user_ids": receivers.invalid_user_ids,
        "invalid_union_ids": receivers.invalid_union_ids,
    })))
}

/// Who gets a batch message, and the ids of those who cannot.
struct Receivers<'a> {
    people: BTreeSet<u32>,
    invalid_department_ids: Vec<&'a str>,
    invalid_open_ids: Vec<&'a str>,
    invalid_user_ids: Vec<&'a str>,
    invalid_union_ids: Vec<&'a str>,
}

fn receivers<'a>(
    platform: &Platform,
    call: &Call<'_>,
    body: &'a Body,
) -> Result<Receivers<'a>, ApiError> {
    let lists = [
        &body.department_ids,
        &body.open_ids,
        &body.user_ids,
        &body.union_ids,
    ];
    if lists.iter().all(|list| list.is_empty()) {
        return Err(error(10_002, "invalid param: no receiver"));
    }
    if lists.iter().any(|list| list.len() > IDS_MAX) {
        return Err(error(
            11_235,
            "too many receivers: 200 ids of each kind at most",
        ));
    }
    let mut people = BTreeSet::new();
    let mut add = |ids, id_type| add_users(platform, call, &mut people, ids, id_type);
    let invalid_open_ids = add(body.open_ids.as_slice(), UserIdType::Open);
    let invalid_user_ids = add(body.user_ids.as_slice(), UserIdType::User);
    let invalid_union_ids = add(body.union_ids.as_slice(), UserIdType::Union);
    Ok(Receivers {
        invalid_department_ids: add_departments(platform, call, &mut people, &body.department_ids),
        invalid_open_ids,
        invalid_user_ids,
        invalid_union_ids,
        people,
    })
}

/// A post is in `post` of the content, a chat in `share_chat_id`; a card is beside the content. Here they get the form
/// that they have in other messages.
fn content(body: &Body, kind: MessageType) -> Result<Value, ApiError> {
    let missing = |name: &str| error(10_002, format!("invalid param: {name}"));
    if kind == MessageType::Interactive {
        return body.card.clone().ok_or_else(|| missing("card"));
    }
    let content = body.content.clone().filter(Value::is_object);
    let content = content.ok_or_else(|| missing("content"))?;
    Ok(match kind {
        MessageType::Post => content.get("post").cloned().unwrap_or(content),
        MessageType::ShareChat => match content.get("share_chat_id") {
            Some(chat_id) => json!({ "chat_id": chat_id }),
            None => content,
        },
        MessageType::Text
        | MessageType::Image
        | MessageType::File
        | MessageType::Audio
        | MessageType::Media
        | MessageType::Sticker
        | MessageType::Interactive
        | MessageType::ShareUser
        | MessageType::System => content,
    })
}

/// The same JSON with sorted keys: the order of a map depends on how its crate was built, and the content's hash on it.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields: BTreeMap<_, _> = fields.iter().collect();
            let fields = fields.into_iter();
            fields
                .map(|(name, it)| (name.clone(), sorted(it)))
                .collect()
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

/// Adds the users and returns the ids of those who cannot get the message.
fn add_users<'a>(
    platform: &Platform,
    call: &Call<'_>,
    people: &mut BTreeSet<u32>,
    ids: &'a [String],
    id_type: UserIdType,
) -> Vec<&'a str> {
    let mut invalid = Vec::new();
    for id in ids {
        match user_lookup::resolve(platform, call, id_type, id) {
            Ok(user) if !user.is_resigned && !call.app.unavailable_users.contains(&user.n) => {
                people.insert(user.n);
            }
            Ok(_) | Err(_) => invalid.push(id.as_str()),
        }
    }
    invalid
}

/// The same for departments, by either id. The root is not allowed.
fn add_departments<'a>(
    platform: &Platform,
    call: &Call<'_>,
    people: &mut BTreeSet<u32>,
    ids: &'a [String],
) -> Vec<&'a str> {
    let mut invalid = Vec::new();
    for id in ids {
        let n = ids::decode_open_department_id(id).or_else(|| ids::decode_department_id(id));
        let n = n.and_then(|n| u32::try_from(n).ok());
        match n.filter(|n| *n != ROOT && call.app.sees_department(*n)) {
            Some(n) => people.extend(
                platform
                    .people_within(n)
                    .filter(|user| !call.app.unavailable_users.contains(user)),
            ),
            None => invalid.push(id.as_str()),
        }
    }
    invalid
}

fn get_progress(platform: &Platform, call: &Call<'_>) -> Result<Answer, ApiError> {
    let batch = find(platform, call)?;
    let delivered = batch.delivered(call.now_ms);
    let is_recalled = batch.recalled_ms.is_some();
    Ok(Answer::data(&json!({
        "batch_message_send_progress": {
            "valid_user_ids_count": batch.people.len(),
            "success_user_ids_count": delivered,
            "read_user_ids_count": batch.read(call.now_ms),
        },
        "batch_message_recall_progress": {
            "recall": is_recalled,
            "recall_count": if is_recalled { delivered } else { 0 },
        },
    })))
}

/// The counts are texts.
fn read_user(platform: &Platform, call: &Call<'_>) -> Result<Answer, ApiError> {
    let batch = find(platform, call)?;
    let read_user = json!({
        "read_count": batch.read(call.now_ms).to_string(),
        "total_count": batch.delivered(call.now_ms).to_string(),
    });
    Ok(Answer::data(&json!({ "read_user": read_user })))
}

fn delete(platform: &Platform, call: &Call<'_>) -> Result<Answer, ApiError> {
    let batch = find(platform, call)?;
    platform.batches.recall(&batch.id(), call.now_ms);
    Ok(Answer::data(&json!({})))
}

/// The app's own batch message.
fn find(platform: &Platform, call: &Call<'_>) -> Result<Batch, ApiError> {
    let batch = platform.batches.get(call.parameter("batch_message_id"));
    batch
        .filter(|batch| *batch.app_id == *call.app.app_id)
        .ok_or_else(|| {
            let msg = "The batch message id is invalid or does not exist.";
            ApiError::documented(StatusCode::BAD_REQUEST, 230_030, msg)
        })
}

fn error(code: i64, msg: impl Into<String>) -> ApiError {
    ApiError::documented(StatusCode::OK, code, msg)
}
