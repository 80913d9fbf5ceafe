//! The decision itself: the generic cell rate algorithm (GCRA) over several windows at once, as a pure function.
//!
//! Of each window only one moment is kept, when its burst will be whole again (the theoretical arrival time). A request of
//! `cost` moves it `cost` intervals further, if it is then no further away than a whole burst takes. Moments are
//! microseconds since the Unix epoch. Every adapter of the cache decides like this, and the contract tests compare them.

use std::time::Duration;

use super::decision::{Decision, Levels};
use super::quota::{Quota, micros};

/// The longest pause; a longer one counts as this, so that no slip of a caller or of a platform stops a key for good.
pub const MAX_PAUSE: Duration = Duration::from_secs(24 * 60 * 60);

/// What is kept of a key. Without any entry, everything is full and nothing is paused.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct State {
    paused_until_us: u64,
    /// In the order of the quotas.
    full_at_us: Vec<u64>,
}

/// Whether a request of `cost` fits into every one of `quotas`, and the state to keep if it changed: only when something was
/// taken. A cost of zero takes nothing and is refused by a pause only.
///
/// Windows are told apart by their order, so a key is always used with the same quotas. If they change all the same, or if
/// time goes back, a window is at worst as good as empty: what lies further ahead than a whole burst takes is cut off.
#[must_use]
pub fn decide(
    state: &State,
    quotas: &[Quota],
    cost: u32,
    now_us: u64,
) -> (Decision, Option<State>) {
    let paused_us = state.paused_until_us.saturating_sub(now_us);
    let moments = state.full_at_us.iter().chain(std::iter::repeat(&0));
    let windows = quotas.iter().zip(moments);
    let mut backlogs_us: Vec<u64> = windows
        .map(|(quota, full_at_us)| full_at_us.saturating_sub(now_us).min(quota.full_us()))
        .collect();
    let mut windows = quotas.iter().zip(&backlogs_us);
    let fits =
        windows.all(|(quota, backlog_us)| backlog_us + quota.cost_us(cost) <= quota.full_us());
    let is_allowed = paused_us == 0 && fits;
    if is_allowed {
        for (quota, backlog_us) in quotas.iter().zip(&mut backlogs_us) {
            *backlog_us += quota.cost_us(cost);
        }
    }
    let levels = Levels {
        is_allowed,
        paused_us,
        backlogs_us: &backlogs_us,
    };
    let decision = Decision::new(quotas, cost, &levels);
    let next = (is_allowed && cost > 0 && !quotas.is_empty()).then(|| State {
        paused_until_us: 0,
        full_at_us: backlogs_us.iter().map(|backlog| now_us + backlog).collect(),
    });
    (decision, next)
}

impl State {
    /// This state, paused for `length`; `None` if it is paused for as long already.
    #[must_use]
    pub fn paused(&self, length: Duration, now_us: u64) -> Option<Self> {
        let paused_until_us = now_us + micros(length.min(MAX_PAUSE));
        (paused_until_us > self.paused_until_us).then(|| Self {
            paused_until_us,
            full_at_us: self.full_at_us.clone(),
        })
    }

    /// When this state is as good as none.
    #[must_use]
    pub fn ends_at_us(&self) -> u64 {
        let moments = self.full_at_us.iter().copied();
        moments.fold(self.paused_until_us, u64::max)
    }

    /// As text, in every cache alike: the moments in digits, the end of the pause first (0 without one), separated by spaces.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = self.paused_until_us.to_string();
        for moment in &self.full_at_us {
            text.push(' ');
            text.push_str(&moment.to_string());
        }
        text
    }

    /// What [`State::to_text`] made; no state for anything else.
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
