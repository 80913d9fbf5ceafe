//! `DELETE /v1/messages/{message_id}`: recalls a message.

use std::convert::Infallible;

use lambda_http::{Body, Request, Response};
use lark_service::api_keys::Scope;
use lark_service::delivery::Delivery;
use lark_service::error::Result;
use lark_service::http::{self, Admission, Call, Reply};
use lark_service::lark::messages::MessageId;

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
    Ok(http::serve("recall-message", &request, async |call| {
        recall(admission, delivery, call).await
    })
    .await)
}

async fn recall(admission: &Admission, delivery: &Delivery, call: &Call<'_>) -> Result<Reply> {
    let key_id = &call.authorized(Scope::MessagesSend)?.key_id;
    call.only_query(&[])?;
    let id = MessageId::parse(call.path_parameter("message_id"))?;
    let context = admission.app_context(call, Scope::MessagesSend).await?;
    delivery
        .recall(&context, key_id, &id, call.deadline())
        .await?;
    Ok(Reply::nothing())
}
