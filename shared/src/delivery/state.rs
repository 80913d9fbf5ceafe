//! Where a job is.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where a job is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = MessageJobState)]
pub enum State {
    /// It is for later.
    Scheduled,
    /// It waits for its turn.
    Queued,
    /// The platform is being called, or it is not known yet what came of a call.
    Sending,
    /// The month's quota of calls is used up, and it waits for the month to turn; or it is a dead letter, and waits for an operator.
    Held,
    /// The platform made the message.
    Delivered,
    /// The platform, or this service, will never make it.
    Refused,
    /// Its end came before its turn.
    Expired,
    /// Its caller took it back before it was sent.
    Cancelled,
    /// A call went out, its answer was lost, and it can no longer be found out.
    Uncertain,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 9] = [
        Self::Scheduled,
        Self::Queued,
        Self::Sending,
        Self::Held,
        Self::Delivered,
        Self::Refused,
        Self::Expired,
        Self::Cancelled,
        Self::Uncertain,
    ];

    /// Its name in the API, in records and in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Queued => "queued",
            Self::Sending => "sending",
            Self::Held => "held",
            Self::Delivered => "delivered",
            Self::Refused => "refused",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Uncertain => "uncertain",
        }
    }

    /// The state `text` names.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}
