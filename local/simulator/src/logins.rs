//! Logins and their tokens ("Refresh user_access_token" in the platform's reference). A refresh token is valid for one
//! use, earlier access tokens stay valid until they expire, and a login ends 365 days after consent.

pub(crate) mod codes;
pub(crate) mod error;
pub(crate) mod scopes;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use serde_json::{Map, Value, json};

use crate::digest::Digest;
use crate::journal::{Entry, Journal};
use crate::random::RandomValues;
use codes::Authorization;
use error::OauthError;
use scopes::{OFFLINE_ACCESS, Scopes, join};

const DAY_MS: u64 = 24 * 3_600_000;

/// Lifetime of a login from consent on; a refresh does not extend it.
const LOGIN_LIFETIME_MS: u64 = 365 * DAY_MS;

/// How long an expired refresh token stays, so that the answer can be "expired" instead of "unknown".
const EXPIRED_MEMORY_MS: u64 = 30 * DAY_MS;

/// A sweep drops old tokens each time this many more are stored than after the last one.
const SWEEP_STEP: usize = 4096;

/// The time, lifetimes and rules by which tokens are issued.
pub(crate) struct IssueContext<'a> {
    pub(crate) now_ms: u64,
    pub(crate) access_lifetime_ms: u64,
    pub(crate) refresh_lifetime_ms: u64,
    pub(crate) reuse_revokes: bool,
    pub(crate) random: &'a RandomValues,
}

/// The tokens that the token endpoint returns.
pub(crate) struct UserTokens {
    pub(crate) access_token: String,
    /// In seconds.
    pub(crate) expires_in: u64,
    /// Only with `offline_access`.
    pub(crate) refresh: Option<RefreshToken>,
    pub(crate) scopes: Scopes,
}

pub(crate) struct RefreshToken {
    pub(crate) token: String,
    /// In seconds.
    pub(crate) expires_in: u64,
}

/// The app and the user of an access token.
pub(crate) struct Session {
    pub(crate) app_id: Arc<str>,
    pub(crate) n: u32,
}

pub(crate) struct Logins {
    state: Mutex<State>,
    /// Keeps logins for the next start.
    journal: OnceLock<Arc<Journal>>,
}

#[derive(Default)]
struct State {
    logins: HashMap<u64, Login>,
    access: HashMap<Digest, AccessRecord>,
    refresh: HashMap<Digest, RefreshRecord>,
    /// The scopes that users have granted to apps so far. They add up over logins.
    granted: HashMap<(Arc<str>, u32), Scopes>,
    sweep_at: usize,
}

struct Login {
    app_id: Arc<str>,
    n: u32,
    scopes: Scopes,
    consented_at_ms: u64,
    is_revoked: bool,
}

struct AccessRecord {
    login: u64,
    ends_ms: u64,
    is_revoked: bool,
}

struct RefreshRecord {
    login: u64,
    ends_ms: u64,
    is_used: bool,
}

impl Logins {
    /// The logins of an earlier run.
    pub(crate) fn restored(entries: &[Entry], now_ms: u64) -> Self {
        let mut state = State::default();
        for entry in entries {
            state.replay(entry);
        }
        state.forget(now_ms);
        Self {
            state: Mutex::new(state),
            journal: OnceLock::new(),
        }
    }

    /// From now on, writes every change to the journal.
    pub(crate) fn write_to(&self, journal: Arc<Journal>) {
        self.journal.get_or_init(|| journal);
    }

    /// Whether a restored login still needs an entry.
    pub(crate) fn needs(&self, entry: &Entry) -> bool {
        let state = self.lock();
        match entry {
            Entry::LoggedIn { login, .. }
            | Entry::UserTokens { login, .. }
            | Entry::LoginRevoked { login } => state.logins.contains_key(login),
            Entry::AccessRevoked { access } => state.access.contains_key(access),
            Entry::Issued { .. } | Entry::Revoked { .. } => false,
        }
    }

    /// Returns all scopes of this consent: those of earlier consents are added, but only a login that asks for
    /// `offline_access` itself can be refreshed.
    pub(crate) fn consent(&self, app_id: &str, n: u32, mut asked: Scopes) -> Scopes {
        let mut state = self.lock();
        let granted = state.granted.entry((app_id.into(), n)).or_default();
        granted.extend(asked.iter().cloned());
        let earlier = granted.iter().filter(|scope| *scope != OFFLINE_ACCESS);
        asked.extend(earlier.cloned());
        asked
    }

    /// Opens a login and issues its first tokens, which may have fewer scopes than the user consented to.
    pub(crate) fn open(
        &self,
        authorization: &Authorization,
        scopes: &Scopes,
        context: &IssueContext<'_>,
    ) -> UserTokens {
        let mut state = self.lock();
        state.sweep(context.now_ms);
        let login = context.random.number();
        self.record(
            &mut state,
            &Entry::LoggedIn {
                login,
                app_id: authorization.app_id.as_str().into(),
                n: authorization.n,
                scopes: authorization.scopes.clone(),
                at_ms: authorization.at_ms,
            },
        );
        self.issue(&mut state, login, None, scopes, context)
    }

    /// Issues new tokens for a refresh token and marks it as used, unless the token or the user is rejected. `scopes`
    /// decides the scopes of the new tokens from the user and the scopes of the login.
    pub(crate) fn refresh(
        &self,
        token: &str,
        app_id: &str,
        context: &IssueContext<'_>,
        scopes: impl FnOnce(u32, &Scopes) -> Result<Scopes, OauthError>,
    ) -> Result<UserTokens, OauthError> {
        let mut state = self.lock();
        state.sweep(context.now_ms);
        let digest = Digest::of(token);
        let refresh = state.refresh.get(&digest);
        let refresh = refresh.ok_or(OauthError::UnknownRefreshToken)?;
        let id = refresh.login;
        let login = state.logins.get(&id);
        let login = login.ok_or(OauthError::UnknownRefreshToken)?;
        if &*login.app_id != app_id {
            return Err(OauthError::OtherApp);
        }
        if login.is_revoked {
            return Err(OauthError::RevokedRefreshToken);
        }
        if refresh.is_used {
            if context.reuse_revokes {
                self.record(&mut state, &Entry::LoginRevoked { login: id });
            }
            return Err(OauthError::UsedRefreshToken);
        }
        if context.now_ms >= refresh.ends_ms {
            return Err(OauthError::ExpiredRefreshToken);
        }
        let scopes = scopes(login.n, &login.scopes)?;
        Ok(self.issue(&mut state, id, Some(digest), &scopes, context))
    }

    /// The app and the user of an access token, if it is valid.
    pub(crate) fn session(&self, token: &str, now_ms: u64) -> Option<Session> {
        let state = self.lock();
        let access = state.access.get(&Digest::of(token))?;
        let login = state.logins.get(&access.login)?;
        let is_valid = now_ms < access.ends_ms && !access.is_revoked && !login.is_revoked;
        is_valid.then(|| Session {
            app_id: Arc::clone(&login.app_id),
            n: login.n,
        })
    }

    /// Revokes an access token and returns whether it was known and not yet revoked.
    pub(crate) fn revoke_access(&self, token: &str) -> bool {
        let mut state = self.lock();
        let access = Digest::of(token);
        let known = state.access.get(&access);
        let is_known = known.is_some_and(|access| !access.is_revoked);
        if is_known {
            self.record(&mut state, &Entry::AccessRevoked { access });
        }
        is_known
    }

    /// Ends every login of the user to the app, forgets the granted scopes, and returns the number of logins.
    pub(crate) fn revoke(&self, app_id: &str, n: u32) -> usize {
        let mut state = self.lock();
        let of_user = state
            .logins
            .iter()
            .filter(|(_, login)| !login.is_revoked && &*login.app_id == app_id && login.n == n);
        let logins: Vec<u64> = of_user.map(|(id, _)| *id).collect();
        for login in &logins {
            self.record(&mut state, &Entry::LoginRevoked { login: *login });
        }
        state.granted.remove(&(app_id.into(), n));
        logins.len()
    }

    fn issue(
        &self,
        state: &mut State,
        id: u64,
        used: Option<Digest>,
        scopes: &Scopes,
        context: &IssueContext<'_>,
    ) -> UserTokens {
        let login_ends_ms = state.logins.get(&id).map_or(0, |login| {
            login.consented_at_ms.saturating_add(LOGIN_LIFETIME_MS)
        });
        let access_ends_ms = context.now_ms.saturating_add(context.access_lifetime_ms);
        let access_token = context.random.jwt(claims("access", access_ends_ms, scopes));
        let refresh = scopes.contains(OFFLINE_ACCESS).then(|| {
            let ends_ms = context.now_ms.saturating_add(context.refresh_lifetime_ms);
            let ends_ms = ends_ms.min(login_ends_ms);
            (
                context.random.jwt(claims("refresh", ends_ms, scopes)),
                ends_ms,
            )
        });
        let entry = Entry::UserTokens {
            login: id,
            access: Digest::of(&access_token),
            access_ends_ms,
            refresh: refresh
                .as_ref()
                .map(|(token, ends_ms)| (Digest::of(token), *ends_ms)),
            used,
        };
        self.record(state, &entry);
        UserTokens {
            access_token,
            expires_in: context.access_lifetime_ms / 1000,
            refresh: refresh.map(|(token, ends_ms)| RefreshToken {
                token,
                expires_in: ends_ms.saturating_sub(context.now_ms) / 1000,
            }),
            scopes: scopes.clone(),
        }
    }

    fn record(&self, state: &mut State, entry: &Entry) {
        state.replay(entry);
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
    fn replay(&mut self, entry: &Entry) {
        match entry {
            Entry::LoggedIn {
                login,
                app_id,
                n,
                scopes,
                at_ms,
            } => {
                let granted = self.granted.entry((Arc::clone(app_id), *n)).or_default();
                granted.extend(scopes.iter().cloned());
                let opened = Login {
                    app_id: Arc::clone(app_id),
                    n: *n,
                    scopes: scopes.clone(),
                    consented_at_ms: *at_ms,
                    is_revoked: false,
                };
                self.logins.insert(*login, opened);
            }
            Entry::UserTokens {
                login,
                access,
                access_ends_ms,
                refresh,
                used,
            } => {
                let issued = AccessRecord {
                    login: *login,
                    ends_ms: *access_ends_ms,
                    is_revoked: false,
                };
                self.access.insert(*access, issued);
                if let Some((digest, ends_ms)) = *refresh {
                    let issued = RefreshRecord {
                        login: *login,
                        ends_ms,
                        is_used: false,
                    };
                    self.refresh.insert(digest, issued);
                }
                if let Some(used) = used.and_then(|used| self.refresh.get_mut(&used)) {
                    used.is_used = true;
                }
            }
            Entry::AccessRevoked { access } => {
                if let Some(access) = self.access.get_mut(access) {
                    access.is_revoked = true;
                }
            }
            Entry::LoginRevoked { login } => {
                if let Some(login) = self.logins.get_mut(login) {
                    login.is_revoked = true;
                    self.granted.remove(&(Arc::clone(&login.app_id), login.n));
                }
            }
            Entry::Issued { .. } | Entry::Revoked { .. } => {}
        }
    }

    fn sweep(&mut self, now_ms: u64) {
        if self.access.len() + self.refresh.len() >= self.sweep_at.max(SWEEP_STEP) {
            self.forget(now_ms);
        }
    }

    fn forget(&mut self, now_ms: u64) {
        self.access.retain(|_, access| now_ms < access.ends_ms);
        self.refresh
            .retain(|_, refresh| now_ms < refresh.ends_ms.saturating_add(EXPIRED_MEMORY_MS));
        let access = self.access.values().map(|access| access.login);
        let refresh = self.refresh.values().map(|refresh| refresh.login);
        let alive: HashSet<u64> = access.chain(refresh).collect();
        self.logins.retain(|id, _| alive.contains(id));
        self.sweep_at = (self.access.len() + self.refresh.len()) * 2 + SWEEP_STEP;
    }
}

/// The platform does not document the claims of its tokens, and no client should read them.
fn claims(kind: &str, ends_ms: u64, scopes: &Scopes) -> Map<String, Value> {
    let mut claims = Map::new();
    claims.insert("typ".to_owned(), json!(kind));
    claims.insert("exp".to_owned(), json!(ends_ms / 1000));
    claims.insert("scope".to_owned(), json!(join(scopes)));
    claims
}
