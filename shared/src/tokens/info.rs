//! What an operator may know of a token: everything but its value.

use serde::Serialize;

use super::codec::StoredFailure;
use super::{TokenKey, TokenKind};
use crate::clock::Timestamp;
use crate::store::Record;

/// A token's state, without its value. Moments are RFC 3339.
#[derive(Clone, Debug, Serialize)]
pub struct TokenInfo {
    /// `tenant`, `app` or `user`.
    pub kind: &'static str,
    /// The tenant key of a marketplace app's tenant, or the open_id of a user; else empty.
    pub subject: String,
    /// When it was issued.
    pub issued_at: Option<String>,
    /// When it ends.
    pub expires_at: Option<String>,
    /// Tells with which secret of the app it was made.
    pub secret_fingerprint: Option<String>,
    /// When the scheduled run looks at it next.
    pub refresh_at: Option<String>,
    /// What went wrong since the last success.
    pub failure: Option<FailureInfo>,
    /// For a user's token: the login that it comes from.
    pub login: Option<LoginInfo>,
}

/// What went wrong with a token.
#[derive(Clone, Debug, Serialize)]
pub struct FailureInfo {
    /// `app_refused`, `rate_limited`, `unavailable`, `timeout` and the like.
    pub reason: &'static str,
    /// How often in a row.
    pub count: u32,
    /// Lark's code, if an answer came.
    pub code: Option<i64>,
    /// Lark's words, or ours.
    pub msg: String,
    /// What Lark's support asks for.
    pub log_id: Option<String>,
    /// When the next attempt is allowed.
    pub retry_at: String,
}

/// A login, without its tokens.
#[derive(Clone, Debug, Serialize)]
pub struct LoginInfo {
    /// The granted scopes.
    pub scopes: Vec<String>,
    /// When the user consented.
    pub consented_at: Option<String>,
    /// When the login ends unless it is renewed; `None` without `offline_access`.
    pub refresh_expires_at: Option<String>,
    /// Whole days until then.
    pub days_left: Option<u64>,
    /// Since when the refresh token may be spent without its successor being known.
    pub uncertain_since: Option<String>,
    /// Why it ended: the reasons of `reauthorization_required`.
    pub ended: Option<String>,
    /// When it ended.
    pub ended_at: Option<String>,
}

impl TokenInfo {
    /// What `record` says at `now`; `None` if it is no token's.
    #[must_use]
    pub fn of(record: &Record, now: Timestamp) -> Option<Self> {
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
