//! The tables of the file: the messages, the ids that were sent in the last minutes, and the last number.

use redb::{
    Database, ReadableDatabase, ReadableTable, StorageError, TableDefinition, TableError,
    WriteTransaction,
};

use crate::clock::Timestamp;
use crate::queue::{DEDUPLICATION_WINDOW, Entry, Lane};

/// A lane and the moment at which the message was sent, in milliseconds, group and deduplication id.
type End = (i64, u8, &'static str, &'static str);

/// What was sent and is not deleted: group and body, by lane and number.
pub(super) const MESSAGES: TableDefinition<(u8, u64), (&str, &str)> =
    TableDefinition::new("messages");
/// When a message was sent, in milliseconds, by lane, group and deduplication id.
const SENT: TableDefinition<(u8, &str, &str), i64> = TableDefinition::new("sent");
/// The same in the order of time.
const SENT_BY_TIME: TableDefinition<End, ()> = TableDefinition::new("sent_by_time");
/// The last number that was given to a message: no number is given twice.
const NUMBERS: TableDefinition<(), u64> = TableDefinition::new("numbers");

/// How many ids that no longer count a transaction removes at least; one that sends more removes as many.
const SWEEP: usize = 16;

/// The lane's number in the file.
pub(super) const fn number(lane: Lane) -> u8 {
    match lane {
        Lane::Normal => 0,
        Lane::Bulk => 1,
    }
}

/// Creates what is missing, so that readers find every table.
pub(super) fn create(database: &Database) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    drop(Open::all(&transaction)?);
    transaction.commit()?;
    Ok(())
}

/// Calls `found` with lane, group and number of each message, in the order of sending.
pub(super) fn each_message(
    database: &Database,
    mut found: impl FnMut(Lane, &str, u64),
) -> Result<(), redb::Error> {
    let messages = database.begin_read()?.open_table(MESSAGES)?;
    for lane in Lane::ALL {
        let of_lane = number(lane);
        for entry in messages.range((of_lane, 0)..=(of_lane, u64::MAX))? {
            let (key, message) = entry?;
            found(lane, message.value().0, key.value().1);
        }
    }
    Ok(())
}

/// Every table, open for writing.
pub(super) struct Open<'t> {
    messages: redb::Table<'t, (u8, u64), (&'static str, &'static str)>,
    sent: redb::Table<'t, (u8, &'static str, &'static str), i64>,
    sent_by_time: redb::Table<'t, End, ()>,
    numbers: redb::Table<'t, (), u64>,
}

impl<'t> Open<'t> {
    pub(super) fn all(transaction: &'t WriteTransaction) -> Result<Self, TableError> {
        Ok(Self {
            messages: transaction.open_table(MESSAGES)?,
            sent: transaction.open_table(SENT)?,
            sent_by_time: transaction.open_table(SENT_BY_TIME)?,
            numbers: transaction.open_table(NUMBERS)?,
        })
    }

    /// Writes a message and returns its number; none if one with its id was sent a moment ago.
    pub(super) fn send(
        &mut self,
        lane: Lane,
        entry: &Entry,
        now: Timestamp,
    ) -> Result<Option<u64>, StorageError> {
        let (lane, group, id) = (
            number(lane),
            entry.group.as_str(),
            entry.deduplication.as_str(),
        );
        let earlier = self.sent.get((lane, group, id))?;
        if let Some(sent_at) = earlier.map(|earlier| earlier.value()) {
            if counts(sent_at, now) {
                return Ok(None);
            }
            self.sent_by_time.remove((sent_at, lane, group, id))?;
        }
        let sent_at = now.as_millis();
        self.sent.insert((lane, group, id), sent_at)?;
        self.sent_by_time.insert((sent_at, lane, group, id), ())?;
        let last = self.numbers.get(())?.map_or(0, |last| last.value());
        self.numbers.insert((), last + 1)?;
        self.messages
            .insert((lane, last + 1), (group, entry.body.as_str()))?;
        Ok(Some(last + 1))
    }

    /// Deletes a message and returns its group; none if there is no such message.
    pub(super) fn delete(
        &mut self,
        lane: Lane,
        message: u64,
    ) -> Result<Option<String>, StorageError> {
        let removed = self.messages.remove((number(lane), message))?;
        Ok(removed.map(|removed| removed.value().0.to_owned()))
    }

    /// Removes some of the ids that no longer count, in a transaction that sent `sent` messages.
    pub(super) fn sweep(&mut self, now: Timestamp, sent: usize) -> Result<(), StorageError> {
        let end = (now - DEDUPLICATION_WINDOW).as_millis().saturating_add(1);
        let mut ended = Vec::new();
        let range = self.sent_by_time.range(..(end, 0, "", ""))?;
        for entry in range.take(sent.max(SWEEP)) {
            let entry = entry?.0;
            let (sent_at, lane, group, id) = entry.value();
            ended.push((sent_at, lane, group.to_owned(), id.to_owned()));
        }
        for (sent_at, lane, group, id) in ended {
            self.sent_by_time
                .remove((sent_at, lane, group.as_str(), id.as_str()))?;
            self.sent.remove((lane, group.as_str(), id.as_str()))?;
        }
        Ok(())
    }
}

/// Whether what was sent at `sent_at`, in milliseconds, was sent in the last five minutes. What a fast clock wrote does not count
/// for longer than that either.
fn counts(sent_at: i64, now: Timestamp) -> bool {
    let sent_at = Timestamp::from_millis(sent_at);
    sent_at.since(now).max(now.since(sent_at)) < DEDUPLICATION_WINDOW
}

/// How many messages there are, how many ids of sent ones, and how many of these in the order of time.
#[cfg(test)]
pub(super) fn sizes(read: &redb::ReadTransaction) -> [u64; 3] {
    use redb::ReadableTableMetadata;

    let messages = read.open_table(MESSAGES).expect("a table");
    let sent = read.open_table(SENT).expect("a table");
    let by_time = read.open_table(SENT_BY_TIME).expect("a table");
    [messages.len(), sent.len(), by_time.len()].map(|len| len.expect("a readable table"))
}
