//! The protocol of the program `worker`, and the fault tests' side of it.

use std::collections::BTreeMap;
use std::process::Stdio;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};

/// A command to a worker.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Do the work once for each caller, all at once.
    Burst {
        /// The work of each caller.
        work: Work,
        /// Concurrent callers.
        callers: u32,
    },
    /// Repeat the work with this many callers until [`Command::Stop`].
    Load {
        /// The work of each caller.
        work: Work,
        /// Concurrent callers.
        callers: u32,
    },
    /// The same, with a pause after each call.
    LoadWithPause {
        /// The work of each caller.
        work: Work,
        /// Concurrent callers.
        callers: u32,
        /// How long a caller waits before the next call, in milliseconds.
        pause_ms: u64,
    },
    /// Look up users whose popularity follows Zipf's law.
    Zipf {
        /// Number of look-ups.
        look_ups: u32,
        /// Number of users.
        users: u32,
        /// The same seed draws the same users.
        seed: u64,
        /// Concurrent look-ups.
        callers: u32,
    },
    /// Call the platform for users at a fixed rate, whether or not earlier calls have ended.
    FixedRate {
        /// Calls per second.
        per_second: f64,
        /// Length of the run.
        seconds: u32,
    },
    /// Look up the users `first` to `last` in batches.
    Fill {
        /// The first.
        first: u32,
        /// The last.
        last: u32,
    },
    /// Answer with [`Answer::Memory`].
    MeasureMemory,
    /// Run the warm-up.
    WarmUp,
    /// End the load.
    Stop,
    /// Run the scheduled refresh once.
    Refresh,
    /// Deliver messages until [`Command::Stop`], as the functions that the queues call do.
    Deliver {
        /// How many batches of each lane at a time.
        batches: u32,
        /// For how long a batch is hidden from others, in seconds.
        hidden_s: u64,
    },
}

/// The work of a caller.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// Ask for the tenant token as `get-token` does.
    LocalToken,
    /// Ask for the tenant token as a call to Lark does.
    SharedToken,
    /// Look up the next user of the directory.
    User,
    /// Look up the user with this number.
    OneUser(u32),
    /// Ask for the token of the user with this number, who logged in.
    UserToken(u32),
}

/// An answer of a worker.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It is connected.
    Ready,
    /// Progress of a load.
    Progress {
        /// Calls that ended, with or without success.
        done: u64,
    },
    /// Memory in use.
    Memory(MemoryUse),
    /// The command is done.
    Done {
        /// Calls that succeeded; tokens that were renewed.
        ok: u64,
        /// Calls that failed, by error code.
        errors: BTreeMap<String, u64>,
        /// The different tokens that callers got.
        tokens: Vec<String>,
        /// The time of each call of a load, in the order in which they ended, in microseconds.
        #[serde(default)]
        times_us: Vec<u32>,
    },
}

/// Memory in use by a process, in bytes.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct MemoryUse {
    /// The local cache, as it counts itself.
    pub counted: u64,
    /// Resident memory of the process, as the kernel counts it.
    pub resident: u64,
}

/// The outcome of a command.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Calls that succeeded; tokens that were renewed.
    pub ok: u64,
    /// Calls that failed, by error code.
    pub errors: BTreeMap<String, u64>,
    /// The different tokens that callers got.
    pub tokens: Vec<String>,
    /// The time of each call of a load, in the order in which they ended, in microseconds.
    pub times_us: Vec<u32>,
}

impl Outcome {
    /// Calls that failed.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.errors.values().sum()
    }
}

/// A worker process, killed when dropped.
#[derive(Debug)]
pub struct Worker {
    child: Child,
    commands: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    done: u64,
}

impl Worker {
    /// Starts the program at `path` with these variables and nothing else in its environment, and waits until it is
    /// connected.
    pub async fn start(path: &str, variables: &[(String, String)]) -> Self {
        let mut child = tokio::process::Command::new(path)
            .env_clear()
            .envs(variables.iter().cloned())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the worker starts");
        let commands = child.stdin.take().expect("piped");
        let answers = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut worker = Self {
            child,
            commands,
            answers,
            done: 0,
        };
        assert!(
            matches!(worker.answer().await, Answer::Ready),
            "the worker is not ready"
        );
        worker
    }

    /// Sends a command; [`Worker::outcome`] waits for its end.
    pub async fn send(&mut self, command: Command) {
        let line = format!("{}\n", serde_json::to_string(&command).expect("plain data"));
        self.commands
            .write_all(line.as_bytes())
            .await
            .expect("the worker listens");
    }

    /// Waits for the outcome of the command.
    pub async fn outcome(&mut self) -> Outcome {
        loop {
            match self.answer().await {
                Answer::Done {
                    ok,
                    errors,
                    tokens,
                    times_us,
                } => {
                    return Outcome {
                        ok,
                        errors,
                        tokens,
                        times_us,
                    };
                }
                Answer::Progress { done } => self.done = done,
                Answer::Ready | Answer::Memory(_) => {}
            }
        }
    }

    /// Memory in use by the process.
    pub async fn memory_use(&mut self) -> MemoryUse {
        self.send(Command::MeasureMemory).await;
        loop {
            if let Answer::Memory(usage) = self.answer().await {
                return usage;
            }
        }
    }

    /// Calls of the load that are known to have ended.
    #[must_use]
    pub const fn done(&self) -> u64 {
        self.done
    }

    /// Waits until `more` calls of the load have ended beyond [`Worker::done`].
    pub async fn progress(&mut self, more: u64) {
        let target = self.done + more;
        while self.done < target {
            if let Answer::Progress { done } = self.answer().await {
                self.done = done;
            }
        }
    }

    /// Kills the process without warning.
    pub async fn kill(&mut self) {
        self.child.kill().await.expect("a child");
    }

    async fn answer(&mut self) -> Answer {
        let line = self
            .answers
            .next_line()
            .await
            .expect("a line")
            .expect("the worker lives");
        serde_json::from_str(&line).expect("an answer")
    }
}
