//! One run: a seed decides who does what, when time passes, and what goes wrong.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use lark_service::cache::Cache;
use lark_service::error::Error;
use lark_service::ids::OpenId;
use lark_service_tests::world::{Parts, Process, World};
use tokio::sync::mpsc;

use crate::Outcome;
use crate::gate::{Arrival, Busy, Gates, Mode, Stage};
use crate::observer::{Observer, check_served};
use crate::platform;
use crate::tiers::{GatedCache, GatedStore};
use crate::work::{Done, USER, Work, told};

/// How many processes there are at a time.
const PROCESSES: usize = 3;
/// How many steps a schedule has.
const STEPS: u32 = 120;
/// After so many turns of the runtime without an event everybody is asleep: a call of the platform over the loopback takes about
/// fifty. Turns, not time, so that a seed plays the same on every machine.
const QUIET: u32 = 400;
/// What takes so long has been given up, unless the process was frozen meanwhile and reads the answer within the grace.
const TOO_LONG: Duration = Duration::from_secs(4);
const GRACE: Duration = Duration::from_millis(250);
/// How much time passes in a step.
const PASSING: [u64; 8] = [20, 60, 500, 3_000, 12_000, 70_000, 3_600_000, 7_000_000];

/// A process of the service.
pub(crate) struct Running {
    process: Process,
    gates: Gates,
    /// How fast its clock is.
    fast: Duration,
    pub(crate) is_frozen: bool,
    is_dead: bool,
    pub(crate) waiting: Vec<Arrival>,
    pub(crate) callers: usize,
    /// How many of them log in or out.
    changing: usize,
}

pub(crate) struct Schedule {
    rng: fastrand::Rng,
    pub(crate) world: World,
    pub(crate) open_id: OpenId,
    pub(crate) observer: Observer,
    pub(crate) running: Vec<Running>,
    arrivals: mpsc::UnboundedReceiver<Arrival>,
    arrive: mpsc::UnboundedSender<Arrival>,
    dones: mpsc::UnboundedReceiver<Done>,
    done: mpsc::UnboundedSender<Done>,
    pub(crate) busy: Busy,
    /// Nothing goes wrong in it.
    is_calm: bool,
    /// Something went wrong that may cost a login: a pair was lost on its way, or its process died.
    pub(crate) may_cost_login: bool,
    /// Whether the user is logged in, as far as one can say: not after logins and logouts that overlapped.
    pub(crate) is_logged_in: Option<bool>,
    /// How many logins and logouts have begun.
    changes: u64,
    log: Vec<String>,
    events: BTreeMap<&'static str, u64>,
}

impl Schedule {
    /// Plays the schedule of `seed`.
    #[expect(clippy::disallowed_methods, reason = "it ends with the schedule")]
    pub(crate) async fn play(seed: u64) -> Outcome {
        // While a blocking task runs, paused time does not move by itself.
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let holder = tokio::task::spawn_blocking(move || {
            let _ = ended.recv();
        });
        let mut schedule = Self::begin(seed).await;
        let mut steps = 0;
        let mut broken = None;
        while steps < STEPS && broken.is_none() {
            broken = schedule.step().await.err();
            steps += 1;
        }
        if broken.is_none() {
            broken = schedule.end().await.err();
        }
        drop(end);
        holder.await.unwrap();
        Outcome {
            broken,
            log: schedule.log,
            steps: u64::from(steps),
            events: schedule.events,
        }
    }

    async fn begin(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let world = World::begin().await;
        let open_id = world.process().log_in(world.control(), USER).await.unwrap();
        let (arrive, arrivals) = mpsc::unbounded_channel();
        let (done, dones) = mpsc::unbounded_channel();
        let mut schedule = Self {
            is_calm: rng.u8(..4) == 0,
            rng,
            observer: Observer::new(&open_id),
            world,
            open_id,
            running: Vec::new(),
            arrivals,
            arrive,
            dones,
            done,
            busy: Busy::default(),
            may_cost_login: false,
            is_logged_in: Some(true),
            changes: 0,
            log: Vec::new(),
            events: BTreeMap::new(),
        };
        for _ in 0..PROCESSES {
            schedule.start_process().await;
        }
        schedule
    }

    pub(crate) fn note(&mut self, event: &'static str, detail: impl std::fmt::Display) {
        *self.events.entry(event).or_default() += 1;
        let mut line = String::new();
        let _ = write!(
            line,
            "{:>9} ms  {event} {detail}",
            self.world.control().now_ms() % 1_000_000_000
        );
        self.log.push(line);
    }

    async fn start_process(&mut self) {
        let number = self.running.len();
        let fast = match self.rng.u8(..12) {
            0 if !self.is_calm => Duration::from_secs(30),
            1 if !self.is_calm => Duration::from_secs(3 * 3_600),
            _ => Duration::ZERO,
        };
        let gates = Gates::new(number, Arc::clone(&self.busy), self.arrive.clone());
        let http = lark_service::aws::http(lark_service::aws::DEFAULT_IDLE_TIMEOUT).unwrap();
        let platform = self.world.simulator.base_url();
        let platform = platform::proxy(gates.clone(), platform, http).await;
        let store = GatedStore {
            store: self.world.shared_store(),
            gates: gates.clone(),
        };
        let cache = GatedCache {
            cache: Arc::clone(&self.world.cache) as Arc<dyn Cache>,
            gates: gates.clone(),
        };
        let parts = Parts {
            store: Arc::new(store),
            cache: Arc::new(cache),
            fast,
        };
        let process = self
            .world
            .process_of(parts, &[("LARK_SERVICE_FEISHU_URL", &platform)]);
        self.note("start", format_args!("{number}, fast by {fast:?}"));
        self.running.push(Running {
            process,
            gates,
            fast,
            is_frozen: false,
            is_dead: false,
            waiting: Vec::new(),
            callers: 0,
            changing: 0,
        });
    }

    /// The processes that are alive.
    pub(crate) fn alive(&self) -> Vec<usize> {
        (0..self.running.len())
            .filter(|number| !self.running[*number].is_dead)
            .collect()
    }

    fn any_alive(&mut self) -> usize {
        let alive = self.alive();
        alive[self.rng.usize(..alive.len())]
    }

    async fn step(&mut self) -> Result<(), String> {
        let trouble = if self.is_calm { 0 } else { 100 };
        match self.rng.u32(..1_000 + trouble) {
            0..800 => self.let_through(Mode::Pass).await?,
            800..930 => self.call().await?,
            930..1_000 => self.pass_time().await?,
            1_000..1_030 => {
                let number = self.any_alive();
                let is_frozen = !self.running[number].is_frozen;
                self.running[number].is_frozen = is_frozen;
                self.note(if is_frozen { "freeze" } else { "thaw" }, number);
            }
            1_030..1_070 => self.let_through(Mode::Lose).await?,
            1_070..1_080 => self.flush_cache().await,
            _ => self.kill().await,
        }
        self.observer.look(&self.world).await
    }

    /// Lets one of those that wait through.
    async fn let_through(&mut self, mode: Mode) -> Result<(), String> {
        let ready = |running: &Running| {
            !running.is_frozen && !running.is_dead && !running.waiting.is_empty()
        };
        let ready: Vec<_> = (0..self.running.len())
            .filter(|number| ready(&self.running[*number]))
            .collect();
        if ready.is_empty() {
            return match self.rng.u8(..3) {
                0 => self.pass_time().await,
                _ => self.call().await,
            };
        }
        let number = ready[self.rng.usize(..ready.len())];
        let waiting = &mut self.running[number].waiting;
        let arrival = waiting.swap_remove(self.rng.usize(..waiting.len()));
        if mode == Mode::Lose && arrival.point.may_carry_a_pair() {
            self.may_cost_login = true;
        }
        let event = match (mode, arrival.point.stage()) {
            (Mode::Pass, _) => "pass",
            (Mode::Lose, Stage::Begin) => "lose request",
            (Mode::Lose, Stage::Answer) => "lose answer",
        };
        self.note(event, format_args!("{number}: {}", arrival.point));
        // Its caller may have given up.
        let _ = arrival.go.send(mode);
        self.settle(Some(number)).await
    }

    /// A caller comes to a process.
    async fn call(&mut self) -> Result<(), String> {
        let number = self.any_alive();
        let work = match self.rng.u8(..20) {
            0..5 => Work::Token,
            5..14 => Work::UserToken,
            14..16 => Work::Run,
            16 => Work::LogOut,
            17..19 => Work::LogIn,
            _ => Work::Reject,
        };
        let running = &mut self.running[number];
        if running.is_frozen || running.callers >= 3 {
            return Ok(());
        }
        running.callers += 1;
        let mut alone = None;
        if matches!(work, Work::LogIn | Work::LogOut) {
            let others: usize = self.running.iter().map(|running| running.changing).sum();
            self.changes += 1;
            alone = (others == 0).then_some(self.changes);
            self.is_logged_in = None;
            self.running[number].changing += 1;
        }
        let running = &self.running[number];
        let (process, open_id) = (running.process.clone(), self.open_id.clone());
        let (control, done) = (self.world.control().clone(), self.done.clone());
        tokio::spawn(async move {
            let outcome = work.of(&process, &control, &open_id).await;
            let _ = done.send(Done {
                process: number,
                work,
                alone,
                outcome,
            });
        });
        self.note("call", format_args!("{number}: {work:?}"));
        self.settle(Some(number)).await
    }

    async fn pass_time(&mut self) -> Result<(), String> {
        let longest = if self.rng.u8(..6) == 0 {
            PASSING.len()
        } else {
            6
        };
        let length = Duration::from_millis(PASSING[self.rng.usize(..longest)]);
        self.note("time", format_args!("{length:?}"));
        self.advance(length).await
    }

    /// Time passes, at once, as it does for a frozen process. What is under way survives the first time that is too long for it,
    /// and not a second one: then it was slow.
    pub(crate) async fn advance(&mut self, length: Duration) -> Result<(), String> {
        for running in self.running.iter_mut().filter(|running| !running.is_dead) {
            for arrival in &mut running.waiting {
                let is_slow = arrival.waited >= TOO_LONG && length >= GRACE;
                self.may_cost_login |= is_slow && arrival.point.may_carry_a_pair();
                arrival.waited += length;
            }
        }
        self.world.advance(length);
        tokio::time::advance(length).await;
        self.settle(None).await
    }

    async fn flush_cache(&mut self) {
        let keys: Vec<_> = self.observer.cached_keys().collect();
        for key in keys {
            self.world.cache.delete(&key, None).await.unwrap();
        }
        self.observer.cache_was_flushed();
        self.note("flush", "the tokens in the cache");
    }

    /// A process dies, and another one takes its place.
    async fn kill(&mut self) {
        let number = self.any_alive();
        let running = &mut self.running[number];
        running.is_dead = true;
        running.gates.kill();
        // Dropped gates never open.
        running.waiting.clear();
        running.changing = 0;
        if running.callers > 0 {
            self.may_cost_login = true;
            self.is_logged_in = None;
        }
        self.note("kill", number);
        self.start_process().await;
    }

    /// Waits until `expected`, or somebody, has come to a gate or an end, or until nobody moves any more.
    pub(crate) async fn settle(&mut self, expected: Option<usize>) -> Result<(), String> {
        let mut quiet = 0;
        loop {
            let mut moved = None;
            while let Ok(arrival) = self.arrivals.try_recv() {
                moved = Some(arrival.process);
                let running = &mut self.running[arrival.process];
                if !running.is_dead {
                    running.waiting.push(arrival);
                }
            }
            while let Ok(done) = self.dones.try_recv() {
                moved = Some(done.process);
                self.finish(done)?;
            }
            if moved.is_some() && (moved == expected) {
                return Ok(());
            }
            let is_busy = self.busy.load(Ordering::SeqCst) > 0;
            quiet = if moved.is_some() || is_busy {
                0
            } else {
                quiet + 1
            };
            if quiet > QUIET {
                return Ok(());
            }
            tokio::task::yield_now().await;
        }
    }

    /// A caller has its answer.
    fn finish(&mut self, done: Done) -> Result<(), String> {
        let Done {
            process,
            work,
            alone,
            outcome,
        } = done;
        let running = &mut self.running[process];
        if running.is_dead {
            return Ok(());
        }
        running.callers -= 1;
        running.changing -= usize::from(matches!(work, Work::LogIn | Work::LogOut));
        let (fast, now) = (running.fast, running.process.0.clock.now());
        let result = told(&outcome);
        self.note("answer", format_args!("{process}: {work:?} {result}"));
        let was_alone = alone == Some(self.changes);
        match (work, &outcome) {
            (Work::LogIn, Ok(_)) if was_alone => self.is_logged_in = Some(true),
            (Work::LogOut, Ok(_)) if was_alone => self.is_logged_in = Some(false),
            _ => {}
        }
        match outcome {
            Ok(Some(token)) if fast.is_zero() => check_served(&token, now),
            Err(Error::Internal(detail)) => Err(format!("internal: {detail}")),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}
