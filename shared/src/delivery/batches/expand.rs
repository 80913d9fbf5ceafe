//! A job for each receiver of a batch.

use std::time::Duration;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use tracing::{info, warn};

use super::super::accept::entry;
use super::super::{Delivery, Job, State};
use super::batch::{Batch, Stage};
use super::counts::{BatchCounts, Unreached, count};
use super::part::{Part, PartState};
use super::plan::{BatchPlan, Found, Wish};
use super::step::{APP_PAUSE, Next};
use crate::deadline::Deadline;
use crate::error::{Error, ErrorCode, Result};
use crate::lark::batch_messages::MAX_PEOPLE;
use crate::lark::messages::Address;
use crate::queue::Entry;
use crate::store::{Expect, StoreError};
use crate::telemetry::metrics;

/// How long receivers who cannot be looked up keep the others waiting.
const LOOKUPS: Duration = Duration::from_secs(10 * 60);
/// The pause after a failure.
const PAUSE: Duration = Duration::from_secs(5);
/// How many jobs are written at a time: a partition of DynamoDB takes a thousand writes a second.
const CONCURRENT_WRITES: usize = 8;
/// How many receivers are counted at a time.
const CONCURRENT_CHECKS: usize = 16;
/// A step begins only with this much time for it.
const NEEDED: Duration = Duration::from_secs(8);

impl Delivery {
    /// Looks the receivers up and writes down who they are. From then on every worker goes by that.
    pub(super) async fn plan(&self, mut batch: Batch, deadline: Deadline) -> Result<Next> {
        let now = self.inner.clock.now();
        if now >= batch.facts.expires_at {
            let mut counts = BatchCounts::default();
            counts.add(State::Expired, batch.facts.entries);
            return self.end_batch(batch, counts, deadline).await;
        }
        let Some(context) = self.context_of_batch(&batch, deadline).await? else {
            return Ok(Next::Wait(APP_PAUSE));
        };
        let payload = batch.content()?;
        let wish = Wish {
            mode: batch.facts.mode,
            needs_message_ids: batch.facts.needs_message_ids,
            message: &payload.message,
        };
        let found = self.find_receivers(&context, &payload.receivers, wish, deadline);
        let Found { plan, passing } = found.await?;
        if let Some(error) = passing {
            let since = batch.facts.lookups_failed_since.unwrap_or(now);
            // Who can be reached does not wait for ever for who cannot.
            if plan.people.is_empty() || now < since + LOOKUPS {
                warn!(message.batch_id = batch.key.batch_id.as_str(), error.code = error.code().as_str(), %error, "receivers of a batch cannot be looked up now");
                if batch.facts.lookups_failed_since.is_none() {
                    batch.facts.lookups_failed_since = Some(now);
                    self.update_batch(batch, deadline).await?;
                }
                return Ok(Next::Wait(error.retry_after().unwrap_or(PAUSE).max(PAUSE)));
            }
        }
        if !plan.is_broadcast {
            match self
                .require_room(batch.facts.lane, plan.people.len(), deadline)
                .await
            {
                Err(Error::QueueFull { retry_after, .. }) => return Ok(Next::Wait(retry_after)),
                outcome => outcome?,
            }
        }
        self.planned(batch, plan, deadline).await
    }

    async fn planned(&self, mut batch: Batch, plan: BatchPlan, deadline: Deadline) -> Result<Next> {
        let BatchPlan {
            mut people,
            duplicates,
            mut unreached,
            is_broadcast,
        } = plan;
        if !is_broadcast {
            let full = self.without_room(&batch, &people).await;
            people.retain(|(entry, _)| !full.contains(entry));
            unreached.extend(full.into_iter().map(|entry| Unreached {
                entry,
                code: ErrorCode::QueueFull.as_str().to_owned(),
                detail: "too many messages to this receiver wait already".to_owned(),
            }));
            unreached.sort_by_key(|it| it.entry);
        }
        let facts = &mut batch.facts;
        (facts.duplicates, facts.unreached) = (duplicates, unreached);
        facts.people = count(people.len());
        facts.stage = Stage::Planned;
        facts.lookups_failed_since = None;
        if is_broadcast {
            let calls = people.chunks(MAX_PEOPLE).map(|chunk| Part {
                people: count(chunk.len()),
                state: PartState::Planned,
            });
            facts.parts = calls.collect();
        }
        if people.is_empty() {
            let counts = BatchCounts {
                unreached: count(batch.facts.unreached.len()),
                ..BatchCounts::default()
            };
            return self.end_batch(batch, counts, deadline).await;
        }
        if let Some(payload) = &mut batch.payload {
            payload.people = people;
            payload.receivers = Vec::new();
        }
        Ok(Next::step(self.update_batch(batch, deadline).await?))
    }

    /// Which of `people` have too many messages waiting, by their place.
    async fn without_room(&self, batch: &Batch, people: &[(u32, Address)]) -> Vec<u32> {
        let group = |(entry, to): &(u32, Address)| (*entry, batch.job(*entry, to.clone()).group());
        let groups: Vec<(u32, String)> = people.iter().map(group).collect();
        let checks = groups.into_iter().map(|(entry, group)| async move {
            let room = self.require_room_of(&group).await;
            room.is_err().then_some(entry)
        });
        let full: Vec<Option<u32>> = stream::iter(checks)
            .buffer_unordered(CONCURRENT_CHECKS)
            .collect()
            .await;
        full.into_iter().flatten().collect()
    }

    /// Puts a job for each receiver where none is. A worker before may have made some of them, and then they are the same.
    pub(super) async fn make_jobs(&self, mut batch: Batch, deadline: Deadline) -> Result<Next> {
        if batch.unopened.is_some() && self.inner.clock.now() >= batch.facts.expires_at {
            return self.expire_unmade(batch, deadline).await;
        }
        batch.content()?;
        if deadline.remaining() < NEEDED {
            return Ok(Next::Wait(PAUSE));
        }
        let puts = jobs(&batch).into_iter().map(|job| async move {
            match self.put(&job, Expect::Absent, deadline).await {
                Ok(_) | Err(Error::Store(StoreError::Conflict)) => Ok(()),
                Err(error) => Err(error),
            }
        });
        let puts = stream::iter(puts).buffer_unordered(CONCURRENT_WRITES);
        puts.try_collect::<Vec<()>>().await?;
        batch.facts.stage = Stage::Made;
        Ok(Next::step(self.update_batch(batch, deadline).await?))
    }

    /// Ends a batch whose receivers can no longer be read: a worker before may have made jobs for some of them, which end first.
    async fn expire_unmade(&self, batch: Batch, deadline: Deadline) -> Result<Next> {
        let mut tally = self.tally(&batch, deadline).await?;
        if !tally.open.is_empty() {
            return Ok(Next::Wait(APP_PAUSE));
        }
        tally.counts.expired += std::mem::take(&mut tally.counts.queued);
        self.end_batch(batch, tally.counts, deadline).await
    }

    /// Queues every job. The queue drops those that a worker queued before, within its window; later ones find their job as it is.
    pub(super) async fn queue_jobs(&self, mut batch: Batch, deadline: Deadline) -> Result<Next> {
        let entries: Vec<Entry> = jobs(&batch)
            .iter()
            .map(|job| Entry {
                deduplication: format!("{}-made", job.key.job_id),
                ..entry(job)
            })
            .collect();
        if let Some(queue) = &self.inner.queue {
            let outcomes = deadline.run(queue.send(batch.facts.lane, &entries)).await;
            let outcomes = outcomes.map_err(|_| Error::DeadlineExceeded)?;
            let failed = outcomes.into_iter().find_map(std::result::Result::err);
            if let Some(error) = failed {
                warn!(message.batch_id = batch.key.batch_id.as_str(), %error, "messages of a batch are not queued yet");
                return Ok(Next::Wait(PAUSE));
            }
        }
        let now = self.inner.clock.now();
        batch.facts.stage = Stage::Queued;
        if let Some(payload) = &mut batch.payload {
            payload.people = Vec::new();
        }
        let people = batch.facts.people;
        let batch = self.update_batch(batch.looked_at(now), deadline).await?;
        info!(
            message.batch_id = batch.key.batch_id.as_str(),
            people, "the messages of a batch are queued"
        );
        Ok(Next::Done)
    }

    /// Writes the end of `batch`.
    pub(super) async fn end_batch(
        &self,
        batch: Batch,
        counts: BatchCounts,
        deadline: Deadline,
    ) -> Result<Next> {
        let now = self.inner.clock.now();
        let without_job = batch.is_broadcast() || batch.facts.people == 0;
        let batch = self
            .update_batch(batch.ended(counts, now), deadline)
            .await?;
        if without_job {
            // Jobs tell of their ends themselves.
            for (state, people) in [
                (State::Delivered, counts.delivered),
                (State::Refused, counts.refused),
                (State::Expired, counts.expired),
                (State::Cancelled, counts.cancelled),
                (State::Uncertain, counts.uncertain),
            ] {
                metrics::message_jobs(state.as_str(), u64::from(people));
            }
        }
        info!(
            message.batch_id = batch.key.batch_id.as_str(),
            delivered = counts.delivered,
            unreached = counts.unreached,
            undelivered = counts.undelivered(),
            "a batch has ended"
        );
        Ok(Next::Done)
    }
}

/// The jobs of a batch whose receivers are known, as they are made.
fn jobs(batch: &Batch) -> Vec<Job> {
    let people = batch.payload.as_ref().map(|payload| &payload.people);
    let people = people.into_iter().flatten();
    people
        .map(|(entry, to)| batch.job(*entry, to.clone()))
        .collect()
}
