//! Counts of what reached the simulator, so that a test can say "one call, not ten".

mod peaks;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use http::StatusCode;
use serde::Serialize;
use tokio::sync::Notify;

use crate::answer::{Answer, RATE_LIMITED, rejects_token};
use crate::hash::hash;
use crate::rate_limit::{Caller, Window};
use peaks::Peaks;

pub use peaks::PeakInWindow;

/// All counts since the start or the last reset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Over all endpoints.
    pub total: EndpointCounters,
    /// Tenant and app tokens issued, without those returned again.
    pub tokens_issued: u64,
    /// Logins: authorization codes exchanged for user tokens.
    pub code_grants: u64,
    /// Refresh tokens exchanged for new ones.
    pub refresh_grants: u64,
    /// Refresh tokens rejected for any reason, after the app had authenticated.
    pub refresh_rejected: u64,
    /// Pushes of an app ticket with a 2xx answer.
    pub ticket_pushes: u64,
    /// Pushes of an app ticket that failed after all attempts.
    pub ticket_pushes_failed: u64,
    /// By the endpoint's name; `unknown` is for calls of unknown paths.
    pub endpoints: BTreeMap<String, EndpointCounters>,
    /// By app id, if requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub apps: Option<BTreeMap<String, AppCounters>>,
    /// By app id and endpoint, if requested; of an app's tenants the one with the most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peaks_by_app: Option<BTreeMap<String, BTreeMap<String, PeakInWindow>>>,
}

/// Counts of one endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct EndpointCounters {
    /// Calls that arrived.
    pub requests: u64,
    /// Answers with code 0.
    pub ok: u64,
    /// All other answers by code, injected ones included.
    pub errors: BTreeMap<i64, u64>,
    /// Calls with an injected fault.
    pub faults: u64,
    /// Calls rejected because of their access token (99991663, 99991668, 99991671, 20005).
    pub rejected_tokens: u64,
    /// The number of different tokens among them. If it is less than `rejected_tokens`, a client has repeated an
    /// invalid token.
    pub distinct_rejected_tokens: u64,
    /// Calls in progress.
    pub in_flight: u64,
    /// The most calls in progress at the same time.
    pub peak_in_flight: u64,
    /// Answers with HTTP 429 or code 99991400, injected ones included.
    pub rate_limited: u64,
    /// The most calls of one app, and one tenant of it, that arrived within any window of the endpoint's limits.
    /// Counted whether or not limits are on, with rejected and failed calls. Empty in the total.
    pub peak_in_window: PeakInWindow,
}

/// Counts of one app.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AppCounters {
    /// Calls that authenticated as the app.
    pub requests: u64,
    /// Tenant and app tokens issued, without those returned again.
    pub tokens_issued: u64,
    /// Logins: authorization codes exchanged for user tokens.
    pub code_grants: u64,
    /// Refresh tokens exchanged for new ones.
    pub refresh_grants: u64,
    /// Refresh tokens rejected for any reason, after the app had authenticated.
    pub refresh_rejected: u64,
    /// Pushes of an app ticket with a 2xx answer.
    pub ticket_pushes: u64,
    /// Pushes of an app ticket that failed after all attempts.
    pub ticket_pushes_failed: u64,
}

#[derive(Default)]
pub(crate) struct CallCounters {
    state: Mutex<State>,
    peaks: Mutex<Peaks>,
    arrivals: Notify,
}

#[derive(Default)]
struct State {
    total: Entry,
    endpoints: BTreeMap<&'static str, Entry>,
    apps: HashMap<String, AppCounters>,
    /// The sum of all apps; its `requests` are not used.
    sums: AppCounters,
}

#[derive(Default)]
struct Entry {
    counts: EndpointCounters,
    rejected: HashSet<u64>,
}

/// A call in progress; dropped when it ends, in whatever way.
pub(crate) struct InFlight<'a> {
    counters: &'a CallCounters,
    endpoint: &'static str,
}

impl CallCounters {
    pub(crate) fn arrive(&self, endpoint: &'static str) -> InFlight<'_> {
        self.both(endpoint, |entry| {
            entry.counts.requests += 1;
            entry.counts.in_flight += 1;
            entry.counts.peak_in_flight = entry.counts.peak_in_flight.max(entry.counts.in_flight);
        });
        self.arrivals.notify_waiters();
        InFlight {
            counters: self,
            endpoint,
        }
    }

    pub(crate) fn count_request(&self, app_id: &str) {
        self.lock().app(app_id).requests += 1;
    }

    /// Changes the counts of the app and of all apps together.
    pub(crate) fn count(&self, app_id: &str, change: impl Fn(&mut AppCounters)) {
        let mut state = self.lock();
        change(&mut state.sums);
        change(state.app(app_id));
    }

    /// Records a call of this caller. It reads the time under the lock, so that the recorded times are in order.
    pub(crate) fn record(
        &self,
        caller: Caller,
        endpoint: &'static str,
        windows: &[Window],
        now_ms: impl Fn() -> u64,
    ) {
        let mut peaks = self.peaks();
        peaks.record(caller, endpoint, windows, now_ms());
    }

    /// The counts of these endpoints and the total.
    pub(crate) fn read(&self, names: impl Iterator<Item = &'static str>) -> Counters {
        let mut peaks = self.peaks().by_endpoint();
        let state = self.lock();
        let endpoints = names.map(|name| {
            let counts = state.endpoints.get(name).map(Entry::read);
            let counts = EndpointCounters {
                peak_in_window: peaks.remove(name).unwrap_or_default(),
                ..counts.unwrap_or_default()
            };
            (name.to_owned(), counts)
        });
        Counters {
            total: state.total.read(),
            tokens_issued: state.sums.tokens_issued,
            code_grants: state.sums.code_grants,
            refresh_grants: state.sums.refresh_grants,
            refresh_rejected: state.sums.refresh_rejected,
            ticket_pushes: state.sums.ticket_pushes,
            ticket_pushes_failed: state.sums.ticket_pushes_failed,
            endpoints: endpoints.collect(),
            apps: None,
            peaks_by_app: None,
        }
    }

    pub(crate) fn peaks_by_app(&self) -> BTreeMap<String, BTreeMap<String, PeakInWindow>> {
        self.peaks().by_app()
    }

    pub(crate) fn peak(&self, app_id: &str, endpoint: &str) -> PeakInWindow {
        self.peaks().of(app_id, endpoint)
    }

    pub(crate) fn apps(&self) -> BTreeMap<String, AppCounters> {
        let state = self.lock();
        state
            .apps
            .iter()
            .map(|(app_id, counts)| (app_id.clone(), *counts))
            .collect()
    }

    pub(crate) fn app(&self, app_id: &str) -> AppCounters {
        self.lock().apps.get(app_id).copied().unwrap_or_default()
    }

    /// Sets all counts to zero, except for calls in flight.
    pub(crate) fn reset(&self) {
        *self.peaks() = Peaks::default();
        let mut state = self.lock();
        state.apps.clear();
        state.sums = AppCounters::default();
        state.total.reset();
        for entry in state.endpoints.values_mut() {
            entry.reset();
        }
    }

    /// Returns once this many calls have arrived since the start or the last reset.
    pub(crate) async fn arrived(&self, endpoint: &str, requests: u64) {
        loop {
            let arrival = self.arrivals.notified();
            let so_far = match endpoint {
                "*" => self.lock().total.counts.requests,
                name => self
                    .lock()
                    .endpoints
                    .get(name)
                    .map_or(0, |entry| entry.counts.requests),
            };
            if so_far >= requests {
                return;
            }
            arrival.await;
        }
    }

    fn both(&self, endpoint: &'static str, change: impl Fn(&mut Entry)) {
        let mut state = self.lock();
        change(&mut state.total);
        change(state.endpoints.entry(endpoint).or_default());
    }

    fn peaks(&self) -> MutexGuard<'_, Peaks> {
        self.peaks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl InFlight<'_> {
    pub(crate) fn hit_by_fault(&self) {
        self.counters
            .both(self.endpoint, |entry| entry.counts.faults += 1);
    }

    /// Counts the answer; `token` is the one in the request.
    pub(crate) fn answered(&self, answer: &Answer, token: Option<&str>) {
        let code = answer.code;
        let is_limited = code == RATE_LIMITED || answer.status == StatusCode::TOO_MANY_REQUESTS;
        self.counters.both(self.endpoint, |entry| {
            match code {
                0 => entry.counts.ok += 1,
                code => *entry.counts.errors.entry(code).or_default() += 1,
            }
            entry.counts.rate_limited += u64::from(is_limited);
            if let Some(token) = token
                && rejects_token(code)
            {
                entry.counts.rejected_tokens += 1;
                entry.rejected.insert(hash(token));
            }
        });
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.counters
            .both(self.endpoint, |entry| entry.counts.in_flight -= 1);
    }
}

impl State {
    fn app(&mut self, app_id: &str) -> &mut AppCounters {
        self.apps.entry(app_id.to_owned()).or_default()
    }
}

impl Entry {
    fn read(&self) -> EndpointCounters {
        EndpointCounters {
            distinct_rejected_tokens: self.rejected.len() as u64,
            ..self.counts.clone()
        }
    }

    fn reset(&mut self) {
        let in_flight = self.counts.in_flight;
        *self = Self::default();
        self.counts.in_flight = in_flight;
        self.counts.peak_in_flight = in_flight;
    }
}
