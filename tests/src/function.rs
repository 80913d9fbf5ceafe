//! A function as Lambda runs it: its own program in a process of its own, stopped after every answer and continued with the
//! next event.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use lark_service::clock::{Clock, SystemClock};
use serde_json::Value;
use tempfile::NamedTempFile;
use tokio::process::{Child, Command};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::faked_clock::FakedClock;
use crate::network::Network;
use crate::requests::{TEMPLATE, TestResponse};
use crate::runtime_api::{Event, Post, RuntimeApi, Said};
use crate::signals;

/// How long a process may take to ask for its first event, on a busy machine.
const START: Duration = Duration::from_secs(30);
/// How much longer than the function's time-out a test waits for an answer, besides the time that the process stands still.
const GRACE: Duration = Duration::from_secs(90);

/// A function process, killed when dropped. If a test fails, its log is printed.
#[derive(Debug)]
pub struct Function {
    name: String,
    child: Child,
    runtime: RuntimeApi,
    /// What is between it and its servers.
    pub network: Network,
    /// Its wall clock, if that is not this test's.
    clock: Option<FakedClock>,
    log: NamedTempFile,
    timeout: Duration,
    count: u64,
    begun: Instant,
    /// The answer to its last post, which it gets with the next event.
    unheard: Option<oneshot::Sender<()>>,
    /// How its last invocation ended, until somebody is told.
    ended: Option<Ended>,
}

/// How an invocation ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// What the function answered, or its error.
    pub answer: Result<Value, Value>,
    /// From the event to the answer.
    pub took: Duration,
}

impl Ended {
    /// The HTTP response in the answer.
    ///
    /// # Panics
    /// If the function failed instead.
    #[must_use]
    pub fn response(&self) -> TestResponse {
        match &self.answer {
            Ok(answer) => TestResponse::of_answer(answer),
            Err(error) => panic!("the function failed: {error}"),
        }
    }

    /// The status and the error code of an HTTP response: `200`, `503 store_unavailable`; `failed` if there is none.
    #[must_use]
    pub fn outcome(&self) -> String {
        match &self.answer {
            Ok(answer) if answer["statusCode"].is_u64() => {
                TestResponse::of_answer(answer).outcome()
            }
            Ok(_) => "ok".to_owned(),
            Err(_) => "failed".to_owned(),
        }
    }
}

impl Function {
    /// Starts the function `name` with these variables, and waits until it asks for its first event.
    pub async fn start(
        name: &str,
        variables: &[(String, String)],
        network: Network,
        clock: Option<FakedClock>,
    ) -> Self {
        let program = program(name);
        let runtime = RuntimeApi::start().await;
        let log = NamedTempFile::new().expect("a temporary file");
        let stdio = || Stdio::from(log.reopen().expect("its file"));
        let child = Command::new(program)
            .env_clear()
            .envs(variables.iter().cloned())
            .envs(network.variables())
            .envs(clock.iter().flat_map(FakedClock::variables))
            .env("AWS_LAMBDA_RUNTIME_API", runtime.address())
            .env("AWS_LAMBDA_FUNCTION_NAME", name)
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{name}"))
            .env("AWS_LAMBDA_LOG_STREAM_NAME", "test")
            .stdin(Stdio::null())
            .stdout(stdio())
            .stderr(stdio())
            .kill_on_drop(true)
            .spawn()
            .expect("the function starts");
        let mut function = Self {
            name: name.to_owned(),
            child,
            runtime,
            network,
            clock,
            log,
            timeout: TEMPLATE.timeout(name).expect("a function of the template"),
            count: 0,
            begun: Instant::now(),
            unheard: None,
            ended: None,
        };
        let first = tokio::time::timeout(START, function.runtime.post()).await;
        match first.map(|post| post.said) {
            Ok(Said::Next) => function,
            other => panic!("{name} does not start: {other:?}\n{}", function.log()),
        }
    }

    /// Continues the process with `event` and stops it as soon as it has answered, as Lambda does.
    pub async fn invoke(&mut self, event: &Value) -> Ended {
        self.begin(event);
        self.end().await
    }

    /// Continues the process with `event`.
    pub fn begin(&mut self, event: &Value) {
        self.count += 1;
        // Lambda tells the time as the machine of the function does.
        let shift_s = self.clock.as_ref().map_or(0, FakedClock::shift_s);
        let now_ms = SystemClock.now().as_millis() + shift_s * 1_000;
        let timeout_ms = i64::try_from(self.timeout.as_millis()).expect("a time-out");
        self.runtime.send(Event {
            request_id: self.request_id(),
            deadline_ms: u64::try_from(now_ms + timeout_ms).expect("a moment of this age"),
            function_arn: format!(
                "arn:aws:lambda:us-east-1:123456789012:function:{}",
                self.name
            ),
            payload: event.clone(),
        });
        self.begun = Instant::now();
        self.thaw();
        // Only now it hears that its answer has arrived, and asks for the event.
        drop(self.unheard.take());
    }

    /// Waits for the answer to the event, and stops the process before it does anything else. Who stops waiting may wait again.
    pub async fn end(&mut self) -> Ended {
        if self.ended.is_none() {
            let answered = tokio::time::timeout(self.timeout + GRACE, self.answered()).await;
            let (answer, heard) = answered.unwrap_or_else(|_| panic!("{} is silent", self.name));
            let took = self.begun.elapsed();
            self.unheard = Some(heard);
            self.ended = Some(Ended { answer, took });
        }
        self.freeze().await;
        self.ended.take().expect("it has just ended")
    }

    async fn answered(&mut self) -> (Result<Value, Value>, oneshot::Sender<()>) {
        loop {
            let Post { said, heard } = self.runtime.post().await;
            let (id, answer) = match said {
                Said::Next => continue,
                Said::Response(id, answer) => (id, Ok(answer)),
                Said::Error(id, error) => (id, Err(error)),
                Said::InitError(error) => panic!("it does not start: {error}"),
            };
            assert_eq!(id, self.request_id(), "it answers another event");
            return (answer, heard);
        }
    }

    /// The id of its last event.
    fn request_id(&self) -> String {
        format!("00000000-0000-4000-8000-{:012}", self.count)
    }

    /// Stops the process (SIGSTOP) wherever it is, and returns when it stands still.
    pub async fn freeze(&self) {
        signals::freeze(&self.child).await;
    }

    /// Kills the process (SIGKILL) wherever it is, and returns when it is gone.
    pub async fn kill(&mut self) {
        self.child.kill().await.expect("a child");
    }

    /// Lets its wall clock be fast by `shift_s` seconds, or slow, from now on.
    ///
    /// # Panics
    /// If it was started without a clock of its own.
    pub fn step_clock_to(&mut self, shift_s: i64) {
        let clock = self.clock.as_mut();
        clock.expect("a clock of its own").step_to(shift_s);
    }

    /// Continues the process (SIGCONT).
    pub fn thaw(&self) {
        signals::thaw(&self.child);
    }

    /// What it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log.path()).unwrap_or_default()
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        if std::thread::panicking() {
            use std::io::Write as _;
            let log = self.log();
            let _ = writeln!(std::io::stderr(), "-- log of {}\n{log}", self.name);
        }
    }
}

/// The function's program, which `cargo build` puts beside the folder of this test.
///
/// # Panics
/// If it is missing, or older than one of its sources.
fn program(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("a program");
    let folder = own.parent().and_then(Path::parent).expect("target/…/deps");
    let program = folder.join(name);
    let build = "run `cargo build --locked --workspace --bins` first";
    let built = modified(&program).unwrap_or_else(|| panic!("{name} is not built: {build}"));
    let sources = std::fs::read_to_string(folder.join(format!("{name}.d")));
    let sources = sources.unwrap_or_else(|_| panic!("{name} was not built by cargo: {build}"));
    // A line: the program, a colon, its sources; a space in a path is escaped.
    let sources = sources.split_once(": ").map_or("", |(_, sources)| sources);
    let newer = sources
        .replace("\\ ", "\0")
        .split_whitespace()
        .map(|path| path.replace('\0', " "))
        .find(|path| modified(Path::new(path)).is_none_or(|changed| changed > built));
    if let Some(newer) = newer {
        panic!("{name} is older than {newer}: {build}");
    }
    program
}

fn modified(path: &Path) -> Option<SystemTime> {
    File::open(path).ok()?.metadata().ok()?.modified().ok()
}
