//! Counting failures of ours, and moving away what has too many.

use std::time::Duration;

use tracing::error;

use super::{About, DeadLetter, DeadReason, MAX_FAILURES};
use crate::clock::Timestamp;
use crate::deadline::Deadline;
use crate::delivery::job::Job;
use crate::delivery::worker::Work;
use crate::delivery::{Dead, Delivery, JobKey, KEPT, codec};
use crate::error::{Error, Result};
use crate::page::hashed;
use crate::queue::Lane;
use crate::store::{Due, Expect, Record, StoreError, Table, next_version};
use crate::telemetry::metrics;

/// The pause after the first failure; it doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// The longest pause after a failure.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Failures that lie further apart are not in a row.
const IN_A_ROW: Duration = Duration::from_secs(3_600);
/// The most characters of a failure's words.
const MAX_DETAIL: usize = 500;

/// What follows on a failure.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::delivery) enum Counted {
    /// The job is tried again after this pause.
    Again(Duration),
    /// It is a dead letter: the queue can forget it.
    Dead,
}

impl Delivery {
    /// Counts a failure of ours at the job `key`. Two requests to the store; the last failure of a row takes three more.
    ///
    /// # Errors
    /// [`Error::Store`]: nothing was decided.
    pub(in crate::delivery) async fn count_failure(
        &self,
        key: &JobKey,
        lane: Lane,
        reason: DeadReason,
        failure: &Error,
        deadline: Deadline,
    ) -> Result<Counted> {
        let now = self.inner.clock.now();
        let id = key.job_id.as_str();
        let known = self.letter(id, deadline).await?;
        if let Some(Dead { since, reason }) = known.as_ref().and_then(DeadLetter::dead) {
            // Whoever counted the last failure died before the job was marked.
            self.bury(key, Dead { since, reason }, deadline).await?;
            return Ok(Counted::Dead);
        }
        let mut letter = match known {
            Some(known) if now < known.last_at + IN_A_ROW => known,
            known => DeadLetter {
                version: known.map_or(0, |known| known.version),
                ..DeadLetter::first(id.to_owned(), About::Job(key.clone()), lane, now)
            },
        };
        letter.failures += 1;
        letter.last_at = now;
        letter.reason = reason;
        letter.detail = failure.to_string().chars().take(MAX_DETAIL).collect();
        if letter.failures < MAX_FAILURES {
            self.put_letter(&letter, deadline).await?;
            return Ok(Counted::Again(pause(letter.failures)));
        }
        let record = self.record(key, deadline).await?;
        let job = record.and_then(|record| codec::described(&record).ok());
        letter.app_id = job.map(|job| job.app_id);
        letter.since = Some(now);
        self.put_letter(&letter, deadline).await?;
        told(&letter);
        self.bury(key, Dead { since: now, reason }, deadline)
            .await?;
        Ok(Counted::Dead)
    }

    /// Counts a failure at the record of a job that the scheduled run cannot read.
    pub(in crate::delivery) async fn count_unreadable(
        &self,
        record: &Record,
        failure: &Error,
        deadline: Deadline,
    ) -> Result<()> {
        if let (Some(key), Some(reason)) = (codec::key_of(record), DeadReason::of(failure)) {
            let lane = Lane::Normal;
            self.count_failure(&key, lane, reason, failure, deadline)
                .await?;
        }
        Ok(())
    }

    /// Keeps a message of the queue that names no job as a dead letter, at once: no repetition helps, but a later version of the
    /// service may know what it means. One with the same words is the same letter.
    ///
    /// # Errors
    /// [`Error::Store`]: it must stay in the queue.
    pub(in crate::delivery) async fn keep_stray(
        &self,
        work: &Work,
        deadline: Deadline,
    ) -> Result<()> {
        let now = self.inner.clock.now();
        let id = format!("qm_{}", &hashed(&work.body)[..32]);
        let about = About::Ticket {
            body: work.body.clone(),
            group: work.group.clone(),
        };
        let known = self.letter(&id, deadline).await?;
        let first = || DeadLetter::first(id.clone(), about.clone(), lane_in(&work.body), now);
        let mut letter = known.unwrap_or_else(first);
        letter.failures += 1;
        letter.last_at = now;
        letter.since = Some(now);
        match self.put_letter(&letter, deadline).await {
            // Another worker keeps the same words.
            Err(Error::Store(StoreError::Conflict)) => return Ok(()),
            outcome => outcome?,
        }
        told(&letter);
        Ok(())
    }

    /// Marks the job at `key` as a dead letter: it is due only at the letter's end.
    async fn bury(&self, key: &JobKey, dead: Dead, deadline: Deadline) -> Result<()> {
        let Some(record) = self.record(key, deadline).await? else {
            return Ok(());
        };
        let now = self.inner.clock.now();
        let marked = match codec::described(&record) {
            Ok(job) if job.end.is_some() || job.dead == Some(dead) => return Ok(()),
            Ok(job) => {
                let job = Job {
                    dead: Some(dead),
                    ..job
                };
                codec::rewritten(&record, &job, now)?
            }
            // It stays as it is, and goes a week after the letter.
            Err(_) => {
                let mut marked = record.clone();
                marked.version = next_version(record.version, now);
                marked.due = Some(Due {
                    shard: key.shard(),
                    at: dead.until(),
                });
                marked.expires_at = Some(dead.until() + KEPT);
                marked
            }
        };
        self.put_over(&record, &marked, deadline).await
    }

    /// Writes `new` over `old`, if nobody else has written meanwhile.
    pub(super) async fn put_over(
        &self,
        old: &Record,
        new: &Record,
        deadline: Deadline,
    ) -> Result<()> {
        let (storage, expect) = (&self.inner.storage, Expect::Version(old.version));
        let put = storage.put(Table::MessageJobs, new, expect, deadline);
        Ok(put.await?)
    }

    /// The letter `id`, or the failures that were counted under this id.
    pub(super) async fn letter(&self, id: &str, deadline: Deadline) -> Result<Option<DeadLetter>> {
        let (storage, key) = (&self.inner.storage, DeadLetter::key(id));
        let record = storage.get(Table::MessageJobs, &key, deadline).await?;
        let letter = record.map(|record| DeadLetter::from_record(&record));
        Ok(letter.transpose()?)
    }

    async fn put_letter(&self, letter: &DeadLetter, deadline: Deadline) -> Result<()> {
        let record = letter.to_record(self.inner.clock.now())?;
        let expect = match letter.version {
            0 => Expect::Absent,
            version => Expect::Version(version),
        };
        let storage = &self.inner.storage;
        let put = storage.put(Table::MessageJobs, &record, expect, deadline);
        Ok(put.await?)
    }
}

impl DeadLetter {
    /// Nothing counted yet.
    const fn first(id: String, about: About, lane: Lane, now: Timestamp) -> Self {
        Self {
            id,
            about,
            app_id: None,
            lane,
            reason: DeadReason::NamesNoJob,
            detail: String::new(),
            failures: 0,
            first_at: now,
            last_at: now,
            since: None,
            version: 0,
        }
    }

    /// Since when and why it is one; `None` while failures are counted.
    pub(super) fn dead(&self) -> Option<Dead> {
        let reason = self.reason;
        self.since.map(|since| Dead { since, reason })
    }
}

/// The pause after so many failures.
fn pause(failures: u32) -> Duration {
    let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
    FIRST_PAUSE.saturating_mul(doubled).min(LONGEST_PAUSE)
}

/// The lane that a body names, whatever else is wrong with it.
fn lane_in(body: &str) -> Lane {
    let body: Option<serde_json::Value> = serde_json::from_str(body).ok();
    let named = body.as_ref().and_then(|body| body["lane"].as_str());
    let lane = Lane::ALL
        .into_iter()
        .find(|lane| Some(lane.name()) == named);
    lane.unwrap_or(Lane::Normal)
}

fn told(letter: &DeadLetter) {
    metrics::dead_letter(letter.reason.as_str());
    error!(
        message.letter = letter.id,
        reason = letter.reason.as_str(),
        failures = letter.failures,
        "a message is a dead letter: see `lark-service dead-letters show`, then redrive or drop it"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_last_longer_than_a_new_data_key_takes_to_be_found() {
        let pauses: Vec<u64> = (1..MAX_FAILURES).map(|n| pause(n).as_secs()).collect();
        assert_eq!(pauses, [5, 10, 20, 40, 60]);
        assert!(pauses.iter().sum::<u64>() > 60);
        assert_eq!(pause(u32::MAX), LONGEST_PAUSE);
    }

    #[test]
    fn a_body_may_name_its_lane_whatever_else_is_wrong() {
        for (body, lane) in [
            (r#"{"lane":"bulk"}"#, Lane::Bulk),
            (r#"{"lane":"none"}"#, Lane::Normal),
            (r#"{"lane":4}"#, Lane::Normal),
            ("[]", Lane::Normal),
            ("", Lane::Normal),
        ] {
            assert_eq!(lane_in(body), lane, "{body}");
        }
    }
}
