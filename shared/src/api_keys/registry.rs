//! What an operator does to API keys: create, list, change, revoke.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use tracing::info;

use super::{ApiKey, ApiKeys, store_key, used_key};
use crate::changes::{self, Actor, ChangePage};
use crate::clock::Timestamp;
use crate::deadline::Deadline;
use crate::error::{Error, FieldError, Result};
use crate::http::{AllowedApps, RateLimit, Scope};
use crate::store::{Expect, Key, Record, StoreError, Table, Value};

/// How often a change is tried again when others change the same key meanwhile.
const ATTEMPTS: u32 = 8;
/// How long a deleted key stays on record.
const DELETED: Duration = Duration::from_secs(90 * 24 * 3_600);
/// The longest name.
const MAX_NAME_BYTES: usize = 256;
/// The partition in which every key is listed, one record each with the sort key `id#<key id>`.
const LISTED: &str = "listed";
/// What the sort keys in the list begin with.
const LISTED_PREFIX: &str = "id#";

/// What an operator says of a new key.
#[derive(Clone, Debug)]
pub struct NewApiKey {
    /// The key.
    pub key: ApiKey,
    /// How people call it.
    pub name: String,
    /// What it allows.
    pub scopes: BTreeSet<Scope>,
    /// For which apps.
    pub apps: AllowedApps,
    /// How many requests it is good for; `None`: no limit of its own.
    pub rate_limit: Option<RateLimit>,
    /// When it ends; `None`: never.
    pub expires_at: Option<Timestamp>,
}

/// What is to become of a key; what is `None` stays.
#[derive(Clone, Debug, Default)]
pub struct ApiKeyChange {
    /// How people call it.
    pub name: Option<String>,
    /// What it allows.
    pub scopes: Option<BTreeSet<Scope>>,
    /// For which apps.
    pub apps: Option<AllowedApps>,
    /// `Some(None)`: no limit of its own.
    pub rate_limit: Option<Option<RateLimit>>,
    /// `Some(None)`: never.
    pub expires_at: Option<Option<Timestamp>>,
    /// Whether it may be used.
    pub is_enabled: Option<bool>,
}

/// Whether a key may be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    /// It may.
    Active,
    /// It may not, until it is switched on again.
    Disabled,
    /// It may not, for ever.
    Revoked,
    /// Its time is over.
    Expired,
}

/// A key as an operator may know it: everything but its secret.
#[derive(Clone, Debug)]
pub struct ApiKeyInfo {
    /// Its public part.
    pub key_id: String,
    /// How people call it.
    pub name: String,
    /// What it allows.
    pub scopes: BTreeSet<Scope>,
    /// For which apps.
    pub apps: AllowedApps,
    /// How many requests it is good for.
    pub rate_limit: Option<RateLimit>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// When it was used last, to ten minutes; `None`: never.
    pub last_used_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Grows with each change.
    pub version: u64,
    /// Whether it may be used now.
    pub state: KeyState,
}

impl KeyState {
    /// What the status on record, and the key's end, mean at `now`.
    fn of(status: &str, expires_at: Option<Timestamp>, now: Timestamp) -> Self {
        match status {
            "active" if expires_at.is_some_and(|at| at <= now) => Self::Expired,
            "active" => Self::Active,
            "disabled" => Self::Disabled,
            _ => Self::Revoked,
        }
    }
}

/// A page of keys, by id.
#[derive(Clone, Debug, Default)]
pub struct ApiKeyPage {
    /// The keys.
    pub keys: Vec<ApiKeyInfo>,
    /// Where the next page begins; `None` on the last one.
    pub next_page_token: Option<String>,
}

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
        if key_id.is_empty() {
            return Err(unknown());
        }
        let keys = [store_key(key_id), used_key(key_id)];
        let records = self
            .storage
            .get_many(Table::ApiKeys, &keys, deadline)
            .await?;
        infos(&records, self.clock.now()).pop().ok_or_else(unknown)
    }

    /// A page of keys, by id. `after` is where the page before said that it begins.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn list(
        &self,
        after: Option<&str>,
        limit: usize,
        deadline: Deadline,
    ) -> Result<ApiKeyPage> {
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
            .get_many(Table::ApiKeys, &keys, deadline)
            .await?;
        let mut keys = infos(&records, self.clock.now());
        keys.sort_by(|one, other| one.key_id.cmp(&other.key_id));
        Ok(ApiKeyPage {
            keys,
            next_page_token: page.next.as_deref().and_then(id),
        })
    }

    /// Changes a key and answers what it is now.
    ///
    /// # Errors
    /// [`Error::ApiKeyNotFound`], [`Error::InvalidArgument`] (a revoked key too cannot be changed), [`Error::Store`].
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

    /// Revokes a key for ever: it lets nobody in any more, once the authorizer's answers of before are forgotten.
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
    ) -> Result<ChangePage> {
        self.show(key_id, deadline).await?;
        let key = store_key(key_id);
        changes::list(&self.storage, Table::ApiKeys, &key, after, limit, deadline).await
    }

    /// Writes what `edit` makes of the record, again if others wrote meanwhile; `None`: nothing is to be done.
    async fn edit(
        &self,
        key_id: &str,
        deadline: Deadline,
        edit: impl Fn(Record, Timestamp) -> Result<Option<Record>>,
    ) -> Result<()> {
        let unknown = || Error::ApiKeyNotFound(key_id.to_owned());
        if key_id.is_empty() {
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
            match self
                .storage
                .put(Table::ApiKeys, &edited, expect, deadline)
                .await
            {
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

/// The key that `record` holds, as it stands at `now`; `None` if it holds none.
pub(super) fn info(record: &Record, now: Timestamp) -> Option<ApiKeyInfo> {
    let expires_at = record.number("ends_at").map(Timestamp::from_millis);
    Some(ApiKeyInfo {
        key_id: record.key.partition.clone(),
        name: record.text("name").unwrap_or_default().to_owned(),
        scopes: record
            .text("scopes")?
            .split_ascii_whitespace()
            .filter_map(|scope| scope.parse().ok())
            .collect(),
        apps: AllowedApps::parse(record.text("apps")?),
        rate_limit: record.text("rate_limit").and_then(RateLimit::parse),
        expires_at,
        last_used_at: None,
        created_at: Timestamp::from_millis(record.number("created_at")?),
        version: record.version,
        state: KeyState::of(record.text("status")?, expires_at, now),
    })
}

/// The keys among `records`, each with when it was used.
fn infos(records: &[Record], now: Timestamp) -> Vec<ApiKeyInfo> {
    let used: HashMap<_, _> = records
        .iter()
        .filter_map(|record| Some((record.key.partition.clone(), record.number("used_at")?)))
        .collect();
    let keys = records.iter().filter_map(|record| info(record, now));
    keys.map(|key| ApiKeyInfo {
        last_used_at: used.get(&key.key_id).copied().map(Timestamp::from_millis),
        ..key
    })
    .collect()
}

/// `record` after `change`.
fn changed(
    mut record: Record,
    change: &ApiKeyChange,
    actor: &Actor,
    now: Timestamp,
) -> Result<Option<Record>> {
    let current =
        info(&record, now).ok_or_else(|| Error::ApiKeyNotFound(record.key.partition.clone()))?;
    if current.state == KeyState::Revoked {
        return Err(Error::invalid(
            "key_id",
            "is of a revoked key: make a new one",
        ));
    }
    check(
        change.name.as_ref().unwrap_or(&current.name),
        change.scopes.as_ref().unwrap_or(&current.scopes),
        change.apps.as_ref().unwrap_or(&current.apps),
        change.expires_at.flatten(),
        now,
    )?;
    let (mut fields, mut action) = (Vec::new(), "changed");
    if let Some(name) = &change.name {
        record = record.with("name", Value::Text(name.clone()));
        fields.push("name");
    }
    if let Some(scopes) = &change.scopes {
        record = record.with("scopes", Value::Text(joined(scopes)));
        fields.push("scopes");
    }
    if let Some(apps) = &change.apps {
        record = record.with("apps", Value::Text(apps.to_string()));
        fields.push("apps");
    }
    if let Some(limit) = change.rate_limit {
        record = with_limit(record, limit);
        fields.push("rate_limit");
    }
    if let Some(expires_at) = change.expires_at {
        record = with_end(record, expires_at);
        fields.push("expires_at");
    }
    if let Some(is_enabled) = change.is_enabled {
        let status = if is_enabled { "active" } else { "disabled" };
        record = record.with("status", Value::Text(status.to_owned()));
        fields.push("status");
        action = if is_enabled { "enabled" } else { "disabled" };
    }
    Ok(Some(changes::stamped(record, actor, action, &fields, now)))
}

fn with_limit(mut record: Record, limit: Option<RateLimit>) -> Record {
    record.attributes.remove("rate_limit");
    match limit {
        Some(limit) => record.with("rate_limit", Value::Text(limit.to_string())),
        None => record,
    }
}

fn with_end(mut record: Record, expires_at: Option<Timestamp>) -> Record {
    record.attributes.remove("ends_at");
    match expires_at {
        Some(at) => record.with("ends_at", Value::Number(at.as_millis())),
        None => record,
    }
}

fn check(
    name: &str,
    scopes: &BTreeSet<Scope>,
    apps: &AllowedApps,
    expires_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<()> {
    let mut problems = Vec::new();
    let mut wrong = |field: &str, message: &str| {
        problems.push(FieldError {
            field: field.to_owned(),
            message: message.to_owned(),
        });
    };
    if name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control) {
        wrong("name", "must be up to 256 bytes of text on one line");
    }
    if scopes.is_empty() {
        wrong("scopes", "must name at least one scope");
    }
    if matches!(apps, AllowedApps::Only(apps) if apps.is_empty()) {
        wrong("apps", "must name at least one app, or be [\"*\"] for all");
    }
    if expires_at.is_some_and(|at| at <= now) {
        wrong("expires_at", "must be in the future");
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(Error::InvalidArgument(problems))
    }
}

fn joined(scopes: &BTreeSet<Scope>) -> String {
    let scopes: Vec<_> = scopes.iter().map(|scope| scope.as_str()).collect();
    scopes.join(" ")
}

fn listed_key(id: &str) -> Key {
    Key::new(LISTED, format!("{LISTED_PREFIX}{id}"))
}
