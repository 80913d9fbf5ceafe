//! Limits in the memory of this process, which always decides: also when the shared cache does not.

use std::time::Duration;

use bytes::Bytes;
use quick_cache::unsync::Cache as Entries;

use super::{Entry, MemoryCache, Weight};
use crate::clock::Timestamp;
use crate::quota::sliding_log::{self, State};
use crate::quota::{Decision, Place, Quota, Reservation, Window, gcra};

impl MemoryCache {
    /// [`Cache::throttle`](crate::cache::Cache::throttle), which cannot fail here.
    pub(crate) fn admit(&self, key: &str, quotas: &[Quota], cost: u32) -> Decision {
        let mut entries = self.lock();
        let text = self.live(&mut entries, key).unwrap_or_default();
        let state = gcra::State::from_text(&text);
        let (decision, next) = gcra::decide(&state, quotas, cost, self.now_us());
        if let Some(next) = next {
            let entry = entry_until(next.ends_at_us(), next.to_text().into());
            entries.insert(key.to_owned(), entry);
        }
        decision
    }

    /// [`Cache::reserve`](crate::cache::Cache::reserve), which cannot fail here.
    pub(crate) fn reserve_now(
        &self,
        key: &str,
        windows: &[Window],
        patience: Duration,
    ) -> Reservation {
        let mut entries = self.lock();
        let state = self.state(&mut entries, key);
        let (reservation, next) = sliding_log::decide(state, windows, patience, self.now_us());
        let entry = entry_until(next.ends_at_us(windows), next.into());
        entries.insert(key.to_owned(), entry);
        reservation
    }

    /// [`Cache::pause`](crate::cache::Cache::pause), which cannot fail here.
    pub(crate) fn hold(&self, key: &str, length: Duration) {
        let mut entries = self.lock();
        let now_us = self.now_us();
        let state = self.state(&mut entries, key).paused(length, now_us);
        let mut entry = entry_until(state.paused_until_us(now_us), state.into());
        if let Some(before) = entries.get(key) {
            entry.expires_at = entry.expires_at.max(before.expires_at);
        }
        entries.insert(key.to_owned(), entry);
    }

    /// How long a [`Cache::pause`](crate::cache::Cache::pause) still takes.
    pub(crate) fn pause_left(&self, key: &str) -> Duration {
        let now_us = self.now_us();
        let until_us = self.state(&mut self.lock(), key).paused_until_us(now_us);
        Duration::from_micros(until_us.saturating_sub(now_us))
    }

    /// [`Cache::give_back`](crate::cache::Cache::give_back), which cannot fail here.
    pub(crate) fn take_back(&self, key: &str, windows: &[Window], place: Place) -> bool {
        let mut entries = self.lock();
        let state = self.state(&mut entries, key);
        let next = sliding_log::give_back(state, windows, place);
        let is_taken_back = next.is_some();
        if let Some(next) = next {
            let entry = entry_until(next.ends_at_us(windows), next.into());
            entries.insert(key.to_owned(), entry);
        }
        is_taken_back
    }

    fn state(&self, entries: &mut Entries<String, Entry, Weight>, key: &str) -> State {
        let bytes = self.live(entries, key).unwrap_or_default();
        State::from_bytes(bytes.into())
    }
}

/// A state that equals an empty one from `ends_at_us` on.
fn entry_until(ends_at_us: u64, value: Bytes) -> Entry {
    let ends_at_ms = ends_at_us.div_ceil(1_000);
    Entry {
        value,
        expires_at: Timestamp::from_millis(i64::try_from(ends_at_ms).unwrap_or(i64::MAX)),
    }
}
