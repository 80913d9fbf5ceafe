//! Messages on their way: from a caller's request to exactly one end, with its evidence.
//!
//! A message is a [`Job`], one record in the store. It is written before the caller hears of it; a queue brings it to a worker; the
//! worker writes down that it is about to call the platform, calls, and writes down what came of it. The queue delivers at least once
//! and decides nothing: what a job is stands in its record, and each change is a conditional write.
//!
//! # Once
//!
//! The platform makes one message of calls with the same `uuid` within an hour ([`crate::lark::messages::create`]). The `uuid` is the
//! job's id. When an answer is lost, the call is repeated with it while that hour, less a margin, lasts. Later it is not: the chat's
//! history then shows whether the message is there (`settle`), or the job ends as [`State::Uncertain`], with the time of the call and
//! the reason, and never in a second message.
//!
//! The hour counts from the first call whose outcome is unknown, and a call goes out only right after it was written ahead: a process
//! that was frozen in between does not send.

use std::sync::Arc;
use std::time::Duration;

use crate::apps::Apps;
use crate::callbacks::Callbacks;
use crate::clock::Clock;
use crate::limiter::Limiter;
use crate::platform::Platform;
use crate::queue::Queue;
use crate::seal::Sealer;
use crate::store::Storage;

mod accept;
mod attempt;
mod batches;
mod callback;
mod change;
mod codec;
mod dead_letters;
mod dry_run;
mod end;
mod id;
mod job;
mod jobs;
mod receivers;
mod room;
mod sent;
mod settle;
mod state;
mod sweep;
mod target;
mod view;
mod worker;

pub use crate::idempotency::Once;
pub use accept::{Accepted, NewMessage};
pub use batches::{
    AcceptedBatch, Batch, BatchCounts, BatchPlan, BatchState, BatchView, Facts, JobOrBatchView,
    MAX_CHAT_NAMES, MAX_RECEIVERS, Mode, NewBatch, Unreached,
};
pub use callback::{CallbackState, JobCallback};
pub(crate) use codec::sealed_attributes;
pub use dead_letters::{
    About, Acted, ActedView, Dead, DeadLetter, DeadLetterView, DeadReason, page_of_dead_letters,
};
pub use dry_run::DryRun;
pub use end::{Delivered, End, HistoryRead, Refused, Uncertain};
pub(crate) use id::SHARDS;
pub use id::{BatchId, BatchKey, JobId, JobKey};
pub use job::{Attempt, Job, Message, Outcome};
pub use receivers::Receivers;
pub use settle::Settling;
pub use state::State;
pub use sweep::SweepReport;
pub use target::{Reply, Target};
pub use view::{JobView, page_of_jobs};
pub use worker::Work;

/// How long a job stays on record after its end.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3_600);
/// How long it is known who sent a message: card clicks and read receipts come later than its job ends.
const SENT_KEPT: Duration = Duration::from_secs(30 * 24 * 3_600);
/// How long a job may take, if its caller sets no end.
const DEFAULT_LIFE: Duration = Duration::from_secs(24 * 3_600);

/// Takes messages and delivers them. Cheap to clone; clones share everything.
#[derive(Clone, Debug)]
pub struct Delivery {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    storage: Storage,
    sealer: Sealer,
    queue: Option<Arc<dyn Queue>>,
    apps: Apps,
    platform: Platform,
    /// The platform for the lane of batches: its calls leave half of each limit to others.
    background: Platform,
    callbacks: Callbacks,
    receivers: Receivers,
    limiter: Limiter,
    clock: Arc<dyn Clock>,
    contents: batches::Contents,
    depths: room::Depths,
}

/// What a [`Delivery`] is made of.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Keeps the jobs.
    pub storage: Storage,
    /// Seals what is in the messages.
    pub sealer: Sealer,
    /// Brings jobs to workers. Without one nothing can be delivered later.
    pub queue: Option<Arc<dyn Queue>>,
    /// The registered apps.
    pub apps: Apps,
    /// Sends as an app.
    pub platform: Platform,
    /// Tells callers how their messages ended.
    pub callbacks: Callbacks,
    /// Finds the receivers of batches.
    pub receivers: Receivers,
    /// Counts what waits for a receiver.
    pub limiter: Limiter,
    /// The clock.
    pub clock: Arc<dyn Clock>,
}

impl Delivery {
    /// A delivery of these `parts`.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let Parts {
            storage,
            sealer,
            queue,
            apps,
            platform,
            callbacks,
            receivers,
            limiter,
            clock,
        } = parts;
        Self {
            inner: Arc::new(Inner {
                storage,
                sealer,
                queue,
                apps,
                background: platform.in_background(),
                platform,
                callbacks,
                receivers,
                limiter,
                clock,
                contents: batches::Contents::default(),
                depths: room::Depths::default(),
            }),
        }
    }
}

#[cfg(test)]
mod tests;
