//! Send and reply.

use std::sync::Arc;

use serde::Deserialize;

use super::content::{self, Content, Context};
use super::receiver::{self, ReceiveIdType};
use super::{check_not_recalled, find, limits, object, too_many};
use crate::answer::{Answer, ApiError};
use crate::endpoint::Call;
use crate::messages::{Chat, Delivered, Draft, Message, Origin, Uuid};
use crate::platform::Platform;

/// The longest `uuid`.
const UUID_MAX: usize = 50;

pub(super) fn create(platform: &Platform, call: &Call<'_>) -> Result<Answer, ApiError> {
    #[derive(Deserialize)]
    struct Body {
        receive_id: String,
        msg_type: String,
        content: String,
        uuid: Option<String>,
    }
    let id_type = ReceiveIdType::parse(call, false)?;
    let body: Body = call.request.json().map_err(ApiError::body)?;
    check_uuid(body.uuid.as_deref())?;
    let receiver = receiver::find(platform, call, id_type, &body.receive_id)?;
    let context = Context::new(platform, call, Some(&receiver.chat));
    let content = content::read(&context, &body.msg_type, &body.content)?;
    let uuid = uuid(call, Origin::Create, body.uuid, None);
    let draft = draft(call, receiver.chat, Origin::Create, uuid, content);
    deliver(platform, call, draft)
}

/// A reply in a thread, or to a message that is in one, is in the thread.
pub(super) fn reply(platform: &Platform, call: &Call<'_>) -> Result<Answer, ApiError> {
    #[derive(Deserialize)]
    struct Body {
        msg_type: String,
        content: String,
        #[serde(default)]
        reply_in_thread: bool,
        uuid: Option<String>,
    }
    let body: Body = call.request.json().map_err(ApiError::body)?;
    check_uuid(body.uuid.as_deref())?;
    let parent = find(platform, call)?;
    check_not_recalled(&parent)?;
    let context = Context::new(platform, call, Some(&parent.chat));
    let content = content::read(&context, &body.msg_type, &body.content)?;
    let new_thread = body.reply_in_thread.then_some(parent.number);
    let uuid = uuid(call, Origin::Reply, body.uuid, None);
    let draft = Draft {
        thread: parent.thread.or(new_thread),
        parent: Some(Arc::clone(&parent)),
        ..draft(call, parent.chat.clone(), Origin::Reply, uuid, content)
    };
    let begins_thread = draft.thread.is_some() && parent.thread.is_none();
    let answer = deliver(platform, call, draft)?;
    if begins_thread {
        let _it_may_be_forgotten = platform.messages.change(parent.number, |message| {
            message.thread = new_thread;
            Ok::<_, ApiError>(())
        });
    }
    Ok(answer)
}

pub(super) fn check_uuid(uuid: Option<&str>) -> Result<(), ApiError> {
    match uuid {
        Some(uuid) if uuid.chars().count() > UUID_MAX => {
            let description = format!("the max len is {UUID_MAX}");
            Err(ApiError::field("uuid", uuid, description))
        }
        Some(_) | None => Ok(()),
    }
}

/// An empty uuid counts as none.
pub(super) fn uuid(
    call: &Call<'_>,
    origin: Origin,
    uuid: Option<String>,
    target: Option<&Chat>,
) -> Option<Uuid> {
    let uuid = uuid.filter(|uuid| !uuid.is_empty())?;
    Some(Uuid {
        app_id: call.app.app_id.as_str().into(),
        tenant: call.tenant_key().into(),
        origin,
        target: target.cloned(),
        uuid: uuid.into(),
    })
}

pub(super) fn draft(
    call: &Call<'_>,
    chat: Chat,
    origin: Origin,
    uuid: Option<Uuid>,
    content: Content,
) -> Draft {
    Draft {
        app_id: call.app.app_id.as_str().into(),
        chat,
        uuid,
        origin,
        message_type: content.message_type,
        content: content.text.into(),
        content_sha256: content.sha256.into(),
        mentions: content.mentions,
        parent: None,
        thread: None,
    }
}

/// The answer to a repeated uuid is the message that was sent with it first.
pub(super) fn deliver(
    platform: &Platform,
    call: &Call<'_>,
    draft: Draft,
) -> Result<Answer, ApiError> {
    let now_ms = || platform.clock.now_ms();
    let delivered = platform.messages.deliver(draft, &limits(platform), now_ms);
    let message: Arc<Message> = match delivered.map_err(|_| too_many())? {
        Delivered::New(message) | Delivered::Repeated(message) => message,
    };
    Ok(Answer::data(&object::of(&message, call)))
}
