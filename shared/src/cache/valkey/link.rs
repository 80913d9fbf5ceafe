//! The one connection: opened by the first caller that needs it, and reopened when it is dead.

use std::fmt;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use redis::{Cmd, ErrorKind, FromRedisValue, RedisError, RedisResult, ServerErrorKind, cmd};
use tracing::info;

use super::target::{Connection, Target};

/// The pause after the first failed attempt to connect; it doubles up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause between attempts to connect.
const MAX_PAUSE: Duration = Duration::from_secs(1);
/// A connection on which nothing has arrived for this long may be dead unnoticed.
const SILENCE: Duration = Duration::from_secs(1);

/// Whether a command may be sent again when the connection is lost before its answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Repeat {
    /// The command is idempotent.
    Safe,
    /// The command is not idempotent.
    Never,
}

/// The connection to a [`Target`].
pub(super) struct Link {
    target: Target,
    state: Mutex<State>,
}

/// An attempt to connect that all callers share; it continues when callers give up.
type Attempt = Shared<BoxFuture<'static, RedisResult<Connection>>>;

#[derive(Default)]
struct State {
    /// Which attempt is the current one: late results of an older one are ignored.
    generation: u64,
    attempt: Option<Attempt>,
    /// When something last arrived on the connection.
    heard_at: Option<Instant>,
    failed: Option<Failed>,
}

/// The server is unreachable.
struct Failed {
    times: u32,
    retry_at: Instant,
    error: RedisError,
}

/// The connection as a caller holds it.
pub(super) struct Held {
    generation: u64,
    connection: Connection,
}

/// What to do about an error.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Verdict {
    /// The connection works; the server answered with an error.
    Keep,
    /// The connection is unusable. Whether the server has seen the command is unknown.
    Lost,
    /// The connection is unusable, and the server has refused the command.
    Refused,
    /// No answer in time: the connection may be dead.
    Late,
}

impl Link {
    pub(super) fn new(target: Target) -> Self {
        Self {
            target,
            state: Mutex::default(),
        }
    }

    pub(super) const fn is_cluster(&self) -> bool {
        match self.target {
            Target::Cluster(_) => true,
            Target::Node(..) => false,
        }
    }

    /// Sends `command`, once more on a new connection if this one turns out to be dead and `repeat` or the kind of failure
    /// allows it.
    pub(super) async fn run<T: FromRedisValue>(
        &self,
        repeat: Repeat,
        command: &Cmd,
    ) -> RedisResult<T> {
        if repeat == Repeat::Never && self.is_silent() {
            // Checks with a repeatable command whether the connection is alive.
            let _: () = Box::pin(self.run(Repeat::Safe, &cmd("PING"))).await?;
        }
        let (verdict, error) = match self.send(command).await? {
            Ok(answer) => return Ok(answer),
            Err(failure) => failure,
        };
        let again = match verdict {
            Verdict::Refused => true,
            Verdict::Lost => repeat == Repeat::Safe,
            Verdict::Keep | Verdict::Late => false,
        };
        if again {
            self.send(command).await?.map_err(|(_, error)| error)
        } else {
            Err(error)
        }
    }

    /// The connection, opened if there is none.
    ///
    /// # Errors
    /// The error of the last attempt, at once, until the next attempt is due.
    pub(super) async fn connection(&self) -> RedisResult<Held> {
        let (generation, attempt) = self.attempt()?;
        match attempt.await {
            Ok(connection) => {
                self.connected(generation);
                Ok(Held {
                    generation,
                    connection,
                })
            }
            Err(error) => {
                self.failed(generation, &error);
                Err(error)
            }
        }
    }

    /// The outer error: no connection. The inner one: the command failed.
    async fn send<T: FromRedisValue>(
        &self,
        command: &Cmd,
    ) -> RedisResult<Result<T, (Verdict, RedisError)>> {
        let Held {
            generation,
            mut connection,
        } = self.connection().await?;
        let mut waiting = Waiting {
            link: self,
            generation,
            answered: false,
        };
        let answer = command.query_async(&mut connection).await;
        waiting.answered = true;
        let error = match answer {
            Ok(answer) => {
                self.heard(generation);
                return Ok(Ok(answer));
            }
            Err(error) => error,
        };
        let verdict = judge(&error);
        match verdict {
            Verdict::Keep => self.heard(generation),
            Verdict::Lost | Verdict::Refused | Verdict::Late => self.discard(generation),
        }
        Ok(Err((verdict, error)))
    }

    fn attempt(&self) -> RedisResult<(u64, Attempt)> {
        let mut state = self.lock();
        if let Some(attempt) = &state.attempt {
            return Ok((state.generation, attempt.clone()));
        }
        if let Some(failed) = &state.failed
            && failed.retry_at > Instant::now()
        {
            return Err(failed.error.clone());
        }
        state.generation += 1;
        let attempt = self.target.connect().shared();
        state.attempt = Some(attempt.clone());
        Ok((state.generation, attempt))
    }

    fn connected(&self, generation: u64) {
        let mut state = self.lock();
        if state.generation == generation && state.heard_at.is_none() {
            state.heard_at = Some(Instant::now());
            if state.failed.take().is_some() {
                info!("connected to the cache again");
            }
        }
    }

    fn failed(&self, generation: u64, error: &RedisError) {
        let mut state = self.lock();
        if state.generation != generation || state.attempt.is_none() {
            return;
        }
        let times = state.failed.as_ref().map_or(0, |failed| failed.times);
        let pause = (FIRST_PAUSE * 2_u32.saturating_pow(times)).min(MAX_PAUSE);
        state.attempt = None;
        state.failed = Some(Failed {
            times: times.min(8) + 1,
            retry_at: Instant::now() + pause,
            error: error.clone(),
        });
    }

    fn heard(&self, generation: u64) {
        let mut state = self.lock();
        if state.generation == generation {
            state.heard_at = Some(Instant::now());
        }
    }

    /// Stops using the connection: pending callers keep it, the next caller opens a new one.
    fn discard(&self, generation: u64) {
        let mut state = self.lock();
        if state.generation == generation {
            state.attempt = None;
            state.heard_at = None;
        }
    }

    fn is_silent(&self) -> bool {
        self.lock()
            .heard_at
            .is_some_and(|heard_at| heard_at.elapsed() > SILENCE)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while holding the link")
    }
}

/// A command in flight. Most callers give up long before the response time-out. If one gives up on a connection that has been
/// silent for long, the connection counts as dead, since nobody would wait long enough to see the time-out.
struct Waiting<'l> {
    link: &'l Link,
    generation: u64,
    answered: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.answered && self.link.is_silent() {
            self.link.discard(self.generation);
        }
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "a library's error; few of its kinds concern the connection"
)]
fn judge(error: &RedisError) -> Verdict {
    match error.kind() {
        // The node was demoted: its name leads to the new primary by now.
        ErrorKind::Server(ServerErrorKind::ReadOnly) => Verdict::Refused,
        _ if error.is_timeout() => Verdict::Late,
        _ if error.is_unrecoverable_error() => Verdict::Lost,
        _ => Verdict::Keep,
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("Link")
            .field("generation", &state.generation)
            .field("connected", &state.heard_at.is_some())
            .finish_non_exhaustive()
    }
}
