//! Errors as `application/problem+json` (RFC 9457).

use lambda_http::http::{HeaderValue, StatusCode};
use lambda_http::{Body, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::REQUEST_ID;
use super::reply::{HTML, PAGE_HEADERS};
use crate::error::{Error, ErrorCode, FieldError, LarkFailure, LoginEnd};
use crate::lark::remedies::{Actor, remedy};

/// How many wrong fields an answer names.
const MAX_ERRORS: usize = 20;
/// How much an answer shows of the name of a field,
const MAX_FIELD_CHARACTERS: usize = 100;
/// and of any other text that may quote a request or the platform.
const MAX_CHARACTERS: usize = 600;

/// An error (RFC 9457).
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Problem<'e> {
    /// The code as a URN: `urn:lark-service:problem:<code>`.
    #[serde(rename = "type")]
    #[schema(format = "uri")]
    kind: String,
    /// For people, the same for each occurrence.
    title: &'static str,
    /// The HTTP status again.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// Stable: what programs match on.
    #[schema(value_type = ErrorCode)]
    code: &'static str,
    /// For people, about this occurrence.
    detail: String,
    /// Identifies the log line.
    request_id: &'e str,
    /// Whether the same request may succeed later.
    retryable: bool,
    /// Seconds until a retry makes sense.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
    /// Why a user must log in again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<LoginEnd>)]
    reason: Option<&'static str>,
    /// Which fields are wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(min_items = 1, max_items = 20)]
    errors: Vec<FieldError>,
    /// What the platform said, where it is the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    lark: Option<LarkWords<'e>>,
}

/// An error that is a part of an answer, such as that of one entry of many, in the words of a problem.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PartialFailure {
    /// Stable: what programs match on.
    #[schema(value_type = ErrorCode)]
    code: &'static str,
    /// For people, about this occurrence.
    detail: String,
    /// Whether the same request may succeed later.
    retryable: bool,
    /// Seconds until a retry makes sense.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
}

impl PartialFailure {
    /// The part for `error`.
    #[must_use]
    pub fn of(error: &Error) -> Self {
        let code = error.code();
        Self {
            code: code.as_str(),
            detail: detail(error),
            retryable: code.is_retryable(),
            retry_after: retry_after(error),
        }
    }
}

/// What the platform said, where it is the reason.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct LarkWords<'e> {
    /// The platform's code; null when no answer came.
    #[schema(required)]
    code: Option<i64>,
    /// The platform's words. Not stable.
    msg: &'e str,
    /// The platform's id of the call, which its support asks for.
    #[schema(required)]
    log_id: Option<&'e str>,
    /// Who can do something about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    who: Option<Actor>,
    /// What they do.
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<&'static str>,
}

impl<'e> Problem<'e> {
    /// The problem for `error`.
    #[must_use]
    pub fn of(error: &'e Error, request_id: &'e str) -> Self {
        let code = error.code();
        Self {
            kind: format!("urn:lark-service:problem:{}", code.as_str()),
            title: code.title(),
            status: code.status(),
            code: code.as_str(),
            detail: detail(error),
            request_id,
            retryable: code.is_retryable(),
            retry_after: retry_after(error),
            reason: if let Error::ReauthorizationRequired { end, .. } = error {
                Some(end.as_str())
            } else {
                None
            },
            errors: wrong_fields(error)
                .iter()
                .take(MAX_ERRORS)
                .map(named)
                .collect(),
            lark: error.lark().map(LarkWords::of),
        }
    }

    /// The problem as a response.
    #[must_use]
    pub fn to_response(&self) -> Response<Body> {
        let body = serde_json::to_string(self).expect("a problem is plain data");
        let mut response = Response::new(Body::Text(body));
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(
            "content-type",
            HeaderValue::from_static("application/problem+json"),
        );
        headers.insert("cache-control", HeaderValue::from_static("no-store"));
        if let Ok(request_id) = HeaderValue::from_str(self.request_id) {
            headers.insert(REQUEST_ID, request_id);
        }
        if let Some(seconds) = self.retry_after {
            headers.insert("retry-after", HeaderValue::from(seconds));
        }
        response
    }
}

impl Problem<'_> {
    /// The problem as a page, for a person at a browser.
    pub(super) fn to_page(&self) -> Response<Body> {
        let mut response = self.to_response();
        *response.body_mut() = Body::Text(page(
            self.title,
            &[
                &self.detail,
                &format!("Code: {}. Request: {}.", self.code, self.request_id),
            ],
        ));
        let headers = response.headers_mut();
        headers.insert("content-type", HeaderValue::from_static(HTML));
        for (name, value) in PAGE_HEADERS {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

/// A page with a heading and paragraphs, all of them plain text.
#[must_use]
pub fn page(title: &str, paragraphs: &[&str]) -> String {
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\
         <style>body{{font-family:sans-serif;margin:4rem auto;max-width:36rem;padding:0 1rem}}</style></head>\n\
         <body><main><h1>{title}</h1>\n",
        title = escaped(title)
    );
    for paragraph in paragraphs {
        html.push_str(&format!("<p>{}</p>\n", escaped(paragraph)));
    }
    html.push_str("</main></body></html>\n");
    html
}

/// `text`, escaped for HTML.
fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            other => html.push(other),
        }
    }
    html
}

impl<'e> LarkWords<'e> {
    fn of(failure: &'e LarkFailure) -> Self {
        let remedy = failure.code.and_then(|code| remedy(code, &failure.msg));
        Self {
            code: failure.code,
            msg: &failure.msg,
            log_id: failure.log_id.as_deref(),
            who: remedy.map(|it| it.who),
            action: remedy.map(|it| it.action),
        }
    }
}

/// Whole seconds, rounded up, until a retry makes sense.
fn retry_after(error: &Error) -> Option<u64> {
    let wait = error.retry_after()?;
    Some(
        wait.as_millis()
            .div_ceil(1_000)
            .try_into()
            .unwrap_or(u64::MAX),
    )
}

fn named(error: &FieldError) -> FieldError {
    FieldError {
        field: bounded(error.field.clone(), MAX_FIELD_CHARACTERS),
        message: bounded(error.message.clone(), MAX_CHARACTERS),
    }
}

/// `text`, which may quote what was sent, without what is beyond so many characters: an answer does not grow with its request.
fn bounded(mut text: String, characters: usize) -> String {
    if let Some((end, _)) = text.char_indices().nth(characters) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// The fields that the error is about.
fn wrong_fields(error: &Error) -> &[FieldError] {
    if let Error::InvalidArgument(errors) = error {
        errors
    } else if let Error::FieldTooLarge(field) = error {
        std::slice::from_ref(field)
    } else {
        &[]
    }
}

fn detail(error: &Error) -> String {
    bounded(told(error), MAX_CHARACTERS)
}

/// The detail for the caller. The details of our own failures go only to the log.
fn told(error: &Error) -> String {
    match error {
        Error::InvalidArgument(_) | Error::FieldTooLarge(_) => {
            match wrong_fields(error).first().map(named) {
                Some(first) => format!("{} {}", first.field, first.message),
                None => error.to_string(),
            }
        }
        Error::Internal(_) | Error::Seal(_) => {
            "An unexpected error; the log has the details under this request id.".to_owned()
        }
        Error::Unauthenticated(_)
        | Error::PermissionDenied(_)
        | Error::RouteNotFound
        | Error::AppNotFound(_)
        | Error::AppDisabled(_)
        | Error::AppRefused { .. }
        | Error::TenantRefused { .. }
        | Error::AppTicketMissing { .. }
        | Error::ApiKeyNotFound(_)
        | Error::AlreadyExists(_)
        | Error::ReauthorizationRequired { .. }
        | Error::LoginInvalid(_)
        | Error::LoginRefused(_)
        | Error::UserNotFound
        | Error::DepartmentNotFound
        | Error::ChatNotFound
        | Error::ReceiverNotFound(_)
        | Error::ReceiverRefused(_)
        | Error::MessageJobNotFound
        | Error::DeadLetterNotFound
        | Error::UploadNotFound
        | Error::Staging(_)
        | Error::MessageJobPast(_)
        | Error::MessageNotFound
        | Error::IdempotencyMismatch
        | Error::IdempotencyInFlight { .. }
        | Error::QueueFull { .. }
        | Error::PayloadTooLarge(_)
        | Error::RateLimited { .. }
        | Error::QuotaExhausted { .. }
        | Error::NotFoundLimit { .. }
        | Error::LarkForbidden(_)
        | Error::LarkRejected(_)
        | Error::LarkUnavailable { .. }
        | Error::DeadlineExceeded
        | Error::Store(_) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn body(error: &Error) -> serde_json::Value {
        serde_json::to_value(Problem::of(error, "r1")).unwrap()
    }

    #[test]
    fn a_part_that_is_too_large_is_named() {
        let problem = body(&Error::FieldTooLarge(FieldError {
            field: "content".to_owned(),
            message: "must be at most 30720 bytes".to_owned(),
        }));
        assert_eq!(problem["status"], 413);
        assert_eq!(problem["code"], "payload_too_large");
        assert_eq!(problem["errors"][0]["field"], "content");
        assert_eq!(problem["detail"], "content must be at most 30720 bytes");
    }

    #[test]
    fn a_problem_names_the_field() {
        let problem = body(&Error::invalid(
            "id_type",
            "must be open_id, user_id or union_id",
        ));
        assert_eq!(problem["errors"][0]["field"], "id_type");
        assert_eq!(
            problem["detail"],
            "id_type must be open_id, user_id or union_id"
        );
        assert_eq!(
            (problem["status"].as_u64(), problem["code"].as_str()),
            (Some(400), Some("invalid_argument"))
        );
    }

    #[test]
    fn a_problem_does_not_grow_with_what_was_sent() {
        let long = "é".repeat(1_000_000);
        let error = FieldError {
            field: long.clone(),
            message: format!("unknown field `{long}`"),
        };
        for error in [
            Error::InvalidArgument(vec![error; 1_000]),
            Error::ApiKeyNotFound(long.clone()),
            Error::LoginRefused(long.clone()),
            Error::PermissionDenied(long.clone()),
            Error::AlreadyExists(long.clone()),
        ] {
            let length = body(&error).to_string().len();
            assert!(length < 40_000, "{}: {length}", error.code().as_str());
        }
    }

    #[test]
    fn a_wait_is_told_in_whole_seconds_rounded_up() {
        let error = Error::RateLimited {
            retry_after: Duration::from_millis(1_200),
            failure: None,
        };
        assert_eq!(body(&error)["retry_after"], 2);
        assert_eq!(
            Problem::of(&error, "r1").to_response().headers()["retry-after"],
            "2"
        );
    }

    #[test]
    fn a_page_shows_text_and_nothing_else() {
        let html = page("Log-in", &["<script>alert('x')</script> & \"more\""]);
        assert!(!html.contains("<script"), "{html}");
        assert!(html.contains("&lt;script&gt;alert(&#39;x&#39;)"), "{html}");
    }

    #[test]
    fn the_insides_of_a_failure_stay_inside() {
        let problem = body(&Error::internal("password=hunter2")).to_string();
        assert!(!problem.contains("hunter2"), "{problem}");
    }
}
