//! The calls of a broadcast, as values.

use serde::{Deserialize, Serialize};

use super::super::{Refused, State};
use super::counts::BatchCounts;
use crate::clock::Timestamp;

/// A call of a broadcast.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
pub(crate) struct Part {
    /// How many of the people it is for.
    pub(crate) people: u32,
    pub(crate) state: PartState,
}

/// Where a call of a broadcast is.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PartState {
    /// It has not been made.
    Planned,
    /// It was written ahead.
    Attempted { at: Timestamp },
    /// The platform took it.
    Sent(PartSent),
    /// The platform never will.
    Refused(Refused),
    /// It may have.
    Uncertain { since: Timestamp, reason: String },
    /// Its time was over before it was made.
    Expired,
    /// Its caller took it back before it was made.
    Cancelled,
}

/// What the platform said of a call that it took, and since then.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
pub(crate) struct PartSent {
    pub(crate) at: Timestamp,
    pub(crate) message_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) log_id: Option<String>,
    /// How many people the platform has no message for.
    #[serde(default)]
    pub(crate) invalid: u32,
    #[serde(default)]
    pub(crate) delivered: u32,
    #[serde(default)]
    pub(crate) read: u32,
    /// Whether it was taken back, or the platform said that it cannot be.
    #[serde(default)]
    pub(crate) is_recalled: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) recall_refused: Option<String>,
}

impl Part {
    /// Where the people of this call are.
    pub(super) fn count_into(&self, counts: &mut BatchCounts, is_held: bool) {
        let people = self.people;
        match &self.state {
            PartState::Planned if is_held => counts.add(State::Held, people),
            PartState::Planned => counts.add(State::Queued, people),
            PartState::Attempted { .. } => counts.add(State::Sending, people),
            PartState::Sent(sent) => {
                // Who is invalid stands in the list of those who are not reached.
                let valid = people.saturating_sub(sent.invalid);
                let delivered = sent.delivered.min(valid);
                counts.add(State::Delivered, delivered);
                let state = if sent.is_recalled {
                    State::Cancelled
                } else {
                    State::Sending
                };
                counts.add(state, valid - delivered);
            }
            PartState::Refused(_) => counts.add(State::Refused, people),
            PartState::Uncertain { .. } => counts.add(State::Uncertain, people),
            PartState::Expired => counts.add(State::Expired, people),
            PartState::Cancelled => counts.add(State::Cancelled, people),
        }
    }
}
