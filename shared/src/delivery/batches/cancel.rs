//! Taking a batch back: what was not sent is not sent any more.

use std::time::Duration;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use tracing::warn;

use super::super::{Delivery, End, Job, State};
use super::batch::{Batch, BatchState, Stage};
use super::counts::BatchCounts;
use super::part::{PartSent, PartState};
use super::step::{APP_PAUSE, Next};
use super::view::BatchView;
use crate::apps::AppContext;
use crate::clock::Timestamp;
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::lark::batch_messages;
use crate::platform::{Platform, SendError};
use crate::store::{Expect, StoreError};

/// How often a batch is read again when a worker changes it meanwhile.
const ATTEMPTS: u32 = 8;
/// How many jobs are taken back at a time.
const CONCURRENT_WRITES: usize = 8;

impl Delivery {
    /// Takes back what of a batch was not sent yet, and has a broadcast recalled that was. What it answers with as cancelled is certain
    /// not to be sent. Repeated, it goes on where it was.
    ///
    /// # Errors
    /// [`Error::MessageJobNotFound`]; [`Error::MessageJobPast`] when every message of it had ended; [`Error::Store`].
    pub async fn cancel_batch(
        &self,
        key_id: &str,
        batch_id: &str,
        deadline: Deadline,
    ) -> Result<BatchView> {
        let mut batch = self.marked_cancelled(key_id, batch_id, deadline).await?;
        if batch.facts.stage != Stage::Ended {
            if batch.is_broadcast() {
                self.enqueue_batch(&batch, deadline).await;
            } else {
                self.cancel_jobs(&batch, deadline).await?;
                batch = self.described_batch(key_id, batch_id, deadline).await?;
            }
        }
        self.view_of(&batch, deadline).await
    }

    /// The batch, on record as taken back.
    async fn marked_cancelled(
        &self,
        key_id: &str,
        batch_id: &str,
        deadline: Deadline,
    ) -> Result<Batch> {
        for _ in 0..ATTEMPTS {
            let known = self.described_batch(key_id, batch_id, deadline).await?;
            let now = self.inner.clock.now();
            match known.state(now) {
                BatchState::Cancelled => return Ok(known),
                state @ BatchState::Ended => return Err(Error::MessageJobPast(state.as_str())),
                BatchState::Scheduled | BatchState::Queued | BatchState::Sending => {}
            }
            let read = self.read_batch(&known.key, deadline).await?;
            let batch = read.ok_or(Error::MessageJobNotFound)?;
            if batch.version != known.version {
                continue;
            }
            match self.update_batch(cancelled(batch, now), deadline).await {
                Err(Error::Store(StoreError::Conflict)) => {}
                outcome => return outcome,
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// Takes back every job of a batch that was not sent.
    async fn cancel_jobs(&self, batch: &Batch, deadline: Deadline) -> Result<()> {
        let tally = self.tally(batch, deadline).await?;
        let cancels = tally
            .open
            .into_iter()
            .map(|job| self.cancel_open(job, deadline));
        let cancels = stream::iter(cancels).buffer_unordered(CONCURRENT_WRITES);
        cancels.try_collect::<Vec<()>>().await?;
        Ok(())
    }

    /// Takes back `job`, as it was just read, if it was not sent.
    async fn cancel_open(&self, job: Job, deadline: Deadline) -> Result<()> {
        let now = self.inner.clock.now();
        if !matches!(
            job.state(now),
            State::Scheduled | State::Queued | State::Held
        ) {
            return Ok(());
        }
        let cancelled = job.ended(End::Cancelled { at: now });
        match self
            .put(&cancelled, Expect::Version(job.version), deadline)
            .await
        {
            Ok(_) => {
                crate::telemetry::metrics::message_job(State::Cancelled.as_str());
                Ok(())
            }
            Err(Error::Store(StoreError::Conflict)) => {
                let (key_id, job_id) = (&job.key.key_id, job.key.job_id.as_str());
                match self.cancel(key_id, job_id, deadline).await {
                    // A worker was faster.
                    Ok(_) | Err(Error::MessageJobPast(_) | Error::MessageJobNotFound) => Ok(()),
                    Err(error) => Err(error),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// What a worker does with a batch that was taken back: it takes back jobs that were made meanwhile, recalls calls that were made,
    /// and ends it when nothing can change any more.
    pub(super) async fn finish_cancelled(&self, batch: Batch, deadline: Deadline) -> Result<Next> {
        if batch.is_broadcast() {
            return self.recall_broadcast(batch, deadline).await;
        }
        self.cancel_jobs(&batch, deadline).await?;
        let tally = self.tally(&batch, deadline).await?;
        if tally.open.is_empty() {
            return self.end_batch(batch, tally.counts, deadline).await;
        }
        let now = self.inner.clock.now();
        self.update_batch(batch.looked_at(now), deadline).await?;
        Ok(Next::Done)
    }

    /// Recalls the calls of a broadcast that were made.
    async fn recall_broadcast(&self, mut batch: Batch, deadline: Deadline) -> Result<Next> {
        let now = self.inner.clock.now();
        if batch.facts.stage == Stage::Planned && !batch.are_parts_settled() {
            for part in &mut batch.facts.parts {
                if part.state == PartState::Planned {
                    part.state = PartState::Cancelled;
                }
            }
            if !batch.are_parts_settled() {
                // A call is under way: its outcome, or that there is none, is found out first.
                return self.broadcast(batch, deadline).await;
            }
        }
        let Some(context) = self.context_of_batch(&batch, deadline).await? else {
            return Ok(Next::Wait(APP_PAUSE));
        };
        let (platform, mut left) = (self.platform_of(batch.facts.lane), None);
        for part in &mut batch.facts.parts {
            let people = part.people;
            if let PartState::Sent(sent) = &mut part.state
                && !sent.is_recalled
                && sent.recall_refused.is_none()
            {
                let wait = recall_call(platform, &context, people, sent, deadline).await;
                left = left.max(wait);
            }
        }
        if let Some(wait) = left {
            self.update_batch(batch, deadline).await?;
            return Ok(Next::Wait(wait));
        }
        let mut counts = batch.own_counts(now);
        counts.uncertain += std::mem::take(&mut counts.sending);
        self.end_batch(batch, counts, deadline).await
    }
}

/// Recalls one call for so many `people`, and asks how many have it all the same. Returns how long to wait before another try.
async fn recall_call(
    platform: &Platform,
    context: &AppContext,
    people: u32,
    sent: &mut PartSent,
    deadline: Deadline,
) -> Option<Duration> {
    let recall = batch_messages::recall(&sent.message_id);
    match platform.send(context, &recall, deadline).await {
        Ok(()) => {
            sent.is_recalled = true;
            let progress = batch_messages::progress(&sent.message_id);
            if let Ok(progress) = platform.send(context, &progress, deadline).await {
                let valid = people.saturating_sub(sent.invalid);
                sent.delivered = progress.delivered.min(valid);
                sent.read = progress.read;
            }
            None
        }
        Err(SendError::Lark(failure))
            if !failure.may_have_happened() && !failure.kind.is_outage() =>
        {
            warn!(
                message.id = sent.message_id,
                lark.code = failure.code,
                lark.log_id = failure.log_id,
                "the platform does not recall a broadcast"
            );
            sent.recall_refused = Some(failure.to_string());
            None
        }
        Err(error) => Some(Error::from(error).retry_after().unwrap_or(APP_PAUSE)),
    }
}

/// `batch`, taken back at `now`. One that nobody began with has ended with that; another one is looked after soon.
fn cancelled(mut batch: Batch, now: Timestamp) -> Batch {
    batch.facts.cancelled_at = Some(now);
    if batch.facts.stage == Stage::Accepted {
        let mut counts = BatchCounts::default();
        counts.add(State::Cancelled, batch.facts.entries);
        return batch.ended(counts, now);
    }
    batch.facts.looks = 0;
    batch.facts.look_at = Some(now + Duration::from_secs(1));
    batch
}
