//! What a worker does with a batch from the queue.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::stream::{self, StreamExt};
use tracing::{Instrument, error_span, info, warn};

use super::accept::Ticket;
use super::attempt::Progress;
use super::codec;
use super::dead_letters::Counted;
use super::job::Step;
use super::{BatchId, BatchKey, DeadReason, Delivery, JobId, JobKey};
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::queue::{Lane, MAX_HIDDEN, Receipt};
use crate::store::StoreError;

/// How many groups of a batch are worked on at a time. A batch of SQS FIFO has ten messages at most.
const GROUPS: usize = 10;
/// How long a message rests after a failure of ours.
const FAILED: Duration = Duration::from_secs(5);
/// How long a batch rests after a failure of ours that may not pass. It is in a group of its own, and keeps nobody waiting.
const BATCH_FAILED: Duration = Duration::from_secs(60);
/// The least pause: SQS counts seconds.
const SHORTEST: Duration = Duration::from_secs(1);
/// How often a job is read again in one go, because another worker changed it.
const READS: u32 = 3;

/// A message of the queue, to be worked on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Work {
    /// The queue's id of the message.
    pub id: String,
    /// What hides it.
    pub receipt: Receipt,
    /// Its group.
    pub group: String,
    /// What it says.
    pub body: String,
    /// How often it was received.
    pub receive_count: u32,
}

/// A message of the queue, and the job or batch that it names.
#[derive(Debug)]
struct Task {
    work: Work,
    subject: Subject,
    lane: Lane,
}

/// What a message of the queue is about.
#[derive(Debug)]
enum Subject {
    Job(JobKey),
    /// The end of a job, to be told.
    Callback(JobKey),
    Batch(BatchKey),
}

impl Subject {
    fn id(&self) -> &str {
        match self {
            Self::Job(key) | Self::Callback(key) => key.job_id.as_str(),
            Self::Batch(key) => key.batch_id.as_str(),
        }
    }
}

impl Task {
    const fn is_callback(&self) -> bool {
        matches!(self.subject, Subject::Callback(_))
    }

    /// What `work` asks for; `work` itself if it names no job or batch.
    fn of(work: Work) -> std::result::Result<Self, Work> {
        let ticket = serde_json::from_str::<Ticket>(&work.body).ok();
        let named = ticket.and_then(|ticket| Some((subject(&ticket)?, ticket.lane)));
        let Some((subject, lane)) = named else {
            return Err(work);
        };
        Ok(Self {
            work,
            subject,
            lane,
        })
    }
}

/// What `ticket` names.
fn subject(ticket: &Ticket) -> Option<Subject> {
    let key_id = ticket.key_id.clone();
    if let Some(job_id) = JobId::parse(&ticket.job_id) {
        let key = JobKey { key_id, job_id };
        return Some(if ticket.is_callback {
            Subject::Callback(key)
        } else {
            Subject::Job(key)
        });
    }
    let batch_id = BatchId::parse(&ticket.job_id)?;
    Some(Subject::Batch(BatchKey { key_id, batch_id }))
}

impl Delivery {
    /// Works on a batch of the queue and returns the ids of the messages that are not finished: they stay in the queue, hidden for
    /// as long as they have to wait, and with each all later ones of its group. The others can be deleted.
    pub async fn work(&self, batch: Vec<Work>, deadline: Deadline) -> Vec<String> {
        let mut groups: Vec<Vec<Task>> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut unfinished = Vec::new();
        for work in batch {
            let task = match Task::of(work) {
                Ok(task) => task,
                Err(stray) => {
                    unfinished.extend(self.put_away(stray, deadline).await);
                    continue;
                }
            };
            let place = *places.entry(task.work.group.clone()).or_insert_with(|| {
                groups.push(Vec::new());
                groups.len() - 1
            });
            groups[place].push(task);
        }
        // A receiver of callbacks may take its time: what is finished does not wait for it, and later ones of its group come.
        let calls = |group: &Vec<Task>| group.iter().any(Task::is_callback);
        let is_early = groups.len() > 1 && groups.iter().any(calls);
        let waiting = stream::iter(groups)
            .map(|group| self.work_on_group(group, is_early, deadline))
            .buffer_unordered(GROUPS)
            .collect::<Vec<_>>()
            .await;
        unfinished.extend(waiting.into_iter().flatten());
        unfinished
    }

    /// Makes a dead letter of what names no job. If that fails, its id is returned: it comes again when its time is over.
    async fn put_away(&self, stray: Work, deadline: Deadline) -> Option<String> {
        let kept = self.keep_stray(&stray, deadline).await;
        let error = kept.err()?;
        warn!(queue.message = stray.id, %error, "a message of the queue that names no job is not put away");
        Some(stray.id)
    }

    /// Works on messages of one group, in their order, until one has to wait. `is_early`: what is finished is deleted at once, and
    /// not only with the batch.
    async fn work_on_group(
        &self,
        group: Vec<Task>,
        is_early: bool,
        deadline: Deadline,
    ) -> Vec<String> {
        let mut left = group.into_iter();
        while let Some(task) = left.next() {
            let Some(pause) = self.work_on(&task, deadline).await else {
                if is_early {
                    self.delete(&task).await;
                }
                continue;
            };
            let rest: Vec<Task> = std::iter::once(task).chain(left).collect();
            for later in &rest {
                self.hide(later, pause).await;
            }
            return rest.into_iter().map(|later| later.work.id).collect();
        }
        Vec::new()
    }

    /// Works on one message. `None`: it is finished; else how long it has to wait.
    async fn work_on(&self, task: &Task, deadline: Deadline) -> Option<Duration> {
        let id = task.subject.id();
        let span = error_span!("job", message.job_id = id);
        let work = AssertUnwindSafe(Box::pin(self.carry_on_any(&task.subject, deadline)));
        let outcome = work.catch_unwind().instrument(span).await;
        let outcome = outcome.unwrap_or_else(|_| Err(Error::internal("a panic")));
        match outcome {
            Ok(pause) => pause,
            Err(error) => {
                warn!(message.job_id = id, received = task.work.receive_count, error.code = error.code().as_str(), %error, "a message waits after a failure");
                self.after(task, &error, deadline).await
            }
        }
    }

    async fn carry_on_any(
        &self,
        subject: &Subject,
        deadline: Deadline,
    ) -> Result<Option<Duration>> {
        match subject {
            Subject::Job(key) => self.carry_on(key, deadline).await,
            Subject::Callback(key) => Box::pin(self.call_back(key, deadline)).await,
            Subject::Batch(key) => Box::pin(self.carry_on_batch(key, deadline)).await,
        }
    }

    /// How long a message waits after `error`; `None`: it is a dead letter, or a callback that comes back by its due time.
    async fn after(&self, task: &Task, error: &Error, deadline: Deadline) -> Option<Duration> {
        let passes = error.retry_after().unwrap_or(FAILED);
        let Some(reason) = DeadReason::of(error) else {
            return Some(passes);
        };
        let key = match &task.subject {
            Subject::Job(key) => key,
            Subject::Callback(_) => return None,
            Subject::Batch(_) => return Some(BATCH_FAILED),
        };
        let counted = self.count_failure(key, task.lane, reason, error, deadline);
        match counted.await {
            Ok(Counted::Dead) => None,
            Ok(Counted::Again(pause)) => Some(pause),
            Err(error) => {
                warn!(message.job_id = key.job_id.as_str(), %error, "a failure is not counted");
                Some(passes)
            }
        }
    }

    /// Brings the job at `key` as far as it gets now.
    async fn carry_on(&self, key: &JobKey, deadline: Deadline) -> Result<Option<Duration>> {
        for _ in 0..READS {
            let Some(record) = self.record(key, deadline).await? else {
                // It ended so long ago that its record is gone.
                return Ok(None);
            };
            let described = codec::described(&record)?;
            let opened = || self.opened(&record, deadline);
            let job = match described.step(self.inner.clock.now()) {
                Step::Send => opened().await?,
                // What does not open ends all the same: nothing is found to be exactly what it says.
                Step::Settle => match opened().await {
                    Err(error) if DeadReason::of(&error).is_some() => described,
                    opened => opened?,
                },
                Step::Nothing | Step::Wait(_) | Step::Expire => described,
            };
            match self.advance(job, deadline).await {
                Ok(Progress::Ended(_)) => return Ok(None),
                // It comes back by its due time, and does not keep later ones of its group waiting.
                Ok(Progress::Later(job, _)) if job.waits_for_a_time(self.inner.clock.now()) => {
                    return Ok(None);
                }
                Ok(Progress::Later(_, pause)) => return Ok(Some(pause)),
                Err(Error::Store(StoreError::Conflict)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Some(SHORTEST))
    }

    /// Deletes a message that is finished. If that fails, it is deleted with its batch.
    async fn delete(&self, task: &Task) {
        let Some(queue) = &self.inner.queue else {
            return;
        };
        if let Err(error) = queue.delete(task.lane, &task.work.receipt).await {
            info!(queue.message = task.work.id, %error, "a finished message waits for its batch");
        }
    }

    /// Gives a message back to the queue for `pause`. If that fails, its time-out does.
    async fn hide(&self, task: &Task, pause: Duration) {
        let Some(queue) = &self.inner.queue else {
            return;
        };
        let pause = pause.clamp(SHORTEST, MAX_HIDDEN);
        if let Err(error) = queue.hide(task.lane, &task.work.receipt, pause).await {
            warn!(queue.message = task.work.id, %error, "a message is not given back: it comes again when its time is over");
        }
    }
}
