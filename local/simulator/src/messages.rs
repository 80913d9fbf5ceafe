//! The messages that bots have sent, in the order of their delivery.
//!
//! Memory is bounded: beyond [`KEPT_MAX`] messages or [`KEPT_BYTES_MAX`] bytes of content, the oldest are forgotten, as if
//! they had never been there, with their uuids.

mod history;
mod message;
mod pace;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::random::RandomValues;

pub use history::{Delivery, DeliveryFilter};
pub(crate) use history::{HistoryQuery, Order};
pub(crate) use message::{
    Chat, Draft, Mention, Message, MessageType, Origin, Place, Reaction, Uuid,
};
use pace::Pace;
pub(crate) use pace::{Limits, TooMany};
pub use pace::{MessageCounts, ReceiverCounts};

/// The most messages that are kept.
const KEPT_MAX: usize = 200_000;

/// The most bytes of content that are kept.
const KEPT_BYTES_MAX: usize = 128 * 1024 * 1024;

/// How long a uuid keeps a second message away ("uuid" of "Send message" in the platform's reference).
const UUID_MS: u64 = 3_600_000;

pub(crate) struct Messages {
    state: Mutex<State>,
    deliveries: Notify,
}

struct State {
    /// The number of the first message that is kept; the others follow without a gap.
    first: u64,
    kept: VecDeque<Arc<Message>>,
    bytes: usize,
    by_chat: HashMap<Chat, VecDeque<u64>>,
    by_uuid: HashMap<Uuid, u64>,
    pace: Pace,
    /// The first message after the last reset of the counters.
    counted_from: u64,
}

/// What became of a message.
pub(crate) enum Delivered {
    New(Arc<Message>),
    /// The message that was sent with this uuid before.
    Repeated(Arc<Message>),
}

impl Messages {
    pub(crate) fn new(random: &RandomValues) -> Self {
        let first = random.sequence() + 1;
        Self {
            state: Mutex::new(State {
                first,
                kept: VecDeque::new(),
                bytes: 0,
                by_chat: HashMap::new(),
                by_uuid: HashMap::new(),
                pace: Pace::default(),
                counted_from: first,
            }),
            deliveries: Notify::new(),
        }
    }

    /// Delivers a message, unless its uuid was used within the hour or a limit is reached. It reads the time under the
    /// lock, so that the order of the messages is that of their times.
    pub(crate) fn deliver(
        &self,
        draft: Draft,
        limits: &Limits,
        now_ms: impl Fn() -> u64,
    ) -> Result<Delivered, TooMany> {
        let mut state = self.lock();
        let now_ms = now_ms();
        if let Some(first) = state.sent_with(draft.uuid.as_ref(), now_ms) {
            state.pace.repeated(&draft.chat);
            return Ok(Delivered::Repeated(first));
        }
        let now_ms = state.pace.take(&draft.chat, limits, now_ms)?;
        let message = state.add(draft, now_ms);
        drop(state);
        self.deliveries.notify_waiters();
        Ok(Delivered::New(message))
    }

    pub(crate) fn get(&self, number: u64) -> Option<Arc<Message>> {
        self.lock().get(number).cloned()
    }

    /// Changes a message, unless the change fails.
    pub(crate) fn change<E>(
        &self,
        number: u64,
        change: impl FnOnce(&mut Message) -> Result<(), E>,
    ) -> Option<Result<Arc<Message>, E>> {
        let mut state = self.lock();
        let mut message = Message::clone(state.get(number)?);
        if let Err(error) = change(&mut message) {
            return Some(Err(error));
        }
        let message = Arc::new(message);
        state.replace(Arc::clone(&message));
        Some(Ok(message))
    }

    pub(crate) fn counts(&self) -> MessageCounts {
        self.lock().pace.counts()
    }

    /// Sets the counts to zero; messages, uuids and what was used of the limits stay.
    pub(crate) fn reset_counts(&self) {
        let mut state = self.lock();
        state.pace.reset_counts();
        state.counted_from = state.first + state.kept.len() as u64;
    }

    /// Returns once this many messages were delivered since the start or the last reset.
    pub(crate) async fn delivered(&self, messages: u64) {
        loop {
            let delivery = self.deliveries.notified();
            if self.lock().pace.delivered() >= messages {
                return;
            }
            delivery.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn index(&self, number: u64) -> Option<usize> {
        usize::try_from(number.checked_sub(self.first)?).ok()
    }

    fn get(&self, number: u64) -> Option<&Arc<Message>> {
        self.kept.get(self.index(number)?)
    }

    fn replace(&mut self, message: Arc<Message>) {
        let index = self.index(message.number);
        if let Some(kept) = index.and_then(|index| self.kept.get_mut(index)) {
            self.bytes = self.bytes + message.content.len() - kept.content.len();
            *kept = message;
        }
    }

    fn sent_with(&self, uuid: Option<&Uuid>, now_ms: u64) -> Option<Arc<Message>> {
        let message = self.get(*self.by_uuid.get(uuid?)?)?;
        let is_held = now_ms < message.created_ms.saturating_add(UUID_MS);
        is_held.then(|| Arc::clone(message))
    }

    fn add(&mut self, draft: Draft, now_ms: u64) -> Arc<Message> {
        let number = self.first + self.kept.len() as u64;
        if let Some(uuid) = &draft.uuid {
            self.by_uuid.insert(uuid.clone(), number);
        }
        let chat = self.by_chat.entry(draft.chat.clone()).or_default();
        chat.push_back(number);
        let message = Arc::new(Message::new(number, draft, now_ms));
        self.bytes += message.content.len();
        self.kept.push_back(Arc::clone(&message));
        while self.kept.len() > KEPT_MAX || self.bytes > KEPT_BYTES_MAX {
            self.forget_oldest();
        }
        message
    }

    fn forget_oldest(&mut self) {
        let Some(oldest) = self.kept.pop_front() else {
            return;
        };
        self.first += 1;
        self.bytes -= oldest.content.len();
        if let Some(uuid) = &oldest.uuid
            && self.by_uuid.get(uuid) == Some(&oldest.number)
        {
            self.by_uuid.remove(uuid);
        }
        if let Some(numbers) = self.by_chat.get_mut(&oldest.chat) {
            numbers.pop_front();
            if numbers.is_empty() {
                self.by_chat.remove(&oldest.chat);
            }
        }
    }
}

#[cfg(test)]
mod tests;
