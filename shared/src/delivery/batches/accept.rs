//! Taking a batch: it is on record before its caller hears of it.

use tracing::warn;

use super::super::accept::Ticket;
use super::super::id::{BatchId, BatchKey};
use super::super::{DEFAULT_LIFE, Delivery, Message};
use super::MAX_PAYLOAD_BYTES;
use super::batch::{Batch, Facts, Mode, Payload, Stage, broadcast};
use super::counts::count;
use super::plan::{BatchPlan, Wish};
use crate::apps::AppContext;
use crate::clock::Timestamp;
use crate::deadline::Deadline;
use crate::error::{Error, FieldError, Result};
use crate::idempotency::Once;
use crate::messages::ReceiverFields;
use crate::page::hashed;
use crate::queue::{Entry, Lane};
use crate::store::{Expect, StoreError};

/// The scope of a batch's `Idempotency-Key`.
const ROUTE: &str = "POST /v1/messages/batch";

/// One content that a caller wants delivered to many.
#[derive(Clone)]
pub struct NewBatch {
    /// The id of the caller's API key.
    pub key_id: String,
    /// Whom it goes to: 1 to [`MAX_RECEIVERS`](super::MAX_RECEIVERS), each of a right form.
    pub receivers: Vec<ReceiverFields>,
    /// What is sent.
    pub message: Message,
    /// How.
    pub mode: Mode,
    /// Whether the caller needs the id of each message, to edit it or to reply to it.
    pub needs_message_ids: bool,
    /// Which queue it takes.
    pub lane: Lane,
    /// Not before; `None`: now.
    pub deliver_at: Option<Timestamp>,
    /// Not after; `None`: within a day of its time.
    pub expires_at: Option<Timestamp>,
    /// Whether the caller's callback is told of the end of each job.
    pub wants_callback: bool,
    /// The caller's `Idempotency-Key`, and a hash of the request that it came with.
    pub once: Option<Once>,
}

/// A batch that was taken.
#[derive(Debug)]
pub struct AcceptedBatch {
    /// The batch, as it is now.
    pub batch: Batch,
    /// Whether an earlier request with the same `Idempotency-Key` made it.
    pub is_repeated: bool,
}

impl NewBatch {
    /// Whether it can be sent as it is wanted.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] naming `mode`; [`Error::FieldTooLarge`] naming `to`.
    pub fn check(&self) -> Result<()> {
        if self.mode == Mode::Broadcast && broadcast(&self.message).is_none() {
            let msg_type = &self.message.msg_type;
            let message = format!(
                "must be each or auto: the platform broadcasts plain texts, posts without Markdown and styles, images, chats and cards, and not this {msg_type}"
            );
            return Err(Error::invalid("mode", message));
        }
        let payload = serde_json::to_string(&(&self.message, &self.receivers))
            .map_err(|error| Error::internal(format!("a batch: {error}")))?;
        let bytes = payload.len();
        if bytes > MAX_PAYLOAD_BYTES {
            let message = format!(
                "must be at most {MAX_PAYLOAD_BYTES} bytes together with the content; it is {bytes} bytes"
            );
            return Err(Error::FieldTooLarge(FieldError {
                field: "to".to_owned(),
                message,
            }));
        }
        Ok(())
    }

    fn batch(self, context: &AppContext, batch_id: BatchId, now: Timestamp) -> Batch {
        let deliver_at = self.deliver_at.filter(|at| *at > now);
        let facts = Facts {
            app_id: context.app().app_id.clone(),
            tenant: context.tenant().cloned(),
            lane: self.lane,
            mode: self.mode,
            needs_message_ids: self.needs_message_ids,
            wants_callback: self.wants_callback,
            msg_type: self.message.msg_type.clone(),
            content_hash: self.message.hash(),
            created_at: now,
            deliver_at,
            expires_at: self
                .expires_at
                .unwrap_or(deliver_at.unwrap_or(now) + DEFAULT_LIFE),
            stage: Stage::Accepted,
            entries: count(self.receivers.len()),
            duplicates: 0,
            unreached: Vec::new(),
            people: 0,
            parts: Vec::new(),
            lookups_failed_since: None,
            look_at: None,
            looks: 0,
            cancelled_at: None,
            ended_at: None,
            counts: None,
        };
        Batch {
            key: BatchKey {
                key_id: self.key_id,
                batch_id,
            },
            facts,
            payload: Some(Payload {
                message: self.message,
                receivers: self.receivers,
                people: Vec::new(),
            }),
            unopened: None,
            version: 0,
        }
    }
}

impl Delivery {
    /// Takes a batch and has it delivered by workers.
    ///
    /// # Errors
    /// Those of [`NewBatch::check`]; [`Error::QueueFull`], [`Error::IdempotencyMismatch`]; [`Error::Store`], after which it may have
    /// been taken all the same.
    pub async fn accept_batch(
        &self,
        context: &AppContext,
        new: NewBatch,
        deadline: Deadline,
    ) -> Result<AcceptedBatch> {
        new.check()?;
        let now = self.inner.clock.now();
        let mut batch_id = BatchId::new(now);
        let mut is_repeated = false;
        if let Some(once) = &new.once {
            let place = once.store_key(&new.key_id, ROUTE);
            let id = batch_id.as_str();
            let first = self.first(place, once, id, deadline).await?;
            if let Some(first) = first {
                is_repeated = true;
                batch_id = BatchId::parse(&first)
                    .ok_or_else(|| Error::internal("a repeated request names no batch"))?;
                let key = BatchKey {
                    key_id: new.key_id.clone(),
                    batch_id: batch_id.clone(),
                };
                if let Some(batch) = self.read_batch(&key, deadline).await? {
                    // That request may have died before it queued the batch.
                    self.enqueue_batch(&batch, deadline).await;
                    return Ok(AcceptedBatch { batch, is_repeated });
                }
                // That request died before it made the batch.
            }
        }
        self.require_room(new.lane, new.receivers.len(), deadline)
            .await?;
        let batch = new.batch(context, batch_id, now);
        let key = batch.key.clone();
        let batch = match self.put_batch(batch, Expect::Absent, deadline).await {
            // Another request with the same `Idempotency-Key` was faster.
            Err(Error::Store(StoreError::Conflict)) => {
                is_repeated = true;
                let there = self.read_batch(&key, deadline).await?;
                there.ok_or(StoreError::Conflict)?
            }
            outcome => outcome?,
        };
        self.enqueue_batch(&batch, deadline).await;
        Ok(AcceptedBatch { batch, is_repeated })
    }

    /// Whom `new` would go to, and how. Nothing is written or sent.
    ///
    /// # Errors
    /// Those of [`NewBatch::check`]; failed look-ups are in the plan.
    pub async fn plan_batch(
        &self,
        context: &AppContext,
        new: &NewBatch,
        deadline: Deadline,
    ) -> Result<BatchPlan> {
        new.check()?;
        let wish = Wish {
            mode: new.mode,
            needs_message_ids: new.needs_message_ids,
            message: &new.message,
        };
        let found = self.find_receivers(context, &new.receivers, wish, deadline);
        Ok(found.await?.plan)
    }

    /// Queues the batch for a worker, unless it waits for a time. If that fails, the scheduled run does it.
    pub(super) async fn enqueue_batch(&self, batch: &Batch, deadline: Deadline) {
        if batch.waits_for_a_time(self.inner.clock.now()) {
            return;
        }
        let (lane, entries) = (batch.facts.lane, [batch_entry(batch)]);
        let Some(queue) = &self.inner.queue else {
            warn!("there is no queue: a batch waits for the scheduled run");
            return;
        };
        let failed = match deadline.run(queue.send(lane, &entries)).await {
            Ok(outcomes) => outcomes.into_iter().find_map(std::result::Result::err),
            Err(_) => return,
        };
        if let Some(error) = failed {
            warn!(message.batch_id = batch.key.batch_id.as_str(), %error, "a batch is not queued: the scheduled run does it");
        }
    }
}

/// What is sent to the queue for `batch`, in a group of its own.
pub(in super::super) fn batch_entry(batch: &Batch) -> Entry {
    let ticket = Ticket {
        key_id: batch.key.key_id.clone(),
        job_id: batch.key.batch_id.to_string(),
        lane: batch.facts.lane,
        is_callback: false,
    };
    Entry {
        group: hashed(&format!("batch\n{}", batch.key.batch_id)),
        deduplication: format!("{}-{}", batch.key.batch_id, batch.version),
        body: serde_json::to_string(&ticket).expect("two texts"),
    }
}
