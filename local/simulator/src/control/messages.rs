//! Messages that were delivered.

use super::Control;
use crate::batches::BatchDelivery;
use crate::invalid::Invalid;
use crate::messages::{Delivery, DeliveryFilter, Message, MessageCounts};

/// Messages.
impl Control {
    /// The messages that were delivered since the start or the last [`reset_counters`](Self::reset_counters), in the order
    /// of their delivery, `limit` at most. The last 200,000 are kept, fewer with more than 128 MiB of content.
    pub fn deliveries(&self, filter: &DeliveryFilter, limit: usize) -> Vec<Delivery> {
        self.0.messages.deliveries(filter, limit)
    }

    /// How many messages were delivered, repeated with the same uuid, and refused with 230020, and the most in any window of
    /// a second, for each chat and person. The peaks are counted with limits off too.
    pub fn message_counts(&self) -> MessageCounts {
        self.0.messages.counts()
    }

    /// Returns once this many messages were delivered since the start or the last
    /// [`reset_counters`](Self::reset_counters). A test awaits this instead of a sleep.
    pub async fn delivered(&self, messages: u64) {
        self.0.messages.delivered(messages).await;
    }

    /// Lets these users, by their numbers, read a message or a batch message now. Who has read it already has read it then.
    ///
    /// # Errors
    /// When there is no such message or user.
    pub fn mark_read(&self, message_id: &str, users: &[u32]) -> Result<(), Invalid> {
        let unknown = || Invalid::new("message_id", format!("there is no message {message_id}"));
        let is_unknown = |n: &&u32| self.0.directory.profile((**n).into()).is_none();
        if let Some(n) = users.iter().find(is_unknown) {
            return Err(Invalid::new("users", format!("there is no user {n}")));
        }
        if self.0.batches.mark_read(message_id, users) {
            return Ok(());
        }
        let number = Message::decode_id(message_id).ok_or_else(unknown)?;
        let now_ms = self.now_ms();
        let changed = self.0.messages.change(number, |message| {
            for user in users {
                message.readers.entry(*user).or_insert(now_ms);
            }
            Ok::<_, Invalid>(())
        });
        changed.ok_or_else(unknown)?.map(|_| ())
    }

    /// The last 1,000 batch messages, oldest first, each with the people that it has reached by now.
    pub fn batch_messages(&self) -> Vec<BatchDelivery> {
        self.0.batches.all(self.now_ms())
    }
}
