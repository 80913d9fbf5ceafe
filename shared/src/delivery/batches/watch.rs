//! How far a batch has come, and its end.

use std::time::Duration;

use tracing::warn;

use super::super::{Delivery, Job, State, codec};
use super::batch::Batch;
use super::counts::BatchCounts;
use super::part::PartState;
use super::step::{APP_PAUSE, Next};
use super::view::BatchView;
use crate::deadline::Deadline;
use crate::error::Result;
use crate::lark::batch_messages;
use crate::store::Table;

/// How many jobs are read at a time.
const PAGE: usize = 200;
/// For how long the platform is asked how far a broadcast has come.
const WATCHED: Duration = Duration::from_secs(24 * 3_600);
/// How many jobs without a message are shown with a batch; the list of jobs has all.
const SHOWN: usize = 100;

/// The jobs of a batch, counted.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) counts: BatchCounts,
    /// The first jobs that ended without a message.
    pub(super) undelivered: Vec<Job>,
    /// The jobs that have not ended.
    pub(super) open: Vec<Job>,
}

impl Delivery {
    /// The batch `batch_id` of the API key `key_id`, and where its messages are.
    ///
    /// # Errors
    /// [`crate::error::Error::MessageJobNotFound`], [`crate::error::Error::Store`].
    pub async fn batch(
        &self,
        key_id: &str,
        batch_id: &str,
        deadline: Deadline,
    ) -> Result<BatchView> {
        let batch = self.described_batch(key_id, batch_id, deadline).await?;
        self.view_of(&batch, deadline).await
    }

    pub(super) async fn view_of(&self, batch: &Batch, deadline: Deadline) -> Result<BatchView> {
        let now = self.inner.clock.now();
        let kept = batch.facts.counts;
        let mut tally = if kept.is_some_and(|counts| counts.undelivered() == 0) {
            Tally::default()
        } else {
            self.tally(batch, deadline).await?
        };
        if let Some(counts) = kept {
            tally.counts = counts;
        }
        Ok(BatchView::of(batch, tally.counts, &tally.undelivered, now))
    }

    /// Reads all jobs of a batch: a query of its key's partition.
    pub(super) async fn tally(&self, batch: &Batch, deadline: Deadline) -> Result<Tally> {
        let now = self.inner.clock.now();
        let mut tally = Tally {
            counts: batch.own_counts(now),
            ..Tally::default()
        };
        if batch.is_broadcast() || batch.facts.people == 0 {
            return Ok(tally);
        }
        let partition = batch.key.store_key().partition;
        let prefix = batch.key.batch_id.job_prefix();
        let (mut after, mut made) = (None, 0);
        loop {
            let storage = &self.inner.storage;
            let page = storage.list(
                Table::MessageJobs,
                &partition,
                &prefix,
                after.as_deref(),
                PAGE,
                deadline,
            );
            let page = page.await?;
            for record in &page.records {
                let job = codec::described(record)?;
                made += 1;
                let state = job.state(now);
                tally.counts.add(state, 1);
                if job.end.is_none() {
                    tally.open.push(job);
                } else if state != State::Delivered && tally.undelivered.len() < SHOWN {
                    tally.undelivered.push(job);
                }
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        // Those who have no job yet.
        let unmade = batch.facts.people.saturating_sub(made);
        let state = if batch.facts.cancelled_at.is_some() {
            State::Cancelled
        } else {
            State::Queued
        };
        tally.counts.add(state, unmade);
        Ok(tally)
    }

    /// Looks how far the batch has come, and ends it if nothing can change any more.
    pub(super) async fn watch(&self, batch: Batch, deadline: Deadline) -> Result<Next> {
        if batch.is_broadcast() {
            return self.watch_broadcast(batch, deadline).await;
        }
        let tally = self.tally(&batch, deadline).await?;
        if tally.open.is_empty() {
            return self.end_batch(batch, tally.counts, deadline).await;
        }
        let now = self.inner.clock.now();
        self.update_batch(batch.looked_at(now), deadline).await?;
        Ok(Next::Done)
    }

    async fn watch_broadcast(&self, mut batch: Batch, deadline: Deadline) -> Result<Next> {
        let now = self.inner.clock.now();
        let Some(context) = self.context_of_batch(&batch, deadline).await? else {
            return Ok(Next::Wait(APP_PAUSE));
        };
        let lane = batch.facts.lane;
        let mut is_late = true;
        let id = batch.key.batch_id.clone();
        for part in &mut batch.facts.parts {
            let PartState::Sent(sent) = &mut part.state else {
                continue;
            };
            is_late &= now >= sent.at + WATCHED;
            let valid = part.people.saturating_sub(sent.invalid);
            if sent.delivered >= valid {
                continue;
            }
            let request = batch_messages::progress(&sent.message_id);
            match self
                .platform_of(lane)
                .send(&context, &request, deadline)
                .await
            {
                Ok(progress) => {
                    sent.delivered = progress.delivered.max(sent.delivered).min(valid);
                    sent.read = progress.read.max(sent.read);
                }
                Err(error) => {
                    warn!(message.batch_id = id.as_str(), %error, "how far a broadcast has come is not known");
                }
            }
        }
        let mut counts = batch.own_counts(now);
        if counts.open() == 0 || is_late {
            // The platform took them and never said that they have it.
            counts.uncertain += std::mem::take(&mut counts.sending);
            return self.end_batch(batch, counts, deadline).await;
        }
        self.update_batch(batch.looked_at(now), deadline).await?;
        Ok(Next::Done)
    }
}
