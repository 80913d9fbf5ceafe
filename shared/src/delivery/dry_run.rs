//! What would happen to a message.

use serde::Serialize;
use utoipa::ToSchema;

use super::NewMessage;

/// What would happen.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MessageDryRun)]
pub struct DryRun {
    /// Always `true`.
    dry_run: bool,
    /// `open_id` or `chat_id`: what the receiver was found to be; `message_id` for a reply.
    receiver_kind: &'static str,
    /// The platform's id of the receiver.
    receiver_id: String,
    /// The platform's type of the message.
    msg_type: String,
    /// `normal` or `bulk`.
    lane: &'static str,
    /// Whether a worker delivers it.
    is_queued: bool,
    /// Whether the call counts against the month's quota of the platform's free plan.
    counts_against_quota: bool,
}

impl DryRun {
    /// What would happen to `new`; `is_queued`: a worker delivers it.
    #[must_use]
    pub fn of(new: &NewMessage, is_queued: bool) -> Self {
        Self {
            dry_run: true,
            receiver_kind: new.to.kind(),
            receiver_id: new.to.id().to_owned(),
            msg_type: new.message.msg_type.clone(),
            lane: new.lane.name(),
            is_queued,
            counts_against_quota: true,
        }
    }
}
