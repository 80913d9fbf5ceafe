//! The turn of a call: a place in all that it is counted in, used at its moment or not at all.

use std::time::Duration;

use tokio::time::Instant;

use super::{Pace, Pacer};
use crate::clock::Stopwatch;
use crate::deadline::Deadline;
use crate::quota::sliding_log::MAX_PATIENCE;
use crate::quota::{Place, Reservation};

/// A place that is used this much after its moment counts as missed. Windows towards the platform allow for such a difference
/// (`lark::apis`).
pub const LATE: Duration = Duration::from_millis(30);
/// How often a caller asks for a place and misses it. One that is frozen while it waits misses one place.
const MAX_PLACES: u32 = 8;
/// So much before the last of several places the others are asked for again that will have passed by then: as long as the cache takes,
/// and less than they last.
pub(super) const EARLY: Duration = Duration::from_millis(10);
/// Tokio's timers have this resolution: a shorter wait would take longer than asked.
const TICK: Duration = Duration::from_millis(1);

/// The places of a call in all that it is counted in. Dropped before [`Turn::use_up`], they are given back, if nobody came after
/// them.
///
/// What takes its time, such as writing down that the call is about to be made, is done between [`Pacer::turn`] and
/// [`Turn::come`]: while the place lies ahead it costs nothing, and if it takes longer the call asks for another place.
#[derive(Debug)]
pub struct Turn {
    pacer: Pacer,
    paces: Vec<Pace>,
    /// The place in each of `paces`.
    held: Vec<Option<Held>>,
    is_used: bool,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    place: Place,
    /// When it was asked for: its moment is not earlier than `wait` after this, and not later than `due`.
    asked: Stopwatch,
    wait: Duration,
    due: Instant,
}

/// Whether `due` is worth waiting for.
fn is_ahead(due: Instant) -> bool {
    due.saturating_duration_since(Instant::now()) >= TICK
}

impl Turn {
    pub(super) fn of(pacer: Pacer, paces: Vec<Pace>) -> Self {
        Self {
            held: paces.iter().map(|_| None).collect(),
            pacer,
            paces,
            is_used: false,
        }
    }

    /// Waits for the moment of the call, and asks for new places where they have passed, with `patience`, at most
    /// [`MAX_PATIENCE`]. Then the call goes out now. A pause that this process asked for meanwhile is respected too; one from
    /// another process takes effect at the next call.
    ///
    /// # Errors
    /// The refusal. What the call had of the others is given back.
    pub async fn come(&mut self, patience: Duration) -> Result<(), Reservation> {
        let patience = Deadline::after(patience.min(MAX_PATIENCE));
        for _ in 0..MAX_PLACES {
            self.until_due().await;
            // What was missed goes back before anything else is asked for.
            self.give_back(|turn, index| !turn.is_good(index));
            if self.is_now() {
                return Ok(());
            }
            self.ask(patience).await?;
        }
        self.until_due().await;
        if self.is_now() {
            return Ok(());
        }
        let missed = self.pacer.missed(&self.paces);
        self.give_up().await;
        Err(missed)
    }

    /// Whether the call may go out at this very moment.
    #[must_use]
    pub fn is_now(&self) -> bool {
        let mut held = self.held.iter().flatten();
        let is_early = held.any(|held| is_ahead(held.due));
        !is_early && (0..self.paces.len()).all(|index| self.is_good(index))
    }

    /// The call goes out, or may have gone out: its places are not given back.
    pub const fn use_up(&mut self) {
        self.is_used = true;
    }

    /// Gives all places back, if nobody came after them.
    pub async fn give_up(&mut self) {
        self.give_back(|_, _| true);
        for pace in self.paces.iter().rev() {
            self.pacer.give_unused_back(&pace.key).await;
        }
    }

    /// Asks for the places that are missing. The moments of all but the last one are waited for.
    pub(super) async fn ask(&mut self, patience: Deadline) -> Result<(), Reservation> {
        for index in 0..self.paces.len() {
            if self.held[index].is_some() {
                continue;
            }
            if index > 0 {
                self.until_due().await;
            }
            let pace = &self.paces[index];
            let (asked, reservation) = self.pacer.reserved(pace, patience.remaining()).await;
            if !reservation.is_allowed {
                self.give_up().await;
                return Err(reservation);
            }
            self.held[index] = Some(Held {
                place: reservation.place,
                asked,
                wait: reservation.wait,
                due: Instant::now() + reservation.wait,
            });
        }
        Ok(())
    }

    /// Waits for the last moment of those that lie ahead; not quite, if others will have passed by then: the new ones are asked for in
    /// time.
    async fn until_due(&self) {
        let held = || self.held.iter().flatten();
        let Some(mut due) = held().map(|held| held.due).max() else {
            return;
        };
        if held().any(|held| held.due + LATE + EARLY < due) {
            due -= EARLY;
        }
        if is_ahead(due) {
            tokio::time::sleep_until(due).await;
        }
    }

    /// Whether there is a place at `index` whose time has not passed, and this process asked for no pause meanwhile.
    fn is_good(&self, index: usize) -> bool {
        let pacer = &self.pacer;
        self.held[index].is_some_and(|held| {
            let waited = held.asked.elapsed(&*pacer.clock);
            let may_be_paused = held.wait.max(waited) >= TICK;
            let pause = || pacer.pauses.pause_left(&self.paces[index].key.text);
            waited <= held.wait + LATE && (!may_be_paused || pause().is_zero())
        })
    }

    fn give_back(&mut self, is_unused: impl Fn(&Self, usize) -> bool) {
        for index in 0..self.paces.len() {
            if is_unused(self, index)
                && let Some(held) = self.held[index].take()
                && !self.is_used
            {
                self.pacer.note_unused(&self.paces[index], held.place);
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.give_back(|_, _| true);
    }
}
