//! App tickets: a new one each simulated hour or when asked; the last two are good.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::random::Values;

/// "Pushed once per hour" ("app_ticket event" in the platform's reference).
const HOUR_MS: u64 = 3_600_000;

/// By app id; bounded by the number of apps.
#[derive(Default)]
pub(crate) struct Tickets(Mutex<HashMap<String, Pair>>);

struct Pair {
    current: String,
    previous: Option<String>,
    since_ms: u64,
}

impl Tickets {
    /// The app's newest ticket.
    pub(crate) fn current(&self, app_id: &str, now_ms: u64, values: &Values) -> String {
        self.with(app_id, now_ms, values, |pair| pair.current.clone())
    }

    /// A new ticket before its time.
    pub(crate) fn rotate(&self, app_id: &str, now_ms: u64, values: &Values) -> String {
        self.with(app_id, now_ms, values, |pair| {
            pair.rotate(values);
            pair.since_ms = now_ms;
            pair.current.clone()
        })
    }

    pub(crate) fn accepts(&self, app_id: &str, ticket: &str, now_ms: u64, values: &Values) -> bool {
        self.with(app_id, now_ms, values, |pair| {
            pair.current == ticket || pair.previous.as_deref() == Some(ticket)
        })
    }

    fn with<T>(
        &self,
        app_id: &str,
        now_ms: u64,
        values: &Values,
        act: impl FnOnce(&mut Pair) -> T,
    ) -> T {
        let mut apps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pair = apps.entry(app_id.to_owned()).or_insert_with(|| Pair {
            current: values.text(24),
            previous: None,
            since_ms: now_ms,
        });
        pair.catch_up(now_ms, values);
        act(pair)
    }
}

impl Pair {
    fn catch_up(&mut self, now_ms: u64, values: &Values) {
        let hours = now_ms.saturating_sub(self.since_ms) / HOUR_MS;
        // After two hours nothing is left of the old pair.
        for _ in 0..hours.min(2) {
            self.rotate(values);
        }
        self.since_ms += hours * HOUR_MS;
    }

    fn rotate(&mut self, values: &Values) {
        let new = values.text(24);
        self.previous = Some(std::mem::replace(&mut self.current, new));
    }
}

/// Apps whose ticket is to be pushed in the background; twice the same app is once.
#[derive(Default)]
pub(crate) struct Pushes {
    due: Mutex<BTreeSet<String>>,
    added: Notify,
}

impl Pushes {
    pub(crate) fn add(&self, app_id: &str) {
        self.lock().insert(app_id.to_owned());
        self.added.notify_one();
    }

    /// The next app; for one waiter at a time.
    pub(crate) async fn next(&self) -> String {
        loop {
            if let Some(app_id) = self.lock().pop_first() {
                return app_id;
            }
            self.added.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_good_for_the_hour_after_its_own() {
        let (tickets, values) = (Tickets::default(), Values::new());
        let first = tickets.current("cli_a", 0, &values);
        let accepted = |now_ms| tickets.accepts("cli_a", &first, now_ms, &values);
        assert!(accepted(HOUR_MS - 1) && accepted(2 * HOUR_MS - 1));
        assert_ne!(tickets.current("cli_a", HOUR_MS, &values), first);
        assert!(!accepted(2 * HOUR_MS));
    }

    #[test]
    fn a_long_sleep_leaves_no_old_ticket_good() {
        let (tickets, values) = (Tickets::default(), Values::new());
        let first = tickets.current("cli_a", 0, &values);
        assert!(!tickets.accepts("cli_a", &first, 100 * HOUR_MS, &values));
        assert!(!tickets.accepts("cli_b", &first, 0, &values));
    }
}
