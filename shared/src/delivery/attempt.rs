//! One try to bring a job to its end.

use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use super::job::{LEASE, Step};
use super::{DeadReason, Delivered, Delivery, End, Job, Outcome, Refused, codec};
use crate::apps::AppContext;
use crate::clock::Stopwatch;
use crate::deadline::Deadline;
use crate::error::{Error, FailureKind, LarkFailure, Result};
use crate::lark::Request;
use crate::lark::messages::Sent;
use crate::limiter::Turn;
use crate::platform::{Platform, SendError};
use crate::queue::Lane;
use crate::store::{Expect, Record, StoreError, Table};
use crate::telemetry::metrics;

/// How long a job waits for its turn inside a process. A longer wait is the queue's.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a call may take.
const CALL: Duration = Duration::from_secs(30);
/// A call begins only with this much time for it and for writing down what came of it.
const NEEDED: Duration = Duration::from_secs(8);
/// How long the outcome of a call has to be written.
const WRITE: Duration = Duration::from_secs(4);
/// A call goes out only this soon after it was written ahead. [`LEASE`] lasts longer than this and the call together.
const FRESH: Duration = Duration::from_secs(10);
/// The pause of a job whose app cannot send now.
const APP_PAUSE: Duration = Duration::from_secs(60);
/// How often the end of a job is written over what others wrote meanwhile.
const END_WRITES: u32 = 4;

/// A call that was written ahead.
pub(super) struct Call {
    pub(super) request: Request<Sent>,
    /// Since when.
    pub(super) written: Stopwatch,
}

/// What an attempt led to.
#[derive(Debug)]
pub(super) enum Progress {
    /// The job has ended.
    Ended(Job),
    /// It goes on after this pause.
    Later(Job, Duration),
}

impl Delivery {
    /// Does for `job`, as it was just read or written, what is to be done now.
    ///
    /// # Errors
    /// [`Error::Store`], also when another worker has taken the job: read it again.
    pub(super) async fn advance(&self, job: Job, deadline: Deadline) -> Result<Progress> {
        let now = self.inner.clock.now();
        match job.step(now) {
            Step::Nothing => Ok(Progress::Ended(job)),
            Step::Wait(wait) => Ok(Progress::Later(job, wait)),
            Step::Expire => {
                let end = End::Expired {
                    at: now,
                    history: None,
                };
                self.end(job, end, deadline).await
            }
            // Boxed: it is rare, and every other future would be as large.
            Step::Settle => Box::pin(self.settle(job, deadline)).await,
            Step::Send => self.send(job, deadline).await,
        }
    }

    async fn send(&self, job: Job, deadline: Deadline) -> Result<Progress> {
        let Some(context) = self.context_of(&job, deadline).await? else {
            return Ok(Progress::Later(job, APP_PAUSE));
        };
        if deadline.remaining() < NEEDED {
            return Ok(Progress::Later(job, Duration::ZERO));
        }
        if job.message.is_none() && job.key.job_id.batch().is_some() {
            // Its batch was taken back. Boxed as what is rare.
            let at = self.inner.clock.now();
            return Box::pin(self.end(job, End::Cancelled { at }, deadline)).await;
        }
        let request = request(&job)?;
        // What follows up to the call is done while the place lies ahead.
        let request = match self.turn(&context, &job, &request, deadline).await {
            Ok(turn) => request.with_turn(turn),
            Err(wait) => return Ok(Progress::Later(job, wait)),
        };
        let written = Stopwatch::start(&*self.inner.clock);
        let ahead = job.attempted(self.inner.clock.now());
        let expect = Expect::Version(job.version);
        let ahead = self.put(&ahead, expect, deadline).await?;
        let call = Call { request, written };
        // Boxed: it is the largest part, and whoever waits for a message waits inside it.
        Box::pin(self.call(&context, job, ahead, call, deadline)).await
    }

    /// The app that sends `job`. `None`: it is disabled or gone, or its record does not open, and it may be enabled, registered or given
    /// a secret that opens before the job's time is over.
    pub(super) async fn context_of(
        &self,
        job: &Job,
        deadline: Deadline,
    ) -> Result<Option<AppContext>> {
        let app = self.inner.apps.enabled(&job.app_id, deadline).await;
        match app.and_then(|app| AppContext::new(app, job.tenant.clone())) {
            Ok(context) => Ok(Some(context)),
            // The store fails. What is wrong with the app itself is not the job's fault.
            Err(error) if error.code().is_retryable() && DeadReason::of(&error).is_none() => {
                Err(error)
            }
            Err(_) => Ok(None),
        }
    }

    /// The turn of `job`, if it comes within two seconds. Its moment may lie ahead: the client waits for it.
    ///
    /// # Errors
    /// How long it takes until a turn is to be had.
    pub(super) async fn turn(
        &self,
        context: &AppContext,
        job: &Job,
        request: &Request<Sent>,
        deadline: Deadline,
    ) -> std::result::Result<Turn, Duration> {
        let patience = PATIENCE.min(deadline.remaining().saturating_sub(NEEDED));
        let turn = Box::pin(self.platform(job).turn(context, request, patience)).await;
        turn.map_err(|refused| refused.retry_after.unwrap_or(PATIENCE))
    }

    fn platform(&self, job: &Job) -> &Platform {
        match job.lane {
            Lane::Normal => &self.inner.platform,
            Lane::Bulk => &self.inner.background,
        }
    }

    /// Makes the call for the job `ahead`, whose attempt was just written down. `before` is the job before that.
    pub(super) async fn call(
        &self,
        context: &AppContext,
        before: Job,
        ahead: Job,
        call: Call,
        deadline: Deadline,
    ) -> Result<Progress> {
        let (clock, written) = (Arc::clone(&self.inner.clock), call.written);
        let request = call
            .request
            .only_if(move || written.elapsed(&*clock) < FRESH);
        let platform = self.platform(&ahead);
        let time = Deadline::after(deadline.remaining().saturating_sub(WRITE).min(CALL));
        match platform.send(context, &request, time).await {
            Ok(sent) => self.delivered(ahead, sent, deadline).await,
            Err(SendError::Lark(failure)) => self.refused(before, ahead, failure, deadline).await,
            Err(SendError::Unsent(error)) => {
                let wait = error.retry_after().unwrap_or(APP_PAUSE);
                let outcome = Outcome {
                    may_have_happened: false,
                    code: error.lark().and_then(|failure| failure.code),
                    msg: error.to_string(),
                    log_id: error.lark().and_then(|failure| failure.log_id.clone()),
                };
                self.later(before, ahead, outcome, wait, deadline).await
            }
        }
    }

    async fn delivered(&self, job: Job, sent: Sent, deadline: Deadline) -> Result<Progress> {
        let now = self.inner.clock.now();
        // Who sent a message is known before anybody can be told that it was sent.
        let chat_id = sent.chat_id.as_deref();
        self.note_sent(&job, &sent.message_id, chat_id, deadline)
            .await?;
        let end = End::Delivered(Delivered {
            at: now,
            message_id: sent.message_id,
            chat_id: sent.chat_id,
            log_id: sent.log_id,
            history: None,
        });
        self.end(job, end, deadline).await
    }

    async fn refused(
        &self,
        before: Job,
        ahead: Job,
        failure: LarkFailure,
        deadline: Deadline,
    ) -> Result<Progress> {
        let outcome = Outcome::of(&failure);
        if failure.kind.is_outage() || outcome.may_have_happened {
            let wait = failure.retry_after.unwrap_or_else(|| ahead.backoff());
            return self.later(before, ahead, outcome, wait, deadline).await;
        }
        match failure.kind {
            FailureKind::QuotaExhausted => {
                let wait = failure.retry_after.unwrap_or(APP_PAUSE);
                let now = self.inner.clock.now();
                let held = ahead.failed(&before, outcome).held(now + wait);
                let expect = Expect::Version(held.version);
                let held = self.put(&held, expect, deadline).await?;
                Ok(Progress::Later(held, wait))
            }
            // These pass: the app is looked after by others.
            FailureKind::TokenInvalid
            | FailureKind::AppRefused
            | FailureKind::TenantRefused
            | FailureKind::TicketMissing => {
                let wait = failure.retry_after.unwrap_or(APP_PAUSE);
                self.later(before, ahead, outcome, wait, deadline).await
            }
            FailureKind::NotFound
            | FailureKind::Forbidden
            | FailureKind::GrantVoid
            | FailureKind::RateLimited
            | FailureKind::Invalid
            | FailureKind::Unavailable
            | FailureKind::Timeout
            | FailureKind::Rejected => {
                let now = self.inner.clock.now();
                let refused = Refused::by(&failure, now);
                let ended = ahead.failed(&before, outcome);
                if before.unsettled_since.is_some() {
                    // The refusal is about this call. An earlier one may have made the message.
                    return Box::pin(self.unsettled(ended, Some(refused), deadline)).await;
                }
                self.end(ended, End::Refused(refused), deadline).await
            }
        }
    }

    /// Writes down what came of the attempt, and that the job goes on.
    async fn later(
        &self,
        before: Job,
        ahead: Job,
        outcome: Outcome,
        wait: Duration,
        deadline: Deadline,
    ) -> Result<Progress> {
        let job = ahead.failed(&before, outcome);
        let version = ahead.version;
        let written = self.put(&job, Expect::Version(version), deadline).await?;
        Ok(Progress::Later(written, wait.max(Duration::from_millis(1))))
    }

    /// Writes the end of `job`. Whatever another worker wrote meanwhile, a message that was made was made.
    pub(super) async fn end(&self, job: Job, end: End, deadline: Deadline) -> Result<Progress> {
        let mut current = job;
        for _ in 0..END_WRITES {
            let ended = current.ended(end.clone());
            let expect = Expect::Version(current.version);
            match self.put(&ended, expect, deadline).await {
                Ok(written) => {
                    told(&written, &end);
                    // Without a callback nothing is queued.
                    self.enqueue(&written, deadline).await;
                    return Ok(Progress::Ended(written));
                }
                Err(Error::Store(StoreError::Conflict)) => {
                    let Some(other) = self.read(&current.key, deadline).await? else {
                        return Err(StoreError::Conflict.into());
                    };
                    if other.end.is_some() {
                        return Ok(Progress::Ended(other));
                    }
                    if !matches!(end, End::Delivered(_)) {
                        // Another worker is at it, and may know better.
                        return Ok(Progress::Later(other, LEASE));
                    }
                    current = other;
                }
                Err(error) => return Err(error),
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// Writes `job` if `expect` holds, and returns it with its new version.
    pub(super) async fn put(&self, job: &Job, expect: Expect, deadline: Deadline) -> Result<Job> {
        let (inner, now) = (&self.inner, self.inner.clock.now());
        let record = codec::to_record(job, &inner.sealer, now, deadline).await?;
        let put = inner
            .storage
            .put(Table::MessageJobs, &record, expect, deadline);
        put.await?;
        Ok(Job {
            version: record.version,
            ..job.clone()
        })
    }

    /// The job at `key`, with what is to be sent.
    pub(super) async fn read(
        &self,
        key: &super::JobKey,
        deadline: Deadline,
    ) -> Result<Option<Job>> {
        let Some(record) = self.record(key, deadline).await? else {
            return Ok(None);
        };
        Ok(Some(self.opened(&record, deadline).await?))
    }

    /// The job in `record`, with what is to be sent.
    pub(super) async fn opened(&self, record: &Record, deadline: Deadline) -> Result<Job> {
        let job = codec::from_record(record, &self.inner.sealer, deadline).await?;
        self.with_content(job, deadline).await
    }

    /// The record of the job at `key`.
    pub(super) async fn record(
        &self,
        key: &super::JobKey,
        deadline: Deadline,
    ) -> Result<Option<Record>> {
        let (storage, at) = (&self.inner.storage, key.store_key());
        Ok(storage.get(Table::MessageJobs, &at, deadline).await?)
    }
}

/// The call that sends `job`: the same for each of its attempts.
pub(super) fn request(job: &Job) -> Result<Request<Sent>> {
    let Some(message) = &job.message else {
        return Err(Error::internal("a job without a message is not at its end"));
    };
    let uuid = job.key.job_id.uuid();
    Ok(job.to.request(&message.msg_type, &message.content, uuid))
}

/// A line and a count for each end.
fn told(job: &Job, end: &End) {
    let state = end.state().as_str();
    metrics::message_job(state);
    let (job_id, attempts) = (job.key.job_id.as_str(), job.attempt_count);
    match end {
        End::Delivered(delivered) => {
            info!(
                message.job_id = job_id,
                message.id = delivered.message_id,
                attempts,
                "a message was delivered"
            );
        }
        End::Refused(refused) => warn!(
            message.job_id = job_id,
            lark.code = refused.code,
            lark.log_id = refused.log_id,
            attempts,
            "a message was refused"
        ),
        End::Uncertain(uncertain) => warn!(
            message.job_id = job_id,
            since = %uncertain.since,
            attempts,
            "it is uncertain whether a message was delivered"
        ),
        End::Expired { .. } | End::Cancelled { .. } => {
            info!(message.job_id = job_id, state, "a message was not sent");
        }
    }
}
