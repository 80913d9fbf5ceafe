//! Every metric of the service, by name. The same names in CloudWatch and in Prometheus.

use std::borrow::Cow;
use std::time::Duration;

use metrics::{counter, histogram};

/// Time of an HTTP request, in seconds, by `function` and `status`.
pub const HTTP_REQUEST: &str = "lark_service_http_request_duration_seconds";
/// Time of a call to Lark, each retry counted separately, in seconds, by `endpoint` and `result`.
pub const LARK_REQUEST: &str = "lark_service_lark_request_duration_seconds";
/// How long a call to Lark waited for its turn, including calls that did not get one, in seconds, by `endpoint`.
pub const LARK_WAIT: &str = "lark_service_lark_wait_duration_seconds";
/// Time of a store operation, in seconds, by `operation`, `table` and `result`.
pub const STORE_OPERATION: &str = "lark_service_store_operation_duration_seconds";
/// Time of an operation on the shared cache, in seconds, by `operation` and `result`.
pub const CACHE_OPERATION: &str = "lark_service_cache_operation_duration_seconds";
/// Time of an operation on a queue, in seconds, by `operation`, `lane` and `result`; a receive includes its wait.
pub const QUEUE_OPERATION: &str = "lark_service_queue_operation_duration_seconds";
/// Look-ups in a cache, by `cache`, `tier` and `result`.
pub const CACHE_REQUESTS: &str = "lark_service_cache_requests_total";
/// Token refreshes, by `kind` and `result`.
pub const TOKEN_REFRESH: &str = "lark_service_token_refresh_total";
/// Tokens that Lark rejected before they expired, by `kind`.
pub const TOKEN_REJECTED: &str = "lark_service_token_rejected_total";
/// Decisions of rate limits, by `scope`, `tier` and `result`.
pub const RATE_LIMIT: &str = "lark_service_rate_limit_total";
/// What the authorizer said of the API keys that were presented, by `result`.
pub const AUTHORIZATION: &str = "lark_service_authorization_total";
/// Messages that have ended, by `state`.
pub const MESSAGE_JOBS: &str = "lark_service_message_jobs_total";

/// Decisions about ids that are not in the directory's filter, by `result`.
pub const GUARD: &str = "lark_service_directory_guard_total";

/// Dead letters, by `reason`.
pub const DEAD_LETTERS: &str = "lark_service_dead_letters_total";

/// A message became a dead letter.
pub fn dead_letter(reason: &'static str) {
    counter!(DEAD_LETTERS, "reason" => reason).increment(1);
}

/// What came of callbacks, each try counted, by `state`.
pub const CALLBACKS: &str = "lark_service_callbacks_total";

/// A callback was sent, or is not sent any more.
pub fn callback(state: &'static str) {
    counter!(CALLBACKS, "state" => state).increment(1);
}

/// A message has ended.
pub fn message_job(state: &'static str) {
    message_jobs(state, 1);
}

/// So many messages have ended.
pub fn message_jobs(state: &'static str, messages: u64) {
    counter!(MESSAGE_JOBS, "state" => state).increment(messages);
}

/// An HTTP request was answered.
pub fn http_request(function: &'static str, status: u16, took: Duration) {
    histogram!(HTTP_REQUEST, "function" => function, "status" => status_label(status))
        .record(took.as_secs_f64());
}

/// A call to Lark ended, with or without an answer.
pub fn lark_request(endpoint: Cow<'static, str>, result: &'static str, took: Duration) {
    histogram!(LARK_REQUEST, "endpoint" => endpoint, "result" => result).record(took.as_secs_f64());
}

/// A call to Lark got its turn, or gave up waiting.
pub fn lark_wait(endpoint: Cow<'static, str>, waited: Duration) {
    histogram!(LARK_WAIT, "endpoint" => endpoint).record(waited.as_secs_f64());
}

/// A store operation ended.
pub fn store_operation(
    operation: &'static str,
    table: &'static str,
    result: &'static str,
    took: Duration,
) {
    histogram!(STORE_OPERATION, "operation" => operation, "table" => table, "result" => result)
        .record(took.as_secs_f64());
}

/// An operation on the shared cache ended.
pub fn cache_operation(operation: &'static str, result: &'static str, took: Duration) {
    histogram!(CACHE_OPERATION, "operation" => operation, "result" => result)
        .record(took.as_secs_f64());
}

/// An operation on the queue of a lane ended.
pub fn queue_operation(
    operation: &'static str,
    lane: &'static str,
    result: &'static str,
    took: Duration,
) {
    histogram!(QUEUE_OPERATION, "operation" => operation, "lane" => lane, "result" => result)
        .record(took.as_secs_f64());
}

/// The `cache` of users or tokens was queried in `tier`.
pub fn cache_request(cache: &'static str, tier: &'static str, result: &'static str) {
    counter!(CACHE_REQUESTS, "cache" => cache, "tier" => tier, "result" => result).increment(1);
}

/// A token refresh ended.
pub fn token_refresh(kind: &'static str, result: &'static str) {
    counter!(TOKEN_REFRESH, "kind" => kind, "result" => result).increment(1);
}

/// Lark rejected a token that should have been valid.
pub fn token_rejected(kind: &'static str) {
    counter!(TOKEN_REJECTED, "kind" => kind).increment(1);
}

/// A rate limit of `scope` decided in `tier`.
pub fn rate_limit(scope: &'static str, tier: &'static str, result: &'static str) {
    counter!(RATE_LIMIT, "scope" => scope, "tier" => tier, "result" => result).increment(1);
}

/// The authorizer admitted an API key, or refused it for this reason.
pub fn authorization(result: &'static str) {
    counter!(AUTHORIZATION, "result" => result).increment(1);
}

/// The guard of the directory decided about an unknown id.
pub fn guard(result: &'static str) {
    counter!(GUARD, "result" => result).increment(1);
}

/// Statuses as static text, so that a label needs no allocation.
const fn status_label(status: u16) -> &'static str {
    match status {
        200 => "200",
        201 => "201",
        202 => "202",
        204 => "204",
        302 => "302",
        400 => "400",
        401 => "401",
        403 => "403",
        404 => "404",
        409 => "409",
        413 => "413",
        429 => "429",
        500 => "500",
        502 => "502",
        503 => "503",
        504 => "504",
        _ => "other",
    }
}
