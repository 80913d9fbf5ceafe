//! Forward: the same content as a new message, in another chat or thread.

use serde::Deserialize;

use super::content::Content;
use super::receiver::{self, ReceiveIdType};
use super::send::{check_uuid, deliver, draft, uuid};
use super::{check_not_recalled, error, find};
use crate::answer::{Answer, ApiError};
use crate::endpoint::Call;
use crate::messages::{Draft, MessageType, Origin};
use crate::platform::Platform;

pub(super) fn forward(platform: &Platform, call: &Call<'_>) -> Result<Answer, ApiError> {
    #[derive(Deserialize)]
    struct Body {
        receive_id: String,
    }
    let id_type = ReceiveIdType::parse(call, true)?;
    let body: Body = call.request.json().map_err(ApiError::body)?;
    let given_uuid = call.request.query.first("uuid");
    check_uuid(given_uuid)?;
    let original = find(platform, call)?;
    check_not_recalled(&original)?;
    if original.message_type == MessageType::System {
        return Err(error(
            230_054,
            "This operation is not supported for this message type.",
        ));
    }
    let receiver = receiver::find(platform, call, id_type, &body.receive_id)?;
    let given_uuid = given_uuid.map(str::to_owned);
    let uuid = uuid(call, Origin::Forward, given_uuid, Some(&receiver.chat));
    let content = Content {
        message_type: original.message_type,
        text: original.content.to_string(),
        sha256: original.content_sha256.to_string(),
        mentions: original.mentions.clone(),
    };
    let draft = Draft {
        thread: receiver.thread,
        ..draft(call, receiver.chat, Origin::Forward, uuid, content)
    };
    deliver(platform, call, draft)
}
