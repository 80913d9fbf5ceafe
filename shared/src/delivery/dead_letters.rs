//! Dead letters: what a worker cannot bring any further because of a failure of ours, moved away until an operator has looked at it.
//!
//! A job whose message does not open, a record that cannot be read, and an error of our own are counted, in a record beside the job.
//! After [`MAX_FAILURES`] in a row the job becomes a dead letter: it is `held`, is in no queue, and blocks nobody. Failures of the store
//! and of the platform pass, and are never counted; neither are pauses. An operator has the job tried again or drops it; if nobody does
//! anything for [`DEAD_KEPT`], a worker ends it as it would have then.
//!
//! Its record counts, not the queue: each pause of a message counts as a reception there. A job that does well costs nothing more.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::JobKey;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::ids::AppId;
use crate::queue::Lane;
use crate::seal::SealError;
use crate::store::StoreError;

mod act;
mod count;
mod record;
mod view;

pub use act::Acted;
pub(super) use count::Counted;
pub use view::{ActedView, DeadLetterView, page_of_dead_letters};

/// How long a dead letter waits for an operator.
pub(super) const DEAD_KEPT: Duration = Duration::from_secs(14 * 24 * 3_600);
/// After how many failures in a row a job is a dead letter.
pub(super) const MAX_FAILURES: u32 = 6;

/// Why something is a dead letter.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = DeadLetterReason)]
pub enum DeadReason {
    /// The message does not open: its data key is not in the ring, or the record was altered.
    Unopened,
    /// The job's record cannot be read.
    Unreadable,
    /// What came from the queue names no job.
    NamesNoJob,
    /// Another error of the service; the log has its details.
    Internal,
}

impl DeadReason {
    /// Its name in the API, in records and in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unopened => "unopened",
            Self::Unreadable => "unreadable",
            Self::NamesNoJob => "names_no_job",
            Self::Internal => "internal",
        }
    }

    /// What it means, in words.
    pub(super) const fn told(self) -> &'static str {
        match self {
            Self::Unopened => "the message does not open with the service's data keys",
            Self::Unreadable => "the job's record cannot be read",
            Self::NamesNoJob => "what came from the queue names no job",
            Self::Internal => "the service failed at it again and again",
        }
    }

    /// What `error` of a worker is counted as; `None` if it passes by itself.
    pub(super) const fn of(error: &Error) -> Option<Self> {
        if matches!(
            error,
            Error::Seal(SealError::UnknownKey(_) | SealError::Broken)
        ) {
            Some(Self::Unopened)
        } else if matches!(error, Error::Store(StoreError::Corrupt { .. })) {
            Some(Self::Unreadable)
        } else if matches!(error, Error::Internal(_)) {
            Some(Self::Internal)
        } else {
            None
        }
    }
}

/// A job's mark: since when and why it is a dead letter.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Deserialize, Serialize)]
pub struct Dead {
    /// Since when.
    pub since: Timestamp,
    /// Why.
    pub reason: DeadReason,
}

impl Dead {
    /// When a worker looks at the job again, if no operator does anything.
    pub(super) fn until(self) -> Timestamp {
        self.since + DEAD_KEPT
    }
}

/// What a dead letter is about.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum About {
    /// A job.
    Job(JobKey),
    /// A message of the queue that names none.
    Ticket {
        /// What it says. It has no content of a message, as nothing in the queue has.
        body: String,
        /// Its group.
        group: String,
    },
}

/// Failures that were counted, and, once they were too many, a dead letter.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DeadLetter {
    /// Its id: the job's, or `qm_` and 32 hexadecimal digits.
    pub id: String,
    /// What it is about.
    pub about: About,
    /// The app that was to send, if that can be read.
    pub app_id: Option<AppId>,
    /// The queue that it comes from, as far as that is known.
    pub lane: Lane,
    /// Why.
    pub reason: DeadReason,
    /// The last failure, in the service's words.
    pub detail: String,
    /// How many failures there were.
    pub failures: u32,
    /// The first of them.
    pub first_at: Timestamp,
    /// The last of them.
    pub last_at: Timestamp,
    /// Since when it is a dead letter; `None`: failures are being counted.
    pub since: Option<Timestamp>,
    /// The version of its record; zero before the first write.
    pub version: u64,
}
