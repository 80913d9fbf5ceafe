//! The decision about callers: the generic cell rate algorithm (GCRA) over several windows at once, as a pure function.
//!
//! For each window only one moment is stored, at which its burst will be full again (the theoretical arrival time). A request
//! of `cost` moves it `cost` intervals ahead, if it is then no further away than a full burst takes. Moments are microseconds
//! since the Unix epoch. Every adapter of the cache decides like this, and the contract tests compare them.

use std::time::Duration;

use super::decision::{Decision, Levels};
use crate::quota::{Quota, micros};

/// How much further ahead than possible a stored moment may lie: the cache's clock has gone back a little.
pub const TOLERANCE: Duration = Duration::from_secs(60);

/// The stored state of a key. Without an entry, everything is full.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct State {
    /// In the order of the quotas.
    full_at_us: Vec<u64>,
}

/// Whether a request of `cost` fits into every one of `quotas`, and the state to store if it changed. A cost of zero takes
/// nothing and is never refused.
///
/// Windows are identified by their order, so a key must always be used with the same quotas. Whoever can write into the cache can
/// write any state: what lies further ahead than a full burst cannot have come about, and is cut off permanently, by [`TOLERANCE`]
/// at most; beyond that it counts as empty.
#[must_use]
pub fn decide(
    state: &State,
    quotas: &[Quota],
    cost: u32,
    now_us: u64,
) -> (Decision, Option<State>) {
    let moments = state.full_at_us.iter().chain(std::iter::repeat(&0));
    let (mut missing_us, mut fits, mut is_cut) = (0, true, false);
    let mut backlogs_us = Vec::with_capacity(quotas.len());
    for (quota, full_at_us) in quotas.iter().zip(moments) {
        let (ahead_us, full_us) = (full_at_us.saturating_sub(now_us), quota.full_us());
        is_cut |= ahead_us > full_us;
        let backlog_us = if ahead_us > full_us + micros(TOLERANCE) {
            0
        } else {
            ahead_us.min(full_us)
        };
        fits &= quota.cost_us(cost) <= full_us;
        missing_us = quota.missing_us(backlog_us, cost).max(missing_us);
        backlogs_us.push(backlog_us);
    }
    let is_allowed = fits && missing_us == 0;
    let is_taken = is_allowed && cost > 0 && !quotas.is_empty();
    if is_taken {
        for (quota, backlog_us) in quotas.iter().zip(&mut backlogs_us) {
            *backlog_us += quota.cost_us(cost);
        }
    }
    let levels = Levels {
        is_allowed,
        missing_us,
        backlogs_us: &backlogs_us,
    };
    let decision = Decision::new(quotas, cost, &levels);
    let next = (is_taken || is_cut).then(|| State {
        full_at_us: backlogs_us.iter().map(|backlog| now_us + backlog).collect(),
    });
    (decision, next)
}

impl State {
    /// When this state equals an empty one.
    #[must_use]
    pub fn ends_at_us(&self) -> u64 {
        self.full_at_us.iter().copied().max().unwrap_or(0)
    }

    /// As text, the same in every cache: the moments in digits, separated by spaces.
    #[must_use]
    pub fn to_text(&self) -> String {
        let moments: Vec<String> = self.full_at_us.iter().map(u64::to_string).collect();
        moments.join(" ")
    }

    /// Parses what [`State::to_text`] wrote; an empty state for anything else.
    #[must_use]
    pub fn from_text(text: &[u8]) -> Self {
        let full_at_us = std::str::from_utf8(text).ok().and_then(|text| {
            let numbers = text.split(' ').map(str::parse);
            numbers.collect::<Result<Vec<u64>, _>>().ok()
        });
        Self {
            full_at_us: full_at_us.unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests;
