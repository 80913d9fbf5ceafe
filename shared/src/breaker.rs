//! The circuit breaker above a dependency: when it is skipped, and when somebody finds out whether it is back.

use std::error::Error;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use crate::clock::{Stopwatch, SystemClock};

/// A wait that took this much longer than it was allowed to: the process was stopped meanwhile.
const STOPPED: Duration = Duration::from_secs(1);

/// When a breaker opens, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// What the log calls the dependency: `the cache`.
    pub name: &'static str,
    /// This many time-outs in a row open it.
    pub timeouts: u32,
    /// This many errors in a row open it; `None`: an error is an answer like any other.
    pub errors: Option<u32>,
    /// The pause between opening and the first probe; it doubles with each further probe.
    pub first_pause: Duration,
    /// The longest pause between probes. Pauses are longer than a probe may take, so only one runs at a time.
    pub longest_pause: Duration,
}

/// The circuit breaker between callers and a dependency. While open, it admits nobody but a probe now and then.
#[derive(Debug)]
pub struct Breaker {
    policy: Policy,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// How many operations were answered.
    heard: u64,
    /// Time-outs since the last answer.
    timeouts: u32,
    /// Errors since the last answer.
    errors: u32,
    /// `None`: it is closed.
    open: Option<Open>,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    probe_at: Instant,
    pause: Duration,
}

/// What a caller is to do.
#[derive(Clone, Copy, Debug)]
pub enum Admission {
    /// Ask the dependency.
    Ask(Started),
    /// Continue without it.
    Skip,
    /// It is this caller's turn to see to it that the dependency is probed.
    Probe(Started),
}

/// The moment at which an operation started, and how many had been answered by then.
#[derive(Clone, Copy, Debug)]
pub struct Started {
    heard: u64,
    /// By the machine's clock too, because the other may stand still with the process.
    watch: Stopwatch,
}

/// Why an operation failed.
#[derive(Clone, Copy, Debug)]
pub enum Failure {
    /// There was no answer in the time that it was given.
    Timeout(Duration),
    /// It failed at once.
    Error,
}

impl Started {
    fn now(heard: u64) -> Self {
        Self {
            heard,
            watch: Stopwatch::start(&SystemClock),
        }
    }

    /// Whether the process stood still during a wait for at most `allowed`. A timer that ran out meanwhile says nothing about
    /// the dependency.
    fn was_stopped(&self, allowed: Duration) -> bool {
        self.watch.elapsed(&SystemClock) > allowed + STOPPED
    }
}

impl Breaker {
    /// A closed breaker.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            state: Mutex::default(),
        }
    }

    /// Whether an operation may start. While open, one caller per pause is told to probe.
    pub fn admit(&self) -> Admission {
        let mut state = self.lock();
        let started = Started::now(state.heard);
        let Some(open) = &mut state.open else {
            return Admission::Ask(started);
        };
        let now = Instant::now();
        if now < open.probe_at {
            return Admission::Skip;
        }
        open.pause = (open.pause * 2).min(self.policy.longest_pause);
        open.probe_at = now + open.pause;
        Admission::Probe(started)
    }

    /// The start of an operation that does not ask whether it may.
    pub fn start(&self) -> Started {
        Started::now(self.lock().heard)
    }

    /// Whether it is open and no operation was answered since the given one started: that one will get no answer.
    pub fn gives_up(&self, started: Started) -> bool {
        let state = self.lock();
        state.open.is_some() && state.heard == started.heard
    }

    /// An operation or a probe was answered, however long ago it started.
    pub fn succeeded(&self) {
        let mut state = self.lock();
        state.heard = state.heard.wrapping_add(1);
        state.timeouts = 0;
        state.errors = 0;
        if state.open.take().is_some() {
            warn!("{} answers again", self.policy.name);
        }
    }

    /// `operation` failed. A time-out counts only if no other operation was answered meanwhile: otherwise it is one slow key.
    /// Nor does it count if the process was stopped.
    pub fn failed(
        &self,
        operation: &'static str,
        started: Started,
        failure: Failure,
        error: &dyn Error,
    ) {
        let mut state = self.lock();
        let opens = match failure {
            Failure::Timeout(allowed) => {
                let counts = state.heard == started.heard && !started.was_stopped(allowed);
                state.timeouts = state.timeouts.saturating_add(counts.into());
                counts && state.timeouts >= self.policy.timeouts
            }
            Failure::Error => {
                state.errors = state.errors.saturating_add(1);
                self.policy.errors.is_some_and(|most| state.errors >= most)
            }
        };
        if !opens || state.open.is_some() {
            return;
        }
        let pause = self.policy.first_pause;
        state.open = Some(Open {
            probe_at: Instant::now() + pause,
            pause,
        });
        let cause = cause(error);
        warn!(breaker.operation = operation, %error, cause, "{} is skipped", self.policy.name);
    }

    /// A probe failed.
    pub fn probe_failed(&self, error: &dyn Error) {
        // Closed: a late answer came before this.
        let Some(open) = self.lock().open else { return };
        let pause_ms = u64::try_from(open.pause.as_millis()).unwrap_or(u64::MAX);
        let cause = cause(error);
        warn!(pause_ms, %error, cause, "{} is still skipped", self.policy.name);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("no panic while holding the breaker")
    }
}

fn cause(error: &dyn Error) -> String {
    error.source().map(ToString::to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::fmt::Error as Silence;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(2);
    const PAUSE: Duration = Duration::from_secs(1);

    fn breaker() -> Breaker {
        Breaker::new(Policy {
            name: "the test",
            timeouts: 2,
            errors: None,
            first_pause: PAUSE,
            longest_pause: PAUSE * 4,
        })
    }

    /// An operation that gets no answer, during which the process stands still for `stopped`.
    async fn time_out(breaker: &Breaker, stopped: Duration) {
        let started = breaker.start();
        tokio::time::advance(PATIENCE + stopped).await;
        breaker.failed("get", started, Failure::Timeout(PATIENCE), &Silence);
    }

    fn is_closed(breaker: &Breaker) -> bool {
        matches!(breaker.admit(), Admission::Ask(_))
    }

    #[tokio::test(start_paused = true)]
    async fn as_many_time_outs_in_a_row_as_the_policy_says_open_it() {
        let breaker = breaker();
        time_out(&breaker, Duration::ZERO).await;
        breaker.succeeded();
        time_out(&breaker, Duration::ZERO).await;
        assert!(is_closed(&breaker), "an answer came between the two");
        time_out(&breaker, Duration::ZERO).await;
        assert!(matches!(breaker.admit(), Admission::Skip));
    }

    #[tokio::test(start_paused = true)]
    async fn a_time_out_of_a_process_that_was_stopped_says_nothing() {
        for (stopped, counts) in [(0, true), (1, true), (2, false), (60, false)] {
            let breaker = breaker();
            for _ in 0..5 {
                time_out(&breaker, Duration::from_secs(stopped)).await;
            }
            assert_ne!(is_closed(&breaker), counts, "stopped for {stopped} s");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn errors_open_it_only_where_the_policy_says_so() {
        for (errors, opens) in [(None, false), (Some(3), true), (Some(4), false)] {
            let policy = breaker().policy;
            let breaker = Breaker::new(Policy { errors, ..policy });
            for _ in 0..3 {
                breaker.failed("get", breaker.start(), Failure::Error, &Silence);
            }
            assert_ne!(is_closed(&breaker), opens, "{errors:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_caller_per_pause_probes_and_pauses_grow_to_the_longest() {
        let breaker = breaker();
        for _ in 0..2 {
            time_out(&breaker, Duration::ZERO).await;
        }
        for pause in [1, 2, 4, 4] {
            for _ in 0..pause {
                assert!(matches!(breaker.admit(), Admission::Skip));
                tokio::time::advance(PAUSE).await;
            }
            assert!(matches!(breaker.admit(), Admission::Probe(_)));
        }
        breaker.succeeded();
        assert!(is_closed(&breaker));
    }
}
