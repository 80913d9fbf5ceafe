//! Logins and their tokens ("Refresh user_access_token" in the platform's reference): each refresh token is good once, the
//! access tokens before it live on to their own ends, and a login ends 365 days after consent.

pub(crate) mod codes;
pub(crate) mod error;
pub(crate) mod scopes;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use serde_json::{Map, Value, json};

use crate::digest::Digest;
use crate::journal::{Entry, Journal};
use crate::random::Values;
use codes::Consented;
use error::OauthError;
use scopes::{OFFLINE_ACCESS, Scopes, join};

const DAY_MS: u64 = 24 * 3_600_000;

/// After consent, whatever was refreshed since.
const CHAIN_MS: u64 = 365 * DAY_MS;

/// How long a refresh token is remembered after its end, to say that it had one.
const MEMORY_MS: u64 = 30 * DAY_MS;

/// Old tokens are swept out whenever this many more are stored than after the last sweep.
const SWEEP_STEP: usize = 4096;

/// On which terms tokens are issued now.
pub(crate) struct Terms<'a> {
    pub(crate) now_ms: u64,
    pub(crate) access_lifetime_ms: u64,
    pub(crate) refresh_lifetime_ms: u64,
    pub(crate) reuse_revokes: bool,
    pub(crate) values: &'a Values,
}

/// What the token endpoint hands out.
pub(crate) struct UserGrant {
    pub(crate) access_token: String,
    /// In seconds.
    pub(crate) expires_in: u64,
    /// With `offline_access` only.
    pub(crate) refresh: Option<RefreshGrant>,
    pub(crate) scopes: Scopes,
}

pub(crate) struct RefreshGrant {
    pub(crate) token: String,
    /// In seconds.
    pub(crate) expires_in: u64,
}

/// Whom an access token speaks for.
pub(crate) struct Session {
    pub(crate) app_id: Arc<str>,
    pub(crate) n: u32,
}

pub(crate) struct Logins {
    book: Mutex<Book>,
    /// Keeps logins over a restart.
    journal: OnceLock<Arc<Journal>>,
}

#[derive(Default)]
struct Book {
    logins: HashMap<u64, Login>,
    access: HashMap<Digest, Access>,
    refresh: HashMap<Digest, Refresh>,
    /// What users have granted to apps so far: it adds up.
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

struct Access {
    login: u64,
    ends_ms: u64,
    is_revoked: bool,
}

struct Refresh {
    login: u64,
    ends_ms: u64,
    is_used: bool,
}

impl Logins {
    /// Those of an earlier run.
    pub(crate) fn restored(entries: &[Entry], now_ms: u64) -> Self {
        let mut book = Book::default();
        for entry in entries {
            book.replay(entry);
        }
        book.forget(now_ms);
        Self {
            book: Mutex::new(book),
            journal: OnceLock::new(),
        }
    }

    /// From now on, what happens is written down.
    pub(crate) fn keep_in(&self, journal: Arc<Journal>) {
        self.journal.get_or_init(|| journal);
    }

    /// Whether an entry still matters.
    pub(crate) fn needs(&self, entry: &Entry) -> bool {
        let book = self.lock();
        match entry {
            Entry::LoggedIn { login, .. }
            | Entry::UserTokens { login, .. }
            | Entry::LoginRevoked { login } => book.logins.contains_key(login),
            Entry::AccessRevoked { access } => book.access.contains_key(access),
            Entry::Issued { .. } | Entry::Revoked { .. } => false,
        }
    }

    /// What the user has granted to the app with this consent: scopes add up, but only a login that asks for
    /// `offline_access` itself can be refreshed.
    pub(crate) fn consent(&self, app_id: &str, n: u32, mut asked: Scopes) -> Scopes {
        let mut book = self.lock();
        let granted = book.granted.entry((app_id.into(), n)).or_default();
        granted.extend(asked.iter().cloned());
        let earlier = granted.iter().filter(|scope| *scope != OFFLINE_ACCESS);
        asked.extend(earlier.cloned());
        asked
    }

    /// A new login with its first tokens, which may be good for fewer scopes than were consented to.
    pub(crate) fn open(
        &self,
        consented: &Consented,
        scopes: &Scopes,
        terms: &Terms<'_>,
    ) -> UserGrant {
        let mut book = self.lock();
        book.sweep(terms.now_ms);
        let login = terms.values.number();
        self.happen(
            &mut book,
            &Entry::LoggedIn {
                login,
                app_id: consented.app_id.as_str().into(),
                n: consented.n,
                scopes: consented.scopes.clone(),
                at_ms: consented.at_ms,
            },
        );
        self.issue(&mut book, login, None, scopes, terms)
    }

    /// New tokens for a refresh token that is used up thereby, unless it or the user is refused. `scopes` decides, from the
    /// user and what was granted, for which scopes the tokens are.
    pub(crate) fn refresh(
        &self,
        token: &str,
        app_id: &str,
        terms: &Terms<'_>,
        scopes: impl FnOnce(u32, &Scopes) -> Result<Scopes, OauthError>,
    ) -> Result<UserGrant, OauthError> {
        let mut book = self.lock();
        book.sweep(terms.now_ms);
        let digest = Digest::of(token);
        let refresh = book.refresh.get(&digest);
        let refresh = refresh.ok_or(OauthError::UnknownRefreshToken)?;
        let id = refresh.login;
        let login = book.logins.get(&id);
        let login = login.ok_or(OauthError::UnknownRefreshToken)?;
        if &*login.app_id != app_id {
            return Err(OauthError::OtherApp);
        }
        if login.is_revoked {
            return Err(OauthError::RevokedRefreshToken);
        }
        if refresh.is_used {
            if terms.reuse_revokes {
                self.happen(&mut book, &Entry::LoginRevoked { login: id });
            }
            return Err(OauthError::UsedRefreshToken);
        }
        if terms.now_ms >= refresh.ends_ms {
            return Err(OauthError::ExpiredRefreshToken);
        }
        let scopes = scopes(login.n, &login.scopes)?;
        Ok(self.issue(&mut book, id, Some(digest), &scopes, terms))
    }

    /// Whom an access token speaks for, while it is valid.
    pub(crate) fn session(&self, token: &str, now_ms: u64) -> Option<Session> {
        let book = self.lock();
        let access = book.access.get(&Digest::of(token))?;
        let login = book.logins.get(&access.login)?;
        let is_valid = now_ms < access.ends_ms && !access.is_revoked && !login.is_revoked;
        is_valid.then(|| Session {
            app_id: Arc::clone(&login.app_id),
            n: login.n,
        })
    }

    /// Whether the access token was known.
    pub(crate) fn revoke_access(&self, token: &str) -> bool {
        let mut book = self.lock();
        let access = Digest::of(token);
        let known = book.access.get(&access);
        let is_known = known.is_some_and(|access| !access.is_revoked);
        if is_known {
            self.happen(&mut book, &Entry::AccessRevoked { access });
        }
        is_known
    }

    /// Ends every login of the user to the app, and what was granted; how many there were.
    pub(crate) fn revoke(&self, app_id: &str, n: u32) -> usize {
        let mut book = self.lock();
        let of_user = book
            .logins
            .iter()
            .filter(|(_, login)| !login.is_revoked && &*login.app_id == app_id && login.n == n);
        let logins: Vec<u64> = of_user.map(|(id, _)| *id).collect();
        for login in &logins {
            self.happen(&mut book, &Entry::LoginRevoked { login: *login });
        }
        book.granted.remove(&(app_id.into(), n));
        logins.len()
    }

    fn issue(
        &self,
        book: &mut Book,
        id: u64,
        used: Option<Digest>,
        scopes: &Scopes,
        terms: &Terms<'_>,
    ) -> UserGrant {
        let chain_ends_ms = book
            .logins
            .get(&id)
            .map_or(0, |login| login.consented_at_ms.saturating_add(CHAIN_MS));
        let access_ends_ms = terms.now_ms.saturating_add(terms.access_lifetime_ms);
        let access_token = terms.values.jwt(claims("access", access_ends_ms, scopes));
        let refresh = scopes.contains(OFFLINE_ACCESS).then(|| {
            let ends_ms = terms.now_ms.saturating_add(terms.refresh_lifetime_ms);
            let ends_ms = ends_ms.min(chain_ends_ms);
            (
                terms.values.jwt(claims("refresh", ends_ms, scopes)),
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
        self.happen(book, &entry);
        UserGrant {
            access_token,
            expires_in: terms.access_lifetime_ms / 1000,
            refresh: refresh.map(|(token, ends_ms)| RefreshGrant {
                token,
                expires_in: ends_ms.saturating_sub(terms.now_ms) / 1000,
            }),
            scopes: scopes.clone(),
        }
    }

    fn happen(&self, book: &mut Book, entry: &Entry) {
        book.replay(entry);
        if let Some(journal) = self.journal.get() {
            journal.add(entry);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    /// What `entry` says has happened.
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
                let issued = Access {
                    login: *login,
                    ends_ms: *access_ends_ms,
                    is_revoked: false,
                };
                self.access.insert(*access, issued);
                if let Some((digest, ends_ms)) = *refresh {
                    let issued = Refresh {
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
            .retain(|_, refresh| now_ms < refresh.ends_ms.saturating_add(MEMORY_MS));
        let access = self.access.values().map(|access| access.login);
        let refresh = self.refresh.values().map(|refresh| refresh.login);
        let alive: HashSet<u64> = access.chain(refresh).collect();
        self.logins.retain(|id, _| alive.contains(id));
        self.sweep_at = (self.access.len() + self.refresh.len()) * 2 + SWEEP_STEP;
    }
}

/// What the platform's tokens say about themselves is not documented; nobody is to read it.
fn claims(kind: &str, ends_ms: u64, scopes: &Scopes) -> Map<String, Value> {
    let mut claims = Map::new();
    claims.insert("typ".to_owned(), json!(kind));
    claims.insert("exp".to_owned(), json!(ends_ms / 1000));
    claims.insert("scope".to_owned(), json!(join(scopes)));
    claims
}
