//! When calls came, as far back as the longest window looks.

use std::collections::VecDeque;

/// A clock that seems to go back by no more than this is two threads that overtook each other.
const DISORDER_MS: u64 = 1000;

/// Moments of calls in their order. One place for each millisecond, however many calls it had.
#[derive(Default)]
pub(crate) struct History {
    /// Each moment with the number of calls before it.
    moments: VecDeque<(u64, u64)>,
    calls: u64,
}

impl History {
    /// To be called first: forgets what no window reaches, or everything when the clock was set back. Tells the moment to
    /// go on with.
    pub(crate) fn begin(&mut self, now_ms: u64, longest_ms: u64) -> u64 {
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

    /// How many calls the window had that ends now; one that is exactly as old as the window is long is out of it.
    pub(crate) fn within(&self, now_ms: u64, length_ms: u64) -> u64 {
        let first = self.moments.get(self.first_within(now_ms, length_ms));
        first.map_or(0, |(_, before)| self.calls - before)
    }

    /// The moment of the first call of that window; now, when there was none.
    pub(crate) fn oldest_within(&self, now_ms: u64, length_ms: u64) -> u64 {
        let first = self.moments.get(self.first_within(now_ms, length_ms));
        first.map_or(now_ms, |(moment, _)| *moment)
    }

    fn first_within(&self, now_ms: u64, length_ms: u64) -> usize {
        self.moments
            .partition_point(|(moment, _)| moment.saturating_add(length_ms) <= now_ms)
    }
}
