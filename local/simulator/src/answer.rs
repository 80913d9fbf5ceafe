//! What endpoints return: an [`Answer`], or an [`ApiError`] that the gateway turns into one.

mod body;

use std::sync::Arc;

use http::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::pages;
use crate::request::BodyError;
use crate::settings::Settings;
use crate::spool::Stored;

pub(crate) use body::AnswerBody;

/// A response before the server adds the headers that all have.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// The `code` of the body, 0 for success.
    pub(crate) code: i64,
    pub(crate) content_type: &'static str,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: AnswerBody,
}

/// The platform's content type for JSON; the Go SDK reads no other type as JSON.
pub(crate) const JSON: &str = "application/json; charset=utf-8";

/// `code` of a call over the limit of its API.
pub(crate) const RATE_LIMITED: i64 = 99_991_400;

/// `code` of `user_info` for an invalid user token.
pub(crate) const BAD_USER_TOKEN: i64 = 20_005;

const HTML: &str = "text/html; charset=utf-8";

impl Answer {
    /// An error of an OAuth token endpoint (RFC 6749, 5.2, with `code`).
    pub(crate) fn oauth(status: StatusCode, code: i64, error: &str, description: &str) -> Self {
        let body = json!({ "code": code, "error": error, "error_description": description });
        Self::json(status, code, &body)
    }

    /// A page for a browser.
    pub(crate) fn html(status: StatusCode, code: i64, body: String) -> Self {
        Self {
            status,
            code,
            content_type: HTML,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    /// A redirect, 302, to another URL, which must be ASCII.
    pub(crate) fn redirect(location: String) -> Self {
        Self {
            headers: vec![("Location".to_owned(), location)],
            ..Self::html(StatusCode::FOUND, 0, String::new())
        }
    }

    /// A download; `disposition` is its `Content-Disposition`.
    pub(crate) fn download(
        content_type: &'static str,
        disposition: String,
        stored: Arc<Stored>,
    ) -> Self {
        Self {
            status: StatusCode::OK,
            code: 0,
            content_type,
            headers: vec![("Content-Disposition".to_owned(), disposition)],
            body: AnswerBody::Stored(stored, 0),
        }
    }

    /// The envelope of newer APIs: `code`, `msg`, `data`.
    pub(crate) fn data(data: &impl Serialize) -> Self {
        #[derive(Serialize)]
        struct Envelope<'a, T> {
            code: i64,
            msg: &'static str,
            data: &'a T,
        }
        Self::json(
            StatusCode::OK,
            0,
            &Envelope {
                code: 0,
                msg: "success",
                data,
            },
        )
    }

    /// A body of any other form.
    pub(crate) fn json(status: StatusCode, code: i64, body: &impl Serialize) -> Self {
        let body =
            serde_json::to_vec(body).expect("our types have string keys and no failing parts");
        Self {
            status,
            code,
            content_type: JSON,
            headers: Vec::new(),
            body: body.into(),
        }
    }
}

/// An error: `code`, `msg`, and an `error` object as in the platform's guide "Server-side error codes".
#[derive(Debug)]
pub(crate) struct ApiError {
    code: i64,
    msg: String,
    status: ErrorStatus,
    /// Fields of the `error` object besides `log_id`.
    details: Map<String, Value>,
    headers: Vec<(String, String)>,
    format: ErrorFormat,
    /// `error` in the OAuth format.
    error: &'static str,
}

/// The format of an endpoint's errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorFormat {
    /// `code`, `msg`, `error`.
    Platform,
    /// `code`, `error`, `error_description`.
    Oauth,
    /// HTML, for people.
    Page,
}

/// Where the HTTP status comes from.
#[derive(Clone, Copy, Debug)]
enum ErrorStatus {
    Documented(StatusCode),
    /// [`Settings::app_error_status`].
    AppError,
    /// [`Settings::token_error_status`].
    TokenError,
    /// [`Settings::rate_limit_status`].
    RateLimit,
    /// [`Settings::scope_error_status`].
    ScopeError,
}

impl ApiError {
    /// An error whose HTTP status the platform documents.
    pub(crate) fn documented(status: StatusCode, code: i64, msg: impl Into<String>) -> Self {
        Self::new(ErrorStatus::Documented(status), code, msg)
    }

    /// An error of a login, in the format of its endpoint.
    pub(crate) fn login(
        format: ErrorFormat,
        status: StatusCode,
        code: i64,
        error: &'static str,
        msg: impl Into<String>,
    ) -> Self {
        Self {
            format,
            error,
            ..Self::documented(status, code, msg)
        }
    }

    /// An error of app id or secret, at a token endpoint.
    pub(crate) fn app(code: i64, msg: impl Into<String>) -> Self {
        Self::new(ErrorStatus::AppError, code, msg)
    }

    /// An error of an access token.
    pub(crate) fn token(code: i64, msg: impl Into<String>) -> Self {
        Self::new(ErrorStatus::TokenError, code, msg)
    }

    /// 99991400 with its two headers ("Frequency control" in the platform's guide).
    pub(crate) fn rate_limited(limit: u32, reset_seconds: u64) -> Self {
        let msg = "request trigger frequency limit";
        let mut error = Self::new(ErrorStatus::RateLimit, RATE_LIMITED, msg);
        error.headers = vec![
            ("x-ogw-ratelimit-limit".to_owned(), limit.to_string()),
            (
                "x-ogw-ratelimit-reset".to_owned(),
                reset_seconds.to_string(),
            ),
        ];
        error
    }

    /// 99991403, with HTTP status 429: no call that counts succeeds before the month ends.
    pub(crate) fn quota_used_up() -> Self {
        let msg = "This month's API call quota has been exceeded";
        Self::documented(StatusCode::TOO_MANY_REQUESTS, 99_991_403, msg)
    }

    /// 99992402 about one field.
    pub(crate) fn field(
        field: impl Into<String>,
        value: impl Into<String>,
        description: impl Into<String>,
    ) -> Self {
        let status = StatusCode::BAD_REQUEST;
        let mut error = Self::documented(status, 99_992_402, "field validation failed");
        let violation = json!({
            "field": field.into(),
            "value": value.into(),
            "description": description.into(),
        });
        error.detail("field_violations", json!([violation]));
        error
    }

    /// The same error with another HTTP status, as older APIs have it.
    pub(crate) fn with_status(self, status: StatusCode) -> Self {
        Self {
            status: ErrorStatus::Documented(status),
            ..self
        }
    }

    /// 9499 for a body that is not JSON, 99992402 for one with an invalid field.
    pub(crate) fn body(error: BodyError) -> Self {
        match error {
            BodyError::Syntax(problem) => {
                let msg = format!("Invalid parameter value in the body: {problem}");
                Self::documented(StatusCode::BAD_REQUEST, 9499, msg)
            }
            BodyError::Field(field, problem) => Self::field(field, "", problem),
        }
    }

    /// 99991672: the app has none of the scopes that the API asks for.
    pub(crate) fn scopes(app_id: &str, scopes: &[&str]) -> Self {
        let names = scopes.join(", ");
        let msg = format!("Access denied. One of the following scopes is required: [{names}].");
        let mut error = Self::new(ErrorStatus::ScopeError, 99_991_672, msg);
        let violations = scopes
            .iter()
            .map(|scope| json!({ "type": "action_scope_required", "subject": scope }));
        let query = scopes.join(",");
        let help = json!({
            "url": format!("https://open.feishu.cn/app/{app_id}/auth?q={query}&token_type=tenant"),
            "description": format!("Learn more about scopes and how to add them: [{names}]"),
        });
        error.detail("permission_violations", violations.collect());
        error.detail("helps", json!([help]));
        error
    }

    pub(crate) fn answer(self, settings: &Settings, log_id: &str) -> Answer {
        let configured = match self.status {
            ErrorStatus::Documented(status) => status.as_u16(),
            ErrorStatus::AppError => settings.app_error_status,
            ErrorStatus::TokenError => settings.token_error_status,
            ErrorStatus::RateLimit => settings.rate_limit_status,
            ErrorStatus::ScopeError => settings.scope_error_status,
        };
        let status = StatusCode::from_u16(configured).unwrap_or(StatusCode::BAD_REQUEST);
        match self.format {
            ErrorFormat::Oauth => return Answer::oauth(status, self.code, self.error, &self.msg),
            ErrorFormat::Page => {
                let page = pages::failure(self.code, &self.msg, log_id);
                return Answer::html(status, self.code, page);
            }
            ErrorFormat::Platform => {}
        }
        let mut body = json!({ "code": self.code, "msg": self.msg });
        // The answers of token endpoints have only code and msg.
        if !matches!(self.status, ErrorStatus::AppError) {
            let mut error = self.details;
            error.insert("log_id".to_owned(), json!(log_id));
            body["error"] = Value::Object(error);
        }
        Answer {
            headers: self.headers,
            ..Answer::json(status, self.code, &body)
        }
    }

    fn detail(&mut self, name: &str, value: Value) {
        self.details.insert(name.to_owned(), value);
    }

    fn new(status: ErrorStatus, code: i64, msg: impl Into<String>) -> Self {
        Self {
            code,
            msg: msg.into(),
            status,
            details: Map::new(),
            headers: Vec::new(),
            format: ErrorFormat::Platform,
            error: "",
        }
    }
}

/// Whether the `code` of an answer means that the access token was rejected.
pub(crate) fn rejects_token(code: i64) -> bool {
    matches!(code, 99_991_663 | 99_991_668 | 99_991_671 | BAD_USER_TOKEN)
}
