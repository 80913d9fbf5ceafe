//! The one place that reads the time.
//!
//! Stored moments are [`Timestamp`]s read from a [`Clock`], so tests move them; waits use Tokio's time, which tests pause.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// A moment, in milliseconds since the Unix epoch.
#[derive(
    Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Deserialize, Serialize,
)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The moment `millis` milliseconds after the Unix epoch.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// The moment `seconds` seconds after the Unix epoch.
    #[must_use]
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000))
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Seconds since the Unix epoch, rounded up: a record that lives until this second lives at least until the moment.
    #[must_use]
    pub const fn as_seconds_rounded_up(self) -> i64 {
        self.0.saturating_add(999).div_euclid(1_000)
    }

    /// The moment that `text` names in RFC 3339 form: `2026-01-31T08:00:00Z`, or with an offset.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let moment = DateTime::from_str(text, Format::DateTimeWithOffset).ok()?;
        Some(Self(moment.to_millis().ok()?))
    }

    /// How long it takes from `now` until this moment; zero when it has passed.
    #[must_use]
    pub fn since(self, now: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(now.0)).unwrap_or(0))
    }
}

impl std::ops::Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, length: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(length.as_millis()).unwrap_or(i64::MAX)),
        )
    }
}

impl std::ops::Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, length: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(i64::try_from(length.as_millis()).unwrap_or(i64::MAX)),
        )
    }
}

/// RFC 3339, in UTC: `2026-01-31T08:00:00Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DateTime::from_millis(self.0).fmt(Format::DateTime) {
            Ok(text) => f.write_str(&text),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

/// Where stored moments come from.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The current moment.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp::default() + since_epoch
    }
}

/// Measures how long something takes, in Tokio's time and by a clock, and believes the longer one. A frozen process wakes up
/// with timers that may have stood still, and a clock may be set back: either of the two still tells that time has passed.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch {
    started: Instant,
    began: Timestamp,
}

impl Stopwatch {
    /// Begins now.
    #[must_use]
    pub fn start(clock: &dyn Clock) -> Self {
        Self {
            started: Instant::now(),
            began: clock.now(),
        }
    }

    /// How long ago it was started; `clock` is the one that it was started with.
    #[must_use]
    pub fn elapsed(&self, clock: &dyn Clock) -> Duration {
        let by_clock = clock.now().since(self.began);
        self.started.elapsed().max(by_clock)
    }
}

/// A clock that moves with Tokio's time, which tests pause.
#[cfg(test)]
#[derive(Debug)]
pub(crate) struct TokioClock(Instant);

#[cfg(test)]
impl TokioClock {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }
}

#[cfg(test)]
impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(1_700_000_000) + self.0.elapsed()
    }
}

/// A clock that moves only when told to.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock set to `now`.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self(AtomicI64::new(now.as_millis()))
    }

    /// Moves the clock forward.
    pub fn advance(&self, length: Duration) {
        self.0.fetch_add(
            i64::try_from(length.as_millis()).unwrap_or(i64::MAX),
            Ordering::SeqCst,
        );
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_round_up_so_that_nothing_ends_early() {
        assert_eq!(Timestamp::from_millis(1_001).as_seconds_rounded_up(), 2);
        assert_eq!(Timestamp::from_millis(2_000).as_seconds_rounded_up(), 2);
    }

    #[test]
    fn a_moment_in_the_past_is_no_time_away() {
        let now = Timestamp::from_seconds(10);
        assert_eq!((now - Duration::from_secs(1)).since(now), Duration::ZERO);
        assert_eq!(
            (now + Duration::from_secs(1)).since(now),
            Duration::from_secs(1)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_stopwatch_believes_whoever_says_that_more_time_has_passed() {
        let clock = ManualClock::at(Timestamp::from_seconds(1_000));
        let watch = Stopwatch::start(&clock);
        assert_eq!(watch.elapsed(&clock), Duration::ZERO);
        // Timers stood still while the process was frozen.
        clock.advance(Duration::from_secs(70));
        assert_eq!(watch.elapsed(&clock), Duration::from_secs(70));
        tokio::time::advance(Duration::from_secs(90)).await;
        assert_eq!(watch.elapsed(&clock), Duration::from_secs(90));
        let ahead = ManualClock::at(Timestamp::from_seconds(9_000));
        let watch = Stopwatch::start(&ahead);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(watch.elapsed(&clock), Duration::from_secs(5), "set back");
    }

    #[test]
    fn a_moment_prints_as_rfc_3339() {
        assert_eq!(
            Timestamp::from_seconds(1_769_846_400).to_string(),
            "2026-01-31T08:00:00Z"
        );
    }
}
