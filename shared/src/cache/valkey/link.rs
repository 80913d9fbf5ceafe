//! The one connection: made when it is needed, by whoever comes first, and made again when it is dead.

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
/// A connection on which nothing has come back for so long may be dead without our knowing.
const SILENCE: Duration = Duration::from_secs(1);

/// Whether a command may be sent again when the connection is lost before its answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Repeat {
    /// Doing it twice is doing it once.
    Safe,
    /// Once done, doing it again would answer something else.
    Never,
}

/// The connection to a [`Target`].
pub(super) struct Link {
    target: Target,
    state: Mutex<State>,
}

/// An attempt to connect that all callers wait for together, and that survives those who give up.
type Attempt = Shared<BoxFuture<'static, RedisResult<Connection>>>;

#[derive(Default)]
struct State {
    /// Which attempt is the current one: late news of an older one change nothing.
    generation: u64,
    attempt: Option<Attempt>,
    /// When something last came back on the connection.
    heard_at: Option<Instant>,
    failed: Option<Failed>,
}

/// The server is out of reach.
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
    /// The connection is fine, the answer is no.
    Keep,
    /// The connection is of no more use. Whether the server has seen the command is unknown.
    Lost,
    /// The connection is of no more use, and the server has refused the command.
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
            // Finds out whether the connection is alive with something that may be repeated.
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

    /// The connection, made if there is none.
    ///
    /// # Errors
    /// What the last attempt ended with, at once, until it is time for the next one.
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

    /// Leaves the connection to those who still wait on it; the next caller makes a new one.
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

/// A command on its way. Callers are impatient: most give up long before the response time-out. Given up on a connection
/// that has been silent for long, it is taken for dead, since nobody would ever wait long enough to be told.
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
    reason = "a library's error, of which few kinds speak of the connection"
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
