//! Reads of the last commit. They block for as long as the disk takes.

use std::collections::HashSet;
use std::ops::Bound::{Excluded, Included, Unbounded};

use redb::{Database, ReadOnlyTable, ReadableDatabase};

use super::codec;
use super::tables::{DUE_INDEXES, EXPIRY, RECORDS, RecordKey};
use crate::clock::Timestamp;
use crate::store::embedded::tables;
use crate::store::{
    Attributes, DuePosition, Key, ListPage, Record, StoreError, Table, TableReport,
};

/// See [`Store::get`](crate::store::Store::get).
pub(super) fn one(
    database: &Database,
    table: Table,
    key: &Key,
    now: Timestamp,
) -> Result<Option<Record>, StoreError> {
    let unavailable = |error: redb::Error| StoreError::unavailable("get", table.name(), error);
    let records = open_records(database).map_err(unavailable)?;
    let stored = records.get((table.number(), key.partition.as_str(), key.sort.as_str()));
    let stored = stored.map_err(|error| unavailable(error.into()))?;
    let record = stored
        .map(|stored| codec::decode(table, key.clone(), stored.value()))
        .transpose()?;
    Ok(record.filter(|record| !tables::has_expired(record, now)))
}

/// See [`Store::get_many`](crate::store::Store::get_many).
pub(super) fn many(
    database: &Database,
    table: Table,
    keys: &HashSet<Key>,
    attributes: Attributes,
    now: Timestamp,
) -> Result<Vec<Record>, StoreError> {
    let unavailable = |error: redb::Error| StoreError::unavailable("get_many", table.name(), error);
    let records = open_records(database).map_err(unavailable)?;
    let mut found = Vec::with_capacity(keys.len());
    for key in keys {
        let stored = records.get((table.number(), key.partition.as_str(), key.sort.as_str()));
        if let Some(stored) = stored.map_err(|error| unavailable(error.into()))? {
            found.push(codec::decode(table, key.clone(), stored.value())?);
        }
    }
    found.retain(|record| !tables::has_expired(record, now));
    if let Attributes::Only(names) = attributes {
        for record in &mut found {
            let wanted = |name: &str| names.contains(&name);
            record.attributes.retain(|name, _| wanted(name));
        }
    }
    Ok(found)
}

/// At most `limit` records after `start`, of its partition and with sort keys that start with `prefix`; see
/// [`Store::list`](crate::store::Store::list). No record has an empty sort key, so an empty one sorts before all of them.
pub(super) fn list(
    database: &Database,
    table: Table,
    start: &Key,
    prefix: &str,
    limit: usize,
    now: Timestamp,
) -> Result<ListPage, StoreError> {
    let unavailable = |error: redb::Error| StoreError::unavailable("list", table.name(), error);
    let mut page = ListPage::default();
    if limit == 0 {
        return Ok(page);
    }
    let records = open_records(database).map_err(unavailable)?;
    let (number, partition) = (table.number(), start.partition.as_str());
    let sort = start.sort.as_str();
    let from = if sort < prefix {
        Included((number, partition, prefix))
    } else {
        Excluded((number, partition, sort))
    };
    let (mut read, mut last) = (0, None);
    for entry in records
        .range((from, Unbounded))
        .map_err(|error| unavailable(error.into()))?
    {
        let (key, stored) = entry.map_err(|error| unavailable(error.into()))?;
        let (of_table, of_partition, sort) = key.value();
        if (of_table, of_partition) != (number, partition) || !sort.starts_with(prefix) {
            break;
        }
        if read == limit {
            page.next = last;
            break;
        }
        read += 1;
        last = Some(sort.to_owned());
        let record = codec::decode(table, Key::new(partition, sort), stored.value())?;
        page.records
            .extend(Some(record).filter(|record| !tables::has_expired(record, now)));
    }
    Ok(page)
}

/// See [`Store::due`](crate::store::Store::due).
pub(super) fn due(
    database: &Database,
    table: Table,
    shard: u8,
    until: Timestamp,
    after: Option<&DuePosition>,
    limit: usize,
    now: Timestamp,
) -> Result<Vec<Record>, StoreError> {
    let unavailable = |error: redb::Error| StoreError::unavailable("due", table.name(), error);
    let Some(index) = tables::due_index(table) else {
        return Ok(Vec::new());
    };
    // A range must not end before it starts.
    if after.is_some_and(|after| after.at > until) {
        return Ok(Vec::new());
    }
    let transaction = database
        .begin_read()
        .map_err(|error| unavailable(error.into()))?;
    let index = transaction
        .open_table(DUE_INDEXES[index])
        .map_err(|error| unavailable(error.into()))?;
    let records = transaction
        .open_table(RECORDS)
        .map_err(|error| unavailable(error.into()))?;
    let start = after.map_or((shard, i64::MIN, "", ""), |after| {
        let Key { partition, sort } = &after.key;
        (shard, after.at.as_millis(), partition, sort)
    });
    let end = (shard, until.as_millis().saturating_add(1), "", "");
    let mut due = Vec::new();
    for entry in index
        .range((Excluded(start), Excluded(end)))
        .map_err(|error| unavailable(error.into()))?
    {
        if due.len() == limit {
            break;
        }
        let (entry, ()) = entry
            .map(|(key, value)| (key, value.value()))
            .map_err(|error| unavailable(error.into()))?;
        let (_, _, partition, sort) = entry.value();
        let stored = records.get((table.number(), partition, sort));
        if let Some(stored) = stored.map_err(|error| unavailable(error.into()))? {
            let record = codec::decode(table, Key::new(partition, sort), stored.value())?;
            due.extend(Some(record).filter(|record| !tables::has_expired(record, now)));
        }
    }
    Ok(due)
}

/// No problems, once every table of the file could be opened; see [`Store::inspect`](crate::store::Store::inspect).
pub(super) fn inspect(database: &Database) -> Result<Vec<TableReport>, StoreError> {
    let open_all = || -> Result<(), redb::Error> {
        let transaction = database.begin_read()?;
        transaction.open_table(RECORDS)?;
        for index in DUE_INDEXES {
            transaction.open_table(index)?;
        }
        transaction.open_table(EXPIRY)?;
        Ok(())
    };
    open_all().map_err(|error| StoreError::unavailable("inspect", Table::Apps.name(), error))?;
    let sound = |table: Table| TableReport {
        table,
        name: table.name().to_owned(),
        problems: Vec::new(),
    };
    Ok(Table::ALL.map(sound).into())
}

fn open_records(
    database: &Database,
) -> Result<ReadOnlyTable<RecordKey, &'static [u8]>, redb::Error> {
    Ok(database.begin_read()?.open_table(RECORDS)?)
}
