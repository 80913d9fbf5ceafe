//! A login as part of a token's record and of its entry in the shared cache. The refresh token is sealed in the record and
//! absent from the cache.

use serde::{Deserialize, Serialize};

use super::{Login, RefreshToken};
use crate::clock::Timestamp;
use crate::deadline::Deadline;
use crate::error::{LoginEnd, Result};
use crate::seal::Sealer;
use crate::store::{Record, StoreError, Table, Value};
use crate::tokens::TokenKey;

/// `record` with `login` in it.
pub(in crate::tokens) async fn write(
    record: Record,
    key: &TokenKey,
    login: &Login,
    sealer: &Sealer,
    deadline: Deadline,
) -> Result<Record> {
    let generation = i64::try_from(login.generation).unwrap_or(i64::MAX);
    let mut record = record
        .with("generation", Value::Number(generation))
        .with("scopes", Value::Text(login.scopes.clone()))
        .with("consented_at", moment(login.consented_at));
    if let Some(refresh) = &login.refresh
        && let Some(value) = &refresh.value
    {
        let sealed = sealer.seal(&context(key), value, deadline).await?;
        record = record
            .with("refresh", Value::Bytes(sealed))
            .with("refresh_issued_at", moment(refresh.issued_at))
            .with("refresh_expires_at", moment(refresh.expires_at));
    }
    if let Some(since) = login.uncertain_since {
        record = record.with("uncertain_since", moment(since));
    }
    if let Some((end, at)) = login.ended {
        record = record
            .with("ended", Value::Text(end.as_str().to_owned()))
            .with("ended_at", moment(at));
    }
    Ok(record)
}

/// The login in `record`, if there is one.
pub(in crate::tokens) async fn read(
    record: &Record,
    key: &TokenKey,
    sealer: &Sealer,
    deadline: Deadline,
) -> Result<Option<Login>> {
    let Some(generation) = record.number("generation") else {
        return Ok(None);
    };
    let corrupt = |name: &str| StoreError::Corrupt {
        table: Table::Tokens.name(),
        key: record.key.to_string(),
        detail: name.to_owned(),
    };
    let moment = |name: &str| record.number(name).map(Timestamp::from_millis);
    let required = |name: &str| moment(name).ok_or_else(|| corrupt(name));
    let refresh = match record.bytes("refresh") {
        None => None,
        Some(sealed) => Some(RefreshToken {
            value: Some(sealer.open(&context(key), sealed, deadline).await?),
            issued_at: required("refresh_issued_at")?,
            expires_at: required("refresh_expires_at")?,
        }),
    };
    let ended = match record.text("ended") {
        None => None,
        Some(text) => {
            let end = LoginEnd::parse(text).ok_or_else(|| corrupt("ended"))?;
            Some((end, required("ended_at")?))
        }
    };
    Ok(Some(Login {
        generation: u64::try_from(generation).map_err(|_| corrupt("generation"))?,
        refresh,
        scopes: record.text("scopes").unwrap_or_default().to_owned(),
        consented_at: required("consented_at")?,
        uncertain_since: moment("uncertain_since"),
        ended,
    }))
}

/// A login without its refresh token.
#[derive(Deserialize, Serialize)]
pub(in crate::tokens) struct CachedLogin {
    generation: u64,
    refresh_issued_at: Option<Timestamp>,
    refresh_expires_at: Option<Timestamp>,
    scopes: String,
    consented_at: Timestamp,
    uncertain_since: Option<Timestamp>,
    ended: Option<(LoginEnd, Timestamp)>,
}

impl CachedLogin {
    pub(in crate::tokens) fn of(login: &Login) -> Self {
        Self {
            generation: login.generation,
            refresh_issued_at: login.refresh.as_ref().map(|refresh| refresh.issued_at),
            refresh_expires_at: login.refresh.as_ref().map(|refresh| refresh.expires_at),
            scopes: login.scopes.clone(),
            consented_at: login.consented_at,
            uncertain_since: login.uncertain_since,
            ended: login.ended,
        }
    }

    pub(in crate::tokens) fn into_login(self) -> Login {
        let refresh = self.refresh_issued_at.zip(self.refresh_expires_at);
        Login {
            generation: self.generation,
            refresh: refresh.map(|(issued_at, expires_at)| RefreshToken {
                value: None,
                issued_at,
                expires_at,
            }),
            scopes: self.scopes,
            consented_at: self.consented_at,
            uncertain_since: self.uncertain_since,
            ended: self.ended,
        }
    }
}

/// The context that a sealed refresh token is bound to.
pub(in crate::tokens) fn context(key: &TokenKey) -> String {
    format!("refresh-tokens/{}/{}", key.app_id, key.subject)
}

fn moment(at: Timestamp) -> Value {
    Value::Number(at.as_millis())
}
