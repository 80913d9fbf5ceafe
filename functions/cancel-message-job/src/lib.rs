//! `DELETE /v1/message-jobs/{job_id}`: takes a message back before it is sent, or what of a batch was not sent.

use std::convert::Infallible;

use lambda_http::{Body, Request, Response};
use lark_service::api_keys::Scope;
use lark_service::clock::{Clock, SystemClock};
use lark_service::delivery::{BatchId, Delivery, JobView};
use lark_service::error::Result;
use lark_service::http::{self, Admission, Call, Reply};

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
    Ok(http::serve("cancel-message-job", &request, async |call| {
        cancel(admission, delivery, call).await
    })
    .await)
}

async fn cancel(admission: &Admission, delivery: &Delivery, call: &Call<'_>) -> Result<Reply> {
    call.only_query(&[])?;
    let job_id = call.path_parameter("job_id");
    let caller = admission.caller(call, Scope::MessagesSend).await?;
    let (key_id, deadline) = (&caller.key_id, call.deadline());
    if BatchId::parse(job_id).is_some() {
        return Reply::json(&delivery.cancel_batch(key_id, job_id, deadline).await?);
    }
    let job = delivery.cancel(key_id, job_id, deadline).await?;
    Reply::json(&JobView::of(&job, SystemClock.now()))
}
