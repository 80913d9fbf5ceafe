//! What the requests that send a message have in common.

use lambda_http::http::StatusCode;

use super::{Call, Reply};
use crate::clock::{Clock, SystemClock};
use crate::delivery::{Accepted, JobView, Target};
use crate::error::{Error, FailureKind, LarkFailure, Result};

/// Whether the header `Prefer` asks for an answer before the message is sent (RFC 7240).
///
/// # Errors
/// [`Error::InvalidArgument`] for a header that is not visible ASCII.
pub fn prefers_async(call: &Call<'_>) -> Result<bool> {
    let prefer = call.header("prefer")?.unwrap_or_default();
    let mut preferences = prefer.split(',').map(|one| one.trim());
    Ok(preferences.any(|one| one.eq_ignore_ascii_case("respond-async")))
}

/// 200 for a message that was delivered, 202 for one on its way, with where its job is.
///
/// # Errors
/// The platform's refusal of one that never will be.
pub fn accepted(call: &Call<'_>, accepted: &Accepted) -> Result<Reply> {
    if accepted.is_repeated {
        call.replayed();
    }
    let job = &accepted.job;
    if let Some(refused) = job.refused() {
        let failure = LarkFailure {
            code: refused.code,
            log_id: refused.log_id.clone(),
            ..LarkFailure::without_answer(refused.kind, refused.msg.clone())
        };
        return Err(match (refused.kind, &job.to) {
            (FailureKind::NotFound, Target::Address(_)) => {
                Error::ReceiverRefused(Box::new(failure))
            }
            _ => Error::of_lark(failure),
        });
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
