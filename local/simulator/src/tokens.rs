//! Issued tokens and the 30-minute rule.
//!
//! "Get tenant_access_token" in the platform's guide: with 30 minutes or more left the endpoint gives the same token
//! again; with less it issues a new one, and both are valid until their own ends.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::directory::ids::mix;
use crate::journal::{Entry, Journal};

/// With at least this much life left, a token is given again instead of a new one.
const REISSUE_MS: u64 = 30 * 60 * 1000;

/// Expired tokens are swept out whenever this many more are stored than after the last sweep.
const SWEEP_STEP: usize = 4096;

/// What a token endpoint hands out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) token: Arc<str>,
    /// Remaining life in seconds, rounded down.
    pub(crate) expire: u64,
    pub(crate) is_new: bool,
}

pub(crate) struct Tokens(Mutex<Issued>);

struct Issued {
    by_value: HashMap<Arc<str>, Token>,
    /// The newest token of each app.
    newest: HashMap<Arc<str>, Arc<str>>,
    sweep_at: usize,
    /// Random per process: a token from an earlier run must not be issued again.
    seed: u64,
    serial: u64,
    /// Keeps tokens over a restart.
    journal: Option<Journal>,
}

struct Token {
    app_id: Arc<str>,
    expires_at_ms: u64,
}

impl Tokens {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Issued {
            by_value: HashMap::new(),
            newest: HashMap::new(),
            sweep_at: SWEEP_STEP,
            seed: RandomState::new().hash_one("seed"),
            serial: 0,
            journal: None,
        }))
    }

    /// Tokens that are kept in the file at `path`; those in it that have not expired are valid.
    pub(crate) fn kept_in(path: &Path, now_ms: u64) -> io::Result<Self> {
        let tokens = Self::new();
        let mut issued = tokens.lock();
        let mut entries = Journal::read(path)?;
        for entry in &entries {
            issued.replay(entry, now_ms);
        }
        entries.retain(|entry| match entry {
            Entry::Issued { token, .. } => issued.by_value.contains_key(token),
            Entry::Revoked { .. } => false,
        });
        issued.journal = Some(Journal::create(path, &entries)?);
        drop(issued);
        Ok(tokens)
    }

    /// The app's token under the 30-minute rule. Tenant and app tokens of a self-built app are the same one.
    pub(crate) fn issue(&self, app_id: &str, now_ms: u64, lifetime_ms: u64) -> Grant {
        let mut issued = self.lock();
        if let Some(grant) = issued.reusable(app_id, now_ms) {
            return grant;
        }
        issued.sweep(now_ms);
        let token: Arc<str> = issued.next_value().into();
        let entry = Entry::Issued {
            app_id: app_id.into(),
            token: Arc::clone(&token),
            expires_at_ms: now_ms.saturating_add(lifetime_ms),
        };
        issued.replay(&entry, now_ms);
        issued.keep(&entry);
        Grant {
            token,
            expire: lifetime_ms / 1000,
            is_new: true,
        }
    }

    /// The app a token speaks for, while it is valid.
    pub(crate) fn owner(&self, token: &str, now_ms: u64) -> Option<Arc<str>> {
        let issued = self.lock();
        let token = issued.by_value.get(token)?;
        (now_ms < token.expires_at_ms).then(|| Arc::clone(&token.app_id))
    }

    /// Whether the token was known.
    pub(crate) fn revoke(&self, token: &str) -> bool {
        let mut issued = self.lock();
        let is_known = issued.revoke(token);
        if is_known {
            issued.keep(&Entry::Revoked {
                token: token.into(),
            });
        }
        is_known
    }

    /// How many tokens the app had.
    pub(crate) fn revoke_all(&self, app_id: &str) -> usize {
        let mut issued = self.lock();
        let of_app = issued
            .by_value
            .iter()
            .filter(|(_, record)| &*record.app_id == app_id);
        let tokens: Vec<_> = of_app.map(|(token, _)| Arc::clone(token)).collect();
        for token in &tokens {
            issued.revoke(token);
            issued.keep(&Entry::Revoked {
                token: Arc::clone(token),
            });
        }
        tokens.len()
    }

    fn lock(&self) -> MutexGuard<'_, Issued> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Issued {
    /// What `entry` says has happened.
    fn replay(&mut self, entry: &Entry, now_ms: u64) {
        match entry {
            Entry::Issued {
                app_id,
                token,
                expires_at_ms,
            } if now_ms < *expires_at_ms => {
                let record = Token {
                    app_id: Arc::clone(app_id),
                    expires_at_ms: *expires_at_ms,
                };
                self.by_value.insert(Arc::clone(token), record);
                self.newest.insert(Arc::clone(app_id), Arc::clone(token));
            }
            Entry::Issued { .. } => {}
            Entry::Revoked { token } => {
                self.revoke(token);
            }
        }
    }

    /// Whether the token was known.
    fn revoke(&mut self, token: &str) -> bool {
        let Some(record) = self.by_value.remove(token) else {
            return false;
        };
        let newest = self.newest.get(&record.app_id);
        if newest.is_some_and(|newest| &**newest == token) {
            self.newest.remove(&record.app_id);
        }
        true
    }

    /// A full disk costs the next start this entry, and nobody an answer now.
    fn keep(&mut self, entry: &Entry) {
        if let Some(journal) = &mut self.journal {
            let _only_forgotten = journal.add(entry);
        }
    }

    fn reusable(&self, app_id: &str, now_ms: u64) -> Option<Grant> {
        let token = self.newest.get(app_id)?;
        let left_ms = self
            .by_value
            .get(token)?
            .expires_at_ms
            .saturating_sub(now_ms);
        (left_ms >= REISSUE_MS).then(|| Grant {
            token: Arc::clone(token),
            expire: left_ms / 1000,
            is_new: false,
        })
    }

    fn sweep(&mut self, now_ms: u64) {
        if self.by_value.len() < self.sweep_at {
            return;
        }
        self.by_value
            .retain(|_, record| now_ms < record.expires_at_ms);
        self.sweep_at = self.by_value.len() * 2 + SWEEP_STEP;
    }

    /// `t-g1` and 38 characters, as long as the platform's.
    fn next_value(&mut self) -> String {
        const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        self.serial += 1;
        let serial = mix(self.serial).to_be_bytes();
        let mut state = self.seed ^ self.serial;
        let rest = (0..30).map(|_| {
            state = mix(state.wrapping_add(0x9e37_79b9_7f4a_7c15));
            state as u8
        });
        let characters = serial.into_iter().chain(rest);
        let value: String = characters
            .map(|byte| char::from(ALPHABET[usize::from(byte % 32)]))
            .collect();
        format!("t-g1{value}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFETIME_MS: u64 = 7_200_000;

    #[test]
    fn exactly_thirty_minutes_left_still_gives_the_same_token() {
        let tokens = Tokens::new();
        let first = tokens.issue("cli_a", 0, LIFETIME_MS);
        let again = tokens.issue("cli_a", LIFETIME_MS - REISSUE_MS, LIFETIME_MS);
        assert_eq!((again.token, again.expire), (first.token, 1800));
    }

    #[test]
    fn less_than_thirty_minutes_left_gives_a_second_token_and_keeps_the_first() {
        let tokens = Tokens::new();
        let first = tokens.issue("cli_a", 0, LIFETIME_MS);
        let now_ms = LIFETIME_MS - REISSUE_MS + 1;
        let second = tokens.issue("cli_a", now_ms, LIFETIME_MS);
        assert!(second.is_new && second.token != first.token);
        assert!(tokens.owner(&first.token, LIFETIME_MS - 1).is_some());
        assert_eq!(tokens.owner(&first.token, LIFETIME_MS), None);
        assert!(
            tokens
                .owner(&second.token, now_ms + LIFETIME_MS - 1)
                .is_some()
        );
    }

    #[test]
    fn expired_tokens_do_not_pile_up() {
        let tokens = Tokens::new();
        for now_ms in 0..100_000 {
            tokens.issue("cli_a", now_ms, 10);
        }
        assert!(tokens.lock().by_value.len() <= 2 * SWEEP_STEP);
    }

    #[test]
    fn tokens_of_many_apps_are_distinct() {
        let tokens = Tokens::new();
        let values: std::collections::HashSet<_> = (0..20_000)
            .map(|n| tokens.issue(&format!("cli_{n}"), 0, LIFETIME_MS).token)
            .collect();
        assert_eq!(values.len(), 20_000);
    }

    #[test]
    fn tokens_kept_in_a_file_are_valid_after_a_restart_unless_revoked_or_expired() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        let tokens = Tokens::kept_in(&path, 0).unwrap();
        let [kept, revoked, expired] = [
            ("cli_a", LIFETIME_MS),
            ("cli_b", LIFETIME_MS),
            ("cli_c", 10),
        ]
        .map(|(app_id, lifetime_ms)| tokens.issue(app_id, 0, lifetime_ms).token);
        tokens.revoke(&revoked);
        drop(tokens);
        for _ in 0..2 {
            let tokens = Tokens::kept_in(&path, 20).unwrap();
            assert_eq!(tokens.owner(&kept, 20).as_deref(), Some("cli_a"));
            assert_eq!(tokens.issue("cli_a", 20, LIFETIME_MS).token, kept);
            for gone in [&revoked, &expired] {
                assert_eq!(tokens.owner(gone, 20), None);
            }
        }
    }

    #[test]
    fn a_line_cut_short_by_a_crash_costs_only_itself() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        let token = Tokens::kept_in(&path, 0)
            .unwrap()
            .issue("cli_a", 0, LIFETIME_MS)
            .token;
        let mut text = std::fs::read_to_string(&path).unwrap();
        text.push_str("{\"issued\":{\"app_id\":\"cli_");
        std::fs::write(&path, text).unwrap();
        let tokens = Tokens::kept_in(&path, 0).unwrap();
        assert!(tokens.owner(&token, 0).is_some());
    }
}
