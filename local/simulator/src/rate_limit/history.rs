//! The times of calls, as far back as the longest window reaches.

use std::collections::VecDeque;

/// If the time of a call is earlier than the last one by no more than this, two threads overtook each other; if by
/// more, somebody set the clock back.
const DISORDER_MS: u64 = 1000;

/// Times of calls in order. One entry for each millisecond, however many calls it had.
#[derive(Default)]
pub(crate) struct History {
    /// Each time with the number of calls before it.
    moments: VecDeque<(u64, u64)>,
    calls: u64,
}

impl History {
    /// Drops what no window reaches, or everything if the clock was set back. Call it first, and pass the time that it
    /// returns to the other methods.
    pub(crate) fn prune(&mut self, now_ms: u64, longest_ms: u64) -> u64 {
        let last_ms = self.moments.back().map_or(0, |(moment, _)| *moment);
        if last_ms > now_ms.saturating_add(DISORDER_MS) {
            *self = Self::default();
            return now_ms;
        }
        let now_ms = now_ms.max(last_ms);
        let outside = self.first_within(now_ms, longest_ms);
        self.moments.drain(..outside);
        now_ms
    }

    pub(crate) fn add(&mut self, now_ms: u64) {
        if self.moments.back().is_none_or(|(last, _)| *last != now_ms) {
            self.moments.push_back((now_ms, self.calls));
        }
        self.calls += 1;
    }

    /// The number of calls in the window that ends now. A call that is exactly as old as the window is long is not in
    /// it.
    pub(crate) fn within(&self, now_ms: u64, length_ms: u64) -> u64 {
        let first = self.moments.get(self.first_within(now_ms, length_ms));
        first.map_or(0, |(_, before)| self.calls - before)
    }

    /// The time of the first call in that window; now, if it has none.
    pub(crate) fn oldest_within(&self, now_ms: u64, length_ms: u64) -> u64 {
        let first = self.moments.get(self.first_within(now_ms, length_ms));
        first.map_or(now_ms, |(moment, _)| *moment)
    }

    fn first_within(&self, now_ms: u64, length_ms: u64) -> usize {
        self.moments
            .partition_point(|(moment, _)| moment.saturating_add(length_ms) <= now_ms)
    }
}
