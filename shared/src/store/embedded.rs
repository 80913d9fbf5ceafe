//! The store in one file on this machine, for running without AWS.
//!
//! Writes go through one thread that commits them in groups: concurrent writers share one `fsync`. Reads see the last commit
//! and run in the calling task: they take microseconds, less than a handover to another thread.

use std::collections::HashSet;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use redb::Database;
use redb::backends::InMemoryBackend;
use tokio::sync::oneshot;

use crate::clock::{Clock, Timestamp};
use crate::embedded_file;
use crate::store::{
    Attributes, DuePosition, Expect, Guard, Key, ListPage, Record, Store, StoreError, Table,
    TableReport,
};

mod codec;
mod reader;
mod tables;
mod writer;

pub use crate::embedded_file::OpenError;

use writer::{Change, Request, Writer};

/// How many writes may be queued for the writer; callers of more wait.
const QUEUE: usize = 1_024;
/// Page cache of the database.
const PAGE_CACHE_BYTES: usize = 64 * 1_024 * 1_024;
/// More keys than this are read on a blocking thread.
const INLINE_READS: usize = 64;

/// A [`Store`] in a file, or in memory.
///
/// A write that was answered survives the loss of process and power. Expired records count as absent at once; later writes
/// remove them a few at a time.
pub struct EmbeddedStore {
    database: Arc<Database>,
    writer: Writer,
    clock: Arc<dyn Clock>,
}

impl EmbeddedStore {
    /// The store in the file at `path`, which is created readable only by its owner (mode 0600) if it does not exist. Checks
    /// the whole file first.
    ///
    /// # Errors
    /// [`OpenError`] when another process has the file open, it is damaged or not a store, or access is denied.
    pub fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let database = embedded_file::open(path, PAGE_CACHE_BYTES)?;
        Self::start(database, clock).map_err(|source| OpenError::Unusable {
            path: path.to_owned(),
            source,
        })
    }

    /// A store in memory, lost when it is dropped.
    ///
    /// # Errors
    /// [`OpenError`] when memory or a thread is not available.
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

    /// Finishes the pending writes and closes the file. Dropping the store does the same.
    #[expect(clippy::disallowed_methods, reason = "awaited here")]
    pub async fn close(self) {
        // Only a panic of the writer can make this fail, and then nothing is left to do.
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
        reader::one(&self.database, table, key, self.clock.now())
    }

    async fn get_many(
        &self,
        table: Table,
        keys: &[Key],
        attributes: Attributes,
    ) -> Result<Vec<Record>, StoreError> {
        let distinct: HashSet<Key> = keys.iter().cloned().collect();
        let now = self.clock.now();
        let database = Arc::clone(&self.database);
        let read = move || reader::many(&database, table, &distinct, attributes, now);
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

    async fn put_guarded(
        &self,
        table: Table,
        record: &Record,
        expect: Expect,
        guard: &Guard,
    ) -> Result<(), StoreError> {
        let change = Change::PutGuarded(record.clone(), expect, guard.clone());
        self.write("put_guarded", table, change).await
    }

    async fn put_many(&self, table: Table, records: &[Record]) -> Result<(), StoreError> {
        if records.is_empty() {
            return Ok(());
        }
        self.write("put_many", table, Change::PutMany(records.to_vec()))
            .await
    }

    async fn put_newer(
        &self,
        table: Table,
        records: &[Record],
        latest: u64,
    ) -> Result<(), StoreError> {
        if records.is_empty() {
            return Ok(());
        }
        let change = Change::PutNewer(records.to_vec(), latest);
        self.write("put_newer", table, change).await
    }

    async fn delete(&self, table: Table, key: &Key, expect: Expect) -> Result<(), StoreError> {
        self.write("delete", table, Change::Delete(key.clone(), expect))
            .await
    }

    async fn list(
        &self,
        table: Table,
        partition: &str,
        sort_prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ListPage, StoreError> {
        let start = Key::new(partition, after.unwrap_or_default());
        let prefix = sort_prefix.to_owned();
        let now = self.clock.now();
        let database = Arc::clone(&self.database);
        blocking("list", table, move || {
            reader::list(&database, table, &start, &prefix, limit, now)
        })
        .await
    }

    async fn due(
        &self,
        table: Table,
        shard: u8,
        until: Timestamp,
        after: Option<&DuePosition>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        let after = after.cloned();
        let now = self.clock.now();
        let database = Arc::clone(&self.database);
        blocking("due", table, move || {
            reader::due(&database, table, shard, until, after.as_ref(), limit, now)
        })
        .await
    }

    /// Asks the writer, which fails first: on a full or broken disk reads may keep working for long.
    async fn ping(&self) -> Result<(), StoreError> {
        self.write("ping", Table::Apps, Change::Nothing).await
    }

    /// Missing tables were created when the file was opened, so this only checks that it is readable.
    async fn inspect(&self) -> Result<Vec<TableReport>, StoreError> {
        let database = Arc::clone(&self.database);
        blocking("inspect", Table::Apps, move || reader::inspect(&database)).await
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

#[expect(clippy::disallowed_methods, reason = "awaited here")]
async fn blocking<T: Send + 'static>(
    operation: &'static str,
    table: Table,
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|panic| Err(StoreError::unavailable(operation, table.name(), panic)))
}

#[cfg(test)]
mod tests;
