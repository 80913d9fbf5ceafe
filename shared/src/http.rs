//! The HTTP edge: the one place where the caller and the request are checked, and where an error becomes an answer and a log
//! line.

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use futures_util::FutureExt;
use lambda_http::http::HeaderValue;
use lambda_http::{Body, Request, Response};
use tracing::{Instrument, Span, error, error_span, info, warn};

use crate::error::{Error, ErrorCode, Result};
use crate::telemetry::{self, metrics};

mod admission;
mod call;
mod json;
mod once;
mod problem;
mod query;
mod reply;
pub mod sending;

pub use admission::Admission;
pub use bytes::Bytes;
pub use call::{Call, MAX_REQUEST_ID_BYTES, REQUEST_ID, bearer};
pub use json::MAX_BODY_BYTES;
pub use once::Turn;
pub use problem::{PartialFailure, Problem, page};
pub use reply::Reply;

/// Takes the body out of `request`, without copying it: for what is too large to be in memory twice.
#[must_use]
pub fn take_body(request: &mut Request) -> Bytes {
    match std::mem::take(request.body_mut()) {
        Body::Text(text) => text.into(),
        Body::Binary(bytes) => bytes.into(),
        Body::Empty | _ => Bytes::new(),
    }
}

/// Answers `request` with the result of `act`: a reply, or the problem for its error. A panic becomes an `internal` problem.
/// Every answer carries `X-Request-Id`; one line is logged and metrics are written before it is returned.
pub async fn serve(
    function: &'static str,
    request: &Request,
    act: impl AsyncFnOnce(&Call<'_>) -> Result<Reply>,
) -> Response<Body> {
    let started = Instant::now();
    let call = Call::new(request);
    let span = error_span!(
        "invocation",
        service = "lark-service",
        function,
        request_id = call.request_id(),
        xray_trace_id = call.xray_trace_id(),
        caller = call.caller_id(),
        cold_start = telemetry::is_cold_start(),
        lark.app_id = tracing::field::Empty,
    );
    let outcome = async {
        let work = async { act(&call).await };
        AssertUnwindSafe(work)
            .catch_unwind()
            .await
            .unwrap_or_else(|panic| Err(panicked(panic.as_ref())))
    };
    let outcome = outcome.instrument(span.clone()).await;
    let took = started.elapsed();
    let mut response = match &outcome {
        Ok(reply) => reply.to_response(call.request_id()),
        Err(error) if call.wants_html() => Problem::of(error, call.request_id()).to_page(),
        Err(error) => Problem::of(error, call.request_id()).to_response(),
    };
    for (name, value) in call.answer_headers() {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().append(name, value);
        }
    }
    protect(&call, &mut response);
    metrics::http_request(function, response.status().as_u16(), took);
    log(&span, &outcome, response.status().as_u16(), took);
    telemetry::flush();
    response
}

/// What every answer says to browsers and to caches on the way. An answer that does not say otherwise is kept nowhere.
fn protect(call: &Call<'_>, response: &mut Response<Body>) {
    let headers = response.headers_mut();
    let value = HeaderValue::from_static;
    headers.insert("x-content-type-options", value("nosniff"));
    if !headers.contains_key("cache-control") {
        headers.insert("cache-control", value("no-store"));
    }
    // Over plain HTTP, on a developer's machine, it must not be sent (RFC 6797, section 7.2).
    if call.is_secure() {
        headers.insert("strict-transport-security", value("max-age=31536000"));
    }
}

/// One line per invocation; a failure of ours includes the cause.
fn log(span: &Span, outcome: &Result<Reply>, status: u16, took: std::time::Duration) {
    let _entered = span.enter();
    let duration_ms = telemetry::millis(took);
    match outcome {
        Ok(_) => info!(http.status = status, duration_ms, "answered"),
        Err(failure) => {
            let code = failure.code().as_str();
            let cause = causes(failure);
            let log_id = failure.lark().and_then(|lark| lark.log_id.as_deref());
            if status < 500 {
                info!(http.status = status, duration_ms, error.code = code, error = %failure, lark.log_id = log_id, "refused");
            } else if matches!(failure.code(), ErrorCode::Internal) {
                error!(http.status = status, duration_ms, error.code = code, error = %failure, cause, "failed");
            } else {
                warn!(http.status = status, duration_ms, error.code = code, error = %failure, cause, lark.log_id = log_id, "failed");
            }
        }
    }
}

/// The chain of causes, for the log only.
fn causes(error: &Error) -> String {
    let mut chain = String::new();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        if !chain.is_empty() {
            chain.push_str(": ");
        }
        chain.push_str(&next.to_string());
        cause = next.source();
    }
    chain
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> Error {
    let said = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Error::internal(format!("panic: {}", said.unwrap_or("without a message")))
}
