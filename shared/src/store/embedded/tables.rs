//! The tables of the file: the records, and two indexes that are changed in the same transaction.

use redb::{Database, ReadableTable, StorageError, TableDefinition, TableError, WriteTransaction};

use super::codec;
use crate::clock::Timestamp;
use crate::store::{Expect, Key, Record, StoreError, Table};

/// A record's key: which table, partition, sort.
pub(super) type RecordKey = (u8, &'static str, &'static str);

/// The records as [`codec`] writes them.
pub(super) const RECORDS: TableDefinition<RecordKey, &[u8]> = TableDefinition::new("records");
/// A table's records with a due time, as shard, moment in milliseconds, partition and sort.
pub(super) type DueIndex = TableDefinition<'static, (u8, i64, &'static str, &'static str), ()>;

/// Such an index, open for writing.
type OpenDueIndex<'t> = redb::Table<'t, (u8, i64, &'static str, &'static str), ()>;

/// The index of the tokens.
const DUE_TOKENS: DueIndex = TableDefinition::new("due");
/// The index of the message jobs.
const DUE_MESSAGE_JOBS: DueIndex = TableDefinition::new("due_message_jobs");
/// Every index of due records.
pub(super) const DUE_INDEXES: [DueIndex; 2] = [DUE_TOKENS, DUE_MESSAGE_JOBS];
/// The records that expire, as moment in seconds, table, partition and sort.
pub(super) const EXPIRY: TableDefinition<(i64, u8, &str, &str), ()> =
    TableDefinition::new("expiry");

/// How many expired records a transaction removes at least; one that writes more records removes as many, to keep up with
/// writers that write only short-lived records.
const SWEEP: usize = 16;

/// The number in [`DUE_INDEXES`] of the index of `table`, if it has one.
pub(super) const fn due_index(table: Table) -> Option<usize> {
    match table {
        Table::Tokens => Some(0),
        Table::MessageJobs => Some(1),
        Table::Directory | Table::Apps | Table::ApiKeys | Table::DataKeys => None,
    }
}

fn from_number(number: u8) -> Option<Table> {
    Table::ALL.get(usize::from(number)).copied()
}

/// Creates what is missing, so that readers find every table.
pub(super) fn create(database: &Database) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    drop(Open::all(&transaction)?);
    transaction.commit()?;
    Ok(())
}

/// Whether a record with this expiry is gone at `now`.
pub(super) fn has_expired(record: &Record, now: Timestamp) -> bool {
    record
        .expires_at
        .is_some_and(|expires_at| expires_at <= now)
}

/// Why a change failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// This change is refused; others in the same transaction are not affected.
    Refused(StoreError),
    /// The transaction is lost.
    Storage(StorageError),
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

/// Every table, open for writing.
pub(super) struct Open<'t> {
    records: redb::Table<'t, RecordKey, &'static [u8]>,
    due: [OpenDueIndex<'t>; DUE_INDEXES.len()],
    expiry: redb::Table<'t, (i64, u8, &'static str, &'static str), ()>,
}

impl<'t> Open<'t> {
    pub(super) fn all(transaction: &'t WriteTransaction) -> Result<Self, TableError> {
        Ok(Self {
            records: transaction.open_table(RECORDS)?,
            due: [
                transaction.open_table(DUE_TOKENS)?,
                transaction.open_table(DUE_MESSAGE_JOBS)?,
            ],
            expiry: transaction.open_table(EXPIRY)?,
        })
    }

    /// Writes `record` with its index entries, replacing the previous record.
    pub(super) fn put(
        &mut self,
        table: Table,
        record: &Record,
        expect: Expect,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let bytes = codec::encode(record).map_err(|error| {
            Failure::Refused(StoreError::unavailable("put", table.name(), error))
        })?;
        self.check_and_remove(table, &record.key, expect, now)?;
        let (partition, sort) = (record.key.partition.as_str(), record.key.sort.as_str());
        self.records
            .insert((table.number(), partition, sort), bytes.as_slice())?;
        if let (Some(due), Some(index)) = (record.due, due_index(table)) {
            self.due[index].insert((due.shard, due.at.as_millis(), partition, sort), ())?;
        }
        if let Some(expires_at) = record.expires_at {
            self.expiry.insert(
                (
                    expires_at.as_seconds_rounded_up(),
                    table.number(),
                    partition,
                    sort,
                ),
                (),
            )?;
        }
        Ok(())
    }

    /// Removes the record at `key`, if there is one, with its index entries.
    pub(super) fn delete(
        &mut self,
        table: Table,
        key: &Key,
        expect: Expect,
        now: Timestamp,
    ) -> Result<(), Failure> {
        self.check_and_remove(table, key, expect, now)
    }

    /// Removes some of the records that have expired at `now`, in a transaction that writes `written` records.
    pub(super) fn sweep(&mut self, now: Timestamp, written: usize) -> Result<(), StorageError> {
        let most = written.max(SWEEP);
        let end = (
            now.as_millis().div_euclid(1_000).saturating_add(1),
            0,
            "",
            "",
        );
        let mut expired = Vec::with_capacity(most);
        for entry in self.expiry.range(..end)?.take(most) {
            let entry = entry?.0;
            let (second, table, partition, sort) = entry.value();
            expired.push((second, table, Key::new(partition, sort)));
        }
        for (second, table, key) in expired {
            let removed = from_number(table)
                .map(|table| self.check_and_remove(table, &key, Expect::Anything, now));
            match removed {
                Some(Ok(())) => {}
                Some(Err(Failure::Storage(error))) => return Err(error),
                // Unreadable for this version. Without its entry it no longer blocks the next ones.
                None | Some(Err(Failure::Refused(_))) => {
                    self.expiry.remove((
                        second,
                        table,
                        key.partition.as_str(),
                        key.sort.as_str(),
                    ))?;
                }
            }
        }
        Ok(())
    }

    fn check_and_remove(
        &mut self,
        table: Table,
        key: &Key,
        expect: Expect,
        now: Timestamp,
    ) -> Result<(), Failure> {
        if let Some(old) = self.check(table, key, expect, now)? {
            self.remove(table, &old)?;
        }
        Ok(())
    }

    /// The record at `key`, expired or not, if `expect` holds of it.
    pub(super) fn check(
        &self,
        table: Table,
        key: &Key,
        expect: Expect,
        now: Timestamp,
    ) -> Result<Option<Record>, Failure> {
        let record_key = (table.number(), key.partition.as_str(), key.sort.as_str());
        let stored = self
            .records
            .get(record_key)?
            .map(|stored| codec::decode(table, key.clone(), stored.value()));
        let stored = stored.transpose().map_err(Failure::Refused)?;
        let live = stored.as_ref().filter(|record| !has_expired(record, now));
        let holds = match expect {
            Expect::Anything => true,
            Expect::Absent => live.is_none(),
            Expect::Version(version) => live.is_some_and(|record| record.version == version),
            Expect::Older { version, latest } => {
                live.is_none_or(|record| record.version < version || record.version > latest)
            }
        };
        if !holds {
            return Err(Failure::Refused(StoreError::Conflict));
        }
        Ok(stored)
    }

    fn remove(&mut self, table: Table, old: &Record) -> Result<(), StorageError> {
        let (partition, sort) = (old.key.partition.as_str(), old.key.sort.as_str());
        self.records.remove((table.number(), partition, sort))?;
        if let (Some(due), Some(index)) = (old.due, due_index(table)) {
            self.due[index].remove((due.shard, due.at.as_millis(), partition, sort))?;
        }
        if let Some(expires_at) = old.expires_at {
            self.expiry.remove((
                expires_at.as_seconds_rounded_up(),
                table.number(),
                partition,
                sort,
            ))?;
        }
        Ok(())
    }
}
