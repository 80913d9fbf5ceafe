//! Gates: each operation of a process on store, cache and platform stops before it begins and before its answer arrives, until
//! the schedule lets it pass.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

/// Where a process stopped.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Point {
    /// Before an operation on the store, or before its answer.
    Store(&'static str, Stage),
    /// Before an operation on the shared cache, or before its answer.
    Cache(&'static str, Stage),
    /// Before a call reaches the platform, or before the answer leaves it.
    Platform(String, Stage),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Stage {
    Begin,
    Answer,
}

impl Point {
    pub(crate) fn stage(&self) -> Stage {
        match self {
            Self::Store(_, stage) | Self::Cache(_, stage) | Self::Platform(_, stage) => *stage,
        }
    }

    /// Whether a login's next pair may be on its way here: from the platform, or into the store or the shared cache.
    pub(crate) fn may_carry_a_pair(&self) -> bool {
        match self {
            Self::Platform(path, _) => path.contains("/oauth/"),
            Self::Store(name, _) | Self::Cache(name, _) => *name == "put",
        }
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, name) = match self {
            Self::Store(name, _) => ("store", *name),
            Self::Cache(name, _) => ("cache", *name),
            Self::Platform(path, _) => ("platform", path.as_str()),
        };
        let stage = match self.stage() {
            Stage::Begin => "begin",
            Stage::Answer => "answer",
        };
        write!(f, "{what} {name} {stage}")
    }
}

/// What becomes of what waits at a gate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Mode {
    Pass,
    /// The request or the answer is lost: the process sees an error.
    Lose,
}

/// A process at a gate. Dropped, it stays there for ever.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) process: usize,
    pub(crate) point: Point,
    pub(crate) go: oneshot::Sender<Mode>,
    /// How much time has passed since.
    pub(crate) waited: Duration,
}

/// How many operations of the store are under way: it works on threads of its own, and the schedule waits for them.
pub(crate) type Busy = Arc<AtomicUsize>;

/// The gates of one process.
#[derive(Clone, Debug)]
pub(crate) struct Gates {
    process: usize,
    busy: Busy,
    is_dead: Arc<AtomicBool>,
    /// `None`: they stand open.
    arrivals: Option<mpsc::UnboundedSender<Arrival>>,
}

impl Gates {
    pub(crate) fn new(
        process: usize,
        busy: Busy,
        arrivals: mpsc::UnboundedSender<Arrival>,
    ) -> Self {
        Self {
            process,
            busy,
            is_dead: Arc::default(),
            arrivals: Some(arrivals),
        }
    }

    /// Gates that let everything pass.
    pub(crate) fn open(busy: Busy) -> Self {
        Self {
            process: usize::MAX,
            busy,
            is_dead: Arc::default(),
            arrivals: None,
        }
    }

    /// The process dies: nothing that it does reaches anybody any more.
    pub(crate) fn kill(&self) {
        self.is_dead.store(true, Ordering::SeqCst);
    }

    /// Continues only if the process is alive.
    pub(crate) async fn alive(&self) {
        if self.is_dead.load(Ordering::SeqCst) {
            std::future::pending().await
        }
    }

    /// Does `work` of the store.
    pub(crate) async fn busy<T>(&self, work: impl Future<Output = T>) -> T {
        struct Ended<'b>(&'b Busy);
        impl Drop for Ended<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::SeqCst);
            }
        }
        self.alive().await;
        self.busy.fetch_add(1, Ordering::SeqCst);
        let _ended = Ended(&self.busy);
        work.await
    }

    /// Waits at `point` until the schedule lets it pass.
    pub(crate) async fn pass(&self, point: Point) -> Mode {
        let Some(arrivals) = &self.arrivals else {
            return Mode::Pass;
        };
        let (go, gone) = oneshot::channel();
        let arrival = Arrival {
            process: self.process,
            point,
            go,
            waited: Duration::ZERO,
        };
        // A schedule that has ended lets nobody through, and neither does a process that is dead.
        let _ = arrivals.send(arrival);
        match gone.await {
            Ok(mode) => {
                self.alive().await;
                mode
            }
            Err(_) => std::future::pending().await,
        }
    }
}
