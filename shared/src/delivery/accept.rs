//! Taking a message: it is on record before its caller hears of it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tracing::warn;

use super::attempt::{Call, Progress, request};
use super::job::{Job, Message};
use super::{DEFAULT_LIFE, Delivery, JobCallback, JobId, JobKey, State, Target};
use crate::apps::AppContext;
use crate::clock::{Stopwatch, Timestamp};
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::idempotency::{self, Once};
use crate::queue::{Entry, Lane};
use crate::store::{Expect, Key, Record, StoreError, Table, Value, next_version};

/// The scope of a message's `Idempotency-Key`, and of a reply's.
const ROUTE: &str = "POST /v1/messages";
const REPLY_ROUTE: &str = "POST /v1/messages/{message_id}/replies";
/// How long a job may be under way before it is queued for a worker, when its sender answers nobody any more.
const SENDER: Duration = Duration::from_secs(60);

/// A message that a caller wants delivered.
#[derive(Clone, Debug)]
pub struct NewMessage {
    /// The id of the caller's API key.
    pub key_id: String,
    /// Whom it goes to.
    pub to: Target,
    /// What is sent.
    pub message: Message,
    /// Which queue it takes, if it is not sent at once.
    pub lane: Lane,
    /// Not before; `None`: now.
    pub deliver_at: Option<Timestamp>,
    /// Not after; `None`: within a day of its time.
    pub expires_at: Option<Timestamp>,
    /// Whether the caller's callback is told of its end.
    pub wants_callback: bool,
    /// The caller's `Idempotency-Key`, and a hash of the request that it came with.
    pub once: Option<Once>,
}

/// A job that was taken.
#[derive(Debug)]
pub struct Accepted {
    /// The job, as it is now.
    pub job: Job,
    /// Whether an earlier request with the same `Idempotency-Key` made it.
    pub is_repeated: bool,
}

/// What the queue carries: where the record of a job or a batch is.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Ticket {
    pub(super) key_id: String,
    /// The job, or the batch.
    pub(super) job_id: String,
    /// The queue that it is in.
    pub(super) lane: Lane,
    /// Whether it is about the job's callback, and not its message.
    #[serde(default)]
    pub(super) is_callback: bool,
}

impl Delivery {
    /// Takes a message and has it delivered by a worker.
    ///
    /// # Errors
    /// [`Error::QueueFull`], [`Error::IdempotencyMismatch`]; [`Error::Store`], after which it may have been taken all the same.
    pub async fn accept(
        &self,
        context: &AppContext,
        new: NewMessage,
        deadline: Deadline,
    ) -> Result<Accepted> {
        let (job, is_repeated) = self.made(context, new, deadline).await?;
        if job.version != 0 {
            // Made by an earlier request, which may have died before it was queued.
            return Ok(Accepted {
                job: self.queued_again(job, deadline).await,
                is_repeated,
            });
        }
        self.require_room_for(&job, deadline).await?;
        let job = self.put_new(job, deadline).await?;
        self.enqueue(&job, deadline).await;
        Ok(Accepted { job, is_repeated })
    }

    /// Takes a message and sends it now. If the platform does not take it at once, a worker goes on with it, and the job says so.
    ///
    /// # Errors
    /// As [`Delivery::accept`].
    pub async fn send_now(
        &self,
        context: &AppContext,
        new: NewMessage,
        deadline: Deadline,
    ) -> Result<Accepted> {
        let (job, is_repeated) = self.made(context, new, deadline).await?;
        if job.version != 0 {
            return Ok(Accepted {
                job: self.queued_again(job, deadline).await,
                is_repeated,
            });
        }
        let inner = &self.inner;
        let request = request(&job)?;
        let Ok(turn) = self.turn(context, &job, &request, deadline).await else {
            self.require_room_for(&job, deadline).await?;
            let job = self.put_new(job, deadline).await?;
            self.enqueue(&job, deadline).await;
            return Ok(Accepted { job, is_repeated });
        };
        let request = request.with_turn(turn);
        // One write takes the message and says that it is about to be sent.
        let written = Stopwatch::start(&*inner.clock);
        let attempted = job.attempted(inner.clock.now());
        let ahead = match self.put(&attempted, Expect::Absent, deadline).await {
            // Another request with the same `Idempotency-Key` was faster: this one wrote nothing ahead, so it calls nobody.
            Err(Error::Store(StoreError::Conflict)) => {
                let job = self.put_new(job, deadline).await?;
                let job = self.queued_again(job, deadline).await;
                return Ok(Accepted {
                    job,
                    is_repeated: true,
                });
            }
            outcome => outcome?,
        };
        let call = Call { request, written };
        let progress = Box::pin(self.call(context, job, ahead.clone(), call, deadline)).await;
        let job = match progress {
            Ok(Progress::Ended(job)) => job,
            Ok(Progress::Later(job, _)) => {
                self.enqueue(&job, deadline).await;
                job
            }
            Err(error) => {
                // It is on record, and a worker finds out what came of it.
                warn!(message.job_id = ahead.key.job_id.as_str(), error.code = error.code().as_str(), %error, "the outcome of a message is not on record yet");
                self.enqueue(&ahead, deadline).await;
                ahead
            }
        };
        Ok(Accepted { job, is_repeated })
    }

    /// The job for `new`: one that an earlier request with the same `Idempotency-Key` has made, or a new one of version zero.
    async fn made(
        &self,
        context: &AppContext,
        new: NewMessage,
        deadline: Deadline,
    ) -> Result<(Job, bool)> {
        let now = self.inner.clock.now();
        let mut job_id = JobId::new(now);
        let mut is_repeated = false;
        if let Some(once) = &new.once {
            let place = once.store_key(&new.key_id, route_to(&new.to));
            let first = self.first(place, once, job_id.as_str(), deadline).await?;
            if let Some(first) = first {
                is_repeated = true;
                let first = JobId::parse(&first)
                    .ok_or_else(|| Error::internal("a repeated request names no job"))?;
                let key = JobKey {
                    key_id: new.key_id.clone(),
                    job_id: first.clone(),
                };
                if let Some(job) = self.read(&key, deadline).await? {
                    return Ok((job, true));
                }
                // That request died before it made the job.
                job_id = first;
            }
        }
        let begins = new.deliver_at.filter(|at| *at > now).unwrap_or(now);
        let job = Job {
            key: JobKey {
                key_id: new.key_id,
                job_id,
            },
            app_id: context.app().app_id.clone(),
            tenant: context.tenant().cloned(),
            to: new.to,
            lane: new.lane,
            content_hash: new.message.hash(),
            msg_type: new.message.msg_type.clone(),
            message: Some(new.message),
            created_at: now,
            deliver_at: new.deliver_at.filter(|at| *at > now),
            expires_at: new.expires_at.unwrap_or(begins + DEFAULT_LIFE),
            attempts: Vec::new(),
            attempt_count: 0,
            unsettled_since: None,
            leased_until: None,
            held_until: None,
            settling: None,
            dead: None,
            end: None,
            callback: new.wants_callback.then(JobCallback::default),
            version: 0,
        };
        Ok((job, is_repeated))
    }

    /// The job, or batch, of an earlier request with the same `Idempotency-Key`, whose record is at `key`; `None` if this is the first,
    /// whose job is to be `job_id`.
    pub(super) async fn first(
        &self,
        key: Key,
        once: &Once,
        job_id: &str,
        deadline: Deadline,
    ) -> Result<Option<String>> {
        let now = self.inner.clock.now();
        let mut record = Record::new(key.clone(), next_version(0, now))
            .with("request", Value::Text(once.request.clone()))
            .with("job_id", Value::Text(job_id.to_owned()));
        record.expires_at = Some(now + idempotency::KEPT);
        let storage = &self.inner.storage;
        let put = storage.put(Table::MessageJobs, &record, Expect::Absent, deadline);
        match put.await {
            Ok(()) => return Ok(None),
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
        let first = storage.get(Table::MessageJobs, &key, deadline).await?;
        let first = first.ok_or(StoreError::Conflict)?;
        once.require_same(&first)?;
        let job_id = first.text("job_id").map(str::to_owned);
        let job_id = job_id.ok_or_else(|| Error::internal("a repeated request names no job"))?;
        Ok(Some(job_id))
    }

    /// Writes a job that nobody has written. One that is there is its own, by an earlier write whose answer was lost.
    async fn put_new(&self, job: Job, deadline: Deadline) -> Result<Job> {
        match self.put(&job, Expect::Absent, deadline).await {
            Err(Error::Store(StoreError::Conflict)) => {
                let there = self.read(&job.key, deadline).await?;
                there.ok_or_else(|| StoreError::Conflict.into())
            }
            outcome => outcome,
        }
    }

    /// A repeated request finds its job. One that waits is queued once more: the request before may have died too early.
    async fn queued_again(&self, job: Job, deadline: Deadline) -> Job {
        if job.state(self.inner.clock.now()) == State::Queued {
            self.enqueue(&job, deadline).await;
        }
        job
    }

    /// Queues `job` for a worker, unless it is for later or nothing is left to be done. If that fails, the scheduled run does it:
    /// the job is on record, and due.
    pub(super) async fn enqueue(&self, job: &Job, deadline: Deadline) {
        if job.is_over() || job.waits_for_a_time(self.inner.clock.now()) {
            return;
        }
        let Some(queue) = &self.inner.queue else {
            warn!("there is no queue: a message waits for the scheduled run");
            return;
        };
        let entries = [entry(job)];
        let send = deadline
            .at_most(SENDER)
            .run(queue.send(job.lane_now(), &entries))
            .await;
        let failed = match send {
            Ok(outcomes) => outcomes.into_iter().find_map(std::result::Result::err),
            Err(_) => {
                warn!(
                    message.job_id = job.key.job_id.as_str(),
                    "queueing a message timed out: the scheduled run does it"
                );
                None
            }
        };
        if let Some(error) = failed {
            warn!(message.job_id = job.key.job_id.as_str(), %error, "a message is not queued: the scheduled run does it");
        }
    }
}

const fn route_to(target: &Target) -> &'static str {
    match target {
        Target::Address(_) => ROUTE,
        Target::Reply(_) => REPLY_ROUTE,
    }
}

/// What is sent to the queue for `job`. Each version of the job is queued once.
pub(super) fn entry(job: &Job) -> Entry {
    let ticket = Ticket {
        key_id: job.key.key_id.clone(),
        job_id: job.key.job_id.to_string(),
        lane: job.lane_now(),
        is_callback: job.end.is_some(),
    };
    Entry {
        group: job.group_now(),
        deduplication: format!("{}-{}", job.key.job_id, job.version),
        body: serde_json::to_string(&ticket).expect("two texts"),
    }
}
