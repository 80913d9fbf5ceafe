//! The scheduled run: jobs whose time has come, and those that nobody brought to an end.

use serde::Serialize;
use tracing::warn;

use super::accept::entry;
use super::id::SHARDS;
use super::job::Job;
use super::{Batch, Delivery, batches, codec};
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::queue::{Entry, Lane};
use crate::store::{Expect, Record, StoreError, Table};

/// How many jobs are read at a time from each part of the index.
const PAGE: usize = 100;
/// A run stops with this many milliseconds left.
const RESERVE_MS: u128 = 5_000;

/// What a run did.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct SweepReport {
    /// Jobs that were due.
    pub due: usize,
    /// Those of them that were queued.
    pub queued: usize,
    /// Those that failed; the next run takes them up.
    pub failed: usize,
    /// Whether it stopped with its time, or at an error.
    pub is_partial: bool,
}

impl Delivery {
    /// Queues what is due.
    ///
    /// # Errors
    /// [`Error::Store`] when what is due cannot be read.
    pub async fn enqueue_due(&self, deadline: Deadline) -> Result<SweepReport> {
        let mut report = SweepReport::default();
        let until = self.inner.clock.now();
        for shard in 0..SHARDS {
            let mut after = None;
            loop {
                if deadline.remaining().as_millis() < RESERVE_MS {
                    report.is_partial = true;
                    return Ok(report);
                }
                let page = self
                    .inner
                    .storage
                    .due(
                        Table::MessageJobs,
                        shard,
                        until,
                        after.as_ref(),
                        PAGE,
                        deadline,
                    )
                    .await?;
                report.due += page.len();
                self.enqueue_page(&page, &mut report, deadline).await?;
                after = page.last().and_then(Record::due_position);
                if page.len() < PAGE || after.is_none() {
                    break;
                }
            }
        }
        Ok(report)
    }

    async fn enqueue_page(
        &self,
        page: &[Record],
        report: &mut SweepReport,
        deadline: Deadline,
    ) -> Result<()> {
        let (mut jobs, mut due_batches) = (Vec::with_capacity(page.len()), Vec::new());
        for record in page {
            let taken = if batches::is_batch(record) {
                let batch = self.taken_batch(record, deadline).await;
                batch.map(|batch| due_batches.extend(batch))
            } else {
                let job = self.taken(record, deadline).await;
                job.map(|job| jobs.extend(job))
            };
            match taken {
                Ok(()) => {}
                Err(Error::Store(StoreError::Conflict)) => {}
                Err(error) => {
                    report.failed += 1;
                    warn!(message.record = %record.key, %error, "a message that is due is not queued");
                    // Not again and again: too many failures make it a dead letter.
                    let counted = self.count_unreadable(record, &error, deadline).await;
                    if let Err(error) = counted {
                        warn!(message.record = %record.key, %error, "its failure is not counted");
                    }
                }
            }
        }
        // In the order in which they were accepted.
        jobs.sort_by(|one, other| one.key.job_id.cmp(&other.key.job_id));
        for lane in Lane::ALL {
            let of_lane = due_batches.iter().filter(|batch| batch.lane() == lane);
            let mut entries: Vec<Entry> = of_lane.map(batches::batch_entry).collect();
            let of_lane = jobs.iter().filter(|job| job.lane_now() == lane);
            entries.extend(of_lane.map(entry));
            let (Some(queue), false) = (&self.inner.queue, entries.is_empty()) else {
                continue;
            };
            let outcomes = deadline.run(queue.send(lane, &entries)).await;
            let outcomes = outcomes.map_err(|_| Error::DeadlineExceeded)?;
            for outcome in outcomes {
                match outcome {
                    Ok(()) => report.queued += 1,
                    Err(error) => {
                        report.failed += 1;
                        warn!(%error, "a message that is due is not queued");
                    }
                }
            }
        }
        Ok(())
    }

    /// As [`Delivery::taken`], of a batch.
    async fn taken_batch(&self, record: &Record, deadline: Deadline) -> Result<Option<Batch>> {
        let now = self.inner.clock.now();
        let batch = batches::described(record)?;
        let taken = batches::put_off(record, &batch, now);
        let (storage, expect) = (&self.inner.storage, Expect::Version(record.version));
        let put = storage.put(Table::MessageJobs, &taken, expect, deadline);
        put.await?;
        let batch = Batch {
            version: taken.version,
            ..batch
        };
        Ok((!batch.waits_for_a_time(now)).then_some(batch))
    }

    /// The job in `record`, put off, so that no other run queues it too. `None`: it waits for a later time.
    ///
    /// It is put off before it is queued: a run that dies in between leaves it to one after that time.
    async fn taken(&self, record: &Record, deadline: Deadline) -> Result<Option<Job>> {
        let now = self.inner.clock.now();
        let job = codec::described(record)?;
        let taken = codec::rewritten(record, &job, now)?;
        let (storage, expect) = (&self.inner.storage, Expect::Version(record.version));
        let put = storage.put(Table::MessageJobs, &taken, expect, deadline);
        put.await?;
        let job = Job {
            version: taken.version,
            ..job
        };
        Ok((!job.waits_for_a_time(now) && !job.is_over()).then_some(job))
    }
}
