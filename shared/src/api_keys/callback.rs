//! Where the callbacks of an API key go: a part of the key's record.

use super::{ApiKeys, KeyState, info, is_key_id, store_key};
use crate::changes::{self, Actor};
use crate::clock::Timestamp;
use crate::deadline::Deadline;
use crate::error::Result;
use crate::store::{Attributes, Expect, Key, Record, Table, Value, next_version};

/// The attributes.
const URL: &str = "callback_url";
const SECRETS: &str = "callback_secrets";
const SINCE: &str = "callback_since";
/// What the partition begins with in which it is kept that callbacks were switched off; the key's id follows. Who sends callbacks may
/// not write the key's record.
pub(super) const DISABLED_PREFIX: &str = "callback#";

/// Where the callbacks of an API key go, and what signs them.
#[derive(Clone, Debug)]
pub struct CallbackSetting {
    /// The address.
    pub url: String,
    /// The secrets, the current one first, with spaces between, sealed for [`CallbackSetting::seal_context`].
    pub sealed_secrets: Vec<u8>,
    /// When it was set.
    pub since: Timestamp,
    /// That it was switched off since then; `None` when it is set.
    pub disabled: Option<CallbackDisabled>,
}

/// That callbacks were switched off. Setting their address again switches them on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CallbackDisabled {
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
}

impl CallbackSetting {
    /// The place that the secrets of the key `key_id` are sealed for.
    #[must_use]
    pub fn seal_context(key_id: &str) -> String {
        format!("api_keys/{key_id}/callback")
    }

    /// The setting in the key's `record`, with what `disabled` says of it.
    fn of(record: &Record, disabled: Option<&Record>) -> Option<Self> {
        Some(Self {
            url: record.text(URL)?.to_owned(),
            sealed_secrets: record.bytes(SECRETS)?.to_vec(),
            since: Timestamp::from_millis(record.number(SINCE)?),
            disabled: self::disabled(record, disabled),
        })
    }
}

/// The address in `record`.
pub(super) fn url(record: &Record) -> Option<&str> {
    record.text(URL)
}

/// That the setting in the key's `record` was switched off, if `disabled` says so of this one and not of one before it.
pub(super) fn disabled(record: &Record, disabled: Option<&Record>) -> Option<CallbackDisabled> {
    let disabled = disabled.filter(|it| it.number(SINCE) == record.number(SINCE))?;
    Some(CallbackDisabled {
        at: Timestamp::from_millis(disabled.number("at")?),
        reason: disabled.text("reason")?.to_owned(),
    })
}

/// Where that is kept.
pub(super) fn disabled_key(key_id: &str) -> Key {
    Key::new(format!("{DISABLED_PREFIX}{key_id}"), "disabled")
}

/// `record` with this setting.
pub(super) fn with(mut record: Record, setting: Option<&CallbackSetting>) -> Record {
    match setting {
        Some(setting) => record
            .with(URL, Value::Text(setting.url.clone()))
            .with(SECRETS, Value::Bytes(setting.sealed_secrets.clone()))
            .with(SINCE, Value::Number(setting.since.as_millis())),
        None => {
            for name in [URL, SECRETS, SINCE] {
                record.attributes.remove(name);
            }
            record
        }
    }
}

/// The sealed attribute that a key's record may have, with its context: for resealing.
pub(crate) fn sealed_attributes(record: &Record) -> Vec<(&'static str, String)> {
    let key_id = &record.key.partition;
    if is_key_id(key_id) {
        vec![(SECRETS, CallbackSetting::seal_context(key_id))]
    } else {
        Vec::new()
    }
}

impl ApiKeys {
    /// Where the callbacks of the key `key_id` go; `None` if nowhere, or if the key was stopped.
    ///
    /// # Errors
    /// [`crate::error::Error::Store`].
    pub async fn callback(
        &self,
        key_id: &str,
        deadline: Deadline,
    ) -> Result<Option<CallbackSetting>> {
        if !is_key_id(key_id) {
            return Ok(None);
        }
        let keys = [store_key(key_id), disabled_key(key_id)];
        let (table, all) = (Table::ApiKeys, Attributes::All);
        let records = self.storage.get_many(table, &keys, all, deadline).await?;
        let find = |key: &Key| records.iter().find(|record| record.key == *key);
        let Some(record) = find(&keys[0]) else {
            return Ok(None);
        };
        let state = info::info(record, self.clock.now()).map(|it| it.state);
        Ok(match state {
            // Of a key that has ended the messages are still on their way.
            Some(KeyState::Active | KeyState::Expired) => {
                CallbackSetting::of(record, find(&keys[1]))
            }
            Some(KeyState::Disabled | KeyState::Revoked) | None => None,
        })
    }

    /// Switches the callbacks of the key `key_id` off that were set at `since`, until they are set again. It is seen with the key.
    ///
    /// # Errors
    /// [`crate::error::Error::Store`].
    pub async fn disable_callback(
        &self,
        key_id: &str,
        since: Timestamp,
        reason: &str,
        deadline: Deadline,
    ) -> Result<()> {
        let now = self.clock.now();
        let record = Record::new(disabled_key(key_id), next_version(0, now))
            .with(SINCE, Value::Number(since.as_millis()))
            .with("at", Value::Number(now.as_millis()))
            .with("reason", Value::Text(reason.to_owned()));
        let (table, expect) = (Table::ApiKeys, Expect::Anything);
        Ok(self.storage.put(table, &record, expect, deadline).await?)
    }

    /// Replaces `before` with `resealed`, which differs only in its seal.
    ///
    /// # Errors
    /// [`crate::store::StoreError::Conflict`] when the record has changed; else the store's error.
    pub(crate) async fn put_resealed(
        &self,
        before: &Record,
        resealed: Record,
        actor: &Actor,
        deadline: Deadline,
    ) -> Result<()> {
        let (table, now) = (Table::ApiKeys, self.clock.now());
        changes::keep(&self.storage, table, before, deadline).await?;
        let resealed = Record {
            version: next_version(before.version, now),
            ..resealed
        };
        let resealed = changes::stamped(resealed, actor, "resealed", &["callback_url"], now);
        let expect = Expect::Version(before.version);
        self.storage.put(table, &resealed, expect, deadline).await?;
        changes::keep(&self.storage, table, &resealed, deadline).await
    }

    /// A page of the records of all keys, and where the next one begins: for resealing.
    pub(crate) async fn records(
        &self,
        after: Option<&str>,
        limit: usize,
        deadline: Deadline,
    ) -> Result<(Vec<Record>, Option<String>)> {
        let page = self.list(after, limit, deadline).await?;
        let keys: Vec<_> = page.items.iter().map(|it| store_key(&it.key_id)).collect();
        let (table, all) = (Table::ApiKeys, Attributes::All);
        let records = self.storage.get_many(table, &keys, all, deadline);
        Ok((records.await?, page.next_page_token))
    }
}
