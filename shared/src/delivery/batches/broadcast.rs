//! The calls of a broadcast. Each is written ahead and made once: the platform could not tell a repeated one from another.

use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use super::super::id::BatchKey;
use super::super::job::LEASE;
use super::super::{Delivery, Refused};
use super::batch::{Batch, Stage};
use super::counts::{Unreached, count};
use super::part::{PartSent, PartState};
use super::step::{APP_PAUSE, Next};
use crate::apps::AppContext;
use crate::clock::{Stopwatch, Timestamp};
use crate::deadline::Deadline;
use crate::error::{Error, ErrorCode, FailureKind, LarkFailure, Result};
use crate::lark::Request;
use crate::lark::batch_messages::{self, BatchSent, MAX_PEOPLE};
use crate::lark::messages::Address;
use crate::platform::{Platform, SendError};
use crate::queue::Lane;
use crate::store::StoreError;

/// How long a call waits for its turn inside a process.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a call may take.
const CALL: Duration = Duration::from_secs(30);
/// A call begins only with this much time for it and for writing down what came of it.
const NEEDED: Duration = Duration::from_secs(8);
/// How long the outcome of a call has to be written.
const WRITE: Duration = Duration::from_secs(4);
/// A call goes out only this soon after it was written ahead.
const FRESH: Duration = Duration::from_secs(10);
/// The pause after a failure of the platform.
const PAUSE: Duration = Duration::from_secs(5);
/// How often the outcome of a call is written over what others wrote meanwhile.
const WRITES: u32 = 6;

/// Whom a call is for: their places in the request, and their `open_id`s.
type People = Vec<(u32, String)>;

/// What came of a call.
enum Outcome {
    /// It is settled.
    Settled(PartState, Vec<Unreached>),
    /// It certainly did nothing, and goes on after this pause.
    Later(Duration),
    /// The month's quota is used up: it goes on after this pause.
    Held(Duration),
}

impl Delivery {
    /// Makes the next call of a broadcast.
    pub(super) async fn broadcast(&self, mut batch: Batch, deadline: Deadline) -> Result<Next> {
        let now = self.inner.clock.now();
        let next = batch.facts.parts.iter().position(|part| {
            matches!(part.state, PartState::Planned | PartState::Attempted { .. })
        });
        let Some(number) = next else {
            batch.facts.stage = Stage::Queued;
            let batch = self.update_batch(batch.looked_at(now), deadline).await?;
            info!(
                message.batch_id = batch.key.batch_id.as_str(),
                "the calls of a broadcast were made"
            );
            return Ok(Next::Done);
        };
        if let PartState::Attempted { at } = batch.facts.parts[number].state {
            // Another worker is at it, or died there.
            if now < at + LEASE && at.since(now) <= LEASE {
                return Ok(Next::Wait((at + LEASE).since(now)));
            }
            let reason = "its answer was lost, and the platform does not tell a repeated call from another one";
            batch.facts.parts[number].state = PartState::Uncertain {
                since: at,
                reason: reason.to_owned(),
            };
            warn!(message.batch_id = batch.key.batch_id.as_str(), call = number, since = %at, "it is uncertain whether a call of a broadcast was made");
            return Ok(Next::step(self.update_batch(batch, deadline).await?));
        }
        if now >= batch.facts.expires_at {
            batch.facts.parts[number].state = PartState::Expired;
            return Ok(Next::step(self.update_batch(batch, deadline).await?));
        }
        let Some(context) = self.context_of_batch(&batch, deadline).await? else {
            return Ok(Next::Wait(APP_PAUSE));
        };
        if deadline.remaining() < NEEDED {
            return Ok(Next::Wait(Duration::ZERO));
        }
        let (request, people) = call(&batch, number)?;
        let patience = PATIENCE.min(deadline.remaining().saturating_sub(NEEDED));
        let platform = self.platform_of(batch.facts.lane);
        let turn = match platform.turn(&context, &request, patience).await {
            Ok(turn) => turn,
            Err(refused) => return Ok(Next::Wait(refused.retry_after.unwrap_or(PATIENCE))),
        };
        let written = Stopwatch::start(&*self.inner.clock);
        batch.facts.parts[number].state = PartState::Attempted { at: now };
        batch.facts.look_at = None;
        let ahead = self.update_batch(batch, deadline).await?;
        let clock = Arc::clone(&self.inner.clock);
        let request = request
            .with_turn(turn)
            .only_if(move || written.elapsed(&*clock) < FRESH);
        let outcome = self
            .call_many(&context, &ahead, &request, &people, deadline)
            .await;
        self.called(ahead, number, outcome, deadline).await
    }

    pub(super) fn platform_of(&self, lane: Lane) -> &Platform {
        match lane {
            Lane::Normal => &self.inner.platform,
            Lane::Bulk => &self.inner.background,
        }
    }

    async fn call_many(
        &self,
        context: &AppContext,
        batch: &Batch,
        request: &Request<BatchSent>,
        people: &[(u32, String)],
        deadline: Deadline,
    ) -> Outcome {
        let time = Deadline::after(deadline.remaining().saturating_sub(WRITE).min(CALL));
        let platform = self.platform_of(batch.facts.lane);
        let answer = platform.send(context, request, time).await;
        let now = self.inner.clock.now();
        match answer {
            Ok(sent) => {
                let id = batch.key.batch_id.as_str();
                let noted = self.note_broadcast(batch, &sent.message_id, deadline);
                if let Err(error) = noted.await {
                    // That the platform took it matters more.
                    warn!(message.batch_id = id, %error, "who sent a broadcast is not on record");
                }
                taken(sent, people, now)
            }
            Err(SendError::Lark(failure)) => failed(&failure, now),
            Err(SendError::Unsent(error)) => {
                Outcome::Later(error.retry_after().unwrap_or(APP_PAUSE))
            }
        }
    }

    /// Writes down what came of the call `number`, whatever others wrote meanwhile.
    async fn called(
        &self,
        ahead: Batch,
        number: usize,
        outcome: Outcome,
        deadline: Deadline,
    ) -> Result<Next> {
        let key: BatchKey = ahead.key.clone();
        let mut current = ahead;
        for _ in 0..WRITES {
            let now = self.inner.clock.now();
            if current.facts.stage == Stage::Ended {
                return Ok(Next::Done);
            }
            let Some(part) = current.facts.parts.get_mut(number) else {
                return Err(Error::internal("a call of a broadcast is missing"));
            };
            let mut pause = None;
            match &outcome {
                Outcome::Settled(state, unreached) => {
                    part.state = state.clone();
                    current.facts.unreached.extend(unreached.iter().cloned());
                    current.facts.unreached.sort_by_key(|it| it.entry);
                    current.facts.unreached.dedup_by_key(|it| it.entry);
                }
                Outcome::Later(wait) => {
                    part.state = PartState::Planned;
                    pause = Some(*wait);
                }
                Outcome::Held(wait) => {
                    part.state = PartState::Planned;
                    current = current.held(now + *wait);
                }
            }
            match self.update_batch(current, deadline).await {
                Ok(batch) => return Ok(pause.map_or_else(|| Next::step(batch), Next::Wait)),
                Err(Error::Store(StoreError::Conflict)) => {
                    let there = self.read_batch(&key, deadline).await?;
                    current = there.ok_or(StoreError::Conflict)?;
                }
                Err(error) => return Err(error),
            }
        }
        Err(StoreError::Conflict.into())
    }
}

/// The call `number` of a broadcast, and whom it is for, with their places.
fn call(batch: &Batch, number: usize) -> Result<(Request<BatchSent>, People)> {
    let payload = batch.content()?;
    let content = payload.broadcast();
    let content = content.ok_or_else(|| Error::internal("this content cannot be broadcast"))?;
    let people = payload
        .people
        .chunks(MAX_PEOPLE)
        .nth(number)
        .unwrap_or_default();
    let people: People = people
        .iter()
        .filter_map(|(entry, to)| match to {
            Address::OpenId(id) => Some((*entry, id.clone())),
            Address::ChatId(_) => None,
        })
        .collect();
    let ids: Vec<&str> = people.iter().map(|(_, id)| id.as_str()).collect();
    Ok((batch_messages::send(&content, &ids), people))
}

fn taken(sent: BatchSent, people: &[(u32, String)], now: Timestamp) -> Outcome {
    let is_invalid = |id: &String| sent.invalid_open_ids.contains(id);
    let invalid = people.iter().filter(|(_, id)| is_invalid(id));
    let unreached: Vec<Unreached> = invalid
        .map(|(entry, _)| Unreached {
            entry: *entry,
            code: ErrorCode::ReceiverNotFound.as_str().to_owned(),
            detail: "the platform says that this user cannot get the app's messages".to_owned(),
        })
        .collect();
    let state = PartState::Sent(PartSent {
        at: now,
        message_id: sent.message_id,
        log_id: sent.log_id,
        invalid: count(unreached.len()),
        delivered: 0,
        read: 0,
        is_recalled: false,
        recall_refused: None,
    });
    Outcome::Settled(state, unreached)
}

fn failed(failure: &LarkFailure, now: Timestamp) -> Outcome {
    if failure.may_have_happened() {
        let reason = format!("its answer was lost, and it cannot be repeated: {failure}");
        return Outcome::Settled(PartState::Uncertain { since: now, reason }, Vec::new());
    }
    match failure.kind {
        FailureKind::QuotaExhausted => Outcome::Held(failure.retry_after.unwrap_or(APP_PAUSE)),
        FailureKind::RateLimited | FailureKind::Unavailable | FailureKind::Timeout => {
            Outcome::Later(failure.retry_after.unwrap_or(PAUSE))
        }
        FailureKind::TokenInvalid
        | FailureKind::AppRefused
        | FailureKind::TenantRefused
        | FailureKind::TicketMissing => Outcome::Later(failure.retry_after.unwrap_or(APP_PAUSE)),
        FailureKind::NotFound
        | FailureKind::Forbidden
        | FailureKind::GrantVoid
        | FailureKind::Invalid
        | FailureKind::Rejected => {
            let refused = PartState::Refused(Refused::by(failure, now));
            Outcome::Settled(refused, Vec::new())
        }
    }
}
