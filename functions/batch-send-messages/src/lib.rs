//! `POST /v1/messages/batch`: one content to up to 1,000 receivers, delivered by workers.

use std::convert::Infallible;

use lambda_http::http::StatusCode;
use lambda_http::{Body, Request, Response};
use lark_service::api_keys::Scope;
use lark_service::clock::{Clock, SystemClock};
use lark_service::delivery::{BatchView, Delivery};
use lark_service::error::Result;
use lark_service::http::{self, Admission, Call, Reply};

mod body;
mod openapi;

use body::{BatchBody, BatchDryRun};
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
    Ok(http::serve("batch-send-messages", &request, async |call| {
        send(admission, delivery, call).await
    })
    .await)
}

async fn send(admission: &Admission, delivery: &Delivery, call: &Call<'_>) -> Result<Reply> {
    let caller = call.authorized(Scope::MessagesSend)?;
    call.only_query(&[])?;
    let once = call.once()?;
    let now = SystemClock.now();
    let (mut new, is_dry_run) = call.json::<BatchBody>()?.read(&caller.key_id, now)?;
    new.once = once;
    new.wants_callback = caller.has_callback;
    new.check()?;
    let context = admission.app_context(call, Scope::MessagesSend).await?;
    if is_dry_run {
        let plan = delivery.plan_batch(&context, &new, call.deadline()).await?;
        return Reply::json(&BatchDryRun::of(&new, plan));
    }
    let accepted = delivery
        .accept_batch(&context, new, call.deadline())
        .await?;
    if accepted.is_repeated {
        call.replayed();
    }
    let batch = &accepted.batch;
    let location = format!("/v1/message-jobs/{}", batch.key.batch_id);
    Ok(Reply::json(&BatchView::accepted(batch, SystemClock.now()))?
        .with_status(StatusCode::ACCEPTED)
        .with_header("location", &location))
}
