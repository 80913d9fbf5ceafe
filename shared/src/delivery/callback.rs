//! Telling a caller how a message ended: the callback of a job.
//!
//! It lives in the job's record, and is due in the same index. The queue brings it to a worker in a group of its own for each API key:
//! one receiver is called one callback after the other, and holds up no message and no other key. A worker posts and then
//! writes down that it did: a death in between posts it again, with the same id.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tracing::{info, warn};
use utoipa::ToSchema;

use super::{DeadReason, Delivery, Job, JobKey, JobView, codec};
use crate::callbacks::{Callback, NotTaken, TIMEOUT};
use crate::clock::Timestamp;
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::store::{Expect, StoreError};
use crate::telemetry::metrics;

/// The pauses after each try, by [Standard Webhooks](https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md).
const SCHEDULE: [Duration; 9] = [
    Duration::from_secs(5),
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 3_600),
    Duration::from_secs(5 * 3_600),
    Duration::from_secs(10 * 3_600),
    Duration::from_secs(14 * 3_600),
    Duration::from_secs(20 * 3_600),
    Duration::from_secs(24 * 3_600),
];
/// By how much of itself a pause may be longer.
const JITTER: f64 = 0.1;
/// How long after the end a callback is given up at the latest: longer than the schedule, for those that wait behind others.
const LONGEST: Duration = Duration::from_secs(4 * 24 * 3_600);
/// A callback that waits for longer than this leaves the queue, and comes back by the index.
const IN_QUEUE: Duration = Duration::from_secs(60);
/// Over how long callbacks are spread that wait for the same failing receiver.
const SPREAD: Duration = Duration::from_secs(15 * 60);
/// How long what came of a post has to be written.
const WRITE: Duration = Duration::from_secs(4);
/// How often that is written over what others wrote meanwhile.
const WRITES: u32 = 4;

/// Where a callback is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = MessageCallbackState)]
pub enum CallbackState {
    /// The job has not ended, or the callback is still to be taken.
    #[default]
    Pending,
    /// The receiver took it.
    Delivered,
    /// The receiver did not take it, the last time either.
    GivenUp,
    /// The key has no receiver any more: none is registered, or it answered 410.
    SwitchedOff,
}

impl CallbackState {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::GivenUp => "given_up",
            Self::SwitchedOff => "switched_off",
        }
    }
}

/// The callback of a job.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Deserialize, Serialize)]
pub struct JobCallback {
    /// Where it is.
    pub state: CallbackState,
    /// How often it was sent.
    pub attempt_count: u32,
    /// What the receiver answered last; `None` if it did not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_status: Option<u16>,
    /// When it is sent next; `None` until the job has ended, and when nothing more is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Timestamp>,
}

impl JobCallback {
    pub(super) const fn is_pending(self) -> bool {
        matches!(self.state, CallbackState::Pending)
    }

    /// It after its job has ended: the first try is at `at`.
    pub(super) const fn begun(self, at: Timestamp) -> Self {
        Self {
            next_at: Some(at),
            ..self
        }
    }

    /// It with nothing more to be done.
    const fn over(self, state: CallbackState) -> Self {
        Self {
            state,
            next_at: None,
            ..self
        }
    }

    /// It after a try at `now`, of a job that ended at `ended_at`.
    fn tried(
        self,
        outcome: &std::result::Result<u16, NotTaken>,
        now: Timestamp,
        ended_at: Timestamp,
    ) -> Self {
        let next = Self {
            attempt_count: self.attempt_count.saturating_add(1),
            last_status: match outcome {
                Ok(status) => Some(*status),
                Err(error) => error.status(),
            },
            ..self
        };
        match outcome {
            Ok(_) => next.over(CallbackState::Delivered),
            Err(NotTaken::Gone) => next.over(CallbackState::SwitchedOff),
            Err(NotTaken::Refused(_) | NotTaken::Unanswered(_)) => {
                let tries = usize::try_from(self.attempt_count).unwrap_or(usize::MAX);
                let pause = SCHEDULE.get(tries).filter(|_| now < ended_at + LONGEST);
                pause.map_or(next.over(CallbackState::GivenUp), |pause| Self {
                    next_at: Some(now + pause.mul_f64(1.0 + JITTER * fastrand::f64())),
                    ..next
                })
            }
        }
    }

    /// It without a try at `now`, as its receiver is left alone for `pause`.
    fn put_off(self, pause: Duration, now: Timestamp, ended_at: Timestamp) -> Self {
        if now >= ended_at + LONGEST {
            return self.over(CallbackState::GivenUp);
        }
        Self {
            next_at: Some(now + pause + SPREAD.mul_f64(fastrand::f64())),
            ..self
        }
    }

    /// How long it waits at `now`.
    fn wait(self, now: Timestamp) -> Option<Duration> {
        let at = self.next_at.filter(|at| *at > now)?;
        Some(at.since(now))
    }
}

/// What is posted.
#[derive(Serialize)]
struct Payload<'p> {
    #[serde(rename = "type")]
    kind: &'static str,
    timestamp: String,
    data: &'p JobView,
}

impl Delivery {
    /// Sends the callback of the job at `key`, if it is time. `None`: the queue need not keep it; else how long it waits.
    pub(super) async fn call_back(
        &self,
        key: &JobKey,
        deadline: Deadline,
    ) -> Result<Option<Duration>> {
        let inner = &self.inner;
        let Some(job) = self.ended_job(key, deadline).await? else {
            return Ok(None);
        };
        let (Some(callback), Some(end)) = (job.callback.filter(|it| it.is_pending()), &job.end)
        else {
            return Ok(None);
        };
        let (now, ended_at) = (inner.clock.now(), end.at());
        if let Some(wait) = callback.wait(now) {
            return Ok(in_queue(wait));
        }
        if let Some(pause) = inner.callbacks.pause(&key.key_id) {
            if pause <= IN_QUEUE {
                return Ok(Some(pause));
            }
            let next = callback.put_off(pause, now, ended_at);
            self.note_callback(job, next, deadline).await?;
            return Ok(None);
        }
        if deadline.remaining() < TIMEOUT + WRITE {
            return Ok(Some(Duration::ZERO));
        }
        let next = match self.post(&job, ended_at, deadline).await? {
            Some(outcome) => callback.tried(&outcome, inner.clock.now(), ended_at),
            None => callback.over(CallbackState::SwitchedOff),
        };
        self.note_callback(job, next, deadline).await?;
        let wait = next.wait(inner.clock.now());
        Ok(wait.and_then(in_queue))
    }

    /// Posts the callback of `job` now, and says what the receiver answered; `None` if the key has none.
    async fn post(
        &self,
        job: &Job,
        ended_at: Timestamp,
        deadline: Deadline,
    ) -> Result<Option<std::result::Result<u16, NotTaken>>> {
        let (callbacks, now) = (&self.inner.callbacks, self.inner.clock.now());
        let key_id = &job.key.key_id;
        let receiver = match callbacks.receiver(key_id, deadline).await {
            // It counts as a try: what cannot be signed must not stay for ever.
            Err(error) if DeadReason::of(&error).is_some() => {
                warn!(key_id, %error, "a callback cannot be signed");
                return Ok(Some(Err(NotTaken::Unanswered("it cannot be signed"))));
            }
            receiver => receiver?,
        };
        let Some(receiver) = receiver else {
            return Ok(None);
        };
        let payload = Payload {
            kind: "message_job.ended",
            timestamp: ended_at.to_string(),
            data: &JobView::of(job, now).without_callback(),
        };
        let body = serde_json::to_string(&payload)
            .map_err(|error| Error::internal(format!("a callback: {error}")))?;
        let callback = Callback {
            id: job.key.job_id.as_str(),
            at: now,
            body: &body,
        };
        let sent = callbacks.send(key_id, &receiver, callback, deadline).await;
        if let Err(error) = &sent {
            let job_id = job.key.job_id.as_str();
            warn!(message.job_id = job_id, key_id, %error, "a callback was not taken");
        }
        Ok(Some(sent))
    }

    /// Writes down that the callback of `job` is now `next`, unless another worker has come further.
    async fn note_callback(&self, job: Job, next: JobCallback, deadline: Deadline) -> Result<()> {
        let mut current = job;
        for _ in 0..WRITES {
            let noted = Job {
                callback: Some(next),
                ..current.clone()
            };
            let put = self.put(&noted, Expect::Version(current.version), deadline);
            match put.await {
                Ok(_) => {
                    told(&noted, next);
                    return Ok(());
                }
                // The scheduled run writes it too, to put it off.
                Err(Error::Store(StoreError::Conflict)) => {
                    let other = self.ended_job(&current.key, deadline).await?;
                    let is_behind =
                        |it: &JobCallback| it.is_pending() && it.attempt_count < next.attempt_count;
                    match other {
                        Some(other) if other.callback.as_ref().is_some_and(is_behind) => {
                            current = other;
                        }
                        Some(_) | None => return Ok(()),
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// The job at `key`; what was sent is forgotten after its end, so there is nothing to open.
    async fn ended_job(&self, key: &JobKey, deadline: Deadline) -> Result<Option<Job>> {
        let record = self.record(key, deadline).await?;
        let job = record.as_ref().map(codec::described).transpose()?;
        Ok(job.filter(|job| job.end.is_some()))
    }
}

/// How long a callback stays hidden in the queue that waits so long; `None`: it leaves it.
fn in_queue(wait: Duration) -> Option<Duration> {
    (wait <= IN_QUEUE).then_some(wait)
}

/// A count for each try and each end, and a line for each end.
fn told(job: &Job, callback: JobCallback) {
    let (state, job_id) = (callback.state.as_str(), job.key.job_id.as_str());
    metrics::callback(state);
    let (attempts, status) = (callback.attempt_count, callback.last_status);
    match callback.state {
        CallbackState::Pending => {}
        CallbackState::Delivered => info!(
            message.job_id = job_id,
            attempts, status, "a callback was taken"
        ),
        CallbackState::GivenUp | CallbackState::SwitchedOff => warn!(
            message.job_id = job_id,
            attempts, status, state, "a callback is not sent any more"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn pending() -> JobCallback {
        JobCallback::default().begun(BEGIN)
    }

    #[test]
    fn a_callback_is_sent_ten_times_in_about_three_days_and_then_given_up() {
        let (mut now, mut callback) = (BEGIN, pending());
        for pause in SCHEDULE {
            callback = callback.tried(&Err(NotTaken::Refused(500)), now, BEGIN);
            let wait = callback.wait(now).unwrap();
            assert!(wait >= pause && wait <= pause.mul_f64(1.0 + JITTER));
            assert_eq!(callback.last_status, Some(500));
            now = now + wait;
            assert_eq!(callback.wait(now), None);
        }
        let hours = now.since(BEGIN).as_secs() / 3_600;
        assert!((75..=84).contains(&hours), "{hours}");
        callback = callback.tried(&Err(NotTaken::Unanswered("x")), now, BEGIN);
        let given_up = JobCallback {
            state: CallbackState::GivenUp,
            attempt_count: 10,
            last_status: None,
            next_at: None,
        };
        assert_eq!(callback, given_up);
    }

    #[test]
    fn an_answer_ends_a_callback_or_switches_it_off() {
        let over = |outcome| pending().tried(&outcome, BEGIN, BEGIN);
        for (outcome, state, status) in [
            (Ok(204), CallbackState::Delivered, 204),
            (Err(NotTaken::Gone), CallbackState::SwitchedOff, 410),
        ] {
            let ended = over(outcome);
            assert_eq!((ended.state, ended.last_status), (state, Some(status)));
            assert_eq!((ended.attempt_count, ended.next_at), (1, None));
        }
    }

    #[test]
    fn one_that_waits_behind_others_costs_no_try_and_is_given_up_after_four_days() {
        let pause = Duration::from_secs(300);
        let later = pending().put_off(pause, BEGIN, BEGIN);
        let wait = later.wait(BEGIN).unwrap();
        assert!(wait >= pause && wait <= pause + SPREAD && later.attempt_count == 0);
        let late = BEGIN + LONGEST;
        for over in [
            pending().put_off(pause, late, BEGIN),
            pending().tried(&Err(NotTaken::Refused(500)), late, BEGIN),
        ] {
            assert_eq!(over.state, CallbackState::GivenUp);
        }
    }
}
