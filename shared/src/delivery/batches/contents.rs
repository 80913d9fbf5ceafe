//! What batches send, as a process remembers it for a moment: a thousand jobs of a batch read it a few times and not a thousand.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::super::id::BatchKey;
use super::super::{Delivery, Job, Message};
use crate::clock::Timestamp;
use crate::deadline::Deadline;
use crate::error::Result;

/// For how long. A job of a batch that was taken back is not sent later than this.
const REMEMBERED: Duration = Duration::from_secs(20);
/// Of how many batches.
const KEPT: usize = 4;

/// Contents of a few batches.
#[derive(Debug, Default)]
pub(in super::super) struct Contents(Mutex<Vec<Known>>);

#[derive(Clone, Debug)]
struct Known {
    key: BatchKey,
    at: Timestamp,
    /// `None`: there is nothing to be sent any more.
    message: Option<Message>,
    is_cancelled: bool,
}

impl Contents {
    fn get(&self, key: &BatchKey, now: Timestamp) -> Option<Known> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|known| known.at <= now && now < known.at + REMEMBERED);
        all.iter().find(|known| known.key == *key).cloned()
    }

    fn put(&self, known: Known) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|other| other.key != known.key);
        if all.len() >= KEPT {
            all.remove(0);
        }
        all.push(known);
    }
}

impl Delivery {
    /// `job`, as it was read, with what it sends: that of a batch is kept with the batch. Without a message its batch was taken back.
    pub(in super::super) async fn with_content(
        &self,
        mut job: Job,
        deadline: Deadline,
    ) -> Result<Job> {
        let Some(batch_id) = job.key.job_id.batch().filter(|_| job.end.is_none()) else {
            return Ok(job);
        };
        let key = BatchKey {
            key_id: job.key.key_id.clone(),
            batch_id,
        };
        let now = self.inner.clock.now();
        let known = match self.inner.contents.get(&key, now) {
            Some(known) => known,
            None => self.known(key, now, deadline).await?,
        };
        // A call that may have made the message is still settled.
        let is_wanted = !known.is_cancelled || job.unsettled_since.is_some();
        job.message = known.message.filter(|_| is_wanted);
        Ok(job)
    }

    async fn known(&self, key: BatchKey, now: Timestamp, deadline: Deadline) -> Result<Known> {
        let batch = self.read_batch(&key, deadline).await?;
        let is_cancelled = batch
            .as_ref()
            .is_none_or(|batch| batch.facts.cancelled_at.is_some());
        let payload = match batch {
            Some(batch) if batch.unopened.is_some() => Some(batch.content()?.clone()),
            Some(batch) => batch.payload,
            None => None,
        };
        let known = Known {
            key,
            at: now,
            message: payload.map(|payload| payload.message),
            is_cancelled,
        };
        self.inner.contents.put(known.clone());
        Ok(known)
    }
}
