//! The sealed attributes of an app's records, for resealing.

use super::registry::{LISTED, LISTED_PREFIX};
use super::{Apps, SORT, key, record, tickets};
use crate::changes::{self, Actor};
use crate::deadline::Deadline;
use crate::error::Result;
use crate::ids::AppId;
use crate::store::{Expect, Key, Record, Table};

/// The records of the app that may have sealed attributes: its own and its ticket's.
pub(crate) fn sealed_records(app_id: &AppId) -> [Key; 2] {
    [key(app_id), tickets::key(app_id)]
}

/// The sealed attributes that such a record may have, each with its context.
pub(crate) fn sealed_attributes(record: &Record) -> Vec<(&'static str, String)> {
    let partition = record.key.partition.as_str();
    let of_ticket = partition.strip_prefix(tickets::PARTITION_PREFIX);
    match (of_ticket.and_then(AppId::parse), AppId::parse(partition)) {
        (Some(app_id), _) => vec![("ticket", tickets::seal_context(&app_id))],
        (None, Some(app_id)) => {
            let context = record::seal_context(&app_id);
            vec![("secret", context.clone()), ("previous_secret", context)]
        }
        (None, None) => Vec::new(),
    }
}

impl Apps {
    /// A page of the ids of registered apps, including those with unusable records, and where the next page begins.
    ///
    /// # Errors
    /// [`Error::Store`](crate::error::Error::Store).
    pub async fn ids(
        &self,
        after: Option<&str>,
        limit: usize,
        deadline: Deadline,
    ) -> Result<(Vec<AppId>, Option<String>)> {
        let after = after.map(|id| format!("{LISTED_PREFIX}{id}"));
        let page = self
            .storage()
            .list(
                Table::Apps,
                LISTED,
                LISTED_PREFIX,
                after.as_deref(),
                limit,
                deadline,
            )
            .await?;
        let id = |sort: &str| AppId::parse(sort.strip_prefix(LISTED_PREFIX)?);
        let ids = page.records.iter();
        let next = page.next.as_deref().and_then(id);
        Ok((
            ids.filter_map(|record| id(&record.key.sort)).collect(),
            next.map(|id| id.to_string()),
        ))
    }

    /// Replaces `before` with `resealed`, which differs only in its seals.
    ///
    /// # Errors
    /// [`crate::store::StoreError::Conflict`] when the record has changed; else the store's error.
    pub(crate) async fn put_resealed(
        &self,
        before: &Record,
        resealed: Record,
        actor: &Actor,
        deadline: Deadline,
    ) -> Result<()> {
        let expect = Expect::Version(before.version);
        let version = self.version_after(before.version);
        let resealed = Record {
            version,
            ..resealed
        };
        if resealed.key.sort != SORT {
            let put = self.storage().put(Table::Apps, &resealed, expect, deadline);
            return Ok(put.await?);
        }
        changes::keep(self.storage(), Table::Apps, before, deadline).await?;
        let now = self.clock.now();
        let resealed = changes::stamped(resealed, actor, "resealed", &["secret"], now);
        self.mirror
            .put(Table::Apps, &resealed, expect, deadline)
            .await?;
        changes::keep(self.storage(), Table::Apps, &resealed, deadline).await
    }
}
