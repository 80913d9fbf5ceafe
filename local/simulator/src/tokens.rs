//! Issued tenant and app tokens, and the 30-minute rule.
//!
//! "Get tenant_access_token" in the platform's guide: with 30 minutes or more left the endpoint gives the same token
//! again; with less it issues a new one, and both are valid until their own ends.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::audience::Audience;
use crate::hash::mix;
use crate::journal::{Entry, Journal};

/// With at least this much life left, a token is given again instead of a new one.
const REISSUE_MS: u64 = 30 * 60 * 1000;

/// Expired tokens are swept out whenever this many more are stored than after the last sweep.
const SWEEP_STEP: usize = 4096;

/// For whom a token speaks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Holder {
    pub(crate) app_id: Arc<str>,
    pub(crate) audience: Audience,
}

/// What a token endpoint hands out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) token: Arc<str>,
    /// Remaining life in seconds, rounded down.
    pub(crate) expire: u64,
    pub(crate) is_new: bool,
}

pub(crate) struct Tokens {
    issued: Mutex<Issued>,
    /// Keeps tokens over a restart.
    journal: OnceLock<Arc<Journal>>,
}

struct Issued {
    by_value: HashMap<Arc<str>, Token>,
    newest: HashMap<Holder, Arc<str>>,
    sweep_at: usize,
    /// Random per process: a token from an earlier run must not be issued again.
    seed: u64,
    serial: u64,
}

struct Token {
    holder: Holder,
    expires_at_ms: u64,
}

impl Tokens {
    /// Those of an earlier run that have not expired.
    pub(crate) fn restored(entries: &[Entry], now_ms: u64) -> Self {
        let mut issued = Issued {
            by_value: HashMap::new(),
            newest: HashMap::new(),
            sweep_at: SWEEP_STEP,
            seed: RandomState::new().hash_one("seed"),
            serial: 0,
        };
        for entry in entries {
            issued.replay(entry, now_ms);
        }
        Self {
            issued: Mutex::new(issued),
            journal: OnceLock::new(),
        }
    }

    /// From now on, what happens is written down.
    pub(crate) fn keep_in(&self, journal: Arc<Journal>) {
        self.journal.get_or_init(|| journal);
    }

    /// Whether an entry still matters.
    pub(crate) fn needs(&self, entry: &Entry) -> bool {
        match entry {
            Entry::Issued { token, .. } => self.lock().by_value.contains_key(token),
            Entry::Revoked { .. }
            | Entry::LoggedIn { .. }
            | Entry::UserTokens { .. }
            | Entry::AccessRevoked { .. }
            | Entry::LoginRevoked { .. } => false,
        }
    }

    /// The holder's token under the 30-minute rule.
    pub(crate) fn issue(&self, holder: Holder, now_ms: u64, lifetime_ms: u64) -> Grant {
        let mut issued = self.lock();
        if let Some(grant) = issued.reusable(&holder, now_ms) {
            return grant;
        }
        issued.sweep(now_ms);
        let token: Arc<str> = issued.next_value(&holder.audience).into();
        let entry = Entry::Issued {
            app_id: holder.app_id,
            audience: holder.audience,
            token: Arc::clone(&token),
            expires_at_ms: now_ms.saturating_add(lifetime_ms),
        };
        issued.replay(&entry, now_ms);
        self.keep(&entry);
        Grant {
            token,
            expire: lifetime_ms / 1000,
            is_new: true,
        }
    }

    /// Whom a token speaks for, while it is valid.
    pub(crate) fn holder(&self, token: &str, now_ms: u64) -> Option<Holder> {
        let issued = self.lock();
        let token = issued.by_value.get(token)?;
        (now_ms < token.expires_at_ms).then(|| token.holder.clone())
    }

    /// Whether the token was known.
    pub(crate) fn revoke(&self, token: &str) -> bool {
        let mut issued = self.lock();
        let is_known = issued.revoke(token);
        if is_known {
            self.keep(&Entry::Revoked {
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
            .filter(|(_, record)| &*record.holder.app_id == app_id);
        let tokens: Vec<_> = of_app.map(|(token, _)| Arc::clone(token)).collect();
        for token in &tokens {
            issued.revoke(token);
            self.keep(&Entry::Revoked {
                token: Arc::clone(token),
            });
        }
        tokens.len()
    }

    fn keep(&self, entry: &Entry) {
        if let Some(journal) = self.journal.get() {
            journal.add(entry);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Issued> {
        self.issued.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Issued {
    /// What `entry` says has happened.
    fn replay(&mut self, entry: &Entry, now_ms: u64) {
        match entry {
            Entry::Issued {
                app_id,
                audience,
                token,
                expires_at_ms,
            } if now_ms < *expires_at_ms => {
                let holder = Holder {
                    app_id: Arc::clone(app_id),
                    audience: audience.clone(),
                };
                let record = Token {
                    holder: holder.clone(),
                    expires_at_ms: *expires_at_ms,
                };
                self.by_value.insert(Arc::clone(token), record);
                self.newest.insert(holder, Arc::clone(token));
            }
            Entry::Revoked { token } => {
                self.revoke(token);
            }
            Entry::Issued { .. }
            | Entry::LoggedIn { .. }
            | Entry::UserTokens { .. }
            | Entry::AccessRevoked { .. }
            | Entry::LoginRevoked { .. } => {}
        }
    }

    /// Whether the token was known.
    fn revoke(&mut self, token: &str) -> bool {
        let Some(record) = self.by_value.remove(token) else {
            return false;
        };
        let newest = self.newest.get(&record.holder);
        if newest.is_some_and(|newest| &**newest == token) {
            self.newest.remove(&record.holder);
        }
        true
    }

    fn reusable(&self, holder: &Holder, now_ms: u64) -> Option<Grant> {
        let token = self.newest.get(holder)?;
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
        self.newest
            .retain(|_, token| self.by_value.contains_key(token));
        self.sweep_at = self.by_value.len() * 2 + SWEEP_STEP;
    }

    /// `t-g1`, or `a-g1` for a marketplace app itself, and 38 characters: as long as the platform's.
    fn next_value(&mut self, audience: &Audience) -> String {
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
        match audience {
            Audience::Own | Audience::Tenant(_) => format!("t-g1{value}"),
            Audience::App => format!("a-g1{value}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const LIFETIME_MS: u64 = 7_200_000;

    fn new() -> Tokens {
        Tokens::restored(&[], 0)
    }

    fn own(app_id: &str) -> Holder {
        Holder {
            app_id: app_id.into(),
            audience: Audience::Own,
        }
    }

    fn kept_in(path: &Path, now_ms: u64) -> Tokens {
        let entries = Journal::read(path).unwrap();
        let tokens = Tokens::restored(&entries, now_ms);
        let needed = entries.iter().filter(|entry| tokens.needs(entry));
        let journal = Journal::create(path, needed).unwrap();
        tokens.keep_in(Arc::new(journal));
        tokens
    }

    #[test]
    fn exactly_thirty_minutes_left_still_gives_the_same_token() {
        let tokens = new();
        let first = tokens.issue(own("cli_a"), 0, LIFETIME_MS);
        let again = tokens.issue(own("cli_a"), LIFETIME_MS - REISSUE_MS, LIFETIME_MS);
        assert_eq!((again.token, again.expire), (first.token, 1800));
    }

    #[test]
    fn less_than_thirty_minutes_left_gives_a_second_token_and_keeps_the_first() {
        let tokens = new();
        let first = tokens.issue(own("cli_a"), 0, LIFETIME_MS);
        let now_ms = LIFETIME_MS - REISSUE_MS + 1;
        let second = tokens.issue(own("cli_a"), now_ms, LIFETIME_MS);
        assert!(second.is_new && second.token != first.token);
        assert!(tokens.holder(&first.token, LIFETIME_MS - 1).is_some());
        assert_eq!(tokens.holder(&first.token, LIFETIME_MS), None);
        assert!(
            tokens
                .holder(&second.token, now_ms + LIFETIME_MS - 1)
                .is_some()
        );
    }

    #[test]
    fn tenants_and_the_app_itself_have_tokens_of_their_own() {
        let tokens = new();
        let audiences = ["one", "two"].map(|key| Audience::Tenant(key.into()));
        let values = audiences
            .into_iter()
            .chain([Audience::App, Audience::Own])
            .map(|audience| {
                let holder = Holder {
                    audience,
                    ..own("cli_a")
                };
                let first = tokens.issue(holder.clone(), 0, LIFETIME_MS).token;
                assert_eq!(tokens.issue(holder, 0, LIFETIME_MS).token, first);
                first
            });
        assert_eq!(values.collect::<std::collections::HashSet<_>>().len(), 4);
    }

    #[test]
    fn expired_tokens_do_not_pile_up() {
        let tokens = new();
        for now_ms in 0..100_000 {
            tokens.issue(own("cli_a"), now_ms, 10);
        }
        assert!(tokens.lock().by_value.len() <= 2 * SWEEP_STEP);
    }

    #[test]
    fn tokens_of_many_apps_are_distinct() {
        let tokens = new();
        let values: std::collections::HashSet<_> = (0..20_000)
            .map(|n| tokens.issue(own(&format!("cli_{n}")), 0, LIFETIME_MS).token)
            .collect();
        assert_eq!(values.len(), 20_000);
    }

    #[test]
    fn tokens_kept_in_a_file_are_valid_after_a_restart_unless_revoked_or_expired() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        let tokens = kept_in(&path, 0);
        let [kept, revoked, expired] = [
            ("cli_a", LIFETIME_MS),
            ("cli_b", LIFETIME_MS),
            ("cli_c", 10),
        ]
        .map(|(app_id, lifetime_ms)| tokens.issue(own(app_id), 0, lifetime_ms).token);
        tokens.revoke(&revoked);
        drop(tokens);
        for _ in 0..2 {
            let tokens = kept_in(&path, 20);
            assert_eq!(tokens.holder(&kept, 20), Some(own("cli_a")));
            assert_eq!(tokens.issue(own("cli_a"), 20, LIFETIME_MS).token, kept);
            for gone in [&revoked, &expired] {
                assert_eq!(tokens.holder(gone, 20), None);
            }
        }
    }

    #[test]
    fn a_line_cut_short_by_a_crash_costs_only_itself() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        let token = kept_in(&path, 0).issue(own("cli_a"), 0, LIFETIME_MS).token;
        let mut text = std::fs::read_to_string(&path).unwrap();
        text.push_str("{\"issued\":{\"app_id\":\"cli_");
        std::fs::write(&path, text).unwrap();
        let tokens = kept_in(&path, 0);
        assert!(tokens.holder(&token, 0).is_some());
    }
}
