//! The moment after which an answer is useless, and the time-outs limited by it.

use std::pin::pin;
use std::time::Duration;

use tokio::time::Instant;

/// A timer that fires this much too late means that the process did not run meanwhile: it was frozen, or starved.
const LATE: Duration = Duration::from_millis(100);
/// How long a stopped process then reads what has arrived: many turns of its runtime, nothing that a caller notices.
const GRACE: Duration = Duration::from_millis(250);
/// The same for what cannot be had twice, however busy the machine is.
const LONG_GRACE: Duration = Duration::from_secs(2);

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

    /// Waits for `work`, but not beyond the deadline. When the whole process was stopped past the deadline, `work` gets a
    /// moment more: what it waits for may have arrived meanwhile and lie unread in a socket.
    ///
    /// # Errors
    /// [`Elapsed`] when the deadline comes first; `work` is then dropped.
    pub async fn run<T>(self, work: impl Future<Output = T>) -> Result<T, Elapsed> {
        self.run_and_read(work, GRACE).await
    }

    /// As [`Deadline::run`], for what cannot be had twice: after a stop it gets two seconds.
    ///
    /// # Errors
    /// [`Elapsed`] when the deadline comes first; `work` is then dropped.
    pub async fn run_once<T>(self, work: impl Future<Output = T>) -> Result<T, Elapsed> {
        self.run_and_read(work, LONG_GRACE).await
    }

    async fn run_and_read<T>(
        self,
        work: impl Future<Output = T>,
        grace: Duration,
    ) -> Result<T, Elapsed> {
        let mut work = pin!(work);
        if let Ok(outcome) = tokio::time::timeout_at(self.0, work.as_mut()).await {
            return Ok(outcome);
        }
        if self.0.elapsed() < LATE {
            return Err(Elapsed);
        }
        tokio::time::timeout(grace, work).await.map_err(|_| Elapsed)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::TcpListener;

    use tokio::io::AsyncReadExt as _;

    use super::*;

    /// Stops the whole runtime, as a freeze of the process does, until `moment` has passed.
    fn freeze_until(moment: Instant) {
        while Instant::now() < moment {
            std::hint::spin_loop();
        }
    }

    /// A connection to a server that writes an answer at once, read by a task of its own, as an HTTP client does.
    #[expect(
        clippy::disallowed_methods,
        reason = "the test is about a task of its own"
    )]
    async fn answer_behind_a_task() -> tokio::sync::oneshot::Receiver<u8> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
        let (mut server, _) = listener.accept().unwrap();
        server.write_all(b"7").unwrap();
        let (tell, told) = tokio::sync::oneshot::channel();
        let reader = async move {
            let byte = socket.read_u8().await.unwrap();
            // More than one turn of the runtime lies between the socket and the caller.
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            let _ = tell.send(byte);
        };
        tokio::task::spawn_local(reader);
        told
    }

    #[tokio::test]
    async fn an_answer_that_arrived_during_a_freeze_is_not_a_time_out() {
        let local = tokio::task::LocalSet::new();
        local
            .run_until(async {
                let answer = answer_behind_a_task().await;
                let deadline = Deadline::after(Duration::from_millis(20));
                freeze_until(deadline.0 + LATE);
                assert_eq!(deadline.run(answer).await, Ok(Ok(b'7')));
            })
            .await;
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_freeze_the_deadline_is_exact() {
        let began = Instant::now();
        let deadline = Deadline::after(Duration::from_secs(3));
        let outcome = deadline.run(std::future::pending::<()>()).await;
        assert_eq!(outcome, Err(Elapsed));
        assert_eq!(began.elapsed(), Duration::from_secs(3));
    }

    #[tokio::test]
    async fn after_a_freeze_what_never_comes_is_a_time_out_all_the_same() {
        let deadline = Deadline::after(Duration::from_millis(1));
        freeze_until(deadline.0 + LATE);
        let outcome = deadline.run(std::future::pending::<()>()).await;
        assert_eq!(outcome, Err(Elapsed));
    }
}
