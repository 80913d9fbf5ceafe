//! A token's state as a record of the store, in which the token's value is sealed, and as an entry of the shared cache, which is
//! sealed as a whole.

use std::sync::Arc;
use std::time::Duration;

use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

use super::logins::codec as login_codec;
use super::{Lease, SharedToken, Token, TokenFailure, TokenKey, TokenState};
use crate::clock::Timestamp;
use crate::deadline::Deadline;
use crate::error::{FailureKind, LarkFailure, Result};
use crate::seal::{Fingerprint, Sealer};
use crate::store::{Due, Record, StoreError, Table, Value};

/// The number of partitions of the index of due tokens. DynamoDB allows 1,000 writes/s on each; changing the number requires
/// rewriting every record.
pub const SHARDS: u8 = 16;

impl TokenState {
    /// The record of this state.
    pub(super) async fn to_record(&self, sealer: &Sealer, deadline: Deadline) -> Result<Record> {
        let mut record = Record::new(self.key.store_key(), self.version);
        record.due = self.due_at.map(|at| Due {
            shard: shard(&self.key),
            at,
        });
        record.expires_at = self.expires_at;
        if let Some(token) = &self.token {
            let sealed = sealer
                .seal(&self.key.seal_context(), &token.value, deadline)
                .await?;
            record = record
                .with("value", Value::Bytes(sealed))
                .with(
                    "secret_fingerprint",
                    Value::Text(token.fingerprint.as_str().to_owned()),
                )
                .with("issued_at", Value::Number(token.issued_at.as_millis()))
                .with("expires_at", Value::Number(token.expires_at.as_millis()));
        }
        if let Some(lease) = &self.leased {
            record = record
                .with("leased_until", Value::Number(lease.until.as_millis()))
                .with("lease_mark", Value::Text(lease.mark.clone()));
        }
        if self.voided > 0 {
            let voided = i64::try_from(self.voided).unwrap_or(i64::MAX);
            record = record.with("voided", Value::Number(voided));
        }
        if let Some(login) = &self.login {
            record = login_codec::write(record, &self.key, login, sealer, deadline).await?;
        }
        if let Some(failure) = &self.failure {
            let text = serde_json::to_string(&StoredFailure::of(failure))
                .expect("a failure is plain data");
            record = record.with("failure", Value::Text(text));
        }
        Ok(record)
    }

    /// The state that `record` holds.
    pub(super) async fn from_record(
        record: &Record,
        sealer: &Sealer,
        deadline: Deadline,
    ) -> Result<Self> {
        let corrupt = |detail: &str| StoreError::Corrupt {
            table: Table::Tokens.name(),
            key: record.key.to_string(),
            detail: detail.to_owned(),
        };
        let key = TokenKey::from_store_key(&record.key)
            .ok_or_else(|| corrupt("the key is not a token's"))?;
        let token = match record.bytes("value") {
            None => None,
            Some(sealed) => {
                let moment = |name| {
                    record
                        .number(name)
                        .map(Timestamp::from_millis)
                        .ok_or_else(|| corrupt(name))
                };
                let fingerprint = record
                    .text("secret_fingerprint")
                    .ok_or_else(|| corrupt("secret_fingerprint"))?;
                let value = sealer.open(&key.seal_context(), sealed, deadline).await?;
                let fingerprint = Fingerprint::from_stored(fingerprint);
                Some(Arc::new(Token {
                    value,
                    fingerprint,
                    issued_at: moment("issued_at")?,
                    expires_at: moment("expires_at")?,
                }))
            }
        };
        let failure = record
            .text("failure")
            .and_then(|text| serde_json::from_str::<StoredFailure>(text).ok());
        let leased = record.number("leased_until").map(|until| Lease {
            until: Timestamp::from_millis(until),
            mark: record.text("lease_mark").unwrap_or_default().to_owned(),
        });
        Ok(Self {
            version: record.version,
            token,
            leased,
            failure: failure.map(StoredFailure::into_failure),
            due_at: record.due.map(|due| due.at),
            expires_at: record.expires_at,
            login: login_codec::read(record, &key, sealer, deadline).await?,
            voided: record
                .number("voided")
                .and_then(|voided| u64::try_from(voided).ok())
                .unwrap_or(0),
            key,
        })
    }

    /// The cache entry of this state, which is kept for [`ENTRY_TTL`]: to be sealed as a whole.
    pub(super) fn to_entry(&self) -> Vec<u8> {
        let token = self.token.as_ref().map(|token| CachedToken {
            value: token.value.expose_secret().to_owned(),
            fingerprint: token.fingerprint.clone(),
            issued_at: token.issued_at,
            expires_at: token.expires_at,
        });
        let entry = CachedState {
            token,
            failure: self.failure.as_ref().map(StoredFailure::of),
            login: self.login.as_ref().map(login_codec::CachedLogin::of),
            voided: self.voided,
        };
        serde_json::to_vec(&entry).expect("an entry is plain data")
    }

    /// The state that a cache entry holds; `None` for any other value.
    pub(super) fn from_entry(key: &TokenKey, version: u64, entry: &[u8]) -> Option<Self> {
        let entry: CachedState = serde_json::from_slice(entry).ok()?;
        Some(Self {
            key: key.clone(),
            version,
            token: entry.token.map(CachedToken::into_token),
            leased: None,
            failure: entry.failure.map(StoredFailure::into_failure),
            due_at: None,
            expires_at: None,
            login: entry.login.map(login_codec::CachedLogin::into_login),
            voided: entry.voided.min(version),
        })
    }
}

/// The TTL of a state in the shared cache, whatever it says: for how long its token is handed out is in the state. It outlives the
/// longest-lived token. So a process that was frozen with an older state in hand puts back nothing that still works.
pub(super) const ENTRY_TTL: Duration = Duration::from_secs(3 * 3_600);

#[derive(Deserialize, Serialize)]
struct CachedState {
    token: Option<CachedToken>,
    failure: Option<StoredFailure>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    login: Option<login_codec::CachedLogin>,
    #[serde(default)]
    voided: u64,
}

#[derive(Deserialize, Serialize)]
struct CachedToken {
    value: String,
    fingerprint: Fingerprint,
    issued_at: Timestamp,
    expires_at: Timestamp,
}

impl CachedToken {
    fn into_token(self) -> SharedToken {
        Arc::new(Token {
            value: self.value.into(),
            fingerprint: self.fingerprint,
            issued_at: self.issued_at,
            expires_at: self.expires_at,
        })
    }
}

#[derive(Clone, Deserialize, Serialize)]
pub(super) struct StoredFailure {
    count: u32,
    fingerprint: Fingerprint,
    kind: FailureKind,
    code: Option<i64>,
    msg: String,
    log_id: Option<String>,
    http_status: Option<u16>,
    retry_at: Timestamp,
}

impl StoredFailure {
    fn of(failure: &TokenFailure) -> Self {
        let TokenFailure {
            count,
            fingerprint,
            last,
            retry_at,
        } = failure.clone();
        let LarkFailure {
            kind,
            code,
            msg,
            log_id,
            http_status,
            retry_after: _,
            is_unsent: _,
        } = last;
        Self {
            count,
            fingerprint,
            kind,
            code,
            msg,
            log_id,
            http_status,
            retry_at,
        }
    }

    pub(super) fn into_failure(self) -> TokenFailure {
        let Self {
            count,
            fingerprint,
            kind,
            code,
            msg,
            log_id,
            http_status,
            retry_at,
        } = self;
        let last = LarkFailure {
            kind,
            code,
            msg,
            log_id,
            http_status,
            retry_after: None,
            is_unsent: false,
        };
        TokenFailure {
            count,
            fingerprint,
            last,
            retry_at,
        }
    }
}

/// FNV-1a of the key, so that every version of the code finds the same shard.
fn shard(key: &TokenKey) -> u8 {
    let text = key.seal_context();
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    u8::try_from(hash % u64::from(SHARDS)).unwrap_or(0)
}

#[cfg(test)]
mod tests;
