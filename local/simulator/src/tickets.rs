//! App tickets: there is a new one each simulated hour or on request; the last two are valid.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::random::RandomValues;

/// "Pushed once per hour" ("app_ticket event" in the platform's reference).
const HOUR_MS: u64 = 3_600_000;

/// Tickets by app id; bounded by the number of apps.
#[derive(Default)]
pub(crate) struct Tickets(Mutex<HashMap<String, TicketPair>>);

struct TicketPair {
    current: String,
    previous: Option<String>,
    since_ms: u64,
}

impl Tickets {
    /// The app's newest ticket.
    pub(crate) fn current(&self, app_id: &str, now_ms: u64, random: &RandomValues) -> String {
        self.with(app_id, now_ms, random, |pair| pair.current.clone())
    }

    /// Makes a new ticket now.
    pub(crate) fn rotate(&self, app_id: &str, now_ms: u64, random: &RandomValues) -> String {
        self.with(app_id, now_ms, random, |pair| {
            pair.rotate(random);
            pair.since_ms = now_ms;
            pair.current.clone()
        })
    }

    pub(crate) fn accepts(
        &self,
        app_id: &str,
        ticket: &str,
        now_ms: u64,
        random: &RandomValues,
    ) -> bool {
        self.with(app_id, now_ms, random, |pair| {
            pair.current == ticket || pair.previous.as_deref() == Some(ticket)
        })
    }

    fn with<T>(
        &self,
        app_id: &str,
        now_ms: u64,
        random: &RandomValues,
        act: impl FnOnce(&mut TicketPair) -> T,
    ) -> T {
        let mut apps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pair = apps.entry(app_id.to_owned()).or_insert_with(|| TicketPair {
            current: random.text(24),
            previous: None,
            since_ms: now_ms,
        });
        pair.catch_up(now_ms, random);
        act(pair)
    }
}

impl TicketPair {
    fn catch_up(&mut self, now_ms: u64, random: &RandomValues) {
        let hours = now_ms.saturating_sub(self.since_ms) / HOUR_MS;
        // After two hours neither of the old tickets is left.
        for _ in 0..hours.min(2) {
            self.rotate(random);
        }
        self.since_ms += hours * HOUR_MS;
    }

    fn rotate(&mut self, random: &RandomValues) {
        let new = random.text(24);
        self.previous = Some(std::mem::replace(&mut self.current, new));
    }
}

/// Apps whose ticket waits for a push in the background; an app is in it once at most.
#[derive(Default)]
pub(crate) struct PushQueue {
    due: Mutex<BTreeSet<String>>,
    added: Notify,
}

impl PushQueue {
    pub(crate) fn add(&self, app_id: &str) {
        self.lock().insert(app_id.to_owned());
        self.added.notify_one();
    }

    /// Waits for the next app. Only one task may wait at a time.
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
    fn a_ticket_is_valid_for_the_hour_after_its_own() {
        let (tickets, random) = (Tickets::default(), RandomValues::new());
        let first = tickets.current("cli_a", 0, &random);
        let accepted = |now_ms| tickets.accepts("cli_a", &first, now_ms, &random);
        assert!(accepted(HOUR_MS - 1) && accepted(2 * HOUR_MS - 1));
        assert_ne!(tickets.current("cli_a", HOUR_MS, &random), first);
        assert!(!accepted(2 * HOUR_MS));
    }

    #[test]
    fn after_a_long_pause_no_old_ticket_is_valid() {
        let (tickets, random) = (Tickets::default(), RandomValues::new());
        let first = tickets.current("cli_a", 0, &random);
        assert!(!tickets.accepts("cli_a", &first, 100 * HOUR_MS, &random));
        assert!(!tickets.accepts("cli_b", &first, 0, &random));
    }
}
