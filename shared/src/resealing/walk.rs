//! Every record that may have sealed data, page by page.

use std::collections::VecDeque;

use super::{PAGE, Resealer, STEP};
use crate::apps;
use crate::clock::Timestamp;
use crate::deadline::Deadline;
use crate::delivery;
use crate::error::Result;
use crate::ids::AppId;
use crate::store::{Attributes, DuePosition, Record, Table};
use crate::tokens::TokenKind;

/// Later than anything is due: the year 9999.
const LAST_MS: i64 = 253_402_300_799_000;

/// Iterates over all records that may have sealed data.
pub(super) struct Walk<'r> {
    resealer: &'r Resealer,
    apps: VecDeque<AppId>,
    /// Where the next page of apps begins; `None` after the last one.
    next_apps: Option<Option<String>>,
    /// The partitions of tokens that come next, each with the position to continue after.
    tokens: VecDeque<(String, Option<String>)>,
    /// Where the next page of API keys begins; `None` after the last one.
    next_keys: Option<Option<String>>,
    /// The part of the index of messages that comes next, and the position in it.
    messages: (u8, Option<DuePosition>),
    /// How many apps were seen.
    pub(super) seen: u64,
}

impl<'r> Walk<'r> {
    pub(super) const fn begin(resealer: &'r Resealer) -> Self {
        Self {
            resealer,
            apps: VecDeque::new(),
            next_apps: Some(None),
            tokens: VecDeque::new(),
            next_keys: Some(None),
            messages: (0, None),
            seen: 0,
        }
    }

    /// Some records of a table; `None` when there are no more.
    pub(super) async fn next(&mut self) -> Result<Option<(Table, Vec<Record>)>> {
        let deadline = Deadline::after(STEP);
        let (apps, storage) = (&self.resealer.apps, &self.resealer.storage);
        loop {
            if let Some((partition, after)) = self.tokens.pop_front() {
                let (of, after) = (partition.as_str(), after.as_deref());
                let page = storage.list(Table::Tokens, of, "", after, PAGE, deadline);
                let page = page.await?;
                if page.next.is_some() {
                    self.tokens.push_front((partition, page.next));
                }
                if !page.records.is_empty() {
                    return Ok(Some((Table::Tokens, page.records)));
                }
            } else if let Some(app_id) = self.apps.pop_front() {
                let keys = apps::sealed_records(&app_id);
                let records = storage
                    .get_many(Table::Apps, &keys, Attributes::All, deadline)
                    .await?;
                self.seen += 1;
                let partitions = TokenKind::ALL.map(|kind| (kind.partition(&app_id), None));
                self.tokens.extend(partitions);
                return Ok(Some((Table::Apps, records)));
            } else if let Some(after) = self.next_apps.take() {
                let (ids, next) = apps.ids(after.as_deref(), PAGE, deadline).await?;
                self.apps.extend(ids);
                self.next_apps = next.map(Some);
            } else if let Some(after) = self.next_keys.take() {
                let keys = &self.resealer.api_keys;
                let (records, next) = keys.records(after.as_deref(), PAGE, deadline).await?;
                self.next_keys = next.map(Some);
                return Ok(Some((Table::ApiKeys, records)));
            } else {
                return self.next_messages(deadline).await;
            }
        }
    }
}

impl Walk<'_> {
    /// Messages that have not ended: all of them are due some time. What has ended has nothing sealed.
    async fn next_messages(&mut self, deadline: Deadline) -> Result<Option<(Table, Vec<Record>)>> {
        let storage = &self.resealer.storage;
        let (shard, after) = &mut self.messages;
        while *shard < delivery::SHARDS {
            let (table, all) = (Table::MessageJobs, Timestamp::from_millis(LAST_MS));
            let page = storage.due(table, *shard, all, after.as_ref(), PAGE, deadline);
            let page = page.await?;
            *after = page.last().and_then(Record::due_position);
            if page.len() < PAGE {
                *shard += 1;
                *after = None;
            }
            if !page.is_empty() {
                return Ok(Some((table, page)));
            }
        }
        Ok(None)
    }
}
