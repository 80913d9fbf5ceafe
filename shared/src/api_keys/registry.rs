//! How operators manage API keys: create, list, change, revoke.

use std::borrow::Cow;
use std::time::Duration;

use tracing::info;

use super::authority::Powers;
use super::callback::disabled_key;
use super::info::{self, Asked, changed, info, infos, joined, with_end, with_limit, with_tenants};
use super::{
    ApiKeyChange, ApiKeyInfo, ApiKeys, Authority, NewApiKey, Scope, is_key_id, store_key, used_key,
};
use crate::changes::{self, Actor, Change};
use crate::clock::Timestamp;
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::page::Page;
use crate::store::{Attributes, Expect, Guard, Key, Record, StoreError, Table, Value};

/// How often a change is retried when others change the same key at the same time.
const ATTEMPTS: u32 = 8;
/// How long a deleted key stays on record.
const DELETED: Duration = Duration::from_secs(90 * 24 * 3_600);
/// How many keys are read at a time, and how often, to find those that somebody sees.
const SCAN: usize = 100;
const MAX_SCANS: usize = 100;
/// How much of a foreign id a page token begins with, at least.
const TOLD: usize = 4;
/// The partition in which every key is listed, one record each with the sort key `id#<key id>`.
const LISTED: &str = "listed";
/// What the sort keys in the list begin with.
const LISTED_PREFIX: &str = "id#";

impl ApiKeys {
    /// Passes if `authority` may add such a key now: what [`ApiKeys::add`] checks once more when it writes.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`], [`Error::PermissionDenied`].
    pub fn check_new(&self, new: &NewApiKey, authority: &Authority) -> Result<()> {
        Asked::of(new).check(self.clock.now())?;
        authority.may_give(&Powers::of_new(new))
    }

    /// Adds a key. `authority` must have what the key gives, at the moment at which it is written.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] when its id is taken, [`Error::InvalidArgument`], [`Error::PermissionDenied`],
    /// [`Error::Store`].
    pub async fn add(
        &self,
        new: &NewApiKey,
        authority: &Authority,
        deadline: Deadline,
    ) -> Result<()> {
        let key = store_key(new.key.id());
        let mut authority = Cow::Borrowed(authority);
        for _ in 0..ATTEMPTS {
            let now = self.clock.now();
            self.check_new(new, &authority)?;
            let record = added(new, self.version_after(0), &authority.actor(), now);
            let listed = Record::new(listed_key(new.key.id()), self.version_after(0));
            self.storage
                .put(Table::ApiKeys, &listed, Expect::Anything, deadline)
                .await?;
            match self
                .put(&authority, &record, Expect::Absent, deadline)
                .await
            {
                Ok(()) => {
                    info!(key_id = new.key.id(), "an API key was made");
                    return changes::keep(&self.storage, Table::ApiKeys, &record, deadline).await;
                }
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
            let taken = self.storage.get(Table::ApiKeys, &key, deadline).await?;
            if taken.is_some() {
                let what = format!("the API key {}", new.key.id());
                return Err(Error::AlreadyExists(what));
            }
            authority = Cow::Owned(self.renewed(&authority, deadline).await?);
        }
        Err(StoreError::Conflict.into())
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
        let keys = places(key_id);
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
        let keys = ids.flat_map(|id: String| places(&id));
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

    /// A page of the keys that `authority` sees, by id. `after` is the page token of the previous page.
    ///
    /// A page token is the id of a key that it sees, or after very many others the beginning of an id.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn list_seen(
        &self,
        authority: &Authority,
        after: Option<&str>,
        limit: usize,
        deadline: Deadline,
    ) -> Result<Page<ApiKeyInfo>> {
        if authority.sees_all() {
            return self.list(after, limit, deadline).await;
        }
        let mut items: Vec<ApiKeyInfo> = Vec::with_capacity(limit);
        let mut position = after.map(str::to_owned);
        for _ in 0..MAX_SCANS {
            let page = self.list(position.as_deref(), SCAN, deadline).await?;
            for key in page.items.into_iter().filter(|key| authority.sees(key)) {
                if items.len() == limit {
                    return Ok(Page {
                        next_page_token: items.last().map(|last| last.key_id.clone()),
                        items,
                    });
                }
                items.push(key);
            }
            position = page.next_page_token;
            if position.is_none() {
                break;
            }
        }
        let last = items.last().map(|last| last.key_id.as_str()).or(after);
        let next_page_token = position.map(|at| beginning(&at, last.unwrap_or_default()));
        Ok(Page {
            items,
            next_page_token,
        })
    }

    /// Changes a key and answers what it is now. `authority` must be allowed to at the moment at which it is written.
    ///
    /// # Errors
    /// [`Error::ApiKeyNotFound`], [`Error::InvalidArgument`] (also for a revoked key, which cannot be changed),
    /// [`Error::PermissionDenied`], [`Error::Store`].
    pub async fn change(
        &self,
        key_id: &str,
        change: &ApiKeyChange,
        authority: &Authority,
        deadline: Deadline,
    ) -> Result<ApiKeyInfo> {
        self.edit(key_id, authority, deadline, |record, now| {
            changed(record, change, &authority.actor(), now)
        })
        .await?;
        self.show(key_id, deadline).await
    }

    /// Revokes a key permanently. Repeated, it tells every process once more.
    ///
    /// # Errors
    /// [`Error::ApiKeyNotFound`], [`Error::PermissionDenied`], [`Error::Store`].
    pub async fn revoke(
        &self,
        key_id: &str,
        authority: &Authority,
        deadline: Deadline,
    ) -> Result<()> {
        let actor = authority.actor();
        self.edit(key_id, authority, deadline, |record, now| {
            if record.text("status") == Some("revoked") {
                return Ok(None);
            }
            let mut record = record.with("status", Value::Text("revoked".to_owned()));
            record.attributes.remove("secret_hash");
            record.expires_at = Some(now + DELETED);
            let fields = &["status"];
            Ok(Some(changes::stamped(
                record, &actor, "revoked", fields, now,
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

    /// Applies `edit` to the record and writes the result, if `authority` may do that; retries on a conflict. `None` from
    /// `edit`: nothing to change.
    async fn edit(
        &self,
        key_id: &str,
        authority: &Authority,
        deadline: Deadline,
        edit: impl Fn(Record, Timestamp) -> Result<Option<Record>>,
    ) -> Result<()> {
        let unknown = || Error::ApiKeyNotFound(key_id.to_owned());
        if !is_key_id(key_id) {
            return Err(unknown());
        }
        let key = store_key(key_id);
        let mut authority = Cow::Borrowed(authority);
        for _ in 0..ATTEMPTS {
            let found = self.storage.get(Table::ApiKeys, &key, deadline).await?;
            let record = found.ok_or_else(unknown)?;
            let now = self.clock.now();
            let before = info(&record, now).ok_or_else(unknown)?;
            authority.may_change(&before)?;
            changes::keep(&self.storage, Table::ApiKeys, &record, deadline).await?;
            let expect = Expect::Version(record.version);
            let version = self.version_after(record.version);
            let Some(edited) = edit(record, now)? else {
                self.publish(key_id, before.version, deadline).await;
                return Ok(());
            };
            let edited = Record { version, ..edited };
            let after = info(&edited, now).ok_or_else(unknown)?;
            authority.may_turn(&before, &after)?;
            let put = self.put(&authority, &edited, expect, deadline).await;
            // Whatever its outcome: it may have happened.
            self.known.forget(key_id);
            match put {
                Ok(()) => {
                    self.publish(key_id, version, deadline).await;
                    return changes::keep(&self.storage, Table::ApiKeys, &edited, deadline).await;
                }
                Err(StoreError::Conflict) => {
                    authority = Cow::Owned(self.renewed(&authority, deadline).await?);
                }
                Err(error) => {
                    self.publish(key_id, version, deadline).await;
                    return Err(error.into());
                }
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// Writes `record` if `expect` holds, and if what `authority` was read from has not changed.
    async fn put(
        &self,
        authority: &Authority,
        record: &Record,
        expect: Expect,
        deadline: Deadline,
    ) -> std::result::Result<(), StoreError> {
        let (table, storage) = (Table::ApiKeys, &self.storage);
        match authority {
            Authority::Operator(_) => storage.put(table, record, expect, deadline).await,
            Authority::Key(caller) => {
                let guard = Guard {
                    key: store_key(&caller.key_id),
                    version: caller.version,
                };
                let put = storage.put_guarded(table, record, expect, &guard, deadline);
                put.await
            }
        }
    }

    /// `authority` by what its record says now.
    async fn renewed(&self, authority: &Authority, deadline: Deadline) -> Result<Authority> {
        let Authority::Key(caller) = authority else {
            return Ok(authority.clone());
        };
        let now = self.clock.now();
        let key = store_key(&caller.key_id);
        let record = self.storage.get(Table::ApiKeys, &key, deadline).await?;
        let caller = record.and_then(|record| info::caller(&record, now, now));
        let caller = caller.ok_or_else(|| {
            Error::PermissionDenied("the API key is not valid any more".to_owned())
        })?;
        caller.require(Scope::Admin)?;
        Ok(Authority::Key(caller))
    }

    fn version_after(&self, version: u64) -> u64 {
        u64::try_from(self.clock.now().as_millis())
            .unwrap_or(0)
            .max(version + 1)
    }
}

/// The record of a key that was just made.
fn added(new: &NewApiKey, version: u64, actor: &Actor, now: Timestamp) -> Record {
    let record = Record::new(store_key(new.key.id()), version)
        .with("secret_hash", Value::Bytes(new.key.hash()))
        .with("name", Value::Text(new.name.clone()))
        .with("scopes", Value::Text(joined(&new.scopes)))
        .with("apps", Value::Text(new.apps.to_string()))
        .with("status", Value::Text("active".to_owned()))
        .with("created_at", Value::Number(now.as_millis()));
    let record = with_tenants(record, &new.tenants);
    let record = with_limit(record, new.rate_limit);
    let record = with_end(record, new.expires_at);
    changes::stamped(record, actor, "created", &[], now)
}

/// The shortest beginning of the id `at` that is behind `last`, so that a page token does not name a foreign key.
fn beginning(at: &str, last: &str) -> String {
    let lengths = TOLD..at.len();
    let beginnings = lengths.filter_map(|length| at.get(..length));
    let mut behind = beginnings.filter(|beginning| *beginning > last);
    behind.next().unwrap_or(at).to_owned()
}

/// Where everything is that is shown of a key.
fn places(id: &str) -> [Key; 3] {
    [store_key(id), used_key(id), disabled_key(id)]
}

fn listed_key(id: &str) -> Key {
    Key::new(LISTED, format!("{LISTED_PREFIX}{id}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_token_tells_of_a_foreign_id_as_little_as_it_can_and_goes_on() {
        for (at, last, token) in [
            ("7k2m9p4q8r3s", "", "7k2m"),
            ("7k2m9p4q8r3s", "7k2ab0000000", "7k2m"),
            ("7k2m9p4q8r3s", "7k2m90000000", "7k2m9p"),
            ("7k2m9p4q8r3s", "7k2m9p4q8r30", "7k2m9p4q8r3s"),
        ] {
            let found = beginning(at, last);
            assert_eq!(found, token, "{last}");
            assert!(found.as_str() > last && found.as_str() <= at);
        }
    }
}
