//! The most calls that fell into any window, whatever its limit and whether or not limits apply: the proof that a client
//! keeps to them.

use std::collections::{BTreeMap, HashMap};

use crate::rate_limit::{Account, History, Window};

/// The most calls in any window, by the window's length in simulated milliseconds.
pub type PeakInWindow = BTreeMap<u64, u64>;

/// By account and endpoint.
#[derive(Default)]
pub(super) struct Peaks(HashMap<(Account, &'static str), Entry>);

#[derive(Default)]
struct Entry {
    history: History,
    peak: PeakInWindow,
}

impl Peaks {
    pub(super) fn note(
        &mut self,
        account: Account,
        endpoint: &'static str,
        windows: &[Window],
        now_ms: u64,
    ) {
        let lengths_ms = || windows.iter().map(|window| window.length_ms);
        let Some(longest_ms) = lengths_ms().max() else {
            return;
        };
        let Entry { history, peak } = self.0.entry((account, endpoint)).or_default();
        let now_ms = history.begin(now_ms, longest_ms);
        history.add(now_ms);
        for length_ms in lengths_ms() {
            keep_higher(peak, length_ms, history.within(now_ms, length_ms));
        }
    }

    /// The highest of every account, by endpoint.
    pub(super) fn by_endpoint(&self) -> BTreeMap<&'static str, PeakInWindow> {
        let mut peaks = BTreeMap::new();
        for ((_, endpoint), entry) in &self.0 {
            let peak = peaks.entry(*endpoint).or_default();
            entry.raise(peak);
        }
        peaks
    }

    /// The highest of every tenant, by app and endpoint.
    pub(super) fn by_app(&self) -> BTreeMap<String, BTreeMap<String, PeakInWindow>> {
        let mut peaks = BTreeMap::<_, BTreeMap<_, _>>::new();
        for ((account, endpoint), entry) in &self.0 {
            let app = peaks.entry(account.app_id.to_string()).or_default();
            entry.raise(app.entry((*endpoint).to_owned()).or_default());
        }
        peaks
    }

    /// The highest of every tenant of one app.
    pub(super) fn of(&self, app_id: &str, endpoint: &str) -> PeakInWindow {
        let mut peak = PeakInWindow::new();
        for ((account, name), entry) in &self.0 {
            if *account.app_id == *app_id && *name == endpoint {
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
