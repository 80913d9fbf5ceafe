//! Who changed which app or API key, how and when.
//!
//! The last change is stored in the record that it changed, so no change can happen without it; earlier ones are separate
//! records beside it, written before the next change may happen. A process that dies in between loses none.

use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::Object;

use crate::clock::Timestamp;
use crate::deadline::Deadline;
use crate::error::Result;
use crate::page::Page;
use crate::schema::one_of;
use crate::store::{Expect, Key, Record, Storage, StoreError, Table, Value};
use std::time::Duration;

/// How long a change is kept.
const KEPT: Duration = Duration::from_secs(400 * 24 * 3_600);
/// The prefix of the sort key of a change's record; its version follows, in 20 digits.
const SORT_PREFIX: &str = "change#";

/// The partition of the changes of the record at `key`. Not the record's own: who may write or delete records of the one may do
/// less with the other.
fn partition(key: &Key) -> String {
    format!("change#{}", key.partition)
}

/// Who changes something.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Actor(String);

impl Actor {
    /// The holder of the API key `key_id`.
    #[must_use]
    pub fn api_key(key_id: &str) -> Self {
        Self(format!("key:{key_id}"))
    }

    /// A user of the command line.
    #[must_use]
    pub fn operator(name: &str) -> Self {
        Self(format!("cli:{name}"))
    }

    /// A seed document.
    #[must_use]
    pub fn seed() -> Self {
        Self("seed".to_owned())
    }
}

/// A change that happened.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, ToSchema)]
pub struct Change {
    /// When.
    #[schema(format = DateTime)]
    pub at: String,
    /// `key:<id of an API key>`, `cli:<user>@<host>` or `seed`.
    pub by: String,
    /// What was done: one of [`ACTIONS`].
    #[schema(schema_with = actions)]
    pub action: String,
    /// Which fields changed, never the values.
    pub fields: Vec<String>,
    /// The version of the record after the change.
    pub version: u64,
}

/// What can be done to an app or an API key.
pub const ACTIONS: [&str; 9] = [
    "created",
    "changed",
    "enabled",
    "disabled",
    "secret_rotated",
    "previous_secret_dropped",
    "resealed",
    "revoked",
    "deleted",
];

fn actions() -> Object {
    one_of("What was done.", ACTIONS)
}

/// `record`, with its change stored in it.
#[must_use]
pub(crate) fn stamped(
    record: Record,
    actor: &Actor,
    action: &str,
    fields: &[&str],
    now: Timestamp,
) -> Record {
    record
        .with("changed_at", Value::Number(now.as_millis()))
        .with("changed_by", Value::Text(actor.0.clone()))
        .with("change", Value::Text(action.to_owned()))
        .with("changed_fields", Value::Text(fields.join(" ")))
}

/// The last change of `record`, which is stored in it.
fn last(record: &Record) -> Option<Change> {
    Some(Change {
        at: Timestamp::from_millis(record.number("changed_at")?).to_string(),
        by: record.text("changed_by")?.to_owned(),
        action: record.text("change")?.to_owned(),
        fields: record
            .text("changed_fields")?
            .split_ascii_whitespace()
            .map(str::to_owned)
            .collect(),
        version: record.version,
    })
}

/// Stores the last change of `record` as a separate record. Repeating it has no effect.
///
/// # Errors
/// The store's error.
pub(crate) async fn keep(
    storage: &Storage,
    table: Table,
    record: &Record,
    deadline: Deadline,
) -> Result<()> {
    let Some(at) = record.number("changed_at") else {
        return Ok(());
    };
    let sort = format!("{SORT_PREFIX}{:020}", record.version);
    let mut kept = Record::new(Key::new(partition(&record.key), sort), record.version);
    for name in ["changed_at", "changed_by", "change", "changed_fields"] {
        if let Some(value) = record.attributes.get(name) {
            kept = kept.with(name, value.clone());
        }
    }
    kept.expires_at = Some(Timestamp::from_millis(at) + KEPT);
    match storage.put(table, &kept, Expect::Absent, deadline).await {
        Ok(()) | Err(StoreError::Conflict) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The changes of the record at `key`, oldest first.
///
/// # Errors
/// The store's error.
pub(crate) async fn list(
    storage: &Storage,
    table: Table,
    key: &Key,
    after: Option<&str>,
    limit: usize,
    deadline: Deadline,
) -> Result<Page<Change>> {
    if let Some(record) = storage.get(table, key, deadline).await? {
        keep(storage, table, &record, deadline).await?;
    }
    let after = after.map(|version| format!("{SORT_PREFIX}{version}"));
    let page = storage
        .list(
            table,
            &partition(key),
            SORT_PREFIX,
            after.as_deref(),
            limit,
            deadline,
        )
        .await?;
    let next = page.next.as_deref();
    let next = next.and_then(|sort| Some(sort.strip_prefix(SORT_PREFIX)?.to_owned()));
    Ok(Page {
        items: page.records.iter().filter_map(last).collect(),
        next_page_token: next,
    })
}
