//! What callers ask about their jobs.

use super::id::{BatchId, JobId, JobKey, PREFIX, partition};
use super::job::Job;
use super::{Delivery, End, State, codec};
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::page::Page;
use crate::store::{Expect, StoreError, Table};

/// How many jobs are read at a time, and how often, to fill a page of jobs in one state.
const SCAN: usize = 100;
const MAX_SCANS: usize = 10;
/// How often a job is read again when a worker changes it meanwhile.
const ATTEMPTS: u32 = 8;

impl Delivery {
    /// The job `job_id` of the API key `key_id`, without what was sent.
    ///
    /// # Errors
    /// [`Error::MessageJobNotFound`], [`Error::Store`].
    pub async fn job(&self, key_id: &str, job_id: &str, deadline: Deadline) -> Result<Job> {
        let unknown = || Error::MessageJobNotFound;
        let job_id = JobId::parse(job_id).ok_or_else(unknown)?;
        let key = JobKey {
            key_id: key_id.to_owned(),
            job_id,
        };
        let (storage, at) = (&self.inner.storage, key.store_key());
        let record = storage.get(Table::MessageJobs, &at, deadline);
        let record = record.await?.ok_or_else(unknown)?;
        Ok(codec::described(&record)?)
    }

    /// A page of the jobs of the API key `key_id`, the oldest first; with `batch_id`, of that batch; with `state`, of those that are in
    /// it now. There may be few or none on a page though more follow.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn jobs(
        &self,
        key_id: &str,
        batch_id: Option<&BatchId>,
        state: Option<State>,
        after: Option<&str>,
        limit: usize,
        deadline: Deadline,
    ) -> Result<Page<Job>> {
        let now = self.inner.clock.now();
        let prefix = batch_id.map_or_else(|| PREFIX.to_owned(), BatchId::job_prefix);
        let mut items: Vec<Job> = Vec::with_capacity(limit);
        let mut position = after.map(str::to_owned);
        for _ in 0..MAX_SCANS {
            let page = self
                .inner
                .storage
                .list(
                    Table::MessageJobs,
                    &partition(key_id),
                    &prefix,
                    position.as_deref(),
                    SCAN.min(limit.saturating_mul(2)).max(1),
                    deadline,
                )
                .await?;
            for record in &page.records {
                let job = codec::described(record)?;
                if state.is_some_and(|state| job.state(now) != state) {
                    continue;
                }
                if items.len() == limit {
                    let last = items.last().map(|last| last.key.job_id.to_string());
                    return Ok(Page {
                        items,
                        next_page_token: last,
                    });
                }
                items.push(job);
            }
            position = page.next;
            if position.is_none() {
                break;
            }
        }
        Ok(Page {
            items,
            next_page_token: position,
        })
    }

    /// Takes a job back. It is answered only when it is certain that the message is not sent; repeated, it answers the same.
    ///
    /// # Errors
    /// [`Error::MessageJobNotFound`]; [`Error::MessageJobPast`] when it was sent, or may have been; [`Error::Store`].
    pub async fn cancel(&self, key_id: &str, job_id: &str, deadline: Deadline) -> Result<Job> {
        for _ in 0..ATTEMPTS {
            let job = self.job(key_id, job_id, deadline).await?;
            let now = self.inner.clock.now();
            match job.state(now) {
                State::Cancelled => return Ok(job),
                State::Scheduled | State::Queued | State::Held => {}
                state @ (State::Sending
                | State::Delivered
                | State::Refused
                | State::Expired
                | State::Uncertain) => return Err(Error::MessageJobPast(state.as_str())),
            }
            let cancelled = job.ended(End::Cancelled { at: now });
            let expect = Expect::Version(job.version);
            match self.put(&cancelled, expect, deadline).await {
                Err(Error::Store(StoreError::Conflict)) => {}
                outcome => return outcome,
            }
        }
        Err(StoreError::Conflict.into())
    }
}
