//! How Lark failed or refused a call.

use std::fmt;
use std::time::Duration;

/// Why a call to Lark did not succeed, by what can be done about it.
#[derive(
    Clone, Copy, Debug, Eq, Hash, PartialEq, serde::Deserialize, serde::Serialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[schema(description = "Why a call of the platform did not succeed.")]
pub enum FailureKind {
    /// The access token is invalid, expired or revoked: drop exactly this one, get another, retry once.
    TokenInvalid,
    /// App id or secret is wrong, or the app is disabled: an operator must act.
    AppRefused,
    /// The requested object does not exist for this app.
    NotFound,
    /// The app may not see or do this.
    Forbidden,
    /// The authorization code or refresh token is invalid: unknown, expired, used, revoked, or not of this user and app.
    GrantVoid,
    /// A marketplace app's ticket has not arrived; the platform was asked for it.
    TicketMissing,
    /// The platform's rate limit, or ours before it: [`LarkFailure::is_unsent`].
    RateLimited,
    /// The month's quota of calls is used up: calls that it counts are refused until the month turns. Others go on.
    QuotaExhausted,
    /// The platform says that the request is invalid.
    Invalid,
    /// The platform fails or is unreachable; the call may have happened.
    Unavailable,
    /// No answer in time; the call may have happened.
    Timeout,
    /// Any other refusal.
    Rejected,
    /// The tenant has not installed the app, or there is no such tenant.
    TenantRefused,
}

impl FailureKind {
    /// The kind as a metric label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TokenInvalid => "token_invalid",
            Self::AppRefused => "app_refused",
            Self::NotFound => "not_found",
            Self::Forbidden => "forbidden",
            Self::GrantVoid => "grant_void",
            Self::TicketMissing => "ticket_missing",
            Self::RateLimited => "rate_limited",
            Self::QuotaExhausted => "quota_exhausted",
            Self::Invalid => "invalid",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::Rejected => "rejected",
            Self::TenantRefused => "tenant_refused",
        }
    }

    /// Whether the platform, not the request, is at fault.
    #[must_use]
    pub const fn is_outage(self) -> bool {
        matches!(self, Self::RateLimited | Self::Unavailable | Self::Timeout)
    }
}

/// A failed call to Lark.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LarkFailure {
    /// What can be done about it.
    pub kind: FailureKind,
    /// The `code` of the body, if there was one. It decides, regardless of the HTTP status.
    pub code: Option<i64>,
    /// The `msg` of the body, or our own text if there was no body. Never stable.
    pub msg: String,
    /// The platform's id of the call, which its support asks for.
    pub log_id: Option<String>,
    /// The HTTP status, if an answer came.
    pub http_status: Option<u16>,
    /// How long the platform asks to wait; for a call that we held back, until one could be sent in time; for a used-up quota,
    /// until the month turns.
    pub retry_after: Option<Duration>,
    /// Whether the call was certainly never sent: connecting failed, or we held it back.
    pub is_unsent: bool,
}

impl LarkFailure {
    /// No usable answer came.
    pub fn without_answer(kind: FailureKind, msg: impl Into<String>) -> Self {
        Self {
            kind,
            code: None,
            msg: msg.into(),
            log_id: None,
            http_status: None,
            retry_after: None,
            is_unsent: false,
        }
    }

    /// An answer that is not as documented: it lacks `what`.
    #[must_use]
    pub fn lacking(what: &str) -> Self {
        let msg = format!("Lark's answer has no {what} in it");
        Self::without_answer(FailureKind::Rejected, msg)
    }

    /// Whether the call may have had its effect, although no usable answer came.
    #[must_use]
    pub const fn may_have_happened(&self) -> bool {
        match self.kind {
            FailureKind::Unavailable | FailureKind::Timeout => !self.is_unsent,
            // An answer that is not as documented: the call may have had its effect.
            FailureKind::Rejected => matches!(self.code, None | Some(0)),
            FailureKind::TokenInvalid
            | FailureKind::AppRefused
            | FailureKind::NotFound
            | FailureKind::Forbidden
            | FailureKind::GrantVoid
            | FailureKind::TicketMissing
            | FailureKind::RateLimited
            | FailureKind::QuotaExhausted
            | FailureKind::Invalid
            | FailureKind::TenantRefused => false,
        }
    }
}

impl fmt::Display for LarkFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => write!(f, "{code} {}", self.msg),
            None => f.write_str(&self.msg),
        }
    }
}

impl std::error::Error for LarkFailure {}
