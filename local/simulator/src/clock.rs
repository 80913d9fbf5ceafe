//! The simulator's one clock. Everything with a date, above all token expiry, uses it; waits do not.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How simulated time passes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClockMode {
    /// Real time plus what [`advance`](crate::Control::advance) has added.
    #[default]
    Running,
    /// Stopped at this time, in milliseconds since 1970; moves only by the controls.
    Frozen(u64),
}

#[derive(Clone, Copy)]
enum State {
    Running { offset_ms: i64 },
    Frozen { now_ms: u64 },
}

pub(crate) struct Clock(Mutex<State>);

impl Clock {
    pub(crate) fn new(mode: ClockMode) -> Self {
        Self(Mutex::new(match mode {
            ClockMode::Running => State::Running { offset_ms: 0 },
            ClockMode::Frozen(now_ms) => State::Frozen { now_ms },
        }))
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.lock().now_ms()
    }

    pub(crate) fn set_now_ms(&self, now_ms: u64) {
        self.replace(|state| match state {
            State::Running { .. } => State::running_at(now_ms),
            State::Frozen { .. } => State::Frozen { now_ms },
        });
    }

    pub(crate) fn advance(&self, by: Duration) {
        let by_ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.replace(|state| {
            let now_ms = state.now_ms().saturating_add(by_ms);
            match state {
                State::Running { .. } => State::running_at(now_ms),
                State::Frozen { .. } => State::Frozen { now_ms },
            }
        });
    }

    pub(crate) fn freeze(&self) {
        self.replace(|state| State::Frozen {
            now_ms: state.now_ms(),
        });
    }

    pub(crate) fn unfreeze(&self) {
        self.replace(|state| State::running_at(state.now_ms()));
    }

    pub(crate) fn is_frozen(&self) -> bool {
        matches!(*self.lock(), State::Frozen { .. })
    }

    fn replace(&self, change: impl FnOnce(State) -> State) {
        let mut state = self.lock();
        *state = change(*state);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn running_at(now_ms: u64) -> Self {
        Self::Running {
            offset_ms: now_ms.cast_signed().saturating_sub(system_ms()),
        }
    }

    fn now_ms(self) -> u64 {
        match self {
            Self::Running { offset_ms } => {
                system_ms().saturating_add(offset_ms).max(0).cast_unsigned()
            }
            Self::Frozen { now_ms } => now_ms,
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the simulator's one clock"
)]
fn system_ms() -> i64 {
    let since_1970 = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frozen_clock_moves_only_by_the_controls() {
        let clock = Clock::new(ClockMode::Frozen(1_000));
        clock.advance(Duration::from_millis(250));
        assert_eq!(clock.now_ms(), 1_250);
        clock.set_now_ms(7);
        assert_eq!(clock.now_ms(), 7);
    }

    #[test]
    fn a_running_clock_keeps_its_offset_when_frozen() {
        let clock = Clock::new(ClockMode::Running);
        clock.set_now_ms(5_000_000_000_000);
        clock.freeze();
        let frozen_at = clock.now_ms();
        assert!((5_000_000_000_000..5_000_000_060_000).contains(&frozen_at));
        assert_eq!(clock.now_ms(), frozen_at);
    }
}
