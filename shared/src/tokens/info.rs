//! What an operator may see of a token: everything but its value.

use serde::Serialize;
use utoipa::ToSchema;

use super::codec::StoredFailure;
use super::{TokenKey, TokenKind};
use crate::clock::Timestamp;
use crate::error::{FailureKind, LoginEnd};
use crate::store::Record;

/// A token, without its value.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TokenInfo {
    /// Which of the platform's tokens.
    #[schema(value_type = TokenKind)]
    pub kind: &'static str,
    /// The tenant of a marketplace app, or the `open_id` of a user; else empty.
    pub subject: String,
    /// When it was issued.
    #[schema(required, format = DateTime)]
    pub issued_at: Option<String>,
    /// When it ends.
    #[schema(required, format = DateTime)]
    pub expires_at: Option<String>,
    /// With which secret of the app it was made.
    #[schema(required)]
    pub secret_fingerprint: Option<String>,
    /// When the scheduled run looks at it next.
    #[schema(required, format = DateTime)]
    pub refresh_at: Option<String>,
    /// What went wrong since the last success.
    #[schema(required)]
    pub failure: Option<FailureInfo>,
    /// The login that a user's token comes from.
    #[schema(required)]
    pub login: Option<LoginInfo>,
}

/// What went wrong with a token.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FailureInfo {
    /// Why.
    #[schema(value_type = FailureKind)]
    pub reason: &'static str,
    /// How often in a row.
    #[schema(minimum = 1)]
    pub count: u32,
    /// The platform's code; null when no answer came.
    #[schema(required)]
    pub code: Option<i64>,
    /// The platform's words, or ours. Not stable.
    pub msg: String,
    /// The platform's id of the call, which its support asks for.
    #[schema(required)]
    pub log_id: Option<String>,
    /// When the next attempt is allowed.
    #[schema(format = DateTime)]
    pub retry_at: String,
}

/// A login, without its tokens.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LoginInfo {
    /// What the user granted.
    pub scopes: Vec<String>,
    /// When the user consented.
    #[schema(required, format = DateTime)]
    pub consented_at: Option<String>,
    /// When the login ends unless it is renewed; null without `offline_access`.
    #[schema(required, format = DateTime)]
    pub refresh_expires_at: Option<String>,
    /// Whole days until then.
    #[schema(required)]
    pub days_left: Option<u64>,
    /// Since when the refresh token may be spent without its successor being known.
    #[schema(required, format = DateTime)]
    pub uncertain_since: Option<String>,
    /// Why it ended.
    #[schema(value_type = Option<LoginEnd>, required)]
    pub ended: Option<String>,
    /// When it ended.
    #[schema(required, format = DateTime)]
    pub ended_at: Option<String>,
}

impl TokenInfo {
    /// The info in `record` at `now`; `None` if it is not a token's record, or what stayed of a deleted one.
    #[must_use]
    pub fn of(record: &Record, now: Timestamp) -> Option<Self> {
        if is_forgotten(record) {
            return None;
        }
        let key = TokenKey::from_store_key(&record.key)?;
        let moment = |name: &str| {
            let millis = record.number(name)?;
            Some(Timestamp::from_millis(millis).to_string())
        };
        let failure = record.text("failure");
        let failure: Option<StoredFailure> =
            failure.and_then(|text| serde_json::from_str(text).ok());
        let has_token = record.bytes("value").is_some();
        Some(Self {
            kind: key.kind.as_str(),
            issued_at: moment("issued_at").filter(|_| has_token),
            expires_at: moment("expires_at").filter(|_| has_token),
            secret_fingerprint: record.text("secret_fingerprint").map(str::to_owned),
            refresh_at: record.due.map(|due| due.at.to_string()),
            failure: failure.map(|failure| FailureInfo::of(&failure)),
            login: (key.kind == TokenKind::User).then(|| LoginInfo::of(record, now)),
            subject: key.subject,
        })
    }
}

/// Whether `record` is what stayed of a deleted token: nothing but the version at which it was made void, and for how long that
/// is kept.
pub(super) fn is_forgotten(record: &Record) -> bool {
    record.expires_at.is_some() && record.attributes.keys().eq(["voided"])
}

impl FailureInfo {
    fn of(stored: &StoredFailure) -> Self {
        let failure = stored.clone().into_failure();
        Self {
            reason: failure.last.kind.as_str(),
            count: failure.count,
            code: failure.last.code,
            msg: failure.last.msg,
            log_id: failure.last.log_id,
            retry_at: failure.retry_at.to_string(),
        }
    }
}

impl LoginInfo {
    fn of(record: &Record, now: Timestamp) -> Self {
        let moment = |name: &str| record.number(name).map(Timestamp::from_millis);
        let refresh = moment("refresh_expires_at").filter(|_| record.bytes("refresh").is_some());
        Self {
            scopes: record
                .text("scopes")
                .unwrap_or_default()
                .split_ascii_whitespace()
                .map(str::to_owned)
                .collect(),
            consented_at: moment("consented_at").map(|at| at.to_string()),
            refresh_expires_at: refresh.map(|at| at.to_string()),
            days_left: refresh.map(|at| at.since(now).as_secs() / (24 * 3_600)),
            uncertain_since: moment("uncertain_since").map(|at| at.to_string()),
            ended: record.text("ended").map(str::to_owned),
            ended_at: moment("ended_at").map(|at| at.to_string()),
        }
    }
}
