//! How fast messages come: the limits of chats and people, and counts of what was delivered.
//!
//! "Send message" in the platform's reference: 5 per second to one chat, shared by all bots, and 5 to one person. Here they
//! hold for any window of a second, wherever it begins.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::Serialize;

use super::message::Chat;
use crate::rate_limit::History;

/// The limits for a message; the peaks are counted without them too.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) are_on: bool,
    pub(crate) per_chat: u32,
    pub(crate) per_person: u32,
    pub(crate) window_ms: u64,
}

/// A message beyond a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooMany;

/// Counts of messages to one receiver, or to all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ReceiverCounts {
    /// Messages that were delivered.
    pub delivered: u64,
    /// Calls that were answered with the message that was sent with the same uuid before.
    pub repeated: u64,
    /// Calls beyond the limit (230020), without injected ones.
    pub refused: u64,
    /// The most messages that were delivered in any window of a second; shorter with
    /// [`rate_limit_scale`](crate::Settings::rate_limit_scale). In the total, the most of one chat or person.
    pub peak_in_window: u64,
}

/// Counts of messages since the start or the last reset. Batch messages are not among them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MessageCounts {
    /// Over all chats.
    pub total: ReceiverCounts,
    /// By the id of the chat, with a person or a group; in each tenant of a marketplace app the chats have the same ids,
    /// and this is their sum.
    pub chats: BTreeMap<String, ReceiverCounts>,
    /// By the user's number: messages to one person, from all apps.
    pub people: BTreeMap<u32, ReceiverCounts>,
}

#[derive(Default)]
pub(super) struct Pace {
    total: ReceiverCounts,
    chats: HashMap<Chat, Track>,
    people: HashMap<(Arc<str>, u32), Track>,
}

#[derive(Default)]
struct Track {
    history: History,
    counts: ReceiverCounts,
}

impl Pace {
    /// Counts a message and returns its time, never before that of the last one in the chat.
    pub(super) fn take(
        &mut self,
        chat: &Chat,
        limits: &Limits,
        now_ms: u64,
    ) -> Result<u64, TooMany> {
        let of_chat = self.chats.entry(chat.clone()).or_default();
        let person = chat.person().map(|user| (Arc::clone(&chat.tenant), user));
        let mut of_person = person.map(|person| self.people.entry(person).or_default());
        let mut now_ms = of_chat.history.prune(now_ms, limits.window_ms);
        if let Some(person) = &mut of_person {
            now_ms = person.history.prune(now_ms, limits.window_ms);
        }
        let is_full = limits.are_on
            && (of_chat.is_full(now_ms, limits.per_chat, limits.window_ms)
                || of_person.as_ref().is_some_and(|person| {
                    person.is_full(now_ms, limits.per_person, limits.window_ms)
                }));
        let tracks = [Some(of_chat), of_person].into_iter().flatten();
        if is_full {
            self.total.refused += 1;
            tracks.for_each(|track| track.counts.refused += 1);
            return Err(TooMany);
        }
        self.total.delivered += 1;
        for track in tracks {
            track.add(now_ms, limits.window_ms);
            let peak = track.counts.peak_in_window;
            self.total.peak_in_window = self.total.peak_in_window.max(peak);
        }
        Ok(now_ms)
    }

    pub(super) fn repeated(&mut self, chat: &Chat) {
        self.total.repeated += 1;
        let of_chat = self.chats.entry(chat.clone()).or_default();
        of_chat.counts.repeated += 1;
        if let Some(user) = chat.person() {
            let person = (Arc::clone(&chat.tenant), user);
            self.people.entry(person).or_default().counts.repeated += 1;
        }
    }

    pub(super) fn delivered(&self) -> u64 {
        self.total.delivered
    }

    pub(super) fn counts(&self) -> MessageCounts {
        let mut counts = MessageCounts {
            total: self.total,
            ..MessageCounts::default()
        };
        let is_counted = |counts: &ReceiverCounts| *counts != ReceiverCounts::default();
        for (chat, track) in &self.chats {
            if is_counted(&track.counts) {
                counts
                    .chats
                    .entry(chat.id())
                    .or_default()
                    .add(&track.counts);
            }
        }
        for ((_, user), track) in &self.people {
            if is_counted(&track.counts) {
                counts.people.entry(*user).or_default().add(&track.counts);
            }
        }
        counts
    }

    pub(super) fn reset_counts(&mut self) {
        self.total = ReceiverCounts::default();
        for track in self.chats.values_mut().chain(self.people.values_mut()) {
            track.counts = ReceiverCounts::default();
        }
    }
}

impl Track {
    fn is_full(&self, now_ms: u64, limit: u32, window_ms: u64) -> bool {
        self.history.within(now_ms, window_ms) >= u64::from(limit)
    }

    fn add(&mut self, now_ms: u64, window_ms: u64) {
        self.history.add(now_ms);
        self.counts.delivered += 1;
        let within = self.history.within(now_ms, window_ms);
        self.counts.peak_in_window = self.counts.peak_in_window.max(within);
    }
}

impl ReceiverCounts {
    fn add(&mut self, other: &Self) {
        self.delivered += other.delivered;
        self.repeated += other.repeated;
        self.refused += other.refused;
        self.peak_in_window = self.peak_in_window.max(other.peak_in_window);
    }
}
