//! `POST /v1/messages`: a message to a person or a chat, now or by a worker.

use std::convert::Infallible;

use lambda_http::{Body, Request, Response};
use lark_service::api_keys::Scope;
use lark_service::clock::{Clock, SystemClock};
use lark_service::delivery::{Delivery, DryRun, NewMessage, Receivers};
use lark_service::error::Result;
use lark_service::http::{self, Admission, Call, Reply, sending};
use lark_service::messages::Timing;

mod body;
mod openapi;

use body::{SendBody, Wanted};
pub use openapi::operations;

/// Answers one request.
///
/// # Errors
/// Never: every failure is an answer.
pub async fn handle(
    admission: &Admission,
    receivers: &Receivers,
    delivery: &Delivery,
    request: Request,
) -> std::result::Result<Response<Body>, Infallible> {
    Ok(http::serve("send-message", &request, async |call| {
        send(admission, receivers, delivery, call).await
    })
    .await)
}

async fn send(
    admission: &Admission,
    receivers: &Receivers,
    delivery: &Delivery,
    call: &Call<'_>,
) -> Result<Reply> {
    let caller = call.authorized(Scope::MessagesSend)?;
    call.only_query(&[])?;
    let once = call.once()?;
    let is_async = sending::prefers_async(call)?;
    let now = SystemClock.now();
    let wanted = call.json::<SendBody>()?.read(now)?;
    let context = admission.app_context(call, Scope::MessagesSend).await?;
    let to = receivers
        .resolve(&context, &wanted.receiver, call.deadline())
        .await?;
    let Wanted {
        message,
        timing,
        is_dry_run,
        ..
    } = wanted;
    let Timing {
        lane,
        deliver_at,
        expires_at,
    } = timing;
    let is_later = is_async || deliver_at.is_some();
    let new = NewMessage {
        key_id: caller.key_id.clone(),
        to: to.into(),
        message,
        lane,
        deliver_at,
        expires_at,
        wants_callback: caller.has_callback,
        once,
    };
    if is_dry_run {
        return Reply::json(&DryRun::of(&new, is_later));
    }
    let accepted = if is_later {
        delivery.accept(&context, new, call.deadline()).await?
    } else {
        Box::pin(delivery.send_now(&context, new, call.deadline())).await?
    };
    sending::accepted(call, &accepted)
}
