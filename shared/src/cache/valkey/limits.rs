//! The numbers that go to the scripts about limits, and those that come back.

use std::time::Duration;

use crate::cache::CacheError;
use crate::quota::sliding_log::{LONGEST_ESTIMATE, MAX_PATIENCE, MAX_PAUSE, MAX_TOLD, TOLERANCE};
use crate::quota::{Decision, Levels, Place, Quota, Reservation, Window, gcra, micros};

pub(super) fn throttle(quotas: &[Quota], cost: u32) -> Vec<u64> {
    let windows = quotas.iter();
    let windows = windows.flat_map(|quota| [quota.full_us(), quota.cost_us(cost)]);
    std::iter::once(micros(gcra::TOLERANCE))
        .chain(windows)
        .collect()
}

pub(super) fn decision(quotas: &[Quota], cost: u32, reply: &[u64]) -> Result<Decision, CacheError> {
    match reply {
        [is_allowed, missing_us, backlogs_us @ ..] if backlogs_us.len() == quotas.len() => {
            let levels = Levels {
                is_allowed: *is_allowed == 1,
                missing_us: *missing_us,
                backlogs_us,
            };
            Ok(Decision::new(quotas, cost, &levels))
        }
        _ => Err(not_understood()),
    }
}

pub(super) fn reserve(windows: &[Window], patience: Duration) -> Vec<u64> {
    let bounds = [
        micros(patience.min(MAX_PATIENCE)),
        micros(MAX_PATIENCE + TOLERANCE),
        micros(MAX_PAUSE + TOLERANCE),
        micros(LONGEST_ESTIMATE),
        MAX_TOLD,
    ];
    let windows = windows.iter().flat_map(|window| {
        let [group, slots] = slots_of(window);
        [window.limit().into(), window.length_us(), group, slots]
    });
    bounds.into_iter().chain(windows).collect()
}

pub(super) fn reservation(windows: &[Window], reply: &[u64]) -> Result<Reservation, CacheError> {
    let &[is_allowed, wait_us, number, at_us, tightest] = reply else {
        return Err(not_understood());
    };
    let place = (is_allowed == 1).then_some((Place { number, at_us }, wait_us));
    let retry_us = if place.is_some() { 0 } else { wait_us };
    let tightest = usize::try_from(tightest).unwrap_or(0);
    Ok(Reservation::new(windows, tightest, place, retry_us))
}

pub(super) fn give_back(windows: &[Window], place: Place) -> Vec<u64> {
    let place = [place.number, place.at_us];
    place
        .into_iter()
        .chain(windows.iter().flat_map(slots_of))
        .collect()
}

pub(super) fn pause(length: Duration) -> Vec<u64> {
    [length.min(MAX_PAUSE), MAX_PAUSE + TOLERANCE]
        .map(micros)
        .to_vec()
}

/// How many calls share a slot of `window`, and how many slots it has.
fn slots_of(window: &Window) -> [u64; 2] {
    [window.group(), window.slots()].map(u64::from)
}

fn not_understood() -> CacheError {
    CacheError::unavailable("not the reply of the script")
}
