//! A dead letter as a record of the store: `dead#letters` / its id.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{About, DEAD_KEPT, DeadLetter, DeadReason};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::ids::AppId;
use crate::queue::Lane;
use crate::store::{Key, Record, StoreError, Table, Value, next_version};

/// The partition of all: they are few, and are listed together.
pub(super) const PARTITION: &str = "dead#letters";
/// The attribute with all of it, as JSON.
const LETTER: &str = "letter";
/// How long failures are remembered that were not too many.
const COUNTED: Duration = Duration::from_secs(24 * 3_600);

/// What is in [`LETTER`].
#[derive(Deserialize, Serialize)]
struct Stored {
    about: About,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    app_id: Option<AppId>,
    lane: Lane,
    reason: DeadReason,
    detail: String,
    failures: u32,
    first_at: Timestamp,
    last_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<Timestamp>,
}

impl DeadLetter {
    /// Where the letter `id` is.
    pub(super) fn key(id: &str) -> Key {
        Key::new(PARTITION, id)
    }

    /// The record to be written at `now`, with the next version.
    pub(super) fn to_record(&self, now: Timestamp) -> Result<Record> {
        let stored = Stored {
            about: self.about.clone(),
            app_id: self.app_id.clone(),
            lane: self.lane,
            reason: self.reason,
            detail: self.detail.clone(),
            failures: self.failures,
            first_at: self.first_at,
            last_at: self.last_at,
            since: self.since,
        };
        let text = serde_json::to_string(&stored)
            .map_err(|error| Error::internal(format!("a dead letter: {error}")))?;
        let version = next_version(self.version, now);
        let mut record = Record::new(Self::key(&self.id), version).with(LETTER, Value::Text(text));
        record.expires_at = Some(match self.since {
            Some(since) => since + DEAD_KEPT,
            None => now + COUNTED,
        });
        Ok(record)
    }

    /// The letter in `record`.
    pub(super) fn from_record(record: &Record) -> std::result::Result<Self, StoreError> {
        let stored = record.text(LETTER);
        let stored = stored.and_then(|text| serde_json::from_str::<Stored>(text).ok());
        let stored = stored.ok_or_else(|| StoreError::Corrupt {
            table: Table::MessageJobs.name(),
            key: record.key.to_string(),
            detail: format!("{LETTER} cannot be read"),
        })?;
        Ok(Self {
            id: record.key.sort.clone(),
            about: stored.about,
            app_id: stored.app_id,
            lane: stored.lane,
            reason: stored.reason,
            detail: stored.detail,
            failures: stored.failures,
            first_at: stored.first_at,
            last_at: stored.last_at,
            since: stored.since,
            version: record.version,
        })
    }
}
