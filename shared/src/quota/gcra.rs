//! The decision itself: the generic cell rate algorithm (GCRA) over several windows at once, as a pure function.
//!
//! For each window only one moment is stored, at which its burst will be full again (the theoretical arrival time). A request
//! of `cost` moves it `cost` intervals ahead, if it is then no further away than a full burst takes. Moments are microseconds
//! since the Unix epoch. Every adapter of the cache decides like this, and the contract tests compare them.
//!
//! A request with patience is assigned a place in the queue: the first moment at which every window has enough and no pause is
//! left. All windows count the request from that moment on, not from when it was asked for: what waits for one window would
//! otherwise leave the others too early. Later requests act later, so an assigned place needs no second check, as long as it is
//! used at its moment. One that is not used is given back if it is the last ([`give_back`]).

use std::time::Duration;

use super::decision::{Decision, Levels};
use crate::quota::{Quota, micros};

/// The longest pause; a longer one counts as this, so that no mistake of a caller or of a platform stops a key forever.
pub const MAX_PAUSE: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest patience; a longer one counts as this. API Gateway gives an invocation 29 seconds: a request that would queue
/// for longer than a third of that is better refused with a time to retry than left to time out afterwards.
pub const MAX_PATIENCE: Duration = Duration::from_secs(10);

/// How much further ahead than possible a stored moment may lie: the cache's clock has gone back a little.
pub const TOLERANCE: Duration = Duration::from_secs(60);

/// The stored state of a key. Without an entry, everything is full and nothing is paused.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct State {
    paused_until_us: u64,
    /// In the order of the quotas.
    full_at_us: Vec<u64>,
}

/// Whether a request of `cost` fits into every one of `quotas` within `patience`, and the state to store if it changed. A cost
/// of zero takes nothing; only a pause refuses or delays it.
///
/// An admitted request acts after [`Decision::wait`] and holds its place from now on. Without patience it acts at once.
///
/// Windows are identified by their order, so a key must always be used with the same quotas. Whoever can write into the cache can
/// write any state: what lies further ahead than a full burst plus [`MAX_PATIENCE`], or a pause than [`MAX_PAUSE`], cannot have
/// come about, and is cut off permanently, by [`TOLERANCE`] at most; beyond that it counts as empty.
#[must_use]
pub fn decide(
    state: &State,
    quotas: &[Quota],
    cost: u32,
    patience: Duration,
    now_us: u64,
) -> (Decision, Option<State>) {
    let mut is_cut = false;
    let mut ahead_us = |moment_us: u64, longest_us: u64| {
        let ahead_us = moment_us.saturating_sub(now_us);
        is_cut |= ahead_us > longest_us;
        if ahead_us > longest_us.saturating_add(micros(TOLERANCE)) {
            0
        } else {
            ahead_us.min(longest_us)
        }
    };
    let paused_us = ahead_us(state.paused_until_us, micros(MAX_PAUSE));
    let moments = state.full_at_us.iter().chain(std::iter::repeat(&0));
    let windows = quotas.iter().zip(moments);
    let (mut wait_us, mut fits) = (paused_us, true);
    let mut backlogs_us = Vec::with_capacity(quotas.len());
    for (quota, full_at_us) in windows {
        let backlog_us = ahead_us(*full_at_us, quota.full_us() + micros(MAX_PATIENCE));
        fits &= quota.cost_us(cost) <= quota.full_us();
        wait_us = wait_us.max(quota.missing_us(backlog_us, cost));
        backlogs_us.push(backlog_us);
    }
    let is_allowed = fits && wait_us <= micros(patience.min(MAX_PATIENCE));
    let is_taken = is_allowed && cost > 0 && !quotas.is_empty();
    if is_taken {
        for (quota, backlog_us) in quotas.iter().zip(&mut backlogs_us) {
            *backlog_us = wait_us.max(*backlog_us) + quota.cost_us(cost);
        }
    }
    let levels = Levels {
        is_allowed,
        wait_us,
        paused_us,
        now_us,
        backlogs_us: &backlogs_us,
    };
    let decision = Decision::new(quotas, cost, patience, &levels);
    let next = (is_taken || is_cut).then(|| State {
        paused_until_us: if paused_us > 0 { now_us + paused_us } else { 0 },
        full_at_us: backlogs_us.iter().map(|backlog| now_us + backlog).collect(),
    });
    (decision, next)
}

/// The state after an admitted request of `cost` did not proceed: `place_us` is its [`Decision::place_us`]. `None`: somebody was
/// admitted after it, or it was given back before; nothing changes.
///
/// Only the last place can be given back. Those after any other were assigned by it, and one more request in its stead would
/// act at the moment of one of them. Windows that had room beyond the wait get less back than was taken, never more.
#[must_use]
pub fn give_back(state: &State, quotas: &[Quota], cost: u32, place_us: u64) -> Option<State> {
    let is_last = place_us > 0 && state.full_at_us.first() == Some(&place_us);
    let costs_us = quotas.iter().map(|quota| quota.cost_us(cost));
    let costs_us = costs_us.chain(std::iter::repeat(0));
    let moments = state.full_at_us.iter().zip(costs_us);
    is_last.then(|| State {
        paused_until_us: state.paused_until_us,
        full_at_us: moments
            .map(|(moment, cost_us)| moment.saturating_sub(cost_us))
            .collect(),
    })
}

impl State {
    /// This state, paused for `length`; `None` if it is already paused for that long, and no longer than possible.
    #[must_use]
    pub fn paused(&self, length: Duration, now_us: u64) -> Option<Self> {
        let paused_until_us = now_us + micros(length.min(MAX_PAUSE));
        let is_possible = self.paused_until_us <= now_us.saturating_add(micros(MAX_PAUSE));
        (paused_until_us > self.paused_until_us || !is_possible).then(|| Self {
            paused_until_us,
            full_at_us: self.full_at_us.clone(),
        })
    }

    /// When this state equals an empty one.
    #[must_use]
    pub fn ends_at_us(&self) -> u64 {
        let moments = self.full_at_us.iter().copied();
        moments.fold(self.paused_until_us, u64::max)
    }

    /// As text, the same in every cache: the moments in digits, the end of the pause first (0 without one), separated by
    /// spaces.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = self.paused_until_us.to_string();
        for moment in &self.full_at_us {
            text.push(' ');
            text.push_str(&moment.to_string());
        }
        text
    }

    /// Parses what [`State::to_text`] wrote; an empty state for anything else.
    #[must_use]
    pub fn from_text(text: &[u8]) -> Self {
        let numbers = std::str::from_utf8(text).ok().and_then(|text| {
            let numbers = text.split(' ').map(str::parse);
            numbers.collect::<Result<Vec<u64>, _>>().ok()
        });
        let Some([paused_until_us, full_at_us @ ..]) = numbers.as_deref() else {
            return Self::default();
        };
        Self {
            paused_until_us: *paused_until_us,
            full_at_us: full_at_us.to_vec(),
        }
    }
}

#[cfg(test)]
mod tests;
