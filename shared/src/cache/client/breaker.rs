//! When the cache is skipped, and when a probe checks whether it is back.

use std::error::Error;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use crate::cache::CacheError;

/// This many errors in a row open the breaker. A cache that does not respond at all opens it at once.
const ERRORS_TO_OPEN: u32 = 3;
/// The pause between opening and the first probe; it doubles with each further probe up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause between probes.
const MAX_PAUSE: Duration = Duration::from_secs(10);

/// The circuit breaker between callers and the cache. While open, it admits nobody; callers start probes in the background.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// How many operations have succeeded.
    heard: u64,
    /// Errors since the last success.
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
pub(super) enum Admission {
    /// Ask the cache.
    Ask(Heard),
    /// Continue without it.
    Skip,
    /// Continue without it, and start a probe.
    SkipAndProbe,
}

/// How many operations had succeeded when this one started.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard(u64);

impl Breaker {
    /// Whether an operation may start. While open, one caller per pause is told to probe. Pauses are longer than a probe may
    /// take, so only one runs at a time.
    pub(super) fn admit(&self) -> Admission {
        let mut state = self.lock();
        let heard = Heard(state.heard);
        let Some(open) = &mut state.open else {
            return Admission::Ask(heard);
        };
        let now = Instant::now();
        if now < open.probe_at {
            return Admission::Skip;
        }
        open.pause = (open.pause * 2).min(MAX_PAUSE);
        open.probe_at = now + open.pause;
        Admission::SkipAndProbe
    }

    /// Whether it is open and no operation succeeded since the given one started: that one will get no answer.
    pub(super) fn gives_up(&self, started: Heard) -> bool {
        let state = self.lock();
        state.open.is_some() && state.heard == started.0
    }

    /// An operation or a probe succeeded, however long ago it started.
    pub(super) fn succeeded(&self) {
        let mut state = self.lock();
        state.heard = state.heard.wrapping_add(1);
        state.errors = 0;
        if state.open.take().is_some() {
            warn!("the cache answers again");
        }
    }

    /// `operation` failed. A time-out counts against the cache only if no other operation succeeded meanwhile: otherwise it is
    /// one slow key.
    pub(super) fn failed(&self, operation: &'static str, started: Heard, error: &CacheError) {
        let mut state = self.lock();
        let opens = match error {
            CacheError::Timeout => state.heard == started.0,
            CacheError::Unavailable(_) => {
                state.errors = state.errors.saturating_add(1);
                state.errors >= ERRORS_TO_OPEN
            }
            CacheError::Skipped => false,
        };
        if !opens || state.open.is_some() {
            return;
        }
        state.open = Some(Open {
            probe_at: Instant::now() + FIRST_PAUSE,
            pause: FIRST_PAUSE,
        });
        let cause = cause(error);
        warn!(cache.operation = operation, %error, cause, "the cache is skipped");
    }

    /// A probe failed.
    pub(super) fn probe_failed(&self, error: &CacheError) {
        // Closed: a late success came before this.
        let Some(open) = self.lock().open else { return };
        let pause_ms = u64::try_from(open.pause.as_millis()).unwrap_or(u64::MAX);
        let cause = cause(error);
        warn!(pause_ms, %error, cause, "the cache is still skipped");
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("no panic while holding the breaker")
    }
}

fn cause(error: &CacheError) -> String {
    Error::source(error)
        .map(ToString::to_string)
        .unwrap_or_default()
}
