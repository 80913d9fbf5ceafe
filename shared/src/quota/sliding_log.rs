//! The decision about calls towards a counterpart that counts them: a sliding log over several windows at once, as a pure function.
//!
//! The moments of the last calls are kept. A call gets the first place at which no window is full: for each window, the length of
//! the window after the call that was `limit` calls before it. So no window of that length has more, wherever it begins, and after
//! a silence of that length all of them can go at once. A place lies never before the one that was given last, so callers go in
//! the order of asking; nor before the end of a pause. Later calls act later, so a place needs no second check, as long as it is used
//! at its moment. One that is not used is given back if it is the last ([`give_back`]).
//!
//! A refusal says when a place will come within the patience of its caller, and counts them: the second who is refused is told
//! when the second place comes, and so on. If they come back when they were told, each gets a place, up to as many as the largest
//! limit; for more it is an estimate on the early side. A number that was told is nobody's:
//! whoever comes first gets the next place. So what is refused never keeps a place empty; callers who ask too often only make
//! others who are refused come back later than necessary, after [`LONGEST_ESTIMATE`] at most.
//!
//! Moments are microseconds since the Unix epoch. Every adapter of the cache decides like this, and the contract tests compare them.

use std::time::Duration;

use super::window::{Place, Reservation, Window};
use crate::quota::micros;

/// The longest pause; a longer one counts as this, so that no mistake of a caller or of a platform stops a key for long.
pub const MAX_PAUSE: Duration = Duration::from_secs(120);
/// The longest patience; a longer one counts as this. API Gateway gives an invocation 29 seconds: a request that would queue
/// for longer than a third of that is better refused with a time to retry than left to time out afterwards.
pub const MAX_PATIENCE: Duration = Duration::from_secs(10);
/// How much further ahead than possible a stored moment may lie: the cache's clock has gone back a little. Whatever lies further
/// ahead cannot have come about, and counts as nothing: whoever can write into the cache can write anything.
pub const TOLERANCE: Duration = Duration::from_secs(5);

/// Nobody is told a longer time because of others who were refused before: most may not come back, and some come too often.
pub const LONGEST_ESTIMATE: Duration = Duration::from_secs(120);
/// More callers than are told to come back within [`LONGEST_ESTIMATE`], but for test limits.
pub(crate) const MAX_TOLD: u64 = 10_000;

/// What is in front of the slots.
const HEADER_BYTES: usize = 5 * NUMBER_BYTES;
/// A number in a state: without sign, the lowest byte first.
const NUMBER_BYTES: usize = 8;
/// Numbers from here on are not exact in scripts, and count as zero.
const MAX_NUMBER: u64 = 1 << 53;

/// The stored state of a key, as bytes, the same in every cache: numbers of eight bytes. First the end of a pause, how many calls
/// had places, the last place, how many calls had places or were told when to come again, and the last moment that one was told.
/// Then the slots of each window: the places of its last calls or groups of calls, call `n` in group `n / group`, group `g` in slot
/// `g % slots`. Whatever is missing is zero: it stands for nothing. The state grows as it is used.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct State(Vec<u8>);

/// The numbers in front.
#[derive(Clone, Copy, Default)]
struct Header {
    paused_until_us: u64,
    count: u64,
    last_us: u64,
    told: u64,
    told_until_us: u64,
}

/// A state as it counts at a moment.
struct Log<'l> {
    state: &'l State,
    windows: &'l [Window],
    count: u64,
    /// No place lies before it: the moment itself, the end of a pause, the last place.
    earliest_us: u64,
    /// Places after it cannot have come about.
    latest_us: u64,
}

/// Whether a call gets a place within all `windows` and within `patience`, and the state after it. A call that gets a place acts
/// after [`Reservation::wait`], and holds its place from now on.
///
/// Windows are identified by their order, so a key must always be used with the same ones.
#[must_use]
pub fn decide(
    mut state: State,
    windows: &[Window],
    patience: Duration,
    now_us: u64,
) -> (Reservation, State) {
    let patience_us = micros(patience.min(MAX_PATIENCE));
    let mut header = state.header();
    header.paused_until_us = header.pause_at(now_us);
    let log = Log::at(&state, header, windows, now_us);
    let (at_us, tightest) = log.place_after(0);
    let wait_us = at_us - now_us;
    if wait_us <= patience_us {
        let number = header.count;
        state.keep(windows, number, at_us);
        header.count += 1;
        header.last_us = at_us;
        state.set_header(header);
        let place = Place { number, at_us };
        let reservation = Reservation::new(windows, tightest, Some((place, wait_us)), 0);
        return (reservation, state);
    }
    let mut told = 0;
    if header.told_until_us > now_us {
        told = header.told.saturating_sub(header.count).min(MAX_TOLD);
    }
    let next_us = at_us - now_us - patience_us;
    let (told_us, tightest) = log.place_after(told);
    let told_us = told_us.saturating_sub(now_us + patience_us);
    let retry_us = told_us.min(micros(LONGEST_ESTIMATE)).max(next_us);
    told += u64::from(told_us < micros(LONGEST_ESTIMATE));
    header.told = header.count + told;
    header.told_until_us = now_us + retry_us;
    state.set_header(header);
    let reservation = Reservation::new(windows, tightest, None, retry_us);
    (reservation, state)
}

/// The state after the call that has `place` did not go out. `None`: somebody has a place after it, or it was given back before;
/// nothing changes. A place must be given back once at most.
///
/// Only the last place can be given back. A place between others is of no use to those who come later, who act after all of
/// them, and those behind it know their moments already.
#[must_use]
pub fn give_back(mut state: State, windows: &[Window], place: Place) -> Option<State> {
    let mut header = state.header();
    let is_last = header.count == place.number + 1 && header.last_us == place.at_us;
    if place.at_us == 0 || !is_last {
        return None;
    }
    header.count = place.number;
    header.last_us = place.number.checked_sub(1).map_or(0, |before| {
        // Of a group, the moment of its last call is known, which may be the one that is given back.
        let moments = offsets(windows).map(|(window, offset)| state.slot(window, offset, before));
        moments.fold(place.at_us, u64::min)
    });
    state.set_header(header);
    Some(state)
}

impl State {
    /// The state that [`State::as_bytes`] returned. Anything else is a state too, if a senseless one.
    #[must_use]
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// As it is stored.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// This state, paused for `length`; a pause that ends later stays as it is.
    #[must_use]
    pub fn paused(mut self, length: Duration, now_us: u64) -> Self {
        let mut header = self.header();
        let left_us = header.pause_at(now_us);
        header.paused_until_us = left_us.max(now_us + micros(length.min(MAX_PAUSE)));
        self.set_header(header);
        self
    }

    /// When a pause ends, in microseconds since the Unix epoch; zero without one.
    #[must_use]
    pub fn paused_until_us(&self, now_us: u64) -> u64 {
        self.header().pause_at(now_us)
    }

    /// When this state equals an empty one, if it is used with `windows`.
    #[must_use]
    pub fn ends_at_us(&self, windows: &[Window]) -> u64 {
        let header = self.header();
        let longest_us = windows.iter().map(Window::length_us).max().unwrap_or(0);
        header.paused_until_us.max(header.last_us + longest_us)
    }

    /// The header; zeros if it is incomplete.
    fn header(&self) -> Header {
        if self.0.len() < HEADER_BYTES {
            return Header::default();
        }
        Header {
            paused_until_us: self.number(0),
            count: self.number(NUMBER_BYTES),
            last_us: self.number(2 * NUMBER_BYTES),
            told: self.number(3 * NUMBER_BYTES),
            told_until_us: self.number(4 * NUMBER_BYTES),
        }
    }

    fn set_header(&mut self, header: Header) {
        let numbers = [
            header.paused_until_us,
            header.count,
            header.last_us,
            header.told,
            header.told_until_us,
        ];
        for (index, number) in numbers.into_iter().enumerate() {
            self.set_number(index * NUMBER_BYTES, number);
        }
    }

    /// What the slot of call `number` of the `window` with slots from `offset` on says.
    fn slot(&self, window: &Window, offset: usize, number: u64) -> u64 {
        self.number(offset + place_in(window, number))
    }

    /// Notes in each window that call `number` acts at a moment.
    fn keep(&mut self, windows: &[Window], number: u64, at_us: u64) {
        for (window, offset) in offsets(windows) {
            self.set_number(offset + place_in(window, number), at_us);
        }
    }

    fn number(&self, offset: usize) -> u64 {
        let bytes = self.0.get(offset..offset + NUMBER_BYTES);
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        let number = bytes.map_or(0, u64::from_le_bytes);
        if number < MAX_NUMBER { number } else { 0 }
    }

    fn set_number(&mut self, offset: usize, number: u64) {
        let end = offset + NUMBER_BYTES;
        if self.0.len() < end {
            self.0.resize(end, 0);
        }
        self.0[offset..end].copy_from_slice(&number.to_le_bytes());
    }
}

impl From<State> for bytes::Bytes {
    fn from(state: State) -> Self {
        state.0.into()
    }
}

impl Header {
    /// The end of a pause that can have come about by `now_us`.
    fn pause_at(&self, now_us: u64) -> u64 {
        if self.paused_until_us > now_us + micros(MAX_PAUSE + TOLERANCE) {
            return 0;
        }
        self.paused_until_us
    }
}

impl<'l> Log<'l> {
    fn at(state: &'l State, header: Header, windows: &'l [Window], now_us: u64) -> Self {
        let latest_us = now_us + micros(MAX_PATIENCE + TOLERANCE);
        let last_us = if header.last_us > latest_us {
            0
        } else {
            header.last_us
        };
        Self {
            state,
            windows,
            count: header.count,
            earliest_us: now_us.max(header.paused_until_us).max(last_us),
            latest_us,
        }
    }

    /// The place of the call after `others` that get theirs first, and the window that it waits for, counted from one.
    ///
    /// Among those `others`, what a window allowed in the past comes back in the same rhythm, a length later each time.
    fn place_after(&self, others: u64) -> (u64, usize) {
        let (mut place_us, mut tightest) = (self.earliest_us, 0);
        for (index, (window, offset)) in offsets(self.windows).enumerate() {
            let (limit, length_us) = (u64::from(window.limit()), window.length_us());
            let number = (self.count + others % limit).checked_sub(limit);
            let before_us = number.map_or(0, |number| self.state.slot(window, offset, number));
            let mut at_us = self.earliest_us;
            if before_us > 0 && before_us <= self.latest_us {
                at_us = at_us.max(before_us + length_us);
            }
            at_us += others / limit * length_us;
            if at_us > place_us {
                (place_us, tightest) = (at_us, index + 1);
            }
        }
        (place_us, tightest)
    }
}

/// Each window, and where its slots begin.
fn offsets(windows: &[Window]) -> impl Iterator<Item = (&Window, usize)> {
    windows.iter().scan(HEADER_BYTES, |next, window| {
        let offset = *next;
        *next += window.slots() as usize * NUMBER_BYTES;
        Some((window, offset))
    })
}

/// Where the slot of call `number` begins among those of `window`.
fn place_in(window: &Window, number: u64) -> usize {
    let slot = number / u64::from(window.group()) % u64::from(window.slots());
    usize::try_from(slot).expect("below the number of slots") * NUMBER_BYTES
}

#[cfg(test)]
mod tests;
