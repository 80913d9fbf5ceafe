//! The service's errors, by what the caller can do about them, and the one table of stable error codes.

use std::sync::Arc;
use std::time::Duration;

use crate::cache::CacheError;
use crate::deadline::Elapsed;
use crate::ids::{AppId, OpenId};
use crate::seal::SealError;
use crate::staging::StagingError;
use crate::store::StoreError;

mod code;
mod field_error;
mod lark_failure;
mod login_end;

pub use code::ErrorCode;
pub use field_error::FieldError;
pub use lark_failure::{FailureKind, LarkFailure};
pub use login_end::LoginEnd;

/// The result of a service.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a request failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The request is invalid; the same request never succeeds.
    #[error("{}", .0.first().map_or("invalid argument", |e| e.message.as_str()))]
    InvalidArgument(Vec<FieldError>),
    /// No API key, or not a usable one.
    #[error("{0}")]
    Unauthenticated(&'static str),
    /// The API key does not allow this.
    #[error("{0}")]
    PermissionDenied(String),
    /// No such route.
    #[error("there is nothing at this path")]
    RouteNotFound,
    /// The app is not registered.
    #[error("the app {0} is not registered")]
    AppNotFound(AppId),
    /// The app is registered and switched off.
    #[error("the app {0} is disabled")]
    AppDisabled(AppId),
    /// Lark refuses the app's own credentials: an operator must act.
    #[error("Lark refuses the credentials of the app {app_id}: {failure}")]
    AppRefused {
        /// The app.
        app_id: AppId,
        /// Lark's answer.
        failure: Box<LarkFailure>,
        /// How long until the next attempt is allowed.
        retry_after: Duration,
    },
    /// Lark says that the tenant has not installed the app, or that there is no such tenant.
    #[error("Lark refuses the app {app_id} for this tenant: {failure}")]
    TenantRefused {
        /// The app.
        app_id: AppId,
        /// Lark's answer.
        failure: Box<LarkFailure>,
        /// How long until the next attempt is allowed.
        retry_after: Duration,
    },
    /// A marketplace app gets no tokens before the platform has sent its ticket.
    #[error("the platform has not sent the ticket of the app {app_id}; it was asked to")]
    AppTicketMissing {
        /// The app.
        app_id: AppId,
        /// How long until it should have arrived.
        retry_after: Duration,
    },
    /// There is no such API key.
    #[error("there is no API key {0}")]
    ApiKeyNotFound(String),
    /// What is to be created exists already.
    #[error("{0} exists already")]
    AlreadyExists(String),
    /// There is no usable login of the user: they must log in (again).
    #[error("the user {open_id} must log in to the app {app_id}: {end}")]
    ReauthorizationRequired {
        /// Which app.
        app_id: AppId,
        /// Which user.
        open_id: OpenId,
        /// Why.
        end: LoginEnd,
    },
    /// The browser's callback does not belong to a login that it began.
    #[error("{0}")]
    LoginInvalid(&'static str),
    /// The user, or the platform on their behalf, refused the login.
    #[error("the login was refused: {0}")]
    LoginRefused(String),
    /// Lark knows no such user, or does not show it to this app.
    #[error("Lark knows no such user for this app")]
    UserNotFound,
    /// Lark knows no such department.
    #[error("Lark knows no such department")]
    DepartmentNotFound,
    /// Lark knows no such chat, or it was dissolved.
    #[error("Lark knows no such chat, or it was dissolved")]
    ChatNotFound,
    /// Nobody, or no chat, is what a message is to go to.
    #[error("there is no such receiver: {0}")]
    ReceiverNotFound(&'static str),
    /// The platform knows nobody and no chat with the id that a message is to go to.
    #[error("there is no such receiver: {0}")]
    ReceiverRefused(Box<LarkFailure>),
    /// There is no such message job of this API key, or it ended more than a week ago.
    #[error("there is no such message job")]
    MessageJobNotFound,
    /// There is no such dead letter of the apps that the caller may act for.
    #[error("there is no such dead letter")]
    DeadLetterNotFound,
    /// The job cannot be cancelled any more.
    #[error("the message cannot be taken back: it is {0}")]
    MessageJobPast(&'static str),
    /// There is no such message, or another API key sent it.
    #[error("there is no such message for this API key")]
    MessageNotFound,
    /// Another request came with this `Idempotency-Key`.
    #[error("another request came with this Idempotency-Key")]
    IdempotencyMismatch,
    /// The first request with this `Idempotency-Key` is not answered yet.
    #[error("the first request with this Idempotency-Key is still under way")]
    IdempotencyInFlight {
        /// How long to wait.
        retry_after: Duration,
    },
    /// As many messages wait as may.
    #[error("{what}; retry in {} s", .retry_after.as_secs())]
    QueueFull {
        /// Which of the bounds it is.
        what: &'static str,
        /// How long to wait.
        retry_after: Duration,
    },
    /// There is no such upload of this API key and app.
    #[error("there is no such upload")]
    UploadNotFound,
    /// The body is too large.
    #[error("the body is larger than {0} bytes")]
    PayloadTooLarge(usize),
    /// A part of the body is larger than the platform takes.
    #[error("{}", .0.message)]
    FieldTooLarge(FieldError),
    /// Too many requests, by our limit or Lark's.
    #[error("rate limited, retry in {} ms", .retry_after.as_millis())]
    RateLimited {
        /// How long to wait.
        retry_after: Duration,
        /// Lark's answer, if the limit is Lark's.
        failure: Option<Box<LarkFailure>>,
    },
    /// The month's quota of Lark's calls is used up.
    #[error("the month's quota of Lark's calls is used up: {failure}")]
    QuotaExhausted {
        /// Lark's answer.
        failure: Box<LarkFailure>,
        /// How long until the month turns.
        retry_after: Duration,
    },
    /// The API key has asked for too much that does not exist.
    #[error("too much of what this API key asked for does not exist: it may ask Lark again in {} s; what is cached is answered", .retry_after.as_secs())]
    NotFoundLimit {
        /// How long to wait.
        retry_after: Duration,
    },
    /// Lark does not let the app see or do this.
    #[error("Lark does not let the app do this: {0}")]
    LarkForbidden(Box<LarkFailure>),
    /// Lark understood the call and refuses it.
    #[error("Lark refuses the call: {0}")]
    LarkRejected(Box<LarkFailure>),
    /// Lark is unreachable or failing.
    #[error("Lark is unavailable: {failure}")]
    LarkUnavailable {
        /// What happened.
        failure: Box<LarkFailure>,
        /// How long until a retry makes sense.
        retry_after: Duration,
    },
    /// The time for the request ran out.
    #[error("the deadline passed before the work was done")]
    DeadlineExceeded,
    /// The durable store failed and no cache could answer.
    #[error("the store is unavailable")]
    Store(#[from] StoreError),
    /// The place for uploads failed.
    #[error("the place for uploads is unavailable")]
    Staging(#[from] Arc<StagingError>),
    /// Sealed data could not be opened, or nothing can be sealed.
    #[error("sealed data is unavailable")]
    Seal(#[from] SealError),
    /// A bug or an unforeseen failure.
    #[error("internal error: {0}")]
    Internal(Arc<str>),
}

impl Error {
    /// What Lark's refusal means for the caller. The service itself names what was not found.
    #[must_use]
    pub fn of_lark(failure: LarkFailure) -> Self {
        let retry_after = failure.retry_after.unwrap_or(Duration::from_secs(1));
        let failure = Box::new(failure);
        match failure.kind {
            FailureKind::Forbidden => Self::LarkForbidden(failure),
            FailureKind::RateLimited => Self::RateLimited {
                retry_after,
                failure: Some(failure),
            },
            FailureKind::QuotaExhausted => Self::QuotaExhausted {
                failure,
                retry_after,
            },
            FailureKind::Unavailable | FailureKind::Timeout => Self::LarkUnavailable {
                failure,
                retry_after,
            },
            FailureKind::NotFound
            | FailureKind::TokenInvalid
            | FailureKind::AppRefused
            | FailureKind::TenantRefused
            | FailureKind::GrantVoid
            | FailureKind::TicketMissing
            | FailureKind::Invalid
            | FailureKind::Rejected => Self::LarkRejected(failure),
        }
    }

    /// One field is wrong.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::InvalidArgument(vec![FieldError {
            field: field.into(),
            message: message.into(),
        }])
    }

    /// A bug or an unforeseen failure; the detail goes to the log and not to the caller.
    pub fn internal(detail: impl Into<Arc<str>>) -> Self {
        Self::Internal(detail.into())
    }

    /// The error's stable code.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        self.facts().0
    }

    /// Lark's answer, if it is the reason.
    #[must_use]
    pub const fn lark(&self) -> Option<&LarkFailure> {
        self.facts().1
    }

    /// How long to wait before the next attempt, if that is known.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        self.facts().2
    }

    /// Code, Lark's answer and how long to wait, for every variant in one place.
    #[expect(clippy::too_many_lines, reason = "a row per variant")]
    const fn facts(&self) -> (ErrorCode, Option<&LarkFailure>, Option<Duration>) {
        use ErrorCode as Code;
        match self {
            Self::AppRefused {
                failure,
                retry_after,
                ..
            } => (Code::AppRefused, Some(failure), Some(*retry_after)),
            Self::TenantRefused {
                failure,
                retry_after,
                ..
            } => (Code::TenantRefused, Some(failure), Some(*retry_after)),
            Self::AppTicketMissing { retry_after, .. } => {
                (Code::AppTicketMissing, None, Some(*retry_after))
            }
            Self::RateLimited {
                retry_after,
                failure: Some(failure),
            } => (Code::RateLimited, Some(failure), Some(*retry_after)),
            Self::QuotaExhausted {
                failure,
                retry_after,
            } => (Code::QuotaExhausted, Some(failure), Some(*retry_after)),
            Self::NotFoundLimit { retry_after }
            | Self::RateLimited {
                retry_after,
                failure: None,
            } => (Code::RateLimited, None, Some(*retry_after)),
            Self::LarkUnavailable {
                failure,
                retry_after,
            } => (Code::LarkUnavailable, Some(failure), Some(*retry_after)),
            Self::LarkForbidden(failure) => (Code::LarkForbidden, Some(failure), None),
            Self::LarkRejected(failure) => (Code::LarkRejected, Some(failure), None),
            Self::ReceiverRefused(failure) => (Code::ReceiverNotFound, Some(failure), None),
            Self::InvalidArgument(_) => (Code::InvalidArgument, None, None),
            Self::Unauthenticated(_) => (Code::Unauthenticated, None, None),
            Self::PermissionDenied(_) => (Code::PermissionDenied, None, None),
            Self::RouteNotFound => (Code::RouteNotFound, None, None),
            Self::AppNotFound(_) => (Code::AppNotFound, None, None),
            Self::AppDisabled(_) => (Code::AppDisabled, None, None),
            Self::ApiKeyNotFound(_) => (Code::ApiKeyNotFound, None, None),
            Self::AlreadyExists(_) => (Code::AlreadyExists, None, None),
            Self::ReauthorizationRequired { .. } => (Code::ReauthorizationRequired, None, None),
            Self::LoginInvalid(_) => (Code::LoginInvalid, None, None),
            Self::LoginRefused(_) => (Code::LoginRefused, None, None),
            Self::UserNotFound => (Code::UserNotFound, None, None),
            Self::DepartmentNotFound => (Code::DepartmentNotFound, None, None),
            Self::ChatNotFound => (Code::ChatNotFound, None, None),
            Self::ReceiverNotFound(_) => (Code::ReceiverNotFound, None, None),
            Self::MessageJobNotFound => (Code::MessageJobNotFound, None, None),
            Self::DeadLetterNotFound => (Code::DeadLetterNotFound, None, None),
            Self::MessageJobPast(_) => (Code::MessageJobPast, None, None),
            Self::MessageNotFound => (Code::MessageNotFound, None, None),
            Self::QueueFull { retry_after, .. } => (Code::QueueFull, None, Some(*retry_after)),
            Self::IdempotencyMismatch => (Code::IdempotencyMismatch, None, None),
            Self::IdempotencyInFlight { retry_after } => {
                (Code::IdempotencyInFlight, None, Some(*retry_after))
            }
            Self::UploadNotFound => (Code::UploadNotFound, None, None),
            Self::PayloadTooLarge(_) | Self::FieldTooLarge(_) => {
                (Code::PayloadTooLarge, None, None)
            }
            Self::DeadlineExceeded => (Code::DeadlineExceeded, None, None),
            Self::Store(_) | Self::Staging(_) | Self::Seal(SealError::Keys(_)) => {
                (Code::StoreUnavailable, None, None)
            }
            Self::Seal(SealError::UnknownKey(_) | SealError::Broken) | Self::Internal(_) => {
                (Code::Internal, None, None)
            }
        }
    }

    /// Whether a stale value may be served instead of this error.
    #[must_use]
    pub const fn allows_stale(&self) -> bool {
        // A used-up quota is no outage: calls that it does not count go on.
        self.is_outage() || matches!(self, Self::QuotaExhausted { .. })
    }

    /// Whether Lark, or the way to it, fails for now.
    #[must_use]
    pub const fn is_outage(&self) -> bool {
        // A key that asks for too much says nothing about the platform.
        !matches!(self, Self::NotFoundLimit { .. })
            && matches!(
                self.code(),
                ErrorCode::LarkUnavailable | ErrorCode::RateLimited | ErrorCode::DeadlineExceeded
            )
    }
}

impl From<Elapsed> for Error {
    fn from(_: Elapsed) -> Self {
        Self::DeadlineExceeded
    }
}

impl From<CacheError> for Error {
    fn from(error: CacheError) -> Self {
        Self::internal(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn codes_are_unique_and_statuses_are_errors() {
        let codes: HashSet<_> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(codes.len(), ErrorCode::ALL.len());
        assert!(
            ErrorCode::ALL
                .iter()
                .all(|code| (400..600).contains(&code.status()))
        );
    }
}
