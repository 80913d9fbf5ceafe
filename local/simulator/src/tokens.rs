//! Issued tenant and app tokens, and the 30-minute rule.
//!
//! "Get tenant_access_token" in the platform's guide: with 30 minutes or more left, the endpoint returns the same token
//! again. With less it issues a new one, and both are valid until they expire.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::audience::Audience;
use crate::hash::mix;
use crate::journal::{Entry, Journal};

/// With at least this much of its lifetime left, a token is returned again.
const REISSUE_MS: u64 = 30 * 60 * 1000;

/// A sweep drops expired tokens each time this many more are stored than after the last one.
const SWEEP_STEP: usize = 4096;

/// The app and the audience of a token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TokenOwner {
    pub(crate) app_id: Arc<str>,
    pub(crate) audience: Audience,
}

/// The token that a token endpoint returns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IssuedToken {
    pub(crate) token: Arc<str>,
    /// Remaining lifetime in seconds, rounded down.
    pub(crate) expire: u64,
    pub(crate) is_new: bool,
}

pub(crate) struct Tokens {
    state: Mutex<State>,
    /// Keeps tokens for the next start.
    journal: OnceLock<Arc<Journal>>,
}

struct State {
    by_value: HashMap<Arc<str>, Token>,
    newest: HashMap<TokenOwner, Arc<str>>,
    sweep_at: usize,
    /// Random per process: a token of an earlier run must not be issued again.
    seed: u64,
    serial: u64,
}

struct Token {
    owner: TokenOwner,
    expires_at_ms: u64,
}

impl Tokens {
    /// The tokens of an earlier run that have not expired.
    pub(crate) fn restored(entries: &[Entry], now_ms: u64) -> Self {
        let mut state = State {
            by_value: HashMap::new(),
            newest: HashMap::new(),
            sweep_at: SWEEP_STEP,
            seed: RandomState::new().hash_one("seed"),
            serial: 0,
        };
        for entry in entries {
            state.replay(entry, now_ms);
        }
        Self {
            state: Mutex::new(state),
            journal: OnceLock::new(),
        }
    }

    /// From now on, writes every change to the journal.
    pub(crate) fn write_to(&self, journal: Arc<Journal>) {
        self.journal.get_or_init(|| journal);
    }

    /// Whether a restored token still needs an entry.
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

    /// Returns the owner's token by the 30-minute rule.
    pub(crate) fn issue(&self, owner: TokenOwner, now_ms: u64, lifetime_ms: u64) -> IssuedToken {
        let mut state = self.lock();
        if let Some(issued) = state.reusable(&owner, now_ms) {
            return issued;
        }
        state.sweep(now_ms);
        let token: Arc<str> = state.next_value(&owner.audience).into();
        let entry = Entry::Issued {
            app_id: owner.app_id,
            audience: owner.audience,
            token: Arc::clone(&token),
            expires_at_ms: now_ms.saturating_add(lifetime_ms),
        };
        state.replay(&entry, now_ms);
        self.write(&entry);
        IssuedToken {
            token,
            expire: lifetime_ms / 1000,
            is_new: true,
        }
    }

    /// The owner of a token, if it is valid.
    pub(crate) fn owner(&self, token: &str, now_ms: u64) -> Option<TokenOwner> {
        let state = self.lock();
        let token = state.by_value.get(token)?;
        (now_ms < token.expires_at_ms).then(|| token.owner.clone())
    }

    /// Whether the token was known.
    pub(crate) fn revoke(&self, token: &str) -> bool {
        let mut state = self.lock();
        let is_known = state.revoke(token);
        if is_known {
            self.write(&Entry::Revoked {
                token: token.into(),
            });
        }
        is_known
    }

    /// Revokes all tokens of an app and returns their number.
    pub(crate) fn revoke_all(&self, app_id: &str) -> usize {
        let mut state = self.lock();
        let of_app = state
            .by_value
            .iter()
            .filter(|(_, record)| &*record.owner.app_id == app_id);
        let tokens: Vec<_> = of_app.map(|(token, _)| Arc::clone(token)).collect();
        for token in &tokens {
            state.revoke(token);
            self.write(&Entry::Revoked {
                token: Arc::clone(token),
            });
        }
        tokens.len()
    }

    fn write(&self, entry: &Entry) {
        if let Some(journal) = self.journal.get() {
            journal.add(entry);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Applies an entry.
    fn replay(&mut self, entry: &Entry, now_ms: u64) {
        match entry {
            Entry::Issued {
                app_id,
                audience,
                token,
                expires_at_ms,
            } if now_ms < *expires_at_ms => {
                let owner = TokenOwner {
                    app_id: Arc::clone(app_id),
                    audience: audience.clone(),
                };
                let record = Token {
                    owner: owner.clone(),
                    expires_at_ms: *expires_at_ms,
                };
                self.by_value.insert(Arc::clone(token), record);
                self.newest.insert(owner, Arc::clone(token));
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
        let newest = self.newest.get(&record.owner);
        if newest.is_some_and(|newest| &**newest == token) {
            self.newest.remove(&record.owner);
        }
        true
    }

    fn reusable(&self, owner: &TokenOwner, now_ms: u64) -> Option<IssuedToken> {
        let token = self.newest.get(owner)?;
        let left_ms = self
            .by_value
            .get(token)?
            .expires_at_ms
            .saturating_sub(now_ms);
        (left_ms >= REISSUE_MS).then(|| IssuedToken {
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

    /// `t-g1`, or `a-g1` for a marketplace app's own token, and 38 characters: as long as the platform's.
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
            Audience::SelfBuilt | Audience::Tenant(_) => format!("t-g1{value}"),
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

    fn own(app_id: &str) -> TokenOwner {
        TokenOwner {
            app_id: app_id.into(),
            audience: Audience::SelfBuilt,
        }
    }

    fn kept_in(path: &Path, now_ms: u64) -> Tokens {
        let entries = Journal::read(path).unwrap();
        let tokens = Tokens::restored(&entries, now_ms);
        let needed = entries.iter().filter(|entry| tokens.needs(entry));
        let journal = Journal::create(path, needed).unwrap();
        tokens.write_to(Arc::new(journal));
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
        assert!(tokens.owner(&first.token, LIFETIME_MS - 1).is_some());
        assert_eq!(tokens.owner(&first.token, LIFETIME_MS), None);
        assert!(
            tokens
                .owner(&second.token, now_ms + LIFETIME_MS - 1)
                .is_some()
        );
    }

    #[test]
    fn tenants_and_the_app_itself_have_tokens_of_their_own() {
        let tokens = new();
        let audiences = ["one", "two"].map(|key| Audience::Tenant(key.into()));
        let values = audiences
            .into_iter()
            .chain([Audience::App, Audience::SelfBuilt])
            .map(|audience| {
                let owner = TokenOwner {
                    audience,
                    ..own("cli_a")
                };
                let first = tokens.issue(owner.clone(), 0, LIFETIME_MS).token;
                assert_eq!(tokens.issue(owner, 0, LIFETIME_MS).token, first);
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
            assert_eq!(tokens.owner(&kept, 20), Some(own("cli_a")));
            assert_eq!(tokens.issue(own("cli_a"), 20, LIFETIME_MS).token, kept);
            for gone in [&revoked, &expired] {
                assert_eq!(tokens.owner(gone, 20), None);
            }
        }
    }

    #[test]
    fn a_line_cut_short_by_a_crash_loses_only_itself() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        let token = kept_in(&path, 0).issue(own("cli_a"), 0, LIFETIME_MS).token;
        let mut text = std::fs::read_to_string(&path).unwrap();
        text.push_str("{\"issued\":{\"app_id\":\"cli_");
        std::fs::write(&path, text).unwrap();
        let tokens = kept_in(&path, 0);
        assert!(tokens.owner(&token, 0).is_some());
    }
}
