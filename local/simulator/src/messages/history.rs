//! Messages in order: of a chat or a thread for apps, of all chats for the controls.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;

use super::{Chat, Message, Messages};

/// The order of a chat's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    OldestFirst,
    NewestFirst,
}

/// A part of the history of a chat or of one thread in it.
pub(crate) struct HistoryQuery<'a> {
    pub(crate) chat: &'a Chat,
    pub(crate) thread: Option<u64>,
    pub(crate) order: Order,
    /// From the first to the last millisecond.
    pub(crate) from_ms: u64,
    pub(crate) until_ms: u64,
    /// The message before the page, 0 for the first page.
    pub(crate) after: u64,
    pub(crate) limit: usize,
}

/// A message that was delivered, for the controls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Delivery {
    /// Grows with each message, over all chats: pass it as `after` to continue behind it.
    pub number: u64,
    /// Its id.
    pub message_id: String,
    /// The caller's, if it sent one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uuid: Option<Arc<str>>,
    /// The call that it came by: `create`, `reply` or `forward`.
    pub origin: &'static str,
    /// The app that sent it.
    pub app_id: Arc<str>,
    /// The app's tenant.
    pub tenant_key: Arc<str>,
    /// The chat that it is in.
    pub chat_id: String,
    /// The user's number, for a message to a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<u32>,
    /// Its type.
    pub msg_type: &'static str,
    /// When it was delivered, in simulated milliseconds since 1970.
    pub at_ms: u64,
    /// SHA-256 of `content` as it was sent, in hexadecimal digits; of a forwarded message, of the original's.
    pub content_sha256: Arc<str>,
    /// The content as it is read back, with all changes; not in the controls over HTTP.
    #[serde(skip)]
    pub content: Arc<str>,
    /// How many times it was edited.
    pub edits: u32,
    /// Whether it was recalled.
    pub is_recalled: bool,
    /// Numbers of the users for whom it was made urgent.
    pub urgent_for: BTreeSet<u32>,
}

/// Which deliveries to show; all of them by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryFilter {
    /// Only those with higher numbers.
    pub after: u64,
    /// Only those in this chat.
    pub chat_id: Option<String>,
    /// Only those to this person, by the user's number.
    pub user: Option<u32>,
    /// Only those of this app.
    pub app_id: Option<String>,
}

impl Messages {
    /// Messages of a chat with their numbers.
    pub(crate) fn history(&self, query: &HistoryQuery<'_>) -> Vec<Arc<Message>> {
        let state = self.lock();
        let Some(numbers) = state.by_chat.get(query.chat) else {
            return Vec::new();
        };
        let fits = |message: &&Arc<Message>| {
            (query.from_ms..=query.until_ms).contains(&message.created_ms)
                && (query.thread.is_none() || message.thread == query.thread)
        };
        let in_order: Box<dyn Iterator<Item = &u64>> = match (query.order, query.after) {
            (Order::OldestFirst, after) => {
                let first = numbers.partition_point(|number| *number <= after);
                Box::new(numbers.range(first..))
            }
            (Order::NewestFirst, 0) => Box::new(numbers.iter().rev()),
            (Order::NewestFirst, before) => {
                let end = numbers.partition_point(|number| *number < before);
                Box::new(numbers.range(..end).rev())
            }
        };
        let messages = in_order.filter_map(|number| state.get(*number));
        messages.filter(fits).take(query.limit).cloned().collect()
    }

    /// What was delivered since the start or the last reset of the counters and is still kept, oldest first.
    pub(crate) fn deliveries(&self, filter: &DeliveryFilter, limit: usize) -> Vec<Delivery> {
        let state = self.lock();
        let first = state.counted_from.max(filter.after.saturating_add(1));
        let skipped = state.index(first).unwrap_or_default();
        let fits = |message: &&Arc<Message>| {
            filter
                .user
                .is_none_or(|user| message.chat.person() == Some(user))
                && filter
                    .app_id
                    .as_deref()
                    .is_none_or(|app_id| *message.app_id == *app_id)
                && filter
                    .chat_id
                    .as_deref()
                    .is_none_or(|chat_id| message.chat.id() == chat_id)
        };
        let messages = state.kept.range(skipped.min(state.kept.len())..);
        let messages: Vec<_> = messages.filter(fits).take(limit).cloned().collect();
        drop(state);
        messages
            .iter()
            .map(|message| Delivery::of(message))
            .collect()
    }
}

impl Delivery {
    pub(crate) fn of(message: &Message) -> Self {
        Self {
            number: message.number,
            message_id: message.id(),
            uuid: message.uuid.as_ref().map(|uuid| Arc::clone(&uuid.uuid)),
            origin: message.origin.name(),
            app_id: Arc::clone(&message.app_id),
            tenant_key: Arc::clone(&message.chat.tenant),
            chat_id: message.chat.id(),
            user: message.chat.person(),
            msg_type: message.message_type.name(),
            at_ms: message.created_ms,
            content_sha256: Arc::clone(&message.content_sha256),
            content: Arc::clone(&message.content),
            edits: message.edits,
            is_recalled: message.is_recalled,
            urgent_for: message.urgent_for.clone(),
        }
    }
}
