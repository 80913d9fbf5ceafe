//! The fault tests' side of `worker`: what it is told and what it answers.

use std::collections::BTreeMap;
use std::process::Stdio;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};

/// What a worker is told.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Do the work once for each of so many callers, all at once.
    Burst {
        /// What to do.
        work: Work,
        /// How many at once.
        callers: u32,
    },
    /// Do the work again and again with so many callers, until told to stop.
    Load {
        /// What to do.
        work: Work,
        /// How many at once.
        callers: u32,
    },
    /// The same, with a pause after each call.
    Stroll {
        /// What to do.
        work: Work,
        /// How many at once.
        callers: u32,
        /// How long a caller waits before the next call, in milliseconds.
        pause_ms: u64,
    },
    /// Look up users in Zipf's proportions.
    Zipf {
        /// How many look-ups.
        look_ups: u32,
        /// Of how many users.
        users: u32,
        /// Which ones.
        seed: u64,
        /// How many look-ups at a time.
        callers: u32,
    },
    /// Call the platform for users, so often whether or not the calls before have ended.
    Pace {
        /// How often.
        per_second: f64,
        /// For how long.
        seconds: u32,
    },
    /// Look up the users from one number to another, many at once.
    Fill {
        /// The first.
        first: u32,
        /// The last.
        last: u32,
    },
    /// Say how much memory is taken.
    Weigh,
    /// Fill the tiers ahead.
    WarmUp,
    /// End the load.
    Stop,
    /// Do one scheduled run.
    Refresh,
}

/// What a caller does.
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

/// What a worker answers.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It is connected.
    Ready,
    /// So much of the load is done.
    Progress {
        /// Calls that ended, well or not.
        done: u64,
    },
    /// How much memory is taken.
    Weight(Weight),
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

/// How much memory a process takes, in bytes.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct Weight {
    /// Its cache, as it counts it.
    pub counted: u64,
    /// All of it, as the kernel counts what is resident.
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

    /// Tells the worker something; the outcome is waited for separately.
    pub async fn tell(&mut self, command: Command) {
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
                Answer::Ready | Answer::Weight(_) => {}
            }
        }
    }

    /// How much memory the process takes.
    pub async fn weight(&mut self) -> Weight {
        self.tell(Command::Weigh).await;
        loop {
            if let Answer::Weight(weight) = self.answer().await {
                return weight;
            }
        }
    }

    /// How many calls of the load were seen to end.
    #[must_use]
    pub const fn done(&self) -> u64 {
        self.done
    }

    /// Waits until the load has done `more` calls beyond what was seen of it last.
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
