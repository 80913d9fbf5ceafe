//! Paces calls towards a counterpart that limits them: each waits for its place, in all processes together.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::{DEFAULT_SHARE, LimitKey};
use crate::cache::memory::MemoryCache;
use crate::cache::{CacheClient, CacheError};
use crate::clock::{Clock, Stopwatch};
use crate::deadline::Deadline;
use crate::quota::sliding_log::{MAX_PATIENCE, MAX_PAUSE};
use crate::quota::{Place, Reservation, Window};
use crate::telemetry::metrics;

mod turn;

pub use turn::{LATE, Turn};

/// What a caller who missed all its places is told to wait.
const MISSED_PAUSE: Duration = Duration::from_secs(1);
/// How long the cache must have been silent before a patient pacer decides by itself: longer than the platform's second.
const SILENT: Duration = Duration::from_secs(2);
/// How soon a patient pacer asks a cache again that did not answer.
const ASK_AGAIN: Duration = Duration::from_millis(50);
/// How many unused places a process remembers until it can give them back.
const MAX_UNUSED: usize = 256;
/// How many bytes a process keeps for pacing by itself: a thousand keys with the platform's usual limits, many more that are
/// rarely used.
const SHARE_BYTES: u64 = 4 * 1_024 * 1_024;
/// How many bytes a process keeps for pauses: about 5,000 keys.
const PAUSE_BYTES: u64 = 5_000 * 256;

/// What a call is counted in: a key and its windows. Always use a key with the same windows, see
/// [`decide`](crate::quota::sliding_log::decide).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pace {
    /// What is counted.
    pub key: LimitKey,
    /// How many in what time.
    pub windows: Vec<Window>,
}

/// Gives places to calls, so that no window of theirs ever has more than its limit. It always decides: without the cache by
/// itself, with [`DEFAULT_SHARE`].
#[derive(Clone, Debug)]
pub struct Pacer {
    cache: Option<CacheClient>,
    /// The places that this process has given without the cache.
    shares: Arc<MemoryCache>,
    /// Pauses that this process has asked for, kept even if the cache loses them.
    pauses: Arc<MemoryCache>,
    one_in: NonZeroU32,
    /// Whether it waits for a cache that does not answer before it decides by itself.
    is_patient: bool,
    /// Since when the cache has not answered.
    silent_since: Arc<Mutex<Option<Stopwatch>>>,
    clock: Arc<dyn Clock>,
    /// Places whose callers were late or gave up, to be given back before the next call.
    unused: Arc<Mutex<Vec<(Pace, Place)>>>,
}

impl Pacer {
    /// Paces all processes with this `cache` together; without one, this process. `clock` is for what the process decides by
    /// itself; the cache uses its own.
    #[must_use]
    pub fn new(cache: Option<CacheClient>, clock: Arc<dyn Clock>) -> Self {
        Self {
            cache,
            shares: Arc::new(MemoryCache::new(SHARE_BYTES, Arc::clone(&clock))),
            pauses: Arc::new(MemoryCache::new(PAUSE_BYTES, Arc::clone(&clock))),
            one_in: DEFAULT_SHARE,
            is_patient: false,
            silent_since: Arc::default(),
            clock,
            unused: Arc::default(),
        }
    }

    /// The same pacer that takes one part in `one_in` of each limit when it decides by itself: up to that many processes
    /// together stay within the limit. Use 1 for a single process.
    #[must_use]
    pub const fn with_share(mut self, one_in: NonZeroU32) -> Self {
        self.one_in = one_in;
        self
    }

    /// The same pacer that waits for a cache that fails or is slow, and decides by itself only when it has not answered for two seconds:
    /// its own places would come on top of those that the cache has just assigned to others.
    #[must_use]
    pub fn patient(&self) -> Self {
        Self {
            is_patient: true,
            ..self.clone()
        }
    }

    /// A place for a call that may wait for up to `patience`, at most [`MAX_PATIENCE`]: its moment is after [`Reservation::wait`].
    /// Later calls go out later, across all processes.
    pub async fn reserve(&self, pace: &Pace, patience: Duration) -> Reservation {
        self.reserved(pace, patience).await.1
    }

    /// Places for a call in all of `paces`, of which there is one at least; each may wait for up to `patience`. The moment of the
    /// last one may lie ahead: [`Turn::come`] waits for it.
    ///
    /// The narrowest comes first: a place of a chat that passes while the call waits for the whole app keeps back nobody else.
    ///
    /// # Errors
    /// The refusal. What the call had of the others is given back.
    pub async fn turn(&self, paces: Vec<Pace>, patience: Duration) -> Result<Turn, Reservation> {
        let mut turn = Turn::of(self.clone(), paces);
        let patience = Deadline::after(patience.min(MAX_PATIENCE));
        turn.ask(patience).await?;
        Ok(turn)
    }

    /// Gives no place for `key` for `length`, at most for [`MAX_PAUSE`], in all processes that share the cache. A longer pause
    /// stays.
    pub async fn pause(&self, key: &LimitKey, length: Duration) {
        let length = length.min(MAX_PAUSE);
        self.pauses.hold(&key.text, length);
        self.shares.hold(&key.text, length);
        if let Some(cache) = &self.cache {
            // A failing cache is counted and logged there; this process keeps the pause anyway.
            let _ = cache.pause(&key.text, length).await;
        }
    }

    /// The refusal of a caller who missed all places.
    fn missed(&self, paces: &[Pace]) -> Reservation {
        let pauses = paces
            .iter()
            .map(|pace| self.pauses.pause_left(&pace.key.text));
        let pause = pauses.max().unwrap_or_default();
        let windows = paces.first().map_or(&[] as &[_], |pace| &pace.windows);
        Reservation::refused(windows, pause.max(MISSED_PAUSE))
    }

    /// The reservation, and when it was asked for.
    async fn reserved(&self, pace: &Pace, patience: Duration) -> (Stopwatch, Reservation) {
        self.give_unused_back(&pace.key).await;
        let (tier, asked, reservation) = self.decide(pace, patience).await;
        let result = if reservation.is_allowed {
            "allowed"
        } else {
            "refused"
        };
        metrics::rate_limit(pace.key.scope, tier, result);
        (asked, reservation)
    }

    /// The tier that decided, when it was asked, and how.
    async fn decide(
        &self,
        pace: &Pace,
        patience: Duration,
    ) -> (&'static str, Stopwatch, Reservation) {
        let Pace { key, windows } = pace;
        let asked = Stopwatch::start(&*self.clock);
        let patience = patience.min(MAX_PATIENCE);
        let pause = self.pauses.pause_left(&key.text);
        if pause > patience {
            let refused = Reservation::refused(windows, pause - patience);
            return ("local", asked, refused);
        }
        let until = Deadline::after(patience);
        let mut left = patience;
        if let Some(cache) = &self.cache {
            loop {
                if let Ok(decided) = self.shared(cache, pace, left, pause).await {
                    *self.silent_since() = None;
                    return decided;
                }
                if !self.is_patient || self.is_silent_for_long() {
                    break;
                }
                left = until.remaining().saturating_sub(ASK_AGAIN);
                if left.is_zero() {
                    return ("local", asked, Reservation::refused(windows, MISSED_PAUSE));
                }
                tokio::time::sleep(ASK_AGAIN).await;
            }
        }
        let asked = Stopwatch::start(&*self.clock);
        let shares = self.shares_of(windows);
        let reservation = self.shares.reserve_now(&key.text, &shares, left);
        ("local", asked, reservation)
    }

    /// What the cache decides. `pause` is how long this process must wait at least.
    async fn shared(
        &self,
        cache: &CacheClient,
        pace: &Pace,
        patience: Duration,
        pause: Duration,
    ) -> Result<(&'static str, Stopwatch, Reservation), CacheError> {
        let (key, windows) = (&pace.key.text, &pace.windows);
        let mut asked = Stopwatch::start(&*self.clock);
        let mut reservation = if self.is_patient {
            cache.reserve_patiently(key, windows, patience).await?
        } else {
            cache.reserve(key, windows, patience).await?
        };
        if reservation.is_allowed && reservation.wait < pause {
            // The cache lost the pause or was down. Once it has the pause, calls that wait for its end are spaced again.
            let _ = cache.pause(key, pause).await;
            asked = Stopwatch::start(&*self.clock);
            match cache.reserve(key, windows, patience).await {
                Ok(later) => reservation = later,
                Err(_) => reservation.wait = pause,
            }
        }
        Ok(("shared", asked, reservation))
    }

    /// Whether the cache has given no answer for so long that the places it assigned are past.
    fn is_silent_for_long(&self) -> bool {
        let mut since = self.silent_since();
        let since = since.get_or_insert_with(|| Stopwatch::start(&*self.clock));
        since.elapsed(&*self.clock) > SILENT
    }

    fn silent_since(&self) -> MutexGuard<'_, Option<Stopwatch>> {
        self.silent_since
            .lock()
            .expect("no panic while holding a moment")
    }

    /// What this process takes of `windows` when it decides by itself.
    fn shares_of(&self, windows: &[Window]) -> Vec<Window> {
        let share = |window: &Window| window.share(self.one_in);
        windows.iter().map(share).collect()
    }

    fn note_unused(&self, pace: &Pace, place: Place) {
        let mut unused = self.unused();
        if unused.len() < MAX_UNUSED {
            unused.push((pace.clone(), place));
        }
    }

    /// Gives the unused places of `key` back, the last one first: once one is refused, none before it can be the last.
    async fn give_unused_back(&self, key: &LimitKey) {
        let mut places: Vec<(Pace, Place)> = {
            let mut unused = self.unused();
            unused
                .extract_if(.., |(pace, _)| pace.key == *key)
                .collect()
        };
        places.sort_unstable_by_key(|(_, place)| std::cmp::Reverse((place.at_us, place.number)));
        for (pace, place) in &places {
            if !self.is_taken_back(pace, *place).await {
                break;
            }
        }
    }

    /// Whether the decider of `place` took it back: the cache, or this process itself.
    async fn is_taken_back(&self, pace: &Pace, place: Place) -> bool {
        let Pace { key, windows } = pace;
        let shares = self.shares_of(windows);
        if self.shares.take_back(&key.text, &shares, place) {
            return true;
        }
        let Some(cache) = &self.cache else {
            return false;
        };
        let given = cache.give_back(&key.text, windows, place).await;
        given.unwrap_or(false)
    }

    fn unused(&self) -> MutexGuard<'_, Vec<(Pace, Place)>> {
        self.unused
            .lock()
            .expect("no panic while holding the unused places")
    }
}

#[cfg(test)]
mod tests;
