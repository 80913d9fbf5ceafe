//! The scheduled run: everything that is due, a bounded number at a time, inside the invocation's deadline. What is left is
//! the next run's; a run that dies loses nothing, since each token's lease and outcome are writes of their own.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use serde::Serialize;
use tracing::{info, warn};

use super::codec::SHARDS;
use super::service::Inner;
use super::{TokenKey, TokenService, TokenState};
use crate::apps::{App, Apps};
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::ids::AppId;
use crate::store::{Expect, Record, StoreError, Table};

/// How many records of a shard are read at a time.
const PAGE: usize = 1_000;
/// No token is begun with less time left: a request and two writes must fit in.
const RESERVE: Duration = Duration::from_secs(5);

/// Renews what is due.
#[derive(Clone, Debug)]
pub struct Refresher {
    inner: Arc<Inner>,
    apps: Apps,
    concurrency: usize,
}

/// What a run did. Counts of tokens.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct RunReport {
    /// Found due.
    pub due: u64,
    /// Renewed.
    pub refreshed: u64,
    /// Not issued by Lark, or not read or written; they are due again later.
    pub failed: u64,
    /// Taken over by another process meanwhile.
    pub skipped: u64,
    /// Of apps that are gone or switched off: not due any more.
    pub retired: u64,
    /// Whether time ran out before everything due was done.
    pub is_partial: bool,
}

#[derive(Debug, Default)]
struct Counts {
    due: AtomicU64,
    refreshed: AtomicU64,
    failed: AtomicU64,
    skipped: AtomicU64,
    retired: AtomicU64,
}

impl Refresher {
    /// A refresher that works on at most `concurrency` tokens at a time.
    #[must_use]
    pub fn new(tokens: &TokenService, apps: Apps, concurrency: usize) -> Self {
        Self {
            inner: Arc::clone(&tokens.inner),
            apps,
            concurrency,
        }
    }

    /// Renews everything that is due, until nothing is or `deadline` is near.
    ///
    /// # Errors
    /// [`Error::Store`] when the index cannot be read. Single tokens that fail are counted instead.
    pub async fn run(&self, deadline: Deadline) -> Result<RunReport> {
        let counts = Counts::default();
        // A record is looked at once in a run: one that cannot be written would be due again and again.
        let mut seen = HashSet::new();
        let is_partial = loop {
            if deadline.remaining() < RESERVE {
                break true;
            }
            let mut records = self.due(deadline).await?;
            records.retain(|record| seen.insert(record.key.clone()));
            if records.is_empty() {
                break false;
            }
            counts
                .due
                .fetch_add(records.len() as u64, Ordering::Relaxed);
            if !self.renew(records, &counts, deadline).await? {
                break true;
            }
        };
        let report = counts.report(is_partial);
        info!(
            due = report.due,
            refreshed = report.refreshed,
            failed = report.failed,
            skipped = report.skipped,
            retired = report.retired,
            is_partial,
            "the scheduled refresh ended"
        );
        Ok(report)
    }

    /// What is due in all shards, the longest due first.
    async fn due(&self, deadline: Deadline) -> Result<Vec<Record>> {
        let now = self.inner.clock.now();
        let pages = stream::iter(0..SHARDS)
            .map(|shard| self.inner.storage.due(shard, now, PAGE, deadline))
            .buffer_unordered(usize::from(SHARDS))
            .collect::<Vec<_>>()
            .await;
        let mut records = Vec::new();
        for page in pages {
            records.extend(page?);
        }
        records.sort_by_key(|record| record.due.map(|due| due.at));
        Ok(records)
    }

    /// Renews `records`; says whether there was time for all of them.
    async fn renew(
        &self,
        records: Vec<Record>,
        counts: &Counts,
        deadline: Deadline,
    ) -> Result<bool> {
        let apps = self.apps_of(&records, deadline).await?;
        let on_time = stream::iter(records)
            .map(|record| {
                let app = AppId::parse(&record.key.partition)
                    .and_then(|app_id| apps.get(&app_id).cloned());
                async move {
                    if deadline.remaining() < RESERVE {
                        return false;
                    }
                    // On the heap: thousands of these wait side by side.
                    Box::pin(self.renew_one(&record, app, counts, deadline)).await;
                    true
                }
            })
            .buffer_unordered(self.concurrency)
            .collect::<Vec<_>>()
            .await;
        Ok(on_time.into_iter().all(|on_time| on_time))
    }

    async fn apps_of(
        &self,
        records: &[Record],
        deadline: Deadline,
    ) -> Result<HashMap<AppId, Arc<App>>> {
        let mut app_ids: Vec<_> = records
            .iter()
            .filter_map(|record| AppId::parse(&record.key.partition))
            .collect();
        app_ids.sort();
        app_ids.dedup();
        let apps = self.apps.read_many(&app_ids, deadline).await?;
        Ok(apps
            .into_iter()
            .map(|app| (app.app_id.clone(), app))
            .collect())
    }

    async fn renew_one(
        &self,
        record: &Record,
        app: Option<Arc<App>>,
        counts: &Counts,
        deadline: Deadline,
    ) {
        let outcome = match app.filter(|app| app.is_enabled) {
            Some(app) => self
                .renew_leased(record, &app, deadline)
                .await
                .map(|()| &counts.refreshed),
            None => self
                .retire(record, deadline)
                .await
                .map(|()| &counts.retired),
        };
        let count = match outcome {
            Ok(count) => count,
            Err(Error::Store(StoreError::Conflict)) => &counts.skipped,
            Err(error) => {
                warn!(token.key = %record.key, error.code = error.code().as_str(), %error, "a token is not refreshed");
                &counts.failed
            }
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// The lease is written over exactly the version that the index showed: an index that lags behind costs a conflict.
    async fn renew_leased(&self, record: &Record, app: &App, deadline: Deadline) -> Result<()> {
        let state = match TokenState::from_record(record, &self.inner.sealer, deadline).await {
            Ok(state) => state,
            Err(Error::Seal(_)) => {
                let key = TokenKey::from_store_key(&record.key)
                    .ok_or_else(|| Error::internal("not a token's record"))?;
                TokenState {
                    version: record.version,
                    ..TokenState::unknown(key, self.inner.clock.now())
                }
            }
            Err(error) => return Err(error),
        };
        let leased = self
            .inner
            .take_lease(&state, Expect::Version(record.version), deadline)
            .await?;
        let token = self.inner.fetch_and_commit(&leased, app, deadline).await?;
        // Handed out all the same while Lark is down, but it is not a new one.
        let is_new = state
            .token
            .as_ref()
            .is_none_or(|old| old.issued_at < token.issued_at);
        if is_new {
            Ok(())
        } else {
            Err(Error::internal("Lark issued no new token"))
        }
    }

    /// Takes a record out of the index: its app is gone or switched off, and comes back through a caller's first request.
    async fn retire(&self, record: &Record, deadline: Deadline) -> Result<()> {
        let expect = Expect::Version(record.version);
        let mut retired = record.clone();
        retired.version += 1;
        retired.due = None;
        Ok(self
            .inner
            .storage
            .put(Table::Tokens, &retired, expect, deadline)
            .await?)
    }
}

impl Counts {
    fn report(&self, is_partial: bool) -> RunReport {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        RunReport {
            due: read(&self.due),
            refreshed: read(&self.refreshed),
            failed: read(&self.failed),
            skipped: read(&self.skipped),
            retired: read(&self.retired),
            is_partial,
        }
    }
}
