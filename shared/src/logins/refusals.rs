//! Why a login failed, in our words.

use std::time::Duration;

use crate::apps::App;
use crate::error::{Error, FailureKind, LarkFailure};
use crate::ids::is_identifier;

/// The error for the platform's refusal of the code or the user.
pub(super) fn failed(app: &App, failure: LarkFailure) -> Error {
    let retry_after = failure.retry_after.unwrap_or(Duration::from_secs(1));
    match failure.kind {
        FailureKind::GrantVoid | FailureKind::TokenInvalid => {
            Error::LoginRefused(format!("Lark says {failure}"))
        }
        FailureKind::AppRefused => Error::AppRefused {
            app_id: app.app_id.clone(),
            failure: Box::new(failure),
            retry_after,
        },
        FailureKind::RateLimited => Error::RateLimited {
            retry_after,
            failure: Some(Box::new(failure)),
        },
        FailureKind::QuotaExhausted => Error::QuotaExhausted {
            retry_after,
            failure: Box::new(failure),
        },
        FailureKind::Unavailable | FailureKind::Timeout => Error::LarkUnavailable {
            failure: Box::new(failure),
            retry_after,
        },
        FailureKind::NotFound
        | FailureKind::Forbidden
        | FailureKind::TicketMissing
        | FailureKind::TenantRefused
        | FailureKind::Invalid
        | FailureKind::Rejected => Error::LarkRejected(Box::new(failure)),
    }
}

/// The platform's word for a refusal, if it can be shown.
pub(super) fn refusal(error: &str) -> String {
    if error == "access_denied" {
        return "the user did not consent".to_owned();
    }
    let shown = if is_identifier(error, 64) {
        error
    } else {
        "an unknown reason"
    };
    format!("the log-in page says {shown}")
}
