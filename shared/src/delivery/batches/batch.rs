//! A batch as a value. What may follow on what is decided here, without any input or output.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::id::BatchKey;
use super::super::job::{ABANDONED, LEASE};
use super::super::{DEFAULT_LIFE, Job, JobCallback, Message, State};
use super::counts::{BatchCounts, Unreached, count};
use super::part::{Part, PartState};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::ids::{AppId, TenantKey};
use crate::lark::messages::Address;
use crate::messages::ReceiverFields;
use crate::messages::content::{BroadcastContent, MsgType, Serialised};
use crate::queue::Lane;
use crate::seal::SealError;
use crate::store::Due;

/// How long a batch waits between two looks at its jobs, at first and at most.
const FIRST_LOOK: Duration = Duration::from_secs(30);
const LONGEST_LOOK: Duration = Duration::from_secs(3_600);

/// How a batch is sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = MessageBatchMode)]
pub enum Mode {
    /// A message for each receiver, each with its own id and its own end.
    Each,
    /// Calls of the platform for two hundred people each. Such a message cannot be edited or answered, and the platform tells how
    /// many have it, not who.
    Broadcast,
    /// `broadcast` where it can be used and is worth it, else `each`.
    Auto,
}

impl Mode {
    /// Every mode.
    pub const ALL: [Self; 3] = [Self::Each, Self::Broadcast, Self::Auto];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Each => "each",
            Self::Broadcast => "broadcast",
            Self::Auto => "auto",
        }
    }
}

/// What has been done of a batch.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stage {
    /// It is on record.
    Accepted,
    /// Its receivers are known.
    Planned,
    /// Each of them has a job.
    Made,
    /// The jobs were queued, or the calls made.
    Queued,
    /// Nothing of it can change any more.
    Ended,
}

/// Where a batch is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = MessageBatchState)]
pub enum BatchState {
    /// It is for later.
    Scheduled,
    /// It waits for a worker.
    Queued,
    /// Its messages are on their way.
    Sending,
    /// Every message of it has ended.
    Ended,
    /// Its caller took back what was not sent yet.
    Cancelled,
}

impl BatchState {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Queued => "queued",
            Self::Sending => "sending",
            Self::Ended => "ended",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What is sealed of a batch; dropped at its end.
#[derive(Clone, Deserialize, Serialize)]
pub struct Payload {
    /// What is sent.
    pub(crate) message: Message,
    /// Whom it goes to, as the caller said; empty when `people` are known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) receivers: Vec<ReceiverFields>,
    /// Whom it goes to, each once, with the place in the request; empty when each has a job.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) people: Vec<(u32, Address)>,
}

impl fmt::Debug for Payload {
    /// Nothing of the content, and no address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (given, known) = (self.receivers.len(), self.people.len());
        write!(
            f,
            "Payload({:?}, {given} given, {known} known)",
            self.message
        )
    }
}

impl Payload {
    /// The content as a broadcast takes it, if it does.
    pub(crate) fn broadcast(&self) -> Option<BroadcastContent> {
        broadcast(&self.message)
    }
}

/// The content of `message` as a broadcast takes it, if it does.
pub(super) fn broadcast(message: &Message) -> Option<BroadcastContent> {
    let serialised = Serialised {
        msg_type: MsgType::parse(&message.msg_type)?,
        content: message.content.clone(),
    };
    serialised.broadcast()
}

/// What is on record of a batch in clear.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Facts {
    pub(crate) app_id: AppId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tenant: Option<TenantKey>,
    pub(crate) lane: Lane,
    pub(crate) mode: Mode,
    /// Whether the caller needs the id of each message.
    #[serde(default)]
    pub(crate) needs_message_ids: bool,
    /// Whether the caller's callback is told of the end of each job.
    #[serde(default)]
    pub(crate) wants_callback: bool,
    pub(crate) msg_type: String,
    pub(crate) content_hash: String,
    pub(crate) created_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) deliver_at: Option<Timestamp>,
    pub(crate) expires_at: Timestamp,
    pub(crate) stage: Stage,
    /// How many receivers the request named.
    pub(crate) entries: u32,
    /// How many of them were given before, in this way or another.
    #[serde(default)]
    pub(crate) duplicates: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) unreached: Vec<Unreached>,
    /// How many receivers have a job, or are in a call of a broadcast.
    #[serde(default)]
    pub(crate) people: u32,
    /// The calls of a broadcast.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) parts: Vec<Part>,
    /// Since when receivers cannot be looked up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lookups_failed_since: Option<Timestamp>,
    /// When somebody looks at it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) look_at: Option<Timestamp>,
    /// How often somebody did since it was queued.
    #[serde(default)]
    pub(crate) looks: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cancelled_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ended_at: Option<Timestamp>,
    /// Where everybody was at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) counts: Option<BatchCounts>,
}

/// A batch: one record of the store.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Whose it is, and which.
    pub key: BatchKey,
    /// What is on record in clear.
    pub facts: Facts,
    /// What is sealed; `None` after the end, where it was not asked for, and where it does not open.
    pub payload: Option<Payload>,
    /// What is sealed and does not open, as it is on record. It is kept until the end: its key may come back.
    pub(crate) unopened: Option<Vec<u8>>,
    /// The version of its record; zero before the first write.
    pub version: u64,
}

impl Batch {
    /// Which queue it takes.
    #[must_use]
    pub const fn lane(&self) -> Lane {
        self.facts.lane
    }

    /// Where it is.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> BatchState {
        let facts = &self.facts;
        if facts.cancelled_at.is_some() {
            return BatchState::Cancelled;
        }
        match facts.stage {
            Stage::Accepted if facts.deliver_at.is_some_and(|at| at > now) => BatchState::Scheduled,
            Stage::Accepted | Stage::Planned | Stage::Made => BatchState::Queued,
            Stage::Queued => BatchState::Sending,
            Stage::Ended => BatchState::Ended,
        }
    }

    /// Whether it is in no queue, because it waits for a moment.
    pub(crate) fn waits_for_a_time(&self, now: Timestamp) -> bool {
        let facts = &self.facts;
        if facts.stage == Stage::Ended {
            return true;
        }
        let starts = facts.deliver_at.filter(|_| facts.stage == Stage::Accepted);
        let waits_until = starts.max(facts.look_at);
        // What was taken back is recalled at once.
        facts.cancelled_at.is_none() && waits_until.is_some_and(|at| at > now)
    }

    /// Whether it goes out in calls for many.
    #[must_use]
    pub fn is_broadcast(&self) -> bool {
        !self.facts.parts.is_empty()
    }

    /// What is sealed.
    ///
    /// # Errors
    /// [`Error::Seal`] when it does not open.
    pub(crate) fn content(&self) -> Result<&Payload> {
        self.payload.as_ref().ok_or_else(|| {
            if self.unopened.is_some() {
                SealError::Broken.into()
            } else {
                Error::internal("a batch without content is not at its end")
            }
        })
    }

    /// The job for the receiver at `place`, as it is made.
    pub(crate) fn job(&self, place: u32, to: Address) -> Job {
        let facts = &self.facts;
        Job {
            key: self.key.job(place),
            app_id: facts.app_id.clone(),
            tenant: facts.tenant.clone(),
            to: to.into(),
            lane: facts.lane,
            message: None,
            content_hash: facts.content_hash.clone(),
            msg_type: facts.msg_type.clone(),
            created_at: facts.created_at,
            deliver_at: facts.deliver_at,
            expires_at: facts.expires_at,
            attempts: Vec::new(),
            attempt_count: 0,
            unsettled_since: None,
            leased_until: None,
            held_until: None,
            settling: None,
            dead: None,
            end: None,
            callback: facts.wants_callback.then(JobCallback::default),
            version: 0,
        }
    }

    /// The batch, to be looked at again after this pause that doubles with each look.
    pub(crate) fn looked_at(mut self, now: Timestamp) -> Self {
        let doublings = 2_u32.saturating_pow(self.facts.looks.min(16));
        let pause = FIRST_LOOK.saturating_mul(doublings).min(LONGEST_LOOK);
        self.facts.looks = self.facts.looks.saturating_add(1);
        self.facts.look_at = Some(now + pause);
        self
    }

    /// The batch at its end, with where everybody is. What was to be sent is forgotten.
    pub(crate) fn ended(mut self, counts: BatchCounts, now: Timestamp) -> Self {
        self.facts.stage = Stage::Ended;
        self.facts.ended_at = Some(now);
        self.facts.counts = Some(counts);
        self.facts.look_at = None;
        (self.payload, self.unopened) = (None, None);
        self
    }

    /// The broadcast, put off until the month turns. One whose caller set no end gets its day from then on.
    pub(crate) fn held(mut self, until: Timestamp) -> Self {
        let facts = &mut self.facts;
        let begins = facts.deliver_at.unwrap_or(facts.created_at);
        if facts.expires_at == begins + DEFAULT_LIFE {
            facts.expires_at = until + DEFAULT_LIFE;
        }
        facts.look_at = Some(until);
        self
    }

    /// Counts without jobs: of a batch that has none yet, or is broadcast.
    pub(crate) fn own_counts(&self, now: Timestamp) -> BatchCounts {
        let facts = &self.facts;
        if let Some(counts) = facts.counts {
            return counts;
        }
        let mut counts = BatchCounts {
            unreached: count(facts.unreached.len()),
            ..BatchCounts::default()
        };
        if facts.stage == Stage::Accepted {
            let state = match self.state(now) {
                BatchState::Scheduled => State::Scheduled,
                BatchState::Queued | BatchState::Sending | BatchState::Ended => State::Queued,
                BatchState::Cancelled => State::Cancelled,
            };
            counts.add(state, facts.entries);
        }
        let is_held = facts.look_at.is_some_and(|at| at > now) && facts.stage == Stage::Planned;
        for part in &facts.parts {
            part.count_into(&mut counts, is_held);
        }
        counts
    }

    /// Whether every call of a broadcast was made, or never will be.
    pub(crate) fn are_parts_settled(&self) -> bool {
        self.facts.parts.iter().all(|part| match part.state {
            PartState::Planned | PartState::Attempted { .. } => false,
            PartState::Sent(_)
            | PartState::Refused(_)
            | PartState::Uncertain { .. }
            | PartState::Expired
            | PartState::Cancelled => true,
        })
    }

    /// When somebody has to look after it if nobody does by then; `None` after its end.
    pub(crate) fn due(&self, now: Timestamp) -> Option<Due> {
        let facts = &self.facts;
        if facts.stage == Stage::Ended {
            return None;
        }
        let attempts = facts.parts.iter().filter_map(|part| match part.state {
            PartState::Attempted { at } => Some(at + LEASE * 2),
            PartState::Planned
            | PartState::Sent(_)
            | PartState::Refused(_)
            | PartState::Uncertain { .. }
            | PartState::Expired
            | PartState::Cancelled => None,
        });
        let starts = facts.deliver_at.filter(|_| facts.stage == Stage::Accepted);
        let later = [starts, facts.look_at]
            .into_iter()
            .flatten()
            .chain(attempts);
        let later = later.filter(|at| *at > now).max();
        Some(Due {
            shard: self.key.shard(),
            at: later.unwrap_or(now + ABANDONED),
        })
    }
}
