//! The queue, as a port: messages of a group come out one after the other, in the order in which they went in.
//!
//! What SQS FIFO queues do is the promise, and an adapter in a file keeps the same one; [`contract`] states it and tests every
//! adapter for it. Delivery is at least once: a receiver that dies, or whose deletion is lost, leaves its message to be received
//! again. So what must happen once is kept in the store, never here, and a body names a record and is none.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

#[cfg(any(test, feature = "contract"))]
pub mod contract;
#[cfg(feature = "embedded")]
pub mod embedded;
mod observed;
pub mod sqs;

pub use observed::ObservedQueue;

/// The longest time for which a message is hidden. SQS counts 12 hours from when it was received, and refuses what would go
/// beyond; one of them is left for the time since.
pub const MAX_HIDDEN: Duration = Duration::from_secs(11 * 60 * 60);
/// The longest wait for a message, as SQS has it.
pub const MAX_WAIT: Duration = Duration::from_secs(20);
/// The most messages of one [`Queue::receive`].
pub const MAX_RECEIVED: usize = 10;
/// The most bytes of a body. Bodies are ids: ten of the longest are far below the 256 KiB that a request to SQS may have.
pub const MAX_BODY: usize = 4_096;
/// For how long a second message with the same id is dropped, as SQS has it.
pub const DEDUPLICATION_WINDOW: Duration = Duration::from_secs(5 * 60);

/// A queue. Each lane is a queue of its own, so that many messages in one keep none in the other waiting.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    /// What somebody waits for.
    Normal,
    /// Batches, and whatever asked to be one of many.
    Bulk,
}

impl Lane {
    /// Every lane.
    pub const ALL: [Self; 2] = [Self::Normal, Self::Bulk];

    /// Its name in metrics, logs, records and the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Bulk => "bulk",
        }
    }
}

/// A message to be sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// Messages of one group are received in the order in which they were sent, and none while an earlier one is with a receiver. 1 to
    /// 128 letters, digits and punctuation (SQS `MessageGroupId`): a hash, as it stands in logs of AWS.
    pub group: String,
    /// A second message of the group with this id within five minutes is dropped, and counts as sent. As a group's name (SQS
    /// `MessageDeduplicationId`, in the scope of its group).
    pub deduplication: String,
    /// What is received; 1 to [`MAX_BODY`] bytes, without control characters but tabs and line ends.
    pub body: String,
}

/// Why an entry was not sent; the source of [`QueueError::Unavailable`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotSent {
    /// No queue takes it.
    #[error("its {0} is empty, too long, or has characters that no queue takes")]
    Invalid(&'static str),
    /// Sent now, it would overtake the one that was not.
    #[error("an earlier message of its group was not sent")]
    AfterFailure,
}

impl Entry {
    /// The most characters of [`Entry::group`] and [`Entry::deduplication`].
    const MAX_NAME: usize = 128;

    /// Whether every adapter takes it.
    ///
    /// # Errors
    /// [`NotSent::Invalid`].
    pub fn check(&self) -> Result<(), NotSent> {
        let is_name = |text: &str| {
            (1..=Self::MAX_NAME).contains(&text.len())
                && text.bytes().all(|byte| byte.is_ascii_graphic())
        };
        // https://www.w3.org/TR/REC-xml/#charsets, which SQS names.
        let is_refused = |c: char| {
            c.is_control() && !matches!(c, '\t' | '\n' | '\r')
                || matches!(c, '\u{fffe}' | '\u{ffff}')
        };
        if !is_name(&self.group) {
            return Err(NotSent::Invalid("group"));
        }
        if !is_name(&self.deduplication) {
            return Err(NotSent::Invalid("deduplication id"));
        }
        if !(1..=MAX_BODY).contains(&self.body.len()) || self.body.contains(is_refused) {
            return Err(NotSent::Invalid("body"));
        }
        Ok(())
    }
}

/// A message that was received. Until its time is over nobody else receives it or a later one of its group.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Received {
    /// The queue's own id of the message.
    pub id: String,
    /// What deletes or hides it; valid until it is received again.
    pub receipt: Receipt,
    /// [`Entry::group`].
    pub group: String,
    /// [`Entry::body`].
    pub body: String,
    /// How often it was received, this time included. Each pause by [`Queue::hide`] leads to one more.
    pub receive_count: u32,
}

/// Names a reception of a message, opaque.
#[derive(Clone, Debug, Eq, Hash, PartialEq, Deserialize, Serialize)]
pub struct Receipt(pub String);

/// How many messages a queue has, about: SQS counts with a delay of up to a minute.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Depth {
    /// Those that can be received, or could if none of their group were in flight.
    pub waiting: u64,
    /// Those with a receiver, or hidden.
    pub in_flight: u64,
}

/// Why a queue operation failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum QueueError {
    /// No answer in time; it may or may not have happened.
    #[error("{operation} on the queue timed out")]
    Timeout {
        /// `send`, `receive`, …
        operation: &'static str,
    },
    /// The queue refused, failed or is unreachable; it may or may not have happened.
    #[error("{operation} on the queue failed")]
    Unavailable {
        /// `send`, `receive`, …
        operation: &'static str,
        /// The adapter's error.
        #[source]
        source: Arc<dyn StdError + Send + Sync>,
    },
    /// The receipt is not of the last reception, or the time of the reception is over: somebody else may have the message.
    #[error("the message is no longer with this receiver")]
    Gone,
}

impl QueueError {
    /// The queue failed at `operation` because of `source`.
    pub fn unavailable(
        operation: &'static str,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self::Unavailable {
            operation,
            source: Arc::from(source.into()),
        }
    }
}

/// A queue with groups and lanes.
#[async_trait]
pub trait Queue: fmt::Debug + Send + Sync {
    /// Sends `entries` to `lane`, those of one group in their order. Returns the outcome of each, in the same order: one may
    /// fail where another one succeeds, but none is sent after one of its group that failed ([`NotSent::AfterFailure`]). What
    /// was sent is not lost when a process, or the machine, dies.
    async fn send(&self, lane: Lane, entries: &[Entry]) -> Vec<Result<(), QueueError>>;

    /// At most `limit` messages (1 to [`MAX_RECEIVED`]) of `lane`, hidden from others for `hidden_for`, at most [`MAX_HIDDEN`].
    /// Waits for one to come for up to `wait`, at most [`MAX_WAIT`]. Several of one group may come together, in their order;
    /// groups take turns. SQS counts in whole seconds: hidden times are rounded up, waits down.
    ///
    /// # Errors
    /// [`QueueError::Timeout`], [`QueueError::Unavailable`]; messages may be hidden for `hidden_for` all the same.
    async fn receive(
        &self,
        lane: Lane,
        limit: usize,
        hidden_for: Duration,
        wait: Duration,
    ) -> Result<Vec<Received>, QueueError>;

    /// Deletes a message that was received. Deleting it twice is fine: a queue that cannot tell says [`QueueError::Gone`] the
    /// second time.
    ///
    /// # Errors
    /// [`QueueError::Gone`], and the queue's errors.
    async fn delete(&self, lane: Lane, receipt: &Receipt) -> Result<(), QueueError>;

    /// Hides a message that was received for `length` from now, at most [`MAX_HIDDEN`], with all later ones of its group; zero
    /// gives it back. Later ones that came with it stay with their receiver: it gives them back, too. In place of a longer wait
    /// a message is deleted and sent again at its time.
    ///
    /// # Errors
    /// [`QueueError::Gone`], and the queue's errors.
    async fn hide(&self, lane: Lane, receipt: &Receipt, length: Duration)
    -> Result<(), QueueError>;

    /// How many messages `lane` has, about.
    ///
    /// # Errors
    /// [`QueueError::Timeout`], [`QueueError::Unavailable`].
    async fn depth(&self, lane: Lane) -> Result<Depth, QueueError>;
}
