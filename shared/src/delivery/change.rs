//! What callers do with messages that were sent: answer, edit, recall and read them.

use std::time::Duration;

use tracing::warn;

use super::target::{Reply, Target};
use super::{Delivery, Message};
use crate::apps::AppContext;
use crate::deadline::Deadline;
use crate::error::{Error, FailureKind, Result};
use crate::lark::Request;
use crate::lark::messages::{self, DELETED, EDITS_USED_UP, MessageId, PlatformMessage, RECALLED};
use crate::platform::SendError;

/// How long a reply waits to learn which chat its message is in. Without it the reply goes out all the same.
const LOOK: Duration = Duration::from_secs(5);
/// The platform's type of a card.
const CARD: &str = "interactive";

impl Delivery {
    /// A reply to the message `id`: where that message is, as this service knows it from sending it, or the platform.
    ///
    /// # Errors
    /// [`Error::MessageNotFound`] when the platform says so; [`Error::Store`].
    pub async fn reply_to(
        &self,
        context: &AppContext,
        id: MessageId,
        in_thread: bool,
        deadline: Deadline,
    ) -> Result<Target> {
        let sent = self.sent(id.as_str(), deadline).await?;
        let (chat_id, sent_to) = match sent {
            Some(sent) => (sent.chat_id, sent.sent_to),
            None => (self.chat_of(context, &id, deadline).await?, None),
        };
        Ok(Target::Reply(Reply {
            reply_to: id,
            in_thread,
            chat_id,
            sent_to,
        }))
    }

    /// The chat that the message is in, if the platform tells: order and limits go by it, and a reply does without it.
    async fn chat_of(
        &self,
        context: &AppContext,
        id: &MessageId,
        deadline: Deadline,
    ) -> Result<Option<String>> {
        context.may_ask().await?;
        let time = deadline.at_most(LOOK);
        let platform = &self.inner.platform;
        match platform.send(context, &messages::get(id), time).await {
            Ok(message) => Ok(message.chat_id),
            Err(error) if error.is_not_found() => Err(Error::MessageNotFound),
            Err(error) => {
                warn!(%error, "it is not known which chat a message is in");
                Ok(None)
            }
        }
    }

    /// Puts `message` in place of what the message `id` says: a text or a post, or a card in place of a card. Repeated, it changes
    /// nothing more.
    ///
    /// # Errors
    /// [`Error::MessageNotFound`], also when another API key sent it, or it was recalled; the platform's refusals.
    pub async fn edit(
        &self,
        context: &AppContext,
        key_id: &str,
        id: &MessageId,
        message: &Message,
        deadline: Deadline,
    ) -> Result<()> {
        self.may_change(context, key_id, id, deadline).await?;
        let Message { msg_type, content } = message;
        let request = match msg_type.as_str() {
            CARD => messages::patch(id, content),
            _ => messages::edit(id, msg_type, content),
        };
        match self.change(context, request, deadline).await {
            // It may be the answer to the repetition of the last edit that the platform allows.
            Err(SendError::Lark(failure)) if failure.code == Some(EDITS_USED_UP) => {
                let request = messages::get(id);
                let now = self.inner.platform.send(context, &request, deadline).await;
                let is_done = now.is_ok_and(|it| it.says(msg_type, content));
                is_done.then_some(()).ok_or(Error::of_lark(failure))
            }
            outcome => outcome.map_err(gone),
        }
    }

    /// Recalls the message `id`. One that was recalled or deleted before is recalled.
    ///
    /// # Errors
    /// [`Error::MessageNotFound`], also when another API key sent it; the platform's refusals.
    pub async fn recall(
        &self,
        context: &AppContext,
        key_id: &str,
        id: &MessageId,
        deadline: Deadline,
    ) -> Result<()> {
        self.may_change(context, key_id, id, deadline).await?;
        match self.change(context, messages::recall(id), deadline).await {
            Err(SendError::Lark(failure))
                if failure.code == Some(RECALLED) || failure.code == Some(DELETED) =>
            {
                Ok(())
            }
            outcome => outcome.map_err(gone),
        }
    }

    /// The message `id`, as the platform has it.
    ///
    /// # Errors
    /// [`Error::MessageNotFound`], also when another API key sent it; the platform's refusals.
    pub async fn message(
        &self,
        context: &AppContext,
        key_id: &str,
        id: &MessageId,
        deadline: Deadline,
    ) -> Result<PlatformMessage> {
        self.may_change(context, key_id, id, deadline).await?;
        let platform = &self.inner.platform;
        let message = platform.send(context, &messages::get(id), deadline).await;
        message.map_err(gone)
    }

    /// Passes if no other API key sent the message, and this one may have the platform asked.
    async fn may_change(
        &self,
        context: &AppContext,
        key_id: &str,
        id: &MessageId,
        deadline: Deadline,
    ) -> Result<()> {
        self.sent_by(key_id, id, deadline).await?;
        context.may_ask().await
    }

    /// Sends a change, and repeats it while its outcome is unknown and its caller waits; not later: by then another change may
    /// have been made.
    async fn change(
        &self,
        context: &AppContext,
        request: Request<()>,
        deadline: Deadline,
    ) -> std::result::Result<(), SendError> {
        let request = request.only_if(move || !deadline.has_passed());
        self.inner.platform.send(context, &request, deadline).await
    }
}

/// The error of a call about one message.
fn gone(error: SendError) -> Error {
    match error {
        SendError::Lark(failure) if failure.kind == FailureKind::NotFound => Error::MessageNotFound,
        error @ (SendError::Lark(_) | SendError::Unsent(_)) => error.into(),
    }
}
