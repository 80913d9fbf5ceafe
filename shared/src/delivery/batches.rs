//! One content to many receivers.
//!
//! A batch is one record before its caller hears of it: its content and its receivers, sealed. A worker brings it on, in steps that
//! each end with a conditional write, so that a worker that dies in between leaves it to the next one and nothing happens twice:
//!
//! 1. **Planned**: every receiver was looked up, who is given twice counts once, and how it is sent is decided.
//! 2. **Made**: each receiver has a job, put where none was. The jobs' ids follow from the batch's, so a second worker makes the same
//!    ones. None of them is queued before this step is on record: a batch that was taken back until then sends nothing.
//! 3. **Queued**: the jobs go the way of every job. They have no content of their own: it is read from the batch.
//! 4. **Ended**: every job has ended. The content is dropped.
//!
//! A batch that is [broadcast](Mode::Broadcast) has no jobs but calls, of two hundred people each. The platform knows no `uuid` there,
//! so each is written ahead and made once: where its answer is lost, it is `uncertain`.

mod accept;
mod batch;
mod broadcast;
mod cancel;
mod codec;
mod contents;
mod counts;
mod expand;
mod part;
mod plan;
mod step;
mod view;
mod watch;

pub(super) use accept::batch_entry;
pub use accept::{AcceptedBatch, NewBatch};
pub use batch::{Batch, BatchState, Facts, Mode};
pub(super) use codec::{described, is_batch, key_of, put_off};
pub(super) use contents::Contents;
pub use counts::{BatchCounts, Unreached};
pub use plan::BatchPlan;
pub use view::{BatchView, JobOrBatchView};

/// The most receivers of a batch.
pub const MAX_RECEIVERS: usize = 1_000;
/// The most receivers that are chats by name: each is a search at the platform.
pub const MAX_CHAT_NAMES: usize = 50;
/// The most bytes of content and receivers together, as JSON. A record of DynamoDB has room for 400 KB; the rest is for why receivers
/// are not reached.
pub(super) const MAX_PAYLOAD_BYTES: usize = 256 * 1024;
/// From how many people on [`Mode::Auto`] broadcasts: below, a call for each costs little and tells more.
pub(super) const BROADCAST_FROM: usize = 50;
