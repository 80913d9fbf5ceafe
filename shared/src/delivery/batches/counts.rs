//! How many receivers of a batch are where, and who gets nothing.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::State;

/// A receiver who gets nothing.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize, ToSchema)]
#[schema(as = MessageUnreached)]
pub struct Unreached {
    /// The place in `to`, from 0.
    pub entry: u32,
    /// Why, as an error code: `receiver_not_found`, `lark_forbidden`, `queue_full`, …
    pub code: String,
    /// The same in words.
    pub detail: String,
}

/// How many receivers are where. Together they are the receivers of the request, without those who were given twice.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Deserialize, Serialize, ToSchema)]
#[schema(as = MessageBatchCounts)]
pub struct BatchCounts {
    /// It is for later.
    pub scheduled: u32,
    /// They wait for their turn.
    pub queued: u32,
    /// The platform is being called, or delivers.
    pub sending: u32,
    /// The month's quota is used up.
    pub held: u32,
    /// They have the message.
    pub delivered: u32,
    /// The platform will never make the message.
    pub refused: u32,
    /// Its end came before their turn.
    pub expired: u32,
    /// It was taken back before it was sent to them.
    pub cancelled: u32,
    /// Nobody can tell whether they have it.
    pub uncertain: u32,
    /// They were not found, or cannot get it: `unreached` says why.
    pub unreached: u32,
}

impl BatchCounts {
    /// Counts `people` more in `state`.
    pub(crate) const fn add(&mut self, state: State, people: u32) {
        let count = match state {
            State::Scheduled => &mut self.scheduled,
            State::Queued => &mut self.queued,
            State::Sending => &mut self.sending,
            State::Held => &mut self.held,
            State::Delivered => &mut self.delivered,
            State::Refused => &mut self.refused,
            State::Expired => &mut self.expired,
            State::Cancelled => &mut self.cancelled,
            State::Uncertain => &mut self.uncertain,
        };
        *count += people;
    }

    /// How many may still change.
    #[must_use]
    pub const fn open(&self) -> u32 {
        self.scheduled + self.queued + self.sending + self.held
    }

    /// How many jobs ended without a message.
    #[must_use]
    pub const fn undelivered(&self) -> u32 {
        self.refused + self.expired + self.cancelled + self.uncertain
    }
}

/// A number of receivers.
pub(crate) fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
