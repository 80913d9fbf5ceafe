//! `POST /v1/messages`: a message to a person or a chat, now or by a worker.

use std::convert::Infallible;

use lambda_http::http::StatusCode;
use lambda_http::{Body, Request, Response};
use lark_service::api_keys::Scope;
use lark_service::clock::{Clock, SystemClock};
use lark_service::delivery::{Accepted, Delivery, JobView, NewMessage, Receivers};
use lark_service::error::{Error, LarkFailure, Result};
use lark_service::http::{self, Admission, Call, Reply};

mod body;
mod openapi;

use body::{DryRun, SendBody, Wanted};
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
    let key_id = &call.authorized(Scope::MessagesSend)?.key_id;
    call.only_query(&[])?;
    let once = call.once()?;
    let is_async = body::prefers_async(call)?;
    let now = SystemClock.now();
    let wanted = call.json::<SendBody>()?.read(now)?;
    let context = admission.app_context(call, Scope::MessagesSend).await?;
    let to = receivers
        .resolve(&context, &wanted.receiver, call.deadline())
        .await?;
    let Wanted {
        message,
        lane,
        deliver_at,
        expires_at,
        is_dry_run,
        ..
    } = wanted;
    let is_later = is_async || deliver_at.is_some();
    let new = NewMessage {
        key_id: key_id.clone(),
        to,
        message,
        lane,
        deliver_at,
        expires_at,
        once,
    };
    if is_dry_run {
        return Reply::json(&DryRun::of(&new, is_later));
    }
    let accepted = if is_later {
        delivery.accept(&context, new, call.deadline()).await?
    } else {
        delivery.send_now(&context, new, call.deadline()).await?
    };
    if accepted.is_repeated {
        call.replayed();
    }
    answer(&accepted)
}

/// 200 for a message that was delivered, 202 for one on its way, and the problem for one that never will be.
fn answer(accepted: &Accepted) -> Result<Reply> {
    let job = &accepted.job;
    if let Some(refused) = job.refused() {
        let failure = LarkFailure {
            code: refused.code,
            log_id: refused.log_id.clone(),
            ..LarkFailure::without_answer(refused.kind, refused.msg.clone())
        };
        return Err(Error::of_lark(failure));
    }
    let view = JobView::of(job, SystemClock.now());
    let status = if job.end.is_some() {
        StatusCode::OK
    } else {
        StatusCode::ACCEPTED
    };
    let location = format!("/v1/message-jobs/{}", job.key.job_id);
    Ok(Reply::json(&view)?
        .with_status(status)
        .with_header("location", &location))
}
