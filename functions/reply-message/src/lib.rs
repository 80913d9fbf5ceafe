//! `POST /v1/messages/{message_id}/replies`: a message below another one, now or by a worker.

use std::convert::Infallible;

use lambda_http::{Body, Request, Response};
use lark_service::api_keys::Scope;
use lark_service::clock::{Clock, SystemClock};
use lark_service::delivery::{Delivery, DryRun, NewMessage};
use lark_service::error::Result;
use lark_service::http::{self, Admission, Call, Reply, sending};
use lark_service::lark::messages::MessageId;
use lark_service::messages::Timing;
use lark_service::messages::content::MAX_REQUEST_BYTES;

mod body;
mod openapi;

use body::{ReplyBody, Wanted};
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
    Ok(http::serve("reply-message", &request, async |call| {
        reply(admission, delivery, call).await
    })
    .await)
}

async fn reply(admission: &Admission, delivery: &Delivery, call: &Call<'_>) -> Result<Reply> {
    let caller = call.authorized(Scope::MessagesSend)?;
    call.only_query(&[])?;
    let id = MessageId::parse(call.path_parameter("message_id"))?;
    let once = call.once()?;
    let is_async = sending::prefers_async(call)?;
    let body: ReplyBody = call.json_up_to(MAX_REQUEST_BYTES)?;
    let Wanted {
        message,
        in_thread,
        timing,
        is_dry_run,
    } = body.read(SystemClock.now())?;
    let context = admission.app_context(call, Scope::MessagesSend).await?;
    let deadline = call.deadline();
    let to = delivery.reply_to(&context, id, in_thread, deadline).await?;
    let Timing {
        lane,
        deliver_at,
        expires_at,
    } = timing;
    let new = NewMessage {
        key_id: caller.key_id.clone(),
        to,
        message,
        lane,
        deliver_at,
        expires_at,
        wants_callback: caller.has_callback,
        once,
    };
    let is_later = is_async || deliver_at.is_some();
    if is_dry_run {
        return Reply::json(&DryRun::of(&new, is_later));
    }
    let accepted = if is_later {
        delivery.accept(&context, new, deadline).await?
    } else {
        Box::pin(delivery.send_now(&context, new, deadline)).await?
    };
    sending::accepted(call, &accepted)
}
