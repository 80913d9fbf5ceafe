//! Paces calls towards a counterpart that limits them: each waits for its place, in all processes together.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::{DEFAULT_SHARE, LimitKey};
use crate::cache::CacheClient;
use crate::cache::memory::MemoryCache;
use crate::clock::{Clock, Stopwatch};
use crate::deadline::Deadline;
use crate::quota::sliding_log::{MAX_PATIENCE, MAX_PAUSE};
use crate::quota::{Place, Reservation, Window};
use crate::telemetry::metrics;

/// A place that is used this much after its time counts as missed. Windows towards the platform allow for such a difference
/// (`lark::apis`).
const LATE: Duration = Duration::from_millis(50);
/// How often a caller asks for a place and misses it. One that is frozen while it waits misses one place.
const MAX_PLACES: u32 = 8;
/// What a caller who missed all of them is told to wait.
const MISSED_PAUSE: Duration = Duration::from_secs(1);
/// How many unused places a process remembers until it can give them back.
const MAX_UNUSED: usize = 256;
/// Tokio's timers have this resolution: a shorter wait would take longer than asked.
const TICK: Duration = Duration::from_millis(1);
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
    clock: Arc<dyn Clock>,
    /// Places whose callers were late or gave up, to be given back before the next call.
    unused: Arc<Mutex<Vec<(Pace, Place)>>>,
}

/// A place that its caller has. Dropped, it counts as unused.
struct Held<'h> {
    pacer: &'h Pacer,
    pace: &'h Pace,
    place: Place,
    asked: Stopwatch,
    wait: Duration,
}

impl Held<'_> {
    fn is_missed(&self) -> bool {
        self.asked.elapsed(&*self.pacer.clock) > self.wait + LATE
    }

    fn was_used(mut self) {
        self.place = Place::default();
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if self.place != Place::default() {
            self.pacer.note_unused(self.pace, self.place);
        }
    }
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

    /// A place for a call that may wait for up to `patience`, at most [`MAX_PATIENCE`]: it goes out after
    /// [`Reservation::wait`] without asking again. Later calls go out later, across all processes.
    pub async fn reserve(&self, pace: &Pace, patience: Duration) -> Reservation {
        self.reserved(pace, patience).await.1
    }

    /// As [`Pacer::reserve`], and waits: if the call has a place, it goes out now. A pause that this process asked for meanwhile
    /// is respected too; one from another process takes effect at the next call.
    ///
    /// A place is used at its time or not at all: a caller who comes late, because the process was frozen or busy, asks again.
    /// A place that is not used, also because this future was dropped, is given back if nobody came after it.
    pub async fn wait(&self, pace: &Pace, patience: Duration) -> Reservation {
        self.wait_for_all(std::slice::from_ref(pace), patience)
            .await
    }

    /// As [`Pacer::wait`], for a call that counts in all of `paces`, of which there is one at least: it goes out when it has a
    /// place in each of them at this moment. What it took of the others is given back when one refuses, or when the time of its
    /// place passes while it waits for another one.
    ///
    /// The narrowest comes first: a place of a chat that passes while the call waits for the whole app keeps back nobody else.
    pub async fn wait_for_all(&self, paces: &[Pace], patience: Duration) -> Reservation {
        let patience = Deadline::after(patience.min(MAX_PATIENCE));
        let mut held: Vec<Option<Held<'_>>> = paces.iter().map(|_| None).collect();
        let mut last = None;
        for _ in 0..MAX_PLACES {
            for (pace, held) in paces.iter().zip(&mut held) {
                if held.as_ref().is_some_and(|held| !held.is_missed()) {
                    continue;
                }
                // The one that was missed goes back first.
                *held = None;
                let (asked, reservation) = self.reserved(pace, patience.remaining()).await;
                last = Some(reservation);
                if !reservation.is_allowed {
                    break;
                }
                *held = Some(self.hold(pace, asked, &reservation).await);
            }
            let is_refused = last.is_some_and(|last| !last.is_allowed);
            if is_refused {
                break;
            }
            if held.iter().flatten().all(|held| !self.has_passed(held)) {
                held.into_iter().flatten().for_each(Held::was_used);
                break;
            }
            held.iter_mut().for_each(|held| {
                held.take_if(|held| self.has_passed(held));
            });
            last = None;
        }
        let last = last.unwrap_or_else(|| self.missed(paces));
        if !last.is_allowed {
            for pace in paces.iter().rev() {
                self.give_unused_back(&pace.key).await;
            }
        }
        last
    }

    /// Gives back a place that a call does not use, if nobody came after it.
    pub async fn give_back(&self, pace: &Pace, reservation: &Reservation) {
        if reservation.is_allowed {
            self.note_unused(pace, reservation.place);
        }
        self.give_unused_back(&pace.key).await;
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

    /// Waits for the place of `reservation`.
    async fn hold<'h>(
        &'h self,
        pace: &'h Pace,
        asked: Stopwatch,
        reservation: &Reservation,
    ) -> Held<'h> {
        let held = Held {
            pacer: self,
            pace,
            place: reservation.place,
            asked,
            wait: reservation.wait,
        };
        if held.wait >= TICK {
            tokio::time::sleep(held.wait).await;
        }
        held
    }

    /// Whether the time of a place has passed, or this process asked for a pause while its caller waited.
    fn has_passed(&self, held: &Held<'_>) -> bool {
        let may_be_paused = held.wait >= TICK;
        held.is_missed() || may_be_paused && !self.pauses.pause_left(&held.pace.key.text).is_zero()
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
        let mut asked = Stopwatch::start(&*self.clock);
        let patience = patience.min(MAX_PATIENCE);
        let pause = self.pauses.pause_left(&key.text);
        if pause > patience {
            let refused = Reservation::refused(windows, pause - patience);
            return ("local", asked, refused);
        }
        if let Some(cache) = &self.cache
            && let Ok(mut reservation) = cache.reserve(&key.text, windows, patience).await
        {
            if reservation.is_allowed && reservation.wait < pause {
                // The cache lost the pause or was down. Once it has the pause, calls that wait for its end are spaced again.
                let _ = cache.pause(&key.text, pause).await;
                asked = Stopwatch::start(&*self.clock);
                match cache.reserve(&key.text, windows, patience).await {
                    Ok(later) => reservation = later,
                    Err(_) => reservation.wait = pause,
                }
            }
            return ("shared", asked, reservation);
        }
        let asked = Stopwatch::start(&*self.clock);
        let shares = self.shares_of(windows);
        let reservation = self.shares.reserve_now(&key.text, &shares, patience);
        ("local", asked, reservation)
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
