//! The most calls in any window, whatever its limit and whether or not limits are on. They show that a client keeps the
//! limits.

use std::collections::{BTreeMap, HashMap};

use crate::rate_limit::{Caller, History, Window};

/// The most calls in any window, by the window's length in simulated milliseconds.
pub type PeakInWindow = BTreeMap<u64, u64>;

/// By caller and endpoint.
#[derive(Default)]
pub(super) struct Peaks(HashMap<(Caller, &'static str), Entry>);

#[derive(Default)]
struct Entry {
    history: History,
    peak: PeakInWindow,
}

impl Peaks {
    pub(super) fn record(
        &mut self,
        caller: Caller,
        endpoint: &'static str,
        windows: &[Window],
        now_ms: u64,
    ) {
        let lengths_ms = || windows.iter().map(|window| window.length_ms);
        let Some(longest_ms) = lengths_ms().max() else {
            return;
        };
        let Entry { history, peak } = self.0.entry((caller, endpoint)).or_default();
        let now_ms = history.prune(now_ms, longest_ms);
        history.add(now_ms);
        for length_ms in lengths_ms() {
            keep_higher(peak, length_ms, history.within(now_ms, length_ms));
        }
    }

    /// The highest of all callers, by endpoint.
    pub(super) fn by_endpoint(&self) -> BTreeMap<&'static str, PeakInWindow> {
        let mut peaks = BTreeMap::new();
        for ((_, endpoint), entry) in &self.0 {
            let peak = peaks.entry(*endpoint).or_default();
            entry.raise(peak);
        }
        peaks
    }

    /// The highest of an app's tenants, by app and endpoint.
    pub(super) fn by_app(&self) -> BTreeMap<String, BTreeMap<String, PeakInWindow>> {
        let mut peaks = BTreeMap::<_, BTreeMap<_, _>>::new();
        for ((caller, endpoint), entry) in &self.0 {
            let app = peaks.entry(caller.app_id.to_string()).or_default();
            entry.raise(app.entry((*endpoint).to_owned()).or_default());
        }
        peaks
    }

    /// The highest of the tenants of one app.
    pub(super) fn of(&self, app_id: &str, endpoint: &str) -> PeakInWindow {
        let mut peak = PeakInWindow::new();
        for ((caller, name), entry) in &self.0 {
            if *caller.app_id == *app_id && *name == endpoint {
                entry.raise(&mut peak);
            }
        }
        peak
    }
}

impl Entry {
    fn raise(&self, peak: &mut PeakInWindow) {
        for (length_ms, calls) in &self.peak {
            keep_higher(peak, *length_ms, *calls);
        }
    }
}

fn keep_higher(peak: &mut PeakInWindow, length_ms: u64, calls: u64) {
    let highest = peak.entry(length_ms).or_default();
    *highest = calls.max(*highest);
}
