//! An invocation that is not an HTTP request: the span, the log line and the metrics around it.

use std::time::{Duration, Instant};

use lambda_runtime::Context;
use tracing::{Instrument, Span, error_span, warn};

use crate::clock::{Clock, SystemClock, Timestamp};
use crate::deadline::Deadline;
use crate::error::Result;
use crate::telemetry;

/// The part of the invocation's time reserved for its end.
const RESERVE: Duration = Duration::from_millis(500);
/// The time-out of an invocation without a deadline.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(55);

/// Runs `work` as an invocation of `function` within the deadline that `context` sets. `request_id` is the id of the request
/// that it serves, if any.
///
/// # Errors
/// The error of `work`, which is also logged.
pub async fn run<T>(
    function: &'static str,
    context: &Context,
    request_id: Option<&str>,
    work: impl AsyncFnOnce(Deadline) -> Result<T>,
) -> Result<T> {
    let started = Instant::now();
    let span = error_span!(
        "invocation",
        service = "lark-service",
        function,
        request_id = request_id.unwrap_or(&context.request_id),
        cold_start = telemetry::is_cold_start(),
        xray_trace_id = context.xray_trace_id.as_deref(),
    );
    let outcome = work(deadline(context)).instrument(span.clone()).await;
    if let Err(error) = &outcome {
        log_failure(&span, error, started.elapsed());
    }
    telemetry::flush();
    outcome
}

fn log_failure(span: &Span, error: &crate::error::Error, took: Duration) {
    let _entered = span.enter();
    let duration_ms = telemetry::millis(took);
    let cause = std::error::Error::source(error)
        .map(ToString::to_string)
        .unwrap_or_default();
    warn!(duration_ms, error.code = error.code().as_str(), %error, cause, "failed");
}

fn deadline(context: &Context) -> Deadline {
    if context.deadline == 0 {
        return Deadline::after(DEFAULT_TIMEOUT);
    }
    let ends = Timestamp::from_millis(i64::try_from(context.deadline).unwrap_or(i64::MAX));
    Deadline::after(ends.since(SystemClock.now()).saturating_sub(RESERVE))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn left(invocation: Option<Duration>) -> Duration {
        let mut context = Context::default();
        if let Some(left) = invocation {
            let ends = SystemClock.now() + left;
            context.deadline = u64::try_from(ends.as_millis()).unwrap();
        }
        let work = async |deadline: Deadline| Ok(deadline.remaining());
        run("test", &context, None, work).await.unwrap()
    }

    #[tokio::test]
    async fn the_deadline_is_the_invocations_with_time_for_its_end() {
        let second = Duration::from_secs(1);
        for (invocation, expected) in [
            (Some(900 * second), 900 * second - RESERVE),
            (None, DEFAULT_TIMEOUT),
            (Some(RESERVE), Duration::ZERO),
        ] {
            let left = left(invocation).await;
            assert!(left <= expected && left + second > expected, "{left:?}");
        }
    }
}
