//! How a message ends, with its evidence.

use serde::{Deserialize, Serialize};

use super::State;
use crate::clock::Timestamp;
use crate::error::{FailureKind, LarkFailure};

/// The one end of a job.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// The platform made the message.
    Delivered(Delivered),
    /// It will never be made.
    Refused(Refused),
    /// Its time was over before its turn came: no call went out, or none that can have made it; or the chat's history shows that none
    /// of its calls made it, too late for another one.
    Expired {
        /// When that was seen.
        at: Timestamp,
        /// The history that shows it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        history: Option<HistoryRead>,
    },
    /// Its caller took it back before it was sent.
    Cancelled {
        /// When.
        at: Timestamp,
    },
    /// Nobody can tell.
    Uncertain(Uncertain),
}

/// The evidence that a message was made.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
pub struct Delivered {
    /// When the answer came.
    pub at: Timestamp,
    /// The platform's id of the message.
    pub message_id: String,
    /// The chat that it is in.
    pub chat_id: Option<String>,
    /// The platform's id of the call.
    pub log_id: Option<String>,
    /// The history in which it was found, when its answer was lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<HistoryRead>,
}

/// What was read of a chat's history, to find out whether a message is in it.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
pub struct HistoryRead {
    /// When.
    pub at: Timestamp,
    /// The chat.
    pub chat_id: String,
    /// From this moment.
    pub from: Timestamp,
    /// Up to this one.
    pub until: Timestamp,
}

/// Why a message is never made.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
pub struct Refused {
    /// When that was known.
    pub at: Timestamp,
    /// What it means.
    pub kind: FailureKind,
    /// The platform's code.
    pub code: Option<i64>,
    /// Its words.
    pub msg: String,
    /// The platform's id of the call.
    pub log_id: Option<String>,
    /// The history that shows that no earlier call, whose answer was lost, made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<HistoryRead>,
}

/// What is known of a message of which nobody can tell whether it was made.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
pub struct Uncertain {
    /// When that was given up.
    pub at: Timestamp,
    /// When the first call went out whose outcome is unknown.
    pub since: Timestamp,
    /// Why it cannot be found out.
    pub reason: String,
}

impl End {
    /// When it was known.
    #[must_use]
    pub const fn at(&self) -> Timestamp {
        match self {
            Self::Delivered(it) => it.at,
            Self::Refused(it) => it.at,
            Self::Uncertain(it) => it.at,
            Self::Expired { at, .. } | Self::Cancelled { at } => *at,
        }
    }

    /// The state of a job with this end.
    #[must_use]
    pub const fn state(&self) -> State {
        match self {
            Self::Delivered(_) => State::Delivered,
            Self::Refused(_) => State::Refused,
            Self::Expired { .. } => State::Expired,
            Self::Cancelled { .. } => State::Cancelled,
            Self::Uncertain(_) => State::Uncertain,
        }
    }
}

impl Refused {
    pub(super) fn by(failure: &LarkFailure, at: Timestamp) -> Self {
        Self {
            at,
            kind: failure.kind,
            code: failure.code,
            msg: failure.msg.clone(),
            log_id: failure.log_id.clone(),
            history: None,
        }
    }
}
