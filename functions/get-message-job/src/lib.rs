//! `GET /v1/message-jobs/{job_id}` and `GET /v1/message-jobs`: what became of messages, and of
//! batches of them. Each API key sees its own.

use std::convert::Infallible;

use lambda_http::{Body, Request, Response};
use lark_service::api_keys::Scope;
use lark_service::clock::{Clock, SystemClock};
use lark_service::delivery::{BatchId, Delivery, JobView, State, page_of_jobs};
use lark_service::error::{Error, Result};
use lark_service::http::{self, Admission, Call, Reply};
use lark_service::page::PageRules;

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
    Ok(http::serve("get-message-job", &request, async |call| {
        jobs(admission, delivery, call).await
    })
    .await)
}

async fn jobs(admission: &Admission, delivery: &Delivery, call: &Call<'_>) -> Result<Reply> {
    let job_id = call.path_parameter("job_id");
    if !job_id.is_empty() {
        call.only_query(&[])?;
        let caller = admission.caller(call, Scope::MessagesSend).await?;
        let (key_id, deadline) = (&caller.key_id, call.deadline());
        if BatchId::parse(job_id).is_some() {
            return Reply::json(&delivery.batch(key_id, job_id, deadline).await?);
        }
        let job = delivery.job(key_id, job_id, deadline).await?;
        return Reply::json(&JobView::of(&job, SystemClock.now()));
    }
    call.only_query(&["batch_id", "state", "page_size", "page_token"])?;
    let batch_id = call.query("batch_id")?.map(batch_id).transpose()?;
    let state = call.query("state")?.map(state).transpose()?;
    let page = call.page(&PageRules::OURS)?;
    let caller = admission.caller(call, Scope::MessagesSend).await?;
    let found = delivery
        .jobs(
            &caller.key_id,
            batch_id.as_ref(),
            state,
            page.after(),
            page.limit(),
            call.deadline(),
        )
        .await?;
    Reply::json(&page_of_jobs(found, SystemClock.now()))
}

fn batch_id(text: &str) -> Result<BatchId> {
    let message = "must be the id of a batch: `mb_` and 26 characters";
    BatchId::parse(text).ok_or_else(|| Error::invalid("batch_id", message))
}

fn state(text: &str) -> Result<State> {
    State::parse(text).ok_or_else(|| {
        let known = State::ALL.map(State::as_str).join(", ");
        Error::invalid("state", format!("must be one of {known}"))
    })
}
