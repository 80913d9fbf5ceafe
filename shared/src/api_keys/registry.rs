//! How operators manage API keys: create, list, change, revoke.

use std::time::Duration;

use tracing::info;

use super::info::{changed, check, infos, joined, with_end, with_limit};
use super::{ApiKeyChange, ApiKeyInfo, ApiKeys, NewApiKey, is_key_id, store_key, used_key};
use crate::changes::{self, Actor, Change};
use crate::clock::Timestamp;
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::page::Page;
use crate::store::{Attributes, Expect, Key, Record, StoreError, Table, Value};

/// How often a change is retried when others change the same key at the same time.
const ATTEMPTS: u32 = 8;
/// How long a deleted key stays on record.
const DELETED: Duration = Duration::from_secs(90 * 24 * 3_600);
/// The partition in which every key is listed, one record each with the sort key `id#<key id>`.
const LISTED: &str = "listed";
/// What the sort keys in the list begin with.
const LISTED_PREFIX: &str = "id#";

impl ApiKeys {
    /// Adds a key.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] when its id is taken, [`Error::InvalidArgument`], [`Error::Store`].
    pub async fn add(&self, new: &NewApiKey, actor: &Actor, deadline: Deadline) -> Result<()> {
        let now = self.clock.now();
        check(&new.name, &new.scopes, &new.apps, new.expires_at, now)?;
        let record = Record::new(store_key(new.key.id()), self.version_after(0))
            .with("secret_hash", Value::Bytes(new.key.hash()))
            .with("name", Value::Text(new.name.clone()))
            .with("scopes", Value::Text(joined(&new.scopes)))
            .with("apps", Value::Text(new.apps.to_string()))
            .with("status", Value::Text("active".to_owned()))
            .with("created_at", Value::Number(now.as_millis()));
        let record = with_limit(record, new.rate_limit);
        let record = with_end(record, new.expires_at);
        let record = changes::stamped(record, actor, "created", &[], now);
        let listed = Record::new(listed_key(new.key.id()), self.version_after(0));
        self.storage
            .put(Table::ApiKeys, &listed, Expect::Anything, deadline)
            .await?;
        match self
            .storage
            .put(Table::ApiKeys, &record, Expect::Absent, deadline)
            .await
        {
            Ok(()) => {
                info!(key_id = new.key.id(), "an API key was made");
                changes::keep(&self.storage, Table::ApiKeys, &record, deadline).await
            }
            Err(StoreError::Conflict) => Err(Error::AlreadyExists(format!(
                "the API key {}",
                new.key.id()
            ))),
            Err(error) => Err(error.into()),
        }
    }

    /// The key `key_id`, without its secret.
    ///
    /// # Errors
    /// [`Error::ApiKeyNotFound`], [`Error::Store`].
    pub async fn show(&self, key_id: &str, deadline: Deadline) -> Result<ApiKeyInfo> {
        let unknown = || Error::ApiKeyNotFound(key_id.to_owned());
        if !is_key_id(key_id) {
            return Err(unknown());
        }
        let keys = [store_key(key_id), used_key(key_id)];
        let records = self
            .storage
            .get_many(Table::ApiKeys, &keys, Attributes::All, deadline)
            .await?;
        infos(&records, self.clock.now()).pop().ok_or_else(unknown)
    }

    /// A page of keys, by id. `after` is the page token of the previous page.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn list(
        &self,
        after: Option<&str>,
        limit: usize,
        deadline: Deadline,
    ) -> Result<Page<ApiKeyInfo>> {
        let after = after.map(|id| format!("{LISTED_PREFIX}{id}"));
        let page = self
            .storage
            .list(
                Table::ApiKeys,
                LISTED,
                LISTED_PREFIX,
                after.as_deref(),
                limit,
                deadline,
            )
            .await?;
        let id = |sort: &str| Some(sort.strip_prefix(LISTED_PREFIX)?.to_owned());
        let ids = page
            .records
            .iter()
            .filter_map(|record| id(&record.key.sort));
        let keys = ids.flat_map(|id: String| [store_key(&id), used_key(&id)]);
        let keys: Vec<_> = keys.collect();
        let records = self
            .storage
            .get_many(Table::ApiKeys, &keys, Attributes::All, deadline)
            .await?;
        let mut keys = infos(&records, self.clock.now());
        keys.sort_by(|one, other| one.key_id.cmp(&other.key_id));
        Ok(Page {
            items: keys,
            next_page_token: page.next.as_deref().and_then(id),
        })
    }

    /// Changes a key and answers what it is now.
    ///
    /// # Errors
    /// [`Error::ApiKeyNotFound`], [`Error::InvalidArgument`] (also for a revoked key, which cannot be changed),
    /// [`Error::Store`].
    pub async fn change(
        &self,
        key_id: &str,
        change: &ApiKeyChange,
        actor: &Actor,
        deadline: Deadline,
    ) -> Result<ApiKeyInfo> {
        self.edit(key_id, deadline, |record, now| {
            changed(record, change, actor, now)
        })
        .await?;
        self.show(key_id, deadline).await
    }

    /// Revokes a key permanently. It stops working once the authorizer's cached answers expire.
    ///
    /// # Errors
    /// [`Error::ApiKeyNotFound`], [`Error::Store`].
    pub async fn revoke(&self, key_id: &str, actor: &Actor, deadline: Deadline) -> Result<()> {
        self.edit(key_id, deadline, |record, now| {
            if record.text("status") == Some("revoked") {
                return Ok(None);
            }
            let mut record = record.with("status", Value::Text("revoked".to_owned()));
            record.attributes.remove("secret_hash");
            record.expires_at = Some(now + DELETED);
            Ok(Some(changes::stamped(
                record,
                actor,
                "revoked",
                &["status"],
                now,
            )))
        })
        .await?;
        let mut listed = Record::new(listed_key(key_id), self.version_after(0));
        listed.expires_at = Some(self.clock.now() + DELETED);
        self.storage
            .put(Table::ApiKeys, &listed, Expect::Anything, deadline)
            .await?;
        Ok(())
    }

    /// Who changed the key, how and when, oldest first.
    ///
    /// # Errors
    /// [`Error::ApiKeyNotFound`], [`Error::Store`].
    pub async fn changes(
        &self,
        key_id: &str,
        after: Option<&str>,
        limit: usize,
        deadline: Deadline,
    ) -> Result<Page<Change>> {
        self.show(key_id, deadline).await?;
        let key = store_key(key_id);
        changes::list(&self.storage, Table::ApiKeys, &key, after, limit, deadline).await
    }

    /// Applies `edit` to the record and writes the result; retries on a conflict. `None` from `edit`: nothing to change.
    async fn edit(
        &self,
        key_id: &str,
        deadline: Deadline,
        edit: impl Fn(Record, Timestamp) -> Result<Option<Record>>,
    ) -> Result<()> {
        let unknown = || Error::ApiKeyNotFound(key_id.to_owned());
        if !is_key_id(key_id) {
            return Err(unknown());
        }
        for _ in 0..ATTEMPTS {
            let found = self
                .storage
                .get(Table::ApiKeys, &store_key(key_id), deadline)
                .await?;
            let record = found.ok_or_else(unknown)?;
            changes::keep(&self.storage, Table::ApiKeys, &record, deadline).await?;
            let expect = Expect::Version(record.version);
            let version = self.version_after(record.version);
            let Some(edited) = edit(record, self.clock.now())? else {
                return Ok(());
            };
            let edited = Record { version, ..edited };
            let put = self
                .storage
                .put(Table::ApiKeys, &edited, expect, deadline)
                .await;
            // Whatever its outcome: it may have happened.
            self.known.forget(key_id);
            match put {
                Ok(()) => {
                    return changes::keep(&self.storage, Table::ApiKeys, &edited, deadline).await;
                }
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
    }

    fn version_after(&self, version: u64) -> u64 {
        u64::try_from(self.clock.now().as_millis())
            .unwrap_or(0)
            .max(version + 1)
    }
}

fn listed_key(id: &str) -> Key {
    Key::new(LISTED, format!("{LISTED_PREFIX}{id}"))
}
