//! The moment after which an answer is useless, and the time-outs limited by it.

use std::time::Duration;

use tokio::time::Instant;

/// The moment at which the caller stops waiting. Every time-out is limited to the time left until then.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Deadline(Instant);

/// The deadline passed before the work was done.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the deadline passed")]
pub struct Elapsed;

impl Deadline {
    /// The deadline `timeout` from now.
    #[must_use]
    pub fn after(timeout: Duration) -> Self {
        Self(Instant::now() + timeout)
    }

    /// The time left; zero when it has passed.
    #[must_use]
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether no time is left.
    #[must_use]
    pub fn has_passed(self) -> bool {
        self.remaining().is_zero()
    }

    /// `timeout`, or the time left if that is less.
    #[must_use]
    pub fn cut(self, timeout: Duration) -> Duration {
        timeout.min(self.remaining())
    }

    /// The earlier of this deadline and one `timeout` from now.
    #[must_use]
    pub fn at_most(self, timeout: Duration) -> Self {
        self.min(Self::after(timeout))
    }

    /// Waits for `work`, but not beyond the deadline.
    ///
    /// # Errors
    /// [`Elapsed`] when the deadline comes first; `work` is then dropped.
    pub async fn run<T>(self, work: impl Future<Output = T>) -> Result<T, Elapsed> {
        tokio::time::timeout_at(self.0, work)
            .await
            .map_err(|_| Elapsed)
    }
}
