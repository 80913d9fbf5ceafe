//! A user's login: the state needed to get the next `user_access_token`, and how logins end. Pure.
//!
//! A refresh token works once. A process records its intent to present it first ([`Login::uncertain_since`]), so that after a
//! crash or a lost answer every process knows that it may be used up. It is then presented again only when nothing can be
//! lost, after the access token has expired, and the platform's answer settles the question either way.

use std::fmt;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::error::{Error, FailureKind, LarkFailure, LoginEnd};
use crate::ids::OpenId;
use crate::seal::Fingerprint;
use crate::store;
use crate::tokens::schedule::{self, TokenPhase};
use crate::tokens::{SharedToken, TokenKey, TokenState, Verdict};
use secrecy::SecretString;

/// The scope without which the platform hands out no refresh token.
pub const OFFLINE_ACCESS: &str = "offline_access";
/// How long an ended login stays stored, so that an operator can see why it ended.
const ENDED: Duration = Duration::from_secs(30 * 24 * 3_600);

/// The state needed to get the next access token of a user.
#[derive(Clone, Debug)]
pub struct Login {
    /// Orders the token pairs of a user: only a later pair replaces a pair. It grows with time and never begins anew, not even
    /// after a logout that deleted the record.
    pub generation: u64,
    /// The refresh token, if `offline_access` was granted.
    pub refresh: Option<RefreshToken>,
    /// The granted scopes, separated by spaces.
    pub scopes: String,
    /// When the user consented.
    pub consented_at: Timestamp,
    /// Since when the refresh token may be used up without its successor being known.
    pub uncertain_since: Option<Timestamp>,
    /// Why and when the login ended.
    pub ended: Option<(LoginEnd, Timestamp)>,
}

/// A refresh token. Its copy in the shared cache has no value: only the store has it.
#[derive(Clone)]
pub struct RefreshToken {
    /// The token itself.
    pub value: Option<SecretString>,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it expires unless it is used.
    pub expires_at: Timestamp,
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshToken")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// An access token and what comes with it, fresh from the platform.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The access token.
    pub token: SharedToken,
    /// The next refresh token.
    pub refresh: Option<RefreshToken>,
    /// The granted scopes; empty: as before.
    pub scopes: String,
}

impl Login {
    /// Why the access token cannot be renewed; `None` if the platform may renew it. Whether the refresh token has expired is the
    /// platform's word: the clock that its end was reckoned by may have been slow.
    const fn dead_end(&self) -> Option<LoginEnd> {
        match (&self.ended, &self.refresh) {
            (Some((end, _)), _) => Some(*end),
            (None, None) => Some(LoginEnd::NoOfflineAccess),
            (None, Some(_)) => None,
        }
    }
}

impl TokenState {
    /// The state right after the user consented; it replaces everything known before.
    #[must_use]
    pub fn logged_in(&self, pair: Pair, now: Timestamp, jitter: f64) -> Self {
        let login = Login {
            generation: self.next_generation(now),
            refresh: pair.refresh,
            scopes: pair.scopes,
            consented_at: now,
            uncertain_since: None,
            ended: None,
        };
        self.with(login, pair.token, now, jitter)
    }

    /// The state after the refresh token was exchanged for `pair`.
    #[must_use]
    pub fn refreshed(&self, pair: Pair, now: Timestamp, jitter: f64) -> Self {
        let Some(old) = &self.login else {
            return self.logged_in(pair, now, jitter);
        };
        let scopes = if pair.scopes.is_empty() {
            old.scopes.clone()
        } else {
            pair.scopes
        };
        let login = Login {
            generation: self.next_generation(now),
            // An answer without a refresh token keeps the old one.
            refresh: pair.refresh.or_else(|| old.refresh.clone()),
            scopes,
            consented_at: old.consented_at,
            uncertain_since: None,
            ended: None,
        };
        let state = self.with(login, pair.token, now, jitter);
        Self {
            // By a slow clock the record of a login that lives would be deleted.
            expires_at: state.expires_at.max(self.expires_at),
            ..state
        }
    }

    /// A generation higher than any that the user's login had: as versions do, it grows past a deletion.
    fn next_generation(&self, now: Timestamp) -> u64 {
        let before = self.login.as_ref().map_or(0, |login| login.generation);
        let after = store::next_version(before, now);
        self.next_version(now).max(after)
    }

    /// The state right after `token` came with `login`.
    fn with(&self, login: Login, token: SharedToken, now: Timestamp, jitter: f64) -> Self {
        Self {
            token: Some(token),
            leased: None,
            failure: None,
            due_at: due_at(&login, jitter),
            expires_at: expires_at(&login, now),
            login: Some(login),
            ..self.advanced(now)
        }
    }

    /// The state after a lease without an attempt: as `before`.
    #[must_use]
    pub fn not_attempted(&self, before: &Self, now: Timestamp) -> Self {
        Self {
            version: self.next_version(now),
            ..before.clone()
        }
    }

    /// The state after a refresh without a new pair. `was_uncertain` is [`Login::uncertain_since`] from before the refresh.
    #[must_use]
    pub fn not_refreshed(
        &self,
        was_uncertain: Option<Timestamp>,
        failure: LarkFailure,
        secret: &Fingerprint,
        now: Timestamp,
    ) -> Self {
        let Some(old) = &self.login else {
            return self.clone();
        };
        if failure.kind == FailureKind::GrantVoid && !LoginEnd::is_reversible(failure.code) {
            let end = if was_uncertain.is_some() {
                LoginEnd::OutcomeLost
            } else {
                LoginEnd::of(failure.code)
            };
            return self.ended(end, Some((failure, secret)), now);
        }
        let may_have_happened = failure.may_have_happened();
        let mut state = self.failed(failure, secret, now);
        let uncertain_since = if may_have_happened {
            was_uncertain.or(Some(now))
        } else {
            was_uncertain
        };
        // The refresh token may be used up: it is presented again only when the access token is no longer usable.
        if let (true, Some(token), Some(failure)) =
            (uncertain_since.is_some(), &self.token, &mut state.failure)
        {
            failure.retry_at = failure.retry_at.max(token.expires_at);
            state.due_at = Some(failure.retry_at);
        }
        state.login = Some(Login {
            uncertain_since,
            ..old.clone()
        });
        state
    }

    /// The state of an ended login.
    #[must_use]
    pub fn ended(
        &self,
        end: LoginEnd,
        failure: Option<(LarkFailure, &Fingerprint)>,
        now: Timestamp,
    ) -> Self {
        let state = match failure {
            Some((failure, secret)) => self.failed(failure, secret, now),
            None => Self {
                leased: None,
                ..self.advanced(now)
            },
        };
        let voided = state.version;
        let login = state.login.map(|login| Login {
            refresh: None,
            ended: Some((end, now)),
            uncertain_since: None,
            ..login
        });
        Self {
            token: None,
            // The scheduled run sees to it that the shared cache knows.
            due_at: Some(now),
            expires_at: Some(now + ENDED),
            login,
            voided,
            ..state
        }
    }

    /// What to do at `now` for a caller who wants the user's token.
    pub(in crate::tokens) fn user_verdict(&self, now: Timestamp) -> Verdict {
        let Some(login) = &self.login else {
            return self.reauthorize(LoginEnd::NotLoggedIn);
        };
        if let Some((end, _)) = login.ended {
            return self.reauthorize(end);
        }
        let phase = self.token.as_ref().map_or(TokenPhase::Ended, |token| {
            schedule::phase(token.issued_at, token.expires_at, now)
        });
        let cooling = self.cooling(now);
        match (phase, &self.token, login.dead_end(), cooling) {
            (TokenPhase::Fresh, Some(token), _, _)
            | (TokenPhase::Ending, Some(token), Some(_), _)
            | (TokenPhase::Ending, Some(token), None, Some(_)) => Verdict::Serve(token.clone()),
            (TokenPhase::Ending, Some(token), None, None) if login.uncertain_since.is_some() => {
                Verdict::Serve(token.clone())
            }
            (TokenPhase::Ending, Some(token), None, None) => Verdict::Renew(Some(token.clone())),
            (_, _, Some(end), _) => self.reauthorize(end),
            (_, _, None, Some(failure)) => {
                Verdict::Refuse(Box::new(failure.to_error(&self.key, now)))
            }
            (_, _, None, None) => Verdict::Renew(None),
        }
    }

    fn reauthorize(&self, end: LoginEnd) -> Verdict {
        Verdict::Refuse(Box::new(reauthorization_required(&self.key, end)))
    }
}

/// The error for a caller who wants a token of a user without a login.
pub(super) fn reauthorization_required(key: &TokenKey, end: LoginEnd) -> Error {
    match OpenId::parse(&key.subject) {
        Some(open_id) => Error::ReauthorizationRequired {
            app_id: key.app_id.clone(),
            open_id,
            end,
        },
        None => Error::internal("a user's token without a user"),
    }
}

/// When the scheduled run renews the login: around the middle of its refresh token's life.
fn due_at(login: &Login, jitter: f64) -> Option<Timestamp> {
    let refresh = login.refresh.as_ref()?;
    Some(schedule::login_refresh_at(
        refresh.issued_at,
        refresh.expires_at,
        jitter,
    ))
}

/// When the login's record can be deleted.
fn expires_at(login: &Login, now: Timestamp) -> Option<Timestamp> {
    let last = login
        .refresh
        .as_ref()
        .map_or(now, |refresh| refresh.expires_at);
    Some(last + ENDED)
}

#[cfg(test)]
mod tests;
