//! A process of the service for the fault tests: it reads commands on standard input, a JSON line each, and answers on
//! standard output, a JSON line each. Its configuration comes from the environment, as a function's does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::{join_all, ready};
use futures_util::{StreamExt, stream};
use lark_service::apps::AppContext;
use lark_service::config::Config;
use lark_service::deadline::Deadline;
use lark_service::directory::users::Wanted;
use lark_service::error::Result;
use lark_service::ids::{AppId, OpenId};
use lark_service::lark::contacts;
use lark_service::lark::contacts::{UserId, UserIdKind};
use lark_service::platform::SendError;
use lark_service::queue::{Lane, MAX_RECEIVED};
use lark_service::telemetry;
use lark_service::tokens::{TokenKey, Trust};
use lark_service::wiring::{Adapters, Services};
use lark_service_tests::queues::work_of;
use lark_service_tests::worker::{Answer, Command, MemoryUse, Work};
use lark_service_tests::world::APP;
use lark_service_tests::zipf::Zipf;
use secrecy::ExposeSecret;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

/// Concurrent calls at a fixed rate at most: far more than ever wait for the limiter.
const MAX_CONCURRENT_CALLS: usize = 10_000;

#[tokio::main]
async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let config = Config::from_env()?;
    let log = tracing_subscriber::fmt::writer::BoxMakeWriter::new(std::io::stderr);
    telemetry::init_logs(config.log_level, log)?;
    let adapters = Adapters::connect(&config).await?;
    let worker = Worker {
        services: Services::new(config, &adapters),
        stopped: AtomicBool::new(false),
        next_user: AtomicU32::new(0),
        done: AtomicU64::new(0),
    };
    let worker = Arc::new(worker);
    send(&Answer::Ready);
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let command: Command = serde_json::from_str(&line)?;
        Arc::clone(&worker).run(command);
    }
    Ok(())
}

struct Worker {
    services: Services,
    stopped: AtomicBool,
    next_user: AtomicU32,
    done: AtomicU64,
}

impl Worker {
    /// Starts a command and returns at once, so that a load can be stopped; the answer follows when the command ends.
    #[expect(
        clippy::disallowed_methods,
        reason = "a test process that runs several commands at a time"
    )]
    fn run(self: Arc<Self>, command: Command) {
        match command {
            Command::Stop => self.stopped.store(true, Ordering::SeqCst),
            Command::Burst { work, callers } => {
                drop(tokio::spawn(async move { self.burst(work, callers).await }))
            }
            Command::Load { work, callers } => drop(tokio::spawn(async move {
                self.load(work, callers, Duration::ZERO).await
            })),
            Command::LoadWithPause {
                work,
                callers,
                pause_ms,
            } => drop(tokio::spawn(async move {
                let pause = Duration::from_millis(pause_ms);
                self.load(work, callers, pause).await
            })),
            Command::Zipf {
                look_ups,
                users,
                seed,
                callers,
            } => drop(tokio::spawn(async move {
                self.zipf(look_ups, users, seed, callers).await
            })),
            Command::FixedRate {
                per_second,
                seconds,
            } => drop(tokio::spawn(async move {
                self.fixed_rate(per_second, seconds).await
            })),
            Command::Fill { first, last } => {
                drop(tokio::spawn(async move { self.fill(first, last).await }))
            }
            Command::MeasureMemory => send(&Answer::Memory(MemoryUse {
                counted: self.services.tiers.local_bytes(),
                resident: resident_bytes(),
            })),
            Command::WarmUp => drop(tokio::spawn(async move { self.warm_up().await })),
            Command::Refresh => drop(tokio::spawn(async move { self.refresh().await })),
            Command::Deliver { batches, hidden_s } => drop(tokio::spawn(async move {
                self.deliver(batches, Duration::from_secs(hidden_s)).await
            })),
        }
    }

    async fn burst(&self, work: Work, callers: u32) {
        let outcomes = join_all((0..callers).map(|_| self.once(work))).await;
        self.report(outcomes.into_iter(), Vec::new());
    }

    /// Each caller is a task of its own: a caller whose calls never wait would starve others in the same task.
    async fn load(self: Arc<Self>, work: Work, callers: u32, pause: Duration) {
        let times_us = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        for _ in 0..callers {
            let (worker, times_us) = (Arc::clone(&self), Arc::clone(&times_us));
            tasks.spawn(async move { worker.calls(work, pause, &times_us).await });
        }
        let outcomes = tasks.join_all().await;
        let times_us = std::mem::take(&mut *times_us.lock().await);
        self.report(outcomes.into_iter().flatten(), times_us);
    }

    /// Makes one call after the other until [`Command::Stop`].
    async fn calls(
        &self,
        work: Work,
        pause: Duration,
        times_us: &Mutex<Vec<u32>>,
    ) -> Vec<Result<Option<String>>> {
        let mut outcomes = Vec::new();
        while !self.stopped.load(Ordering::SeqCst) {
            let began = Instant::now();
            outcomes.push(self.once(work).await);
            let took_us = u32::try_from(began.elapsed().as_micros()).unwrap_or(u32::MAX);
            times_us.lock().await.push(took_us);
            let done = self.done.fetch_add(1, Ordering::SeqCst) + 1;
            if done.is_multiple_of(50) {
                send(&Answer::Progress { done });
            }
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
        }
        outcomes
    }

    async fn zipf(&self, look_ups: u32, users: u32, seed: u64, callers: u32) {
        let numbers = Zipf::new(users).draw(look_ups, seed);
        let outcomes: Vec<_> = stream::iter(numbers)
            .map(|number| self.once(Work::OneUser(number)))
            .buffer_unordered(callers as usize)
            .collect()
            .await;
        self.report(outcomes.into_iter(), Vec::new());
    }

    /// Starts each call at its time, however many are under way: none takes longer than its deadline.
    async fn fixed_rate(&self, per_second: f64, seconds: u32) {
        let began = tokio::time::Instant::now();
        let all = f64::from(seconds) * per_second;
        let calls = stream::iter(1_u32..)
            .take_while(|number| ready(f64::from(*number) <= all))
            .then(|number| async move {
                let at = Duration::from_secs_f64(f64::from(number) / per_second);
                tokio::time::sleep_until(began + at).await;
                number
            });
        let errors = Mutex::new(BTreeMap::<String, u64>::new());
        let ok = AtomicU64::new(0);
        let call = async |number: u32| match self.call(number).await {
            Ok(()) => {
                ok.fetch_add(1, Ordering::SeqCst);
            }
            Err(reason) => *errors.lock().await.entry(reason).or_default() += 1,
        };
        calls.for_each_concurrent(MAX_CONCURRENT_CALLS, call).await;
        send(&Answer::Done {
            ok: ok.into_inner(),
            errors: errors.into_inner(),
            tokens: Vec::new(),
            times_us: Vec::new(),
        });
    }

    /// One call of the platform; the error says whether it was sent.
    async fn call(&self, number: u32) -> std::result::Result<(), String> {
        let deadline = Deadline::after(Duration::from_secs(29));
        let code = |error: lark_service::error::Error| error.code().as_str().to_owned();
        let context = self.app_context(deadline).await.map_err(code)?;
        let id = open_id(number).map_err(code)?;
        let platform = &self.services.platform;
        let request = contacts::get_user(&id);
        let user = platform.send(&context, &request, deadline).await;
        user.map(drop).map_err(|error| match error {
            SendError::Unsent(error) => code(error),
            SendError::Lark(failure) => {
                let sent = if failure.is_unsent { "unsent" } else { "sent" };
                format!("{}, {sent}", failure.kind.as_str())
            }
        })
    }

    async fn fill(&self, first: u32, last: u32) {
        let (mut ok, mut errors) = (0, BTreeMap::<String, u64>::new());
        let numbers: Vec<u32> = (first..=last).collect();
        for numbers in numbers.chunks(1_000) {
            let deadline = Deadline::after(Duration::from_secs(29));
            let ids = numbers.iter().map(|number| open_id(*number));
            let wanted: Result<Vec<_>> = ids.map(|id| id.map(Wanted::Id)).collect();
            let batch = async {
                let context = self.app_context(deadline).await?;
                let users = &self.services.users;
                users.batch(&context, &wanted?, deadline).await
            };
            match batch.await {
                Ok(batch) => {
                    ok += batch.users.len() as u64;
                    for (_, error) in batch.failed {
                        *errors.entry(error.code().as_str().to_owned()).or_default() += 1;
                    }
                }
                Err(error) => *errors.entry(error.code().as_str().to_owned()).or_default() += 1,
            }
        }
        send(&Answer::Done {
            ok,
            errors,
            tokens: Vec::new(),
            times_us: Vec::new(),
        });
    }

    async fn deliver(self: Arc<Self>, batches: u32, hidden_for: Duration) {
        let mut tasks = JoinSet::new();
        for lane in Lane::ALL {
            for _ in 0..batches {
                let worker = Arc::clone(&self);
                tasks.spawn(async move { worker.deliver_in(lane, hidden_for).await });
            }
        }
        tasks.join_all().await;
        self.report(std::iter::empty(), Vec::new());
    }

    /// Works on one batch of `lane` after the other. What failed comes again.
    async fn deliver_in(&self, lane: Lane, hidden_for: Duration) {
        let queue = self.services.queue.as_ref().expect("a queue");
        while !self.stopped.load(Ordering::SeqCst) {
            let wait = Duration::from_secs(1);
            let Ok(batch) = queue.receive(lane, MAX_RECEIVED, hidden_for, wait).await else {
                continue;
            };
            let works = batch.iter().map(work_of).collect();
            let deadline = Deadline::after(Duration::from_secs(55));
            let unfinished = self.services.delivery.work(works, deadline).await;
            let finished = batch.iter().filter(|it| !unfinished.contains(&it.id));
            join_all(finished.map(|message| queue.delete(lane, &message.receipt))).await;
        }
    }

    async fn app_context(&self, deadline: Deadline) -> Result<AppContext> {
        let app_id = AppId::parse(APP).expect("an app id");
        AppContext::new(self.services.apps.enabled(&app_id, deadline).await?, None)
    }

    async fn warm_up(&self) {
        let deadline = Deadline::after(Duration::from_secs(300));
        let report = self.services.warmer().run(&[], deadline).await;
        let users = report.map(|report| report.directory_users);
        let ok = users.as_ref().map_or(0, |users| *users);
        let errors = users
            .err()
            .map(|error| (error.code().as_str().to_owned(), 1));
        send(&Answer::Done {
            ok,
            errors: errors.into_iter().collect(),
            tokens: Vec::new(),
            times_us: Vec::new(),
        });
    }

    async fn refresh(&self) {
        let report = self
            .services
            .refresher()
            .run(Deadline::after(Duration::from_secs(55)))
            .await;
        let errors = report
            .as_ref()
            .err()
            .map(|error| (error.code().as_str().to_owned(), 1))
            .into_iter()
            .collect();
        let ok = report.map_or(0, |report| report.refreshed);
        send(&Answer::Done {
            ok,
            errors,
            tokens: Vec::new(),
            times_us: Vec::new(),
        });
    }

    /// One piece of work; the token, where it was one.
    async fn once(&self, work: Work) -> Result<Option<String>> {
        let deadline = Deadline::after(Duration::from_secs(29));
        let app_id = AppId::parse(APP).expect("an app id");
        match work {
            Work::LocalToken | Work::SharedToken => {
                let trust = if work == Work::LocalToken {
                    Trust::Local
                } else {
                    Trust::Shared
                };
                let app = self.services.apps.enabled(&app_id, deadline).await?;
                let key = TokenKey::tenant(app_id, None);
                let token = self
                    .services
                    .tokens
                    .token(&app, &key, trust, deadline)
                    .await?;
                Ok(Some(token.value.expose_secret().to_owned()))
            }
            Work::UserToken(number) => {
                let app = self.services.apps.enabled(&app_id, deadline).await?;
                let open_id = lark_simulator::open_id(app_id.as_str(), number);
                let open_id = OpenId::parse(&open_id).expect("an open_id");
                let key = TokenKey::user(app_id, &open_id);
                let tokens = &self.services.tokens;
                let token = tokens.token(&app, &key, Trust::Local, deadline).await?;
                Ok(Some(token.value.expose_secret().to_owned()))
            }
            Work::User | Work::OneUser(_) => {
                let number = if let Work::OneUser(number) = work {
                    number
                } else {
                    self.next_user.fetch_add(1, Ordering::SeqCst) % 10_000 + 1
                };
                let id = open_id(number)?;
                let context = self.app_context(deadline).await?;
                let users = &self.services.users;
                users.user(&context, &id, deadline).await.map(|_| None)
            }
        }
    }

    fn report(&self, outcomes: impl Iterator<Item = Result<Option<String>>>, times_us: Vec<u32>) {
        let mut ok = 0;
        let mut errors = BTreeMap::<String, u64>::new();
        let mut tokens = Vec::new();
        for outcome in outcomes {
            match outcome {
                Ok(token) => {
                    ok += 1;
                    tokens.extend(token);
                }
                Err(error) => *errors.entry(error.code().as_str().to_owned()).or_default() += 1,
            }
        }
        tokens.sort();
        tokens.dedup();
        send(&Answer::Done {
            ok,
            errors,
            tokens,
            times_us,
        });
    }
}

/// The id of the user with this number.
fn open_id(number: u32) -> Result<UserId> {
    UserId::parse(UserIdKind::OpenId, &lark_simulator::open_id(APP, number))
}

/// Resident memory of this process, or zero where the kernel does not report it.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.unwrap_or_default() * 1_024
}

#[expect(clippy::print_stdout, reason = "this is how it answers")]
fn send(answer: &Answer) {
    println!("{}", serde_json::to_string(answer).expect("plain data"));
}
