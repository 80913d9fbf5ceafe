//! Bounds of what waits: 100,000 messages in a queue, because SQS looks for free groups among the first 120,000 only, and 5,000 to one
//! receiver, which is a thousand seconds of what the platform takes.
//!
//! Both are kept about. The depth of a queue is asked for every few seconds by each process, and SQS counts with a delay. What waits
//! for a receiver is counted by a bucket in the shared cache: five thousand fit in, and five flow out each second, as the platform takes
//! them. While the platform takes nothing, five a second more are accepted. It costs no request of the store.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tracing::warn;

use super::{Delivery, Job};
use crate::clock::Timestamp;
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::limiter::LimitKey;
use crate::queue::Lane;
use crate::quota::Quota;

/// The most messages in a queue.
const MAX_QUEUED: u64 = 100_000;
/// The most messages that wait for one receiver.
const MAX_TO_RECEIVER: NonZeroU32 = NonZeroU32::new(5_000).expect("not zero");
/// How many messages a second the platform takes for a receiver.
const PER_SECOND: NonZeroU32 = NonZeroU32::new(5).expect("not zero");
/// How long a process goes by a depth that it asked for.
const REMEMBERED: Duration = Duration::from_secs(5);
/// How long a queue may take to say how deep it is.
const PATIENCE: Duration = Duration::from_secs(2);
/// When a full queue is worth another try.
const FULL: Duration = Duration::from_secs(60);

/// The depths of the queues, as this process knows them.
#[derive(Debug, Default)]
pub(super) struct Depths(Mutex<HashMap<Lane, (Timestamp, u64)>>);

impl Depths {
    fn get(&self, lane: Lane, now: Timestamp) -> Option<u64> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, depth) = known.get(&lane).copied()?;
        (at <= now && now < at + REMEMBERED).then_some(depth)
    }

    fn put(&self, lane: Lane, now: Timestamp, depth: u64) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(lane, (now, depth));
    }

    /// What this process is about to queue counts at once.
    fn add(&self, lane: Lane, messages: u64) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, depth)) = known.get_mut(&lane) {
            *depth = depth.saturating_add(messages);
        }
    }
}

impl Delivery {
    /// Passes if the queue of `lane` has room for so many `messages` more. One that does not say how deep it is has.
    ///
    /// # Errors
    /// [`Error::QueueFull`].
    pub(super) async fn require_room(
        &self,
        lane: Lane,
        messages: usize,
        deadline: Deadline,
    ) -> Result<()> {
        let inner = &self.inner;
        let Some(queue) = &inner.queue else {
            return Ok(());
        };
        let now = inner.clock.now();
        let depth = if let Some(depth) = inner.depths.get(lane, now) {
            depth
        } else {
            let asked = deadline.at_most(PATIENCE).run(queue.depth(lane)).await;
            let depth = match asked {
                Ok(Ok(depth)) => depth.waiting + depth.in_flight,
                Ok(Err(error)) => {
                    warn!(queue.lane = lane.name(), %error, "how deep a queue is is not known");
                    0
                }
                Err(_) => {
                    warn!(
                        queue.lane = lane.name(),
                        "how deep a queue is is not known in time"
                    );
                    0
                }
            };
            inner.depths.put(lane, now, depth);
            depth
        };
        let messages = u64::try_from(messages).unwrap_or(u64::MAX);
        if depth.saturating_add(messages) > MAX_QUEUED {
            return Err(Error::QueueFull {
                what: "the queue of this lane has as many messages as it takes",
                retry_after: FULL,
            });
        }
        inner.depths.add(lane, messages);
        Ok(())
    }

    /// Passes if there is room for `job`, and counts it.
    ///
    /// # Errors
    /// [`Error::QueueFull`].
    pub(super) async fn require_room_for(&self, job: &Job, deadline: Deadline) -> Result<()> {
        self.require_room(job.lane, 1, deadline).await?;
        self.require_room_of(&job.group()).await
    }

    /// Passes if one more message may wait for the receiver of `group`, and counts it.
    ///
    /// # Errors
    /// [`Error::QueueFull`].
    pub(super) async fn require_room_of(&self, group: &str) -> Result<()> {
        let quota = Quota::new(PER_SECOND, Duration::from_secs(1)).with_burst(MAX_TO_RECEIVER);
        let key = LimitKey::new("receiver_queue", group);
        let decision = self.inner.limiter.admit(&key, &[quota], 1).await;
        if decision.is_allowed {
            return Ok(());
        }
        Err(Error::QueueFull {
            what: "as many messages wait for this receiver as may",
            retry_after: decision.retry_after,
        })
    }
}
