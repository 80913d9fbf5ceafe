//! The store in one file on this machine, for running without AWS.
//!
//! Writes go through one thread that commits them in groups: writers who come together share one `fsync`. Reads look at
//! the last commit from the calling task: they take microseconds, less than handing them to another thread would.

use std::collections::HashSet;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use redb::backends::InMemoryBackend;
use redb::{Database, ReadOnlyTable, ReadableDatabase};
use tokio::sync::oneshot;

use crate::clock::{Clock, Timestamp};
use crate::store::{Expect, Key, Record, Store, StoreError, Table};

mod codec;
mod file;
mod tables;
mod writer;

pub use file::OpenError;

use tables::{DUE, RECORDS, RecordKey};
use writer::{Change, Request, Writer};

/// Writes that wait for the writer; more make their callers wait.
const QUEUE: usize = 1_024;
/// More keys than this are read on a thread for blocking work.
const INLINE_READS: usize = 64;

/// A [`Store`] in a file, or in memory.
///
/// A write that was answered survives the loss of process and power. Expired records count as absent at once; they are
/// removed a few at a time by the writes that come later.
pub struct EmbeddedStore {
    database: Arc<Database>,
    writer: Writer,
    clock: Arc<dyn Clock>,
}

impl EmbeddedStore {
    /// The store in the file at `path`, which is created for its owner's eyes only (mode 0600) if it does not exist. Checks
    /// the whole file first.
    ///
    /// # Errors
    /// [`OpenError`] when another process has the file, it is damaged or not a store, or access is denied.
    pub fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let database = file::open(path)?;
        Self::start(database, clock).map_err(|source| OpenError::Unusable {
            path: path.to_owned(),
            source,
        })
    }

    /// A store that is lost with the value.
    ///
    /// # Errors
    /// [`OpenError`] when there is no memory for it, or no thread.
    pub fn in_memory(clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let unusable = |source| OpenError::Unusable {
            path: "memory".into(),
            source,
        };
        let database = Database::builder().create_with_backend(InMemoryBackend::new());
        let database = database.map_err(|error| unusable(error.into()))?;
        Self::start(database, clock).map_err(unusable)
    }

    fn start(
        database: Database,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        tables::create(&database)?;
        let database = Arc::new(database);
        let writer = Writer::start(Arc::clone(&database), Arc::clone(&clock), QUEUE)?;
        Ok(Self {
            database,
            writer,
            clock,
        })
    }

    /// Finishes the writes that wait and lets go of the file. Dropping the store does the same.
    pub async fn close(self) {
        // Only a panic of the writer can fail this, and then nothing is left to be done.
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }

    async fn write(
        &self,
        operation: &'static str,
        table: Table,
        change: Change,
    ) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        self.writer
            .send(Request {
                operation,
                table,
                change,
                reply,
            })
            .await
            .map_err(|_| stopped(operation, table))?;
        answer
            .await
            .unwrap_or_else(|_| Err(stopped(operation, table)))
    }
}

#[async_trait]
impl Store for EmbeddedStore {
    async fn get(&self, table: Table, key: &Key) -> Result<Option<Record>, StoreError> {
        read_one(&self.database, table, key, self.clock.now())
    }

    async fn get_many(&self, table: Table, keys: &[Key]) -> Result<Vec<Record>, StoreError> {
        let distinct: HashSet<Key> = keys.iter().cloned().collect();
        let now = self.clock.now();
        let database = Arc::clone(&self.database);
        let read = move || read_many(&database, table, &distinct, now);
        if keys.len() <= INLINE_READS {
            read()
        } else {
            blocking("get_many", table, read).await
        }
    }

    async fn put(&self, table: Table, record: &Record, expect: Expect) -> Result<(), StoreError> {
        self.write("put", table, Change::Put(record.clone(), expect))
            .await
    }

    async fn delete(&self, table: Table, key: &Key, expect: Expect) -> Result<(), StoreError> {
        self.write("delete", table, Change::Delete(key.clone(), expect))
            .await
    }

    async fn due(
        &self,
        shard: u8,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        let now = self.clock.now();
        let database = Arc::clone(&self.database);
        blocking("due", Table::Tokens, move || {
            read_due(&database, shard, until, limit, now)
        })
        .await
    }

    /// Asks the writer, which is what fails first: on a full or broken disk reads may go on for long.
    async fn ping(&self) -> Result<(), StoreError> {
        self.write("ping", Table::Apps, Change::Nothing).await
    }
}

impl fmt::Debug for EmbeddedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedStore").finish_non_exhaustive()
    }
}

fn stopped(operation: &'static str, table: Table) -> StoreError {
    StoreError::unavailable(
        operation,
        table.name(),
        "the writer of the embedded store has stopped",
    )
}

async fn blocking<T: Send + 'static>(
    operation: &'static str,
    table: Table,
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|panic| Err(StoreError::unavailable(operation, table.name(), panic)))
}

fn read_one(
    database: &Database,
    table: Table,
    key: &Key,
    now: Timestamp,
) -> Result<Option<Record>, StoreError> {
    let unavailable = |error: redb::Error| StoreError::unavailable("get", table.name(), error);
    let records = open_records(database).map_err(unavailable)?;
    let stored = records.get((
        tables::number(table),
        key.partition.as_str(),
        key.sort.as_str(),
    ));
    let stored = stored.map_err(|error| unavailable(error.into()))?;
    let record = stored
        .map(|stored| codec::decode(table, key.clone(), stored.value()))
        .transpose()?;
    Ok(record.filter(|record| !tables::has_expired(record, now)))
}

fn read_many(
    database: &Database,
    table: Table,
    keys: &HashSet<Key>,
    now: Timestamp,
) -> Result<Vec<Record>, StoreError> {
    let unavailable = |error: redb::Error| StoreError::unavailable("get_many", table.name(), error);
    let records = open_records(database).map_err(unavailable)?;
    let mut found = Vec::with_capacity(keys.len());
    for key in keys {
        let stored = records.get((
            tables::number(table),
            key.partition.as_str(),
            key.sort.as_str(),
        ));
        if let Some(stored) = stored.map_err(|error| unavailable(error.into()))? {
            found.push(codec::decode(table, key.clone(), stored.value())?);
        }
    }
    found.retain(|record| !tables::has_expired(record, now));
    Ok(found)
}

fn read_due(
    database: &Database,
    shard: u8,
    until: Timestamp,
    limit: usize,
    now: Timestamp,
) -> Result<Vec<Record>, StoreError> {
    let unavailable =
        |error: redb::Error| StoreError::unavailable("due", Table::Tokens.name(), error);
    let transaction = database
        .begin_read()
        .map_err(|error| unavailable(error.into()))?;
    let index = transaction
        .open_table(DUE)
        .map_err(|error| unavailable(error.into()))?;
    let records = transaction
        .open_table(RECORDS)
        .map_err(|error| unavailable(error.into()))?;
    let after = (shard, until.as_millis().saturating_add(1), "", "");
    let mut due = Vec::new();
    for entry in index
        .range((shard, i64::MIN, "", "")..after)
        .map_err(|error| unavailable(error.into()))?
    {
        if due.len() == limit {
            break;
        }
        let (entry, ()) = entry
            .map(|(key, value)| (key, value.value()))
            .map_err(|error| unavailable(error.into()))?;
        let (_, _, partition, sort) = entry.value();
        let stored = records.get((tables::number(Table::Tokens), partition, sort));
        if let Some(stored) = stored.map_err(|error| unavailable(error.into()))? {
            let record = codec::decode(Table::Tokens, Key::new(partition, sort), stored.value())?;
            due.extend(Some(record).filter(|record| !tables::has_expired(record, now)));
        }
    }
    Ok(due)
}

fn open_records(
    database: &Database,
) -> Result<ReadOnlyTable<RecordKey, &'static [u8]>, redb::Error> {
    Ok(database.begin_read()?.open_table(RECORDS)?)
}

#[cfg(test)]
mod tests;
