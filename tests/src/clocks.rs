//! Clocks for processes of the service.

use std::sync::Arc;
use std::time::Duration;

use lark_service::clock::{Clock, Timestamp};
use lark_simulator::Control;

/// The simulator's clock, for the service: one time for both.
#[derive(Clone)]
pub struct SimulatedClock(Control);

impl SimulatedClock {
    /// The clock of this simulator.
    #[must_use]
    pub const fn of(control: Control) -> Self {
        Self(control)
    }
}

impl std::fmt::Debug for SimulatedClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SimulatedClock({})", self.0.now_ms())
    }
}

/// A clock that is fast by this much.
#[derive(Debug)]
pub(crate) struct FastClock(pub(crate) Arc<dyn Clock>, pub(crate) Duration);

impl Clock for FastClock {
    fn now(&self) -> Timestamp {
        self.0.now() + self.1
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(i64::try_from(self.0.now_ms()).expect("a moment of this age"))
    }
}
