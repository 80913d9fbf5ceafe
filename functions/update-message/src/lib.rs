//! `PATCH /v1/messages/{message_id}`: another content for a message that was sent.

use std::convert::Infallible;

use lambda_http::{Body, Request, Response};
use lark_service::api_keys::Scope;
use lark_service::delivery::{Delivery, Message};
use lark_service::error::Result;
use lark_service::http::{self, Admission, Call, Reply};
use lark_service::lark::messages::MessageId;
use lark_service::messages::content::{
    ContentFields, MAX_REQUEST_BYTES, MessageContent, MsgType, Purpose,
};

mod openapi;

pub use openapi::operations;

/// Answers one request.
///
/// # Errors
/// Never: every failure is an answer.
pub async fn handle(
    admission: &Admission,
    delivery: &Delivery,
    request: Request,
) -> std::result::Result<Response<Body>, Infallible> {
    Ok(http::serve("update-message", &request, async |call| {
        update(admission, delivery, call).await
    })
    .await)
}

async fn update(admission: &Admission, delivery: &Delivery, call: &Call<'_>) -> Result<Reply> {
    let key_id = &call.authorized(Scope::MessagesSend)?.key_id;
    call.only_query(&[])?;
    let id = MessageId::parse(call.path_parameter("message_id"))?;
    let fields: ContentFields = call.json_up_to(MAX_REQUEST_BYTES)?;
    let purpose = purpose(&fields);
    let content = MessageContent::parse(fields, purpose)?.serialised();
    let message = Message {
        msg_type: content.msg_type.as_str().to_owned(),
        content: content.content,
    };
    let context = admission.app_context(call, Scope::MessagesSend).await?;
    delivery
        .edit(&context, key_id, &id, &message, call.deadline())
        .await?;
    Ok(Reply::nothing())
}

/// A card takes the place of a card, anything else is an edit.
fn purpose(fields: &ContentFields) -> Purpose {
    let is_card = fields.msg_type.as_deref() == Some(MsgType::Interactive.as_str());
    if fields.card.is_some() || is_card {
        Purpose::Patch
    } else {
        Purpose::Edit
    }
}
