//! A batch as the API shows it.

use serde::Serialize;
use utoipa::ToSchema;

use super::super::view::JobView;
use super::super::{Job, State};
use super::batch::{Batch, BatchState, Mode};
use super::counts::{BatchCounts, Unreached};
use super::part::PartState;
use crate::clock::Timestamp;
use crate::queue::Lane;

/// One content on its way to many, or what became of it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MessageBatch)]
pub struct BatchView {
    /// Its id: `mb_` and 26 characters.
    batch_id: String,
    state: BatchState,
    /// The app that sends it.
    app_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant_key: Option<String>,
    /// As it was asked for.
    mode: Mode,
    /// Whether it goes out in calls for two hundred people each; absent until that is decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    is_broadcast: Option<bool>,
    /// `normal` or `bulk`.
    #[schema(value_type = String)]
    lane: Lane,
    /// The platform's type of the message.
    msg_type: String,
    /// When it was accepted.
    #[schema(format = DateTime)]
    created_at: String,
    /// Not before.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    deliver_at: Option<String>,
    /// Not after.
    #[schema(format = DateTime)]
    expires_at: String,
    /// When it was taken back.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    cancelled_at: Option<String>,
    /// When it was seen that every message of it has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    ended_at: Option<String>,
    /// How many receivers the request names.
    entries: u32,
    /// How many of them are somebody whom an entry before names too: they count once.
    duplicates: u32,
    /// How many receivers are where.
    counts: BatchCounts,
    /// Those who get nothing, by their place in `to`.
    unreached: Vec<Unreached>,
    /// The first hundred jobs that ended without a message; `GET /v1/message-jobs?batch_id=…&state=…` lists all.
    undelivered: Vec<JobView>,
    /// The calls of a broadcast.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    calls: Vec<CallView>,
}

/// A call of a broadcast.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MessageBroadcastCall)]
struct CallView {
    /// Where it is: `queued`, `sending`, `delivered` once the platform took it, `refused`, `expired`, `cancelled` or `uncertain`.
    state: State,
    /// How many people it is for.
    people: u32,
    /// When the platform took it, or when the call went out whose outcome is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    at: Option<String>,
    /// The platform's id of the message: `bm-…`.
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<String>,
    /// The platform's id of the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    log_id: Option<String>,
    /// How many have it, as the platform said last.
    #[serde(skip_serializing_if = "Option::is_none")]
    delivered: Option<u32>,
    /// How many have read it, as the platform said last.
    #[serde(skip_serializing_if = "Option::is_none")]
    read: Option<u32>,
    /// Whether it was recalled, of a batch that was taken back.
    #[serde(skip_serializing_if = "Option::is_none")]
    is_recalled: Option<bool>,
    /// The platform's code of a refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<i64>,
    /// Why it was refused or not recalled, or why nobody can tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// A job, or a batch of them.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = MessageJobOrBatch)]
pub enum JobOrBatchView {
    /// One message.
    Job(Box<JobView>),
    /// One content to many.
    Batch(Box<BatchView>),
}

impl BatchView {
    pub(super) fn of(
        batch: &Batch,
        counts: BatchCounts,
        undelivered: &[Job],
        now: Timestamp,
    ) -> Self {
        let facts = &batch.facts;
        let text = |at: Option<Timestamp>| at.map(|at| at.to_string());
        let is_planned = facts.people > 0;
        let jobs = undelivered.iter().map(|job| JobView::of(job, now));
        Self {
            batch_id: batch.key.batch_id.to_string(),
            state: batch.state(now),
            app_id: facts.app_id.to_string(),
            tenant_key: facts.tenant.as_ref().map(ToString::to_string),
            mode: facts.mode,
            is_broadcast: is_planned.then(|| batch.is_broadcast()),
            lane: facts.lane,
            msg_type: facts.msg_type.clone(),
            created_at: facts.created_at.to_string(),
            deliver_at: text(facts.deliver_at),
            expires_at: facts.expires_at.to_string(),
            cancelled_at: text(facts.cancelled_at),
            ended_at: text(facts.ended_at),
            entries: facts.entries,
            duplicates: facts.duplicates,
            counts,
            unreached: facts.unreached.clone(),
            undelivered: jobs.collect(),
            calls: facts
                .parts
                .iter()
                .map(|part| CallView::of(&part.state, part.people))
                .collect(),
        }
    }

    /// `batch` as it was just taken.
    #[must_use]
    pub fn accepted(batch: &Batch, now: Timestamp) -> Self {
        let mut counts = batch.own_counts(now);
        if !batch.is_broadcast() && batch.facts.counts.is_none() {
            // Where its jobs are is not looked up here.
            counts.queued += batch.facts.people;
        }
        Self::of(batch, counts, &[], now)
    }

    /// Its id.
    #[must_use]
    pub fn batch_id(&self) -> &str {
        &self.batch_id
    }

    /// Where it is.
    #[must_use]
    pub const fn state(&self) -> BatchState {
        self.state
    }

    /// How many receivers are where.
    #[must_use]
    pub const fn counts(&self) -> BatchCounts {
        self.counts
    }

    /// Those who get nothing.
    #[must_use]
    pub fn unreached(&self) -> &[Unreached] {
        &self.unreached
    }
}

impl CallView {
    fn of(state: &PartState, people: u32) -> Self {
        let view = Self {
            state: State::Queued,
            people,
            at: None,
            message_id: None,
            log_id: None,
            delivered: None,
            read: None,
            is_recalled: None,
            code: None,
            reason: None,
        };
        match state {
            PartState::Planned => view,
            PartState::Attempted { at } => Self {
                state: State::Sending,
                at: Some(at.to_string()),
                ..view
            },
            PartState::Sent(sent) => Self {
                state: State::Delivered,
                at: Some(sent.at.to_string()),
                message_id: Some(sent.message_id.clone()),
                log_id: sent.log_id.clone(),
                delivered: Some(sent.delivered),
                read: Some(sent.read),
                is_recalled: sent.is_recalled.then_some(true),
                reason: sent.recall_refused.clone(),
                ..view
            },
            PartState::Refused(refused) => Self {
                state: State::Refused,
                at: Some(refused.at.to_string()),
                log_id: refused.log_id.clone(),
                code: refused.code,
                reason: Some(refused.msg.clone()),
                ..view
            },
            PartState::Uncertain { since, reason } => Self {
                state: State::Uncertain,
                at: Some(since.to_string()),
                reason: Some(reason.clone()),
                ..view
            },
            PartState::Expired => Self {
                state: State::Expired,
                ..view
            },
            PartState::Cancelled => Self {
                state: State::Cancelled,
                ..view
            },
        }
    }
}
