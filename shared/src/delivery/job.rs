//! A message on its way, as a value. What may follow on what is decided here, without any input or output.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::settle::Settling;
use super::{Dead, End, JobCallback, JobKey, State, Target};
use crate::clock::Timestamp;
use crate::error::LarkFailure;
use crate::ids::{AppId, TenantKey};
use crate::page::hashed;
use crate::queue::Lane;
use crate::store::Due;

/// How many attempts are kept with a job.
const KEPT_ATTEMPTS: usize = 5;
/// How long a worker has a job to itself: longer than a call and the write of its outcome take.
pub(super) const LEASE: Duration = Duration::from_secs(45);
/// How long the same `uuid` may be presented after the first call whose outcome is unknown. The platform forgets it after an hour,
/// by its own clock; the rest covers a call under way and clocks that differ.
pub(super) const REPEATABLE: Duration = Duration::from_secs(50 * 60);
/// After how long a job that nobody brings to an end is queued again: it waits in a queue for longer only when very many do.
pub(super) const ABANDONED: Duration = Duration::from_secs(15 * 60);
/// After how long the scheduled run may send the callback of a message that was taken back.
const CALLED_SOON: Duration = Duration::from_secs(1);
/// The pause after a failure of the platform doubles up to this.
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// What is sent: the platform's type and content. Its `Debug` shows nothing of the content.
#[derive(Clone, Eq, PartialEq, Deserialize, Serialize)]
pub struct Message {
    /// `text`, `post`, `interactive`, …
    pub msg_type: String,
    /// JSON as text, as the platform wants it.
    pub content: String,
}

impl Message {
    /// A hash of it, which stays when the content is dropped.
    #[must_use]
    pub fn hash(&self) -> String {
        hashed(&format!("{}\n{}", self.msg_type, self.content))
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.content.len();
        write!(f, "Message({}, {bytes} bytes)", self.msg_type)
    }
}

/// A call of the platform for a job.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
pub struct Attempt {
    /// When it was written ahead.
    pub at: Timestamp,
    /// What came of it; `None` while that is not known.
    pub outcome: Option<Outcome>,
}

/// What came of an attempt, other than a message.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
pub struct Outcome {
    /// Whether the platform may have made the message all the same.
    pub may_have_happened: bool,
    /// The platform's code.
    pub code: Option<i64>,
    /// What it said, or what happened to the call.
    pub msg: String,
    /// The platform's id of the call.
    pub log_id: Option<String>,
}

impl Outcome {
    pub(super) fn of(failure: &LarkFailure) -> Self {
        Self {
            may_have_happened: failure.may_have_happened(),
            code: failure.code,
            msg: failure.msg.clone(),
            log_id: failure.log_id.clone(),
        }
    }
}

/// A message on its way: one record of the store.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Job {
    /// Whose it is, and which.
    pub key: JobKey,
    /// The app that sends it.
    pub app_id: AppId,
    /// The tenant, of a marketplace app.
    pub tenant: Option<TenantKey>,
    /// Whom it goes to.
    pub to: Target,
    /// Which queue it takes.
    pub lane: Lane,
    /// What is sent; `None` after the end.
    pub message: Option<Message>,
    /// [`Message::hash`].
    pub content_hash: String,
    /// The platform's type of the message.
    pub msg_type: String,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// Not before.
    pub deliver_at: Option<Timestamp>,
    /// Not after.
    pub expires_at: Timestamp,
    /// The last attempts, the newest last.
    pub attempts: Vec<Attempt>,
    /// How many there were.
    pub attempt_count: u32,
    /// The first attempt whose outcome is unknown: from then on the platform may have the message.
    pub unsettled_since: Option<Timestamp>,
    /// Until when a worker has it to itself.
    pub leased_until: Option<Timestamp>,
    /// Until when it waits for the month to turn.
    pub held_until: Option<Timestamp>,
    /// That it waits for the chat's history, to learn whether it was sent.
    pub settling: Option<Settling>,
    /// Since when and why it is a dead letter, if it is one.
    pub dead: Option<Dead>,
    /// How it ended.
    pub end: Option<End>,
    /// How its caller is told of its end; `None` for one who wants no callbacks.
    pub callback: Option<JobCallback>,
    /// The version of its record; zero before the first write.
    pub version: u64,
}

/// What is to be done with a job now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// It has ended.
    Nothing,
    /// It waits, for this long at least.
    Wait(Duration),
    /// It has not been sent, and its time is over.
    Expire,
    /// Whether it was sent is not known, and it must not be sent again.
    Settle,
    /// It is sent.
    Send,
}

impl Job {
    /// Where it is.
    #[must_use]
    pub const fn state(&self, now: Timestamp) -> State {
        match &self.end {
            Some(end) => end.state(),
            None => self.open_state(now),
        }
    }

    const fn open_state(&self, now: Timestamp) -> State {
        if self.unsettled_since.is_some() || self.leased_until.is_some() {
            return State::Sending;
        }
        if self.dead.is_some() {
            return State::Held;
        }
        if let Some(until) = self.held_until
            && until.as_millis() > now.as_millis()
        {
            return State::Held;
        }
        match self.deliver_at {
            Some(at) if at.as_millis() > now.as_millis() => State::Scheduled,
            Some(_) | None => State::Queued,
        }
    }

    /// Why it was refused, if it was.
    #[must_use]
    pub const fn refused(&self) -> Option<&super::Refused> {
        match &self.end {
            Some(End::Refused(refused)) => Some(refused),
            Some(
                End::Delivered(_) | End::Expired { .. } | End::Cancelled { .. } | End::Uncertain(_),
            )
            | None => None,
        }
    }

    /// Messages of one group are delivered in order: those to one receiver in one tenant.
    #[must_use]
    pub fn group(&self) -> String {
        let owner = match &self.tenant {
            Some(tenant) => tenant.as_str(),
            // An internal app has one tenant.
            None => self.app_id.as_str(),
        };
        let (kind, id) = self.to.receiver();
        hashed(&format!("{owner}\n{kind}\n{id}"))
    }

    /// What to do with it at `now`.
    pub(super) fn step(&self, now: Timestamp) -> Step {
        if self.end.is_some() {
            return Step::Nothing;
        }
        // Nobody but an operator goes on with a dead letter, until its end.
        if let Some(until) = self.dead_until().filter(|until| *until > now) {
            return Step::Wait(until.since(now));
        }
        if let Some(until) = self.leased_until
            && until > now
            // A lease from the future is a clock's mistake.
            && until.since(now) <= LEASE * 2
        {
            return Step::Wait(until.since(now));
        }
        if let Some(settling) = &self.settling {
            return if settling.at > now {
                Step::Wait(settling.at.since(now))
            } else {
                Step::Settle
            };
        }
        if let Some(since) = self.unsettled_since {
            let is_repeatable = now < since + REPEATABLE && since <= now + LEASE;
            return if is_repeatable {
                Step::Send
            } else {
                Step::Settle
            };
        }
        if now >= self.expires_at {
            return Step::Expire;
        }
        let waits_until = [self.deliver_at, self.held_until];
        let waits_until = waits_until.into_iter().flatten().max();
        match waits_until.filter(|until| *until > now) {
            Some(until) => Step::Wait(until.since(now)),
            None => Step::Send,
        }
    }

    /// The job with an attempt written ahead at `now`.
    pub(super) fn attempted(&self, now: Timestamp) -> Self {
        let mut next = self.clone();
        next.attempts.push(Attempt {
            at: now,
            outcome: None,
        });
        let extra = next.attempts.len().saturating_sub(KEPT_ATTEMPTS);
        next.attempts.drain(..extra);
        next.attempt_count += 1;
        next.unsettled_since = Some(self.unsettled_since.unwrap_or(now));
        next.leased_until = Some(now + LEASE);
        next.held_until = None;
        next.dead = None;
        next
    }

    /// The job after the attempt that was written ahead failed with `outcome`. `before` is the job before that attempt: if the
    /// call certainly made no message, all is as it was.
    pub(super) fn failed(&self, before: &Self, outcome: Outcome) -> Self {
        let mut next = self.clone();
        if !outcome.may_have_happened {
            next.unsettled_since = before.unsettled_since;
        }
        next.leased_until = None;
        if let Some(last) = next.attempts.last_mut() {
            last.outcome = Some(outcome);
        }
        next
    }

    /// The job, put off until the month turns. One whose caller set no end gets its day from then on.
    pub(super) fn held(mut self, until: Timestamp) -> Self {
        let begins = self.deliver_at.unwrap_or(self.created_at);
        if self.expires_at == begins + super::DEFAULT_LIFE {
            self.expires_at = until + super::DEFAULT_LIFE;
        }
        self.held_until = Some(until);
        self
    }

    /// The job, which is sent no more and waits for the chat's history.
    pub(super) fn settling(&self, settling: Settling) -> Self {
        let mut next = self.clone();
        next.settling = Some(settling);
        next.leased_until = None;
        next
    }

    /// The job with this end. What was to be sent is forgotten.
    pub(super) fn ended(&self, end: End) -> Self {
        let mut next = self.clone();
        // Whoever takes a message back cannot queue anything: the scheduled run does.
        let later = match end {
            End::Cancelled { .. } => CALLED_SOON,
            End::Delivered(_) | End::Refused(_) | End::Expired { .. } | End::Uncertain(_) => {
                Duration::ZERO
            }
        };
        next.callback = self.callback.map(|it| it.begun(end.at() + later));
        next.end = Some(end);
        next.message = None;
        next.settling = None;
        next.leased_until = None;
        next.held_until = None;
        next.dead = None;
        next
    }

    /// Whether it waits for a moment that it was given, and so is in no queue.
    pub(super) fn waits_for_a_time(&self, now: Timestamp) -> bool {
        let settling = self.settling.as_ref();
        let is_put_off = matches!(self.open_state(now), State::Scheduled | State::Held);
        let waits = match self.dead_until() {
            Some(until) => until > now,
            None => is_put_off || settling.is_some_and(|it| it.at > now),
        };
        self.end.is_none() && waits
    }

    /// When a worker looks at it again, of a dead letter.
    fn dead_until(&self) -> Option<Timestamp> {
        self.dead.map(Dead::until)
    }

    /// How long it rests after a failure of the platform.
    pub(super) fn backoff(&self) -> Duration {
        let doublings = 2_u32.saturating_pow(self.attempt_count.saturating_sub(1).min(16));
        let longest = Duration::from_secs(1)
            .saturating_mul(doublings)
            .min(MAX_PAUSE);
        longest.mul_f64(0.5 + 0.5 * fastrand::f64())
    }

    /// Whether nothing is left to be done: it has ended, and its caller knows.
    pub(super) fn is_over(&self) -> bool {
        self.end.is_some() && !self.callback.is_some_and(JobCallback::is_pending)
    }

    /// The queue that it takes now: callbacks take that of batches, and keep no message waiting.
    pub(super) const fn lane_now(&self) -> Lane {
        if self.end.is_some() {
            Lane::Bulk
        } else {
            self.lane
        }
    }

    /// Its group in that queue. Callbacks of one API key come one after the other.
    pub(super) fn group_now(&self) -> String {
        if self.end.is_some() {
            hashed(&format!("callback\n{}", self.key.key_id))
        } else {
            self.group()
        }
    }

    /// When somebody has to look after it if nobody does by then; `None` when nothing is left to be done.
    pub(super) fn due(&self, now: Timestamp) -> Option<Due> {
        if self.end.is_some() {
            let callback = self.callback.filter(|it| it.is_pending())?;
            let at = callback.next_at.filter(|at| *at > now);
            return Some(Due {
                shard: self.key.shard(),
                at: at.unwrap_or(now + ABANDONED),
            });
        }
        if let Some(at) = self.dead_until().filter(|until| *until > now) {
            let shard = self.key.shard();
            return Some(Due { shard, at });
        }
        let sent = self.leased_until.map(|until| until + LEASE / 3);
        let settled = self.settling.as_ref().map(|it| it.at);
        let later = [self.deliver_at, self.held_until, settled, sent]
            .into_iter()
            .flatten();
        let later = later.filter(|at| *at > now).max();
        Some(Due {
            shard: self.key.shard(),
            at: later.unwrap_or(now + ABANDONED),
        })
    }
}
