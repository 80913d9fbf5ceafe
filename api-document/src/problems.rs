//! Answers that are errors: what the table of error codes says, for the document.

use std::time::Duration;

use utoipa::ToSchema;

use crate::Header;
use crate::headers;
use lark_service::error::{Error, ErrorCode, FailureKind, LarkFailure, LoginEnd};
use lark_service::ids::{AppId, OpenId};
use lark_service::store::StoreError;

/// The answers under one status: errors of one or more codes.
#[derive(Clone, Copy, Debug)]
pub struct ProblemResponse {
    /// Its name in the document.
    pub name: &'static str,
    /// The codes, the most likely one first; none where only API Gateway answers.
    pub codes: &'static [ErrorCode],
    /// Whether API Gateway answers with a body of its own under the same status.
    pub or_gateway: bool,
}

const fn of(name: &'static str, codes: &'static [ErrorCode]) -> ProblemResponse {
    ProblemResponse {
        name,
        codes,
        or_gateway: gateway(codes[0].status()).is_some(),
    }
}

/// As [`of`], for operations without a key: what API Gateway refuses keys with does not come.
const fn without_a_key(name: &'static str, codes: &'static [ErrorCode]) -> ProblemResponse {
    ProblemResponse {
        or_gateway: false,
        ..of(name, codes)
    }
}

/// A wrong request.
pub const INVALID_ARGUMENT: ProblemResponse = of("InvalidArgument", &[ErrorCode::InvalidArgument]);
/// A browser that did not begin the login.
pub const LOGIN_INVALID: ProblemResponse = of(
    "LoginInvalid",
    &[ErrorCode::LoginInvalid, ErrorCode::InvalidArgument],
);
/// No key.
pub const UNAUTHENTICATED: ProblemResponse = of("Unauthenticated", &[ErrorCode::Unauthenticated]);
/// A key, an app or a platform that does not allow it.
pub const PERMISSION_DENIED: ProblemResponse = of(
    "PermissionDenied",
    &[
        ErrorCode::PermissionDenied,
        ErrorCode::AppDisabled,
        ErrorCode::TenantRefused,
        ErrorCode::LarkForbidden,
        ErrorCode::QuotaExhausted,
    ],
);
/// An app that is switched off, where no key is needed.
pub const APP_DISABLED: ProblemResponse = without_a_key("AppDisabled", &[ErrorCode::AppDisabled]);
/// A user or a platform that refuses the login.
pub const LOGIN_REFUSED: ProblemResponse = without_a_key(
    "LoginRefused",
    &[ErrorCode::LoginRefused, ErrorCode::AppDisabled],
);
/// An unknown app.
pub const APP_NOT_FOUND: ProblemResponse = of("AppNotFound", &[ErrorCode::AppNotFound]);
/// An unknown user.
pub const USER_NOT_FOUND: ProblemResponse = of(
    "UserNotFound",
    &[ErrorCode::UserNotFound, ErrorCode::AppNotFound],
);
/// An unknown department.
pub const DEPARTMENT_NOT_FOUND: ProblemResponse = of(
    "DepartmentNotFound",
    &[ErrorCode::DepartmentNotFound, ErrorCode::AppNotFound],
);
/// An unknown chat.
pub const CHAT_NOT_FOUND: ProblemResponse = of(
    "ChatNotFound",
    &[ErrorCode::ChatNotFound, ErrorCode::AppNotFound],
);
/// An unknown receiver of a message.
pub const RECEIVER_NOT_FOUND: ProblemResponse = of(
    "ReceiverNotFound",
    &[ErrorCode::ReceiverNotFound, ErrorCode::AppNotFound],
);
/// An unknown message job.
pub const MESSAGE_JOB_NOT_FOUND: ProblemResponse =
    of("MessageJobNotFound", &[ErrorCode::MessageJobNotFound]);
/// An unknown dead letter.
pub const DEAD_LETTER_NOT_FOUND: ProblemResponse =
    of("DeadLetterNotFound", &[ErrorCode::DeadLetterNotFound]);
/// A message that can no longer be taken back.
pub const MESSAGE_JOB_PAST: ProblemResponse = of("MessageJobPast", &[ErrorCode::MessageJobPast]);
/// An unknown message.
pub const MESSAGE_NOT_FOUND: ProblemResponse = of(
    "MessageNotFound",
    &[ErrorCode::MessageNotFound, ErrorCode::AppNotFound],
);
/// An unknown upload.
pub const UPLOAD_NOT_FOUND: ProblemResponse = of(
    "UploadNotFound",
    &[ErrorCode::UploadNotFound, ErrorCode::AppNotFound],
);
/// An `Idempotency-Key` that came with another request.
pub const IDEMPOTENCY_MISMATCH: ProblemResponse =
    of("IdempotencyMismatch", &[ErrorCode::IdempotencyMismatch]);
/// A repeated request whose first one is under way.
pub const IDEMPOTENCY_IN_FLIGHT: ProblemResponse =
    of("IdempotencyInFlight", &[ErrorCode::IdempotencyInFlight]);
/// Too many requests, or too many messages that wait.
pub const QUEUE_FULL: ProblemResponse =
    of("QueueFull", &[ErrorCode::RateLimited, ErrorCode::QueueFull]);
/// An unknown API key.
pub const API_KEY_NOT_FOUND: ProblemResponse = of("ApiKeyNotFound", &[ErrorCode::ApiKeyNotFound]);
/// It is there already, or about to be.
pub const ALREADY_EXISTS: ProblemResponse = of(
    "AlreadyExists",
    &[ErrorCode::AlreadyExists, ErrorCode::IdempotencyInFlight],
);
/// A user who must log in.
pub const REAUTHORIZATION_REQUIRED: ProblemResponse = of(
    "ReauthorizationRequired",
    &[ErrorCode::ReauthorizationRequired],
);
/// Too large a body.
pub const PAYLOAD_TOO_LARGE: ProblemResponse = of("PayloadTooLarge", &[ErrorCode::PayloadTooLarge]);
/// Too many requests for API Gateway.
pub const THROTTLED: ProblemResponse = ProblemResponse {
    name: "Throttled",
    codes: &[],
    or_gateway: true,
};
/// Too many requests.
pub const RATE_LIMITED: ProblemResponse = of("RateLimited", &[ErrorCode::RateLimited]);
/// Anything unforeseen.
pub const INTERNAL: ProblemResponse = of("Internal", &[ErrorCode::Internal]);
/// A platform that refuses the app or the call.
pub const REFUSED_BY_LARK: ProblemResponse = of(
    "RefusedByLark",
    &[ErrorCode::AppRefused, ErrorCode::LarkRejected],
);
/// A platform or a store out of reach.
pub const UNAVAILABLE: ProblemResponse = of(
    "Unavailable",
    &[
        ErrorCode::LarkUnavailable,
        ErrorCode::AppTicketMissing,
        ErrorCode::StoreUnavailable,
    ],
);
/// A store out of reach.
pub const STORE_UNAVAILABLE: ProblemResponse =
    of("StoreUnavailable", &[ErrorCode::StoreUnavailable]);
/// Too little time.
pub const DEADLINE_EXCEEDED: ProblemResponse =
    of("DeadlineExceeded", &[ErrorCode::DeadlineExceeded]);

/// API Gateway's own body.
#[derive(Debug, ToSchema)]
#[schema(description = "API Gateway's own answer.")]
#[expect(dead_code, reason = "API Gateway writes it")]
pub struct GatewayMessage {
    #[schema(required)]
    message: Option<String>,
}

/// What API Gateway says itself under `status`, and when.
const fn gateway(status: u16) -> Option<(&'static str, &'static str)> {
    match status {
        401 => Some((
            "Unauthorized",
            "API Gateway answers this itself when the header is missing; the local host answers with a problem document.",
        )),
        403 => Some((
            "Forbidden",
            "API Gateway itself answers this for a key that is malformed, unknown, revoked or expired; which of these is not \
             told.",
        )),
        404 => Some(("Not Found", "")),
        413 => Some((
            "Request Entity Too Large",
            "API Gateway answers this itself for a body that it does not take.",
        )),
        429 => Some((
            "Too Many Requests",
            "API Gateway answers this itself when it lets no more requests through at the moment.",
        )),
        500 => Some(("Internal Server Error", "")),
        503 => Some((
            "Service Unavailable",
            "API Gateway answers this itself when a function did not answer it in time.",
        )),
        _ => None,
    }
}

impl ProblemResponse {
    /// The HTTP status, the same of all its codes.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.codes.first().map_or(429, |code| code.status())
    }

    /// What its codes mean, a paragraph each, and when API Gateway answers.
    #[must_use]
    pub fn description(&self) -> String {
        let codes = self.codes.iter();
        let mut paragraphs: Vec<_> = codes
            .map(|code| format!("`{}`: {}", code.as_str(), meaning(*code)))
            .collect();
        if let Some((_, when)) = gateway(self.status()).filter(|_| self.or_gateway) {
            paragraphs.push(when.to_owned());
        }
        paragraphs.retain(|paragraph| !paragraph.is_empty());
        paragraphs.join("\n\n")
    }

    /// The headers that it carries.
    #[must_use]
    pub fn headers(&self) -> Vec<Header> {
        let mut all = Vec::new();
        // API Gateway's own answers have neither.
        if !self.or_gateway {
            all.extend([headers::request_id(), headers::no_store()]);
        }
        if self.codes.contains(&ErrorCode::Unauthenticated) {
            all.push(headers::authenticate());
        }
        let can_wait = |code: &ErrorCode| example(*code).retry_after().is_some();
        if self.codes.iter().any(can_wait) {
            all.push(headers::retry_after());
        }
        if self.codes.contains(&ErrorCode::RateLimited) {
            all.extend(headers::rate_limit());
        }
        all
    }

    /// An error of each of its codes.
    pub fn examples(&self) -> impl Iterator<Item = (ErrorCode, Error)> {
        self.codes.iter().map(|code| (*code, example(*code)))
    }

    /// What API Gateway says, where it answers too.
    #[must_use]
    pub fn gateway_message(&self) -> Option<&'static str> {
        let (message, _) = gateway(self.status())?;
        self.or_gateway.then_some(message)
    }
}

/// When the code comes and what to do about it, from its row in the table: each paragraph and each row of a table is a line, and
/// links lead on from the workspace's folder.
fn meaning(code: ErrorCode) -> String {
    let mut text = String::new();
    for line in code.meaning() {
        let line = line.strip_prefix(' ').unwrap_or(line);
        let is_joined = !text.is_empty() && !text.ends_with('\n');
        if line.is_empty() || line.starts_with('|') {
            text.push_str(if is_joined { "\n" } else { "" });
            text.push_str(line);
            text.push('\n');
        } else {
            text.push_str(if is_joined { " " } else { "" });
            text.push_str(line);
        }
    }
    let text = text.trim_end().replace("](", "](docs/");
    text.replace("](docs/http", "](http")
}

/// An error with the code: what the document shows is what [`lark_service::http::Problem`] makes of it.
#[expect(clippy::too_many_lines, reason = "a row per code")]
fn example(code: ErrorCode) -> Error {
    let app_id = || AppId::parse("cli_a1b2c3d4e5f6").expect("it is one");
    let open_id = || OpenId::parse("ou_7d8a6e6df7621556ce0d21922b676706").expect("it is one");
    match code {
        ErrorCode::InvalidArgument => {
            Error::invalid("id_type", "must be open_id, user_id or union_id")
        }
        ErrorCode::Unauthenticated => Error::Unauthenticated("no API key was presented"),
        ErrorCode::PermissionDenied => {
            Error::PermissionDenied("the API key lacks the scope tokens:read".to_owned())
        }
        ErrorCode::RouteNotFound => Error::RouteNotFound,
        ErrorCode::AppNotFound => Error::AppNotFound(app_id()),
        ErrorCode::AppDisabled => Error::AppDisabled(app_id()),
        ErrorCode::AppRefused => Error::AppRefused {
            app_id: app_id(),
            failure: refusal(FailureKind::AppRefused, 10_014, "app secret invalid"),
            retry_after: Duration::from_secs(60),
        },
        ErrorCode::TenantRefused => Error::TenantRefused {
            app_id: app_id(),
            failure: refusal(FailureKind::TenantRefused, 10_013, "tenant_key is invalid"),
            retry_after: Duration::from_secs(60),
        },
        ErrorCode::AppTicketMissing => Error::AppTicketMissing {
            app_id: app_id(),
            retry_after: Duration::from_secs(60),
        },
        ErrorCode::ApiKeyNotFound => Error::ApiKeyNotFound("7k2m9p4q8r3s".to_owned()),
        ErrorCode::AlreadyExists => Error::AlreadyExists(format!("the app {}", app_id())),
        ErrorCode::ReauthorizationRequired => Error::ReauthorizationRequired {
            app_id: app_id(),
            open_id: open_id(),
            end: LoginEnd::NotLoggedIn,
        },
        ErrorCode::LoginInvalid => Error::LoginInvalid(
            "the login is unknown, was finished before or took more than ten minutes; begin again",
        ),
        ErrorCode::LoginRefused => Error::LoginRefused("the user did not consent".to_owned()),
        ErrorCode::UserNotFound => Error::UserNotFound,
        ErrorCode::DepartmentNotFound => Error::DepartmentNotFound,
        ErrorCode::ChatNotFound => Error::ChatNotFound,
        ErrorCode::ReceiverNotFound => {
            Error::ReceiverNotFound("the app's bot sees no chat of exactly this name")
        }
        ErrorCode::QueueFull => Error::QueueFull {
            what: "as many messages wait for this receiver as may",
            retry_after: Duration::from_secs(1),
        },
        ErrorCode::MessageJobNotFound => Error::MessageJobNotFound,
        ErrorCode::DeadLetterNotFound => Error::DeadLetterNotFound,
        ErrorCode::MessageJobPast => Error::MessageJobPast("delivered"),
        ErrorCode::MessageNotFound => Error::MessageNotFound,
        ErrorCode::IdempotencyMismatch => Error::IdempotencyMismatch,
        ErrorCode::IdempotencyInFlight => Error::IdempotencyInFlight {
            retry_after: Duration::from_secs(2),
        },
        ErrorCode::UploadNotFound => Error::UploadNotFound,
        ErrorCode::PayloadTooLarge => Error::PayloadTooLarge(lark_service::http::MAX_BODY_BYTES),
        ErrorCode::RateLimited => Error::RateLimited {
            retry_after: Duration::from_millis(1_200),
            failure: Some(refusal(
                FailureKind::RateLimited,
                99_991_400,
                "request trigger frequency limit",
            )),
        },
        ErrorCode::QuotaExhausted => Error::QuotaExhausted {
            retry_after: Duration::from_secs(1_209_600),
            failure: refusal(
                FailureKind::QuotaExhausted,
                99_991_403,
                "This month's API call quota has been exceeded.",
            ),
        },
        ErrorCode::LarkForbidden => Error::LarkForbidden(refusal(
            FailureKind::Forbidden,
            41_050,
            "no user authority error",
        )),
        ErrorCode::LarkRejected => {
            Error::LarkRejected(refusal(FailureKind::Rejected, 40_001, "param error"))
        }
        ErrorCode::LarkUnavailable => Error::LarkUnavailable {
            failure: Box::new(LarkFailure::without_answer(
                FailureKind::Timeout,
                "Lark did not answer in time",
            )),
            retry_after: Duration::from_secs(1),
        },
        ErrorCode::DeadlineExceeded => Error::DeadlineExceeded,
        ErrorCode::StoreUnavailable => Error::Store(StoreError::Timeout {
            operation: "get",
            table: "apps",
        }),
        ErrorCode::Internal => Error::internal(""),
    }
}

/// What the platform said.
fn refusal(kind: FailureKind, code: i64, msg: &str) -> Box<LarkFailure> {
    Box::new(LarkFailure {
        code: Some(code),
        log_id: Some("20260131080000ABCDEF0123456789".to_owned()),
        ..LarkFailure::without_answer(kind, msg)
    })
}

#[cfg(test)]
mod tests;
