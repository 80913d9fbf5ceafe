//! Moments by the clock and by the timer.

use std::ops::Add;
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::{Clock, Timestamp};

/// A moment as the clock and the timer have it. It has come when either of them says so: a clock may be set back, and timers may
/// stand still while the machine sleeps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) clock: Timestamp,
    pub(super) timer: Instant,
}

impl Moment {
    pub(super) fn now(clock: &dyn Clock) -> Self {
        Self {
            clock: clock.now(),
            timer: Instant::now(),
        }
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, length: Duration) -> Self {
        Self {
            clock: self.clock + length,
            timer: self.timer + length,
        }
    }
}
