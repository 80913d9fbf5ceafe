//! One message to many people at once: an older API than [`messages`](super::messages), which answers its errors with HTTP status
//! 200. The platform delivers by and by. Such a message cannot be edited or answered, and knows no `uuid`: whoever repeats a call
//! whose answer was lost may send twice. Sources: "Send messages in batches", "Query the progress of a batch message", "Recall a
//! batch message".

use reqwest::Method;
use serde::{Deserialize, Serialize};

use super::Request;
use super::apis::{IM_BATCH_MESSAGE_DELETE, IM_BATCH_MESSAGE_PROGRESS, MESSAGE_BATCH_SEND};
use crate::error::{FailureKind, LarkFailure};
use crate::ids::is_identifier;

/// The most people of one call.
pub const MAX_PEOPLE: usize = 200;

/// The longest id of a batch message that is believed.
const MAX_ID_BYTES: usize = 128;
/// The code of a wrong parameter here; other APIs mean an unknown app by it.
const WRONG_PARAMETER: i64 = 10_003;

/// A batch message that the platform took.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize)]
pub struct BatchSent {
    /// Its id, `bm-…`.
    pub message_id: String,
    /// Who of the people does not get it: unknown, gone, or out of the app's range.
    #[serde(default)]
    pub invalid_open_ids: Vec<String>,
    /// The platform's id of the call.
    #[serde(skip)]
    pub log_id: Option<String>,
}

/// How far a batch message has come.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Deserialize)]
pub struct BatchProgress {
    /// How many people are to get it.
    #[serde(rename = "valid_user_ids_count", default)]
    pub valid: u32,
    /// How many of them have it.
    #[serde(rename = "success_user_ids_count", default)]
    pub delivered: u32,
    /// How many have read it.
    #[serde(rename = "read_user_ids_count", default)]
    pub read: u32,
}

#[derive(Serialize)]
struct Body<'m, C> {
    #[serde(flatten)]
    content: &'m C,
    open_ids: &'m [&'m str],
}

/// Sends one message to at most [`MAX_PEOPLE`]. `content` is an object with `msg_type`, and `content` or `card`. It is sent once.
#[must_use]
pub fn send(content: &impl Serialize, open_ids: &[&str]) -> Request<BatchSent> {
    let path = ["open-apis", "message", "v4", "batch_send"];
    Request::post(MESSAGE_BATCH_SEND, &path)
        .json(&Body { content, open_ids })
        .reading(|answer| {
            let wrong = answer.refusal();
            if let Some(refusal) = wrong.filter(|it| it.code == Some(WRONG_PARAMETER)) {
                return Err(LarkFailure {
                    kind: FailureKind::Invalid,
                    ..refusal.clone()
                });
            }
            let Data { data } = answer.json::<Data<BatchSent>>()?;
            let sent = data.filter(|sent| is_identifier(&sent.message_id, MAX_ID_BYTES));
            let sent = sent.ok_or_else(|| LarkFailure::lacking("message_id"))?;
            Ok(BatchSent {
                log_id: answer.log_id(),
                ..sent
            })
        })
}

/// Asks how far the batch message `message_id` has come.
#[must_use]
pub fn progress(message_id: &str) -> Request<BatchProgress> {
    #[derive(Deserialize)]
    struct Told {
        batch_message_send_progress: BatchProgress,
    }
    let path = [
        "open-apis",
        "im",
        "v1",
        "batch_messages",
        message_id,
        "get_progress",
    ];
    Request::get(IM_BATCH_MESSAGE_PROGRESS, &path)
        .reading_data::<Told>()
        .map(|told| Ok(told.batch_message_send_progress))
}

/// Takes the batch message `message_id` back, as far as the platform can. Repeated, it does no harm.
#[must_use]
pub fn recall(message_id: &str) -> Request<()> {
    let path = ["open-apis", "im", "v1", "batch_messages", message_id];
    Request::new(IM_BATCH_MESSAGE_DELETE, Method::DELETE, &path)
        .repeatable()
        .reading(|answer| {
            answer
                .refusal()
                .map_or(Ok(()), |refusal| Err(refusal.clone()))
        })
}

#[derive(Deserialize)]
struct Data<T> {
    data: Option<T>,
}
