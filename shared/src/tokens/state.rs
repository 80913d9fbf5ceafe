//! The state of a token: the token, its lease, its last failure. Decisions about it are pure.

use std::time::Duration;

use super::schedule::TokenPhase;
use super::{Login, SharedToken, TokenKey, TokenKind};
use crate::apps::Secrets;
use crate::clock::Timestamp;
use crate::error::{Error, FailureKind, LarkFailure};
use crate::seal::Fingerprint;
use crate::store;
use crate::tokens::schedule;

/// How long a lease lasts: it covers the token request and the writes around it.
pub(super) const LEASE: Duration = Duration::from_secs(15);
/// How long the record of a tenant without a token stays after the pause of its failure: so long the failures in a row count.
const NEVER_ISSUED: Duration = Duration::from_secs(3_600);
/// How long the record of a deleted token stays: longer than any token of it that a tier may still have.
const FORGOTTEN: Duration = Duration::from_secs(24 * 3_600);

/// The state of a token, at one version.
#[derive(Clone, Debug)]
pub struct TokenState {
    /// The token's key.
    pub key: TokenKey,
    /// Grows with each change; zero: not stored yet.
    pub version: u64,
    /// The token, if there is one.
    pub token: Option<SharedToken>,
    /// The lease of its renewal.
    pub leased: Option<Lease>,
    /// The failures since the last success.
    pub failure: Option<TokenFailure>,
    /// When the scheduled run should process it; `None`: never.
    pub due_at: Option<Timestamp>,
    /// When the record can be deleted; `None`: never.
    pub expires_at: Option<Timestamp>,
    /// For a user's token: its login.
    pub login: Option<Login>,
    /// The version at which the last token was made void: rejected by the platform, or its login ended. Every token of a lower
    /// version is void, in whatever tier it is found. Zero: none was.
    pub voided: u64,
}

/// A process's lease for renewing a token.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Lease {
    /// When the lease expires.
    pub until: Timestamp,
    /// Tells this renewal from every other.
    pub mark: String,
}

/// Failures in a row, and the last of them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TokenFailure {
    /// How many.
    pub count: u32,
    /// The fingerprint of the app secret that was used.
    pub fingerprint: Fingerprint,
    /// The last one.
    pub last: LarkFailure,
    /// When the next attempt is allowed.
    pub retry_at: Timestamp,
}

impl TokenFailure {
    /// The error for a caller at `now`.
    #[must_use]
    pub fn to_error(&self, key: &TokenKey, now: Timestamp) -> Error {
        failure_to_error(key, &self.last, self.retry_at.since(now))
    }
}

/// The error for Lark's refusal to issue the token `key`.
pub(super) fn failure_to_error(
    key: &TokenKey,
    failure: &LarkFailure,
    retry_after: Duration,
) -> Error {
    let failure = Box::new(failure.clone());
    match failure.kind {
        FailureKind::AppRefused => Error::AppRefused {
            app_id: key.app_id.clone(),
            failure,
            retry_after,
        },
        FailureKind::TenantRefused => Error::TenantRefused {
            app_id: key.app_id.clone(),
            failure,
            retry_after,
        },
        FailureKind::RateLimited => Error::RateLimited {
            retry_after,
            failure: Some(failure),
        },
        FailureKind::QuotaExhausted => Error::QuotaExhausted {
            retry_after,
            failure,
        },
        FailureKind::TicketMissing => Error::AppTicketMissing {
            app_id: key.app_id.clone(),
            retry_after,
        },
        FailureKind::Unavailable | FailureKind::Timeout => Error::LarkUnavailable {
            failure,
            retry_after,
        },
        // The platform refuses the user for as long as an administrator wants it: the login lives on.
        FailureKind::GrantVoid | FailureKind::Forbidden => Error::LarkForbidden(failure),
        FailureKind::TokenInvalid
        | FailureKind::NotFound
        | FailureKind::Invalid
        | FailureKind::Rejected => Error::LarkRejected(failure),
    }
}

/// What to do for a caller.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Answer with this token.
    Serve(SharedToken),
    /// Renew; if that fails, this token still works.
    Renew(Option<SharedToken>),
    /// Answer with this error; trying again now would not help.
    Refuse(Box<Error>),
}

impl TokenState {
    /// A state with nothing known yet.
    #[must_use]
    pub const fn unknown(key: TokenKey, now: Timestamp) -> Self {
        Self {
            key,
            version: 0,
            token: None,
            leased: None,
            failure: None,
            due_at: Some(now),
            expires_at: None,
            login: None,
            voided: 0,
        }
    }

    /// What to do at `now` for a caller whose app has these secrets. Tokens and failures of other secrets do not count. A
    /// user's token does not depend on the app's secret.
    #[must_use]
    pub fn verdict(&self, secrets: &Secrets, now: Timestamp) -> Verdict {
        if self.key.kind == TokenKind::User {
            return self.user_verdict(now);
        }
        let token = self
            .token
            .as_ref()
            .filter(|token| secrets.accept(&token.fingerprint, now));
        let phase = token.map_or(TokenPhase::Ended, |token| {
            schedule::phase(token.issued_at, token.expires_at, now)
        });
        let cooling = self
            .cooling(now)
            .filter(|failure| failure.fingerprint == secrets.current.fingerprint);
        match (phase, token, cooling) {
            (TokenPhase::Fresh, Some(token), _) | (TokenPhase::Ending, Some(token), Some(_)) => {
                Verdict::Serve(token.clone())
            }
            (TokenPhase::Ending, Some(token), None) => Verdict::Renew(Some(token.clone())),
            (_, _, Some(failure)) => Verdict::Refuse(Box::new(failure.to_error(&self.key, now))),
            (_, _, None) => Verdict::Renew(None),
        }
    }

    /// The last failure, while no attempt is allowed because of it. A login in doubt may wait for the end of its access token.
    pub(super) fn cooling(&self, now: Timestamp) -> Option<&TokenFailure> {
        self.failure.as_ref().filter(|failure| {
            let is_for_token = self.token.as_ref().is_some_and(|token| {
                failure.retry_at <= token.expires_at && !self.is_from_future(now)
            });
            schedule::lasts(failure.retry_at, schedule::MAX_REFUSAL_PAUSE, now)
                || is_for_token && failure.retry_at > now
        })
    }

    /// Whether a process is renewing it.
    #[must_use]
    pub fn is_leased(&self, now: Timestamp) -> bool {
        let lease = self.leased.as_ref();
        lease.is_some_and(|lease| schedule::lasts(lease.until, LEASE, now))
    }

    /// Whether its token was issued later than `now`: the clock of the process that wrote it was fast.
    #[must_use]
    pub fn is_from_future(&self, now: Timestamp) -> bool {
        let token = self.token.as_ref();
        token.is_some_and(|token| schedule::is_in_future(token.issued_at, now))
    }

    /// The next version, see [`store::next_version`].
    #[must_use]
    pub fn next_version(&self, now: Timestamp) -> u64 {
        store::next_version(self.version, now)
    }

    /// The same state at its next version. If that comes back from the future, so does the mark of what is void: everything until
    /// now is.
    pub(super) fn advanced(&self, now: Timestamp) -> Self {
        let version = self.next_version(now);
        Self {
            version,
            voided: self.voided.min(version),
            ..self.clone()
        }
    }

    /// Whether it is a tenant's to whom the platform never issued one. The name of a tenant is what a caller says: such a record ends
    /// soon, and the scheduled run leaves it alone.
    pub(super) fn was_never_issued(&self) -> bool {
        let is_of_tenant = self.key.kind == TokenKind::Tenant && !self.key.subject.is_empty();
        is_of_tenant && self.token.is_none() && self.voided == 0
    }

    /// When the scheduled run comes to it next, if that is to be at `at`, and when its record can be deleted.
    fn next_due(&self, at: Timestamp) -> (Option<Timestamp>, Option<Timestamp>) {
        if self.was_never_issued() {
            (None, Some(at + NEVER_ISSUED))
        } else {
            (Some(at), self.expires_at)
        }
    }

    /// The state with a lease until `until`. Until then the scheduled run skips it. A refresh token may be used up from now
    /// on.
    #[must_use]
    pub fn leased(&self, now: Timestamp, until: Timestamp, mark: &str) -> Self {
        let login = self.login.clone().map(|login| Login {
            uncertain_since: login.uncertain_since.or(Some(now)),
            ..login
        });
        let (due_at, expires_at) = self.next_due(until);
        Self {
            leased: Some(Lease {
                until,
                mark: mark.to_owned(),
            }),
            due_at,
            expires_at,
            login,
            ..self.advanced(now)
        }
    }

    /// The state after `token` was issued.
    #[must_use]
    pub fn renewed(&self, token: SharedToken, now: Timestamp, jitter: f64) -> Self {
        // Never in the past: a platform that issues tokens near their end is asked once a minute, not in a tight loop.
        let due_at = schedule::refresh_at(token.issued_at, token.expires_at, jitter)
            .max(now + Duration::from_secs(1));
        Self {
            token: Some(token),
            leased: None,
            failure: None,
            due_at: Some(due_at),
            expires_at: None,
            login: None,
            ..self.advanced(now)
        }
    }

    /// The state after the platform did not issue a token. A token that still works stays.
    #[must_use]
    pub fn failed(&self, failure: LarkFailure, secret: &Fingerprint, now: Timestamp) -> Self {
        let before = self
            .failure
            .as_ref()
            .filter(|before| before.fingerprint == *secret);
        let count = before.map_or(0, |before| before.count).saturating_add(1);
        let retry_at = now + schedule::pause(failure.kind, count, failure.retry_after);
        let failure = TokenFailure {
            count,
            fingerprint: secret.clone(),
            last: failure,
            retry_at,
        };
        let (due_at, expires_at) = self.next_due(retry_at);
        Self {
            leased: None,
            failure: Some(failure),
            due_at,
            expires_at,
            ..self.advanced(now)
        }
    }

    /// Takes over the token of `older`, which the process knows, if this state has none and `older`'s was not made void. A
    /// login's token goes with its login.
    pub(super) fn keep_token_of(&mut self, older: &Self) {
        if self.token.is_none() && self.login.is_none() && self.voided <= older.version {
            self.token.clone_from(&older.token);
        }
    }

    /// The state after the platform rejected the token before its time: every token known so far is void.
    #[must_use]
    pub fn without_token(&self, now: Timestamp) -> Self {
        let version = self.next_version(now);
        Self {
            version,
            voided: version,
            token: None,
            // The scheduled run renews it, if no caller does, and so replaces what other tiers have of it.
            due_at: Some(now),
            ..self.clone()
        }
    }

    /// What stays of a token that was deleted, with its login if it had one: every token known so far is void. The scheduled
    /// run sees to it that the shared cache knows, should this process not get that far.
    #[must_use]
    pub fn forgotten(&self, now: Timestamp) -> Self {
        let version = self.next_version(now);
        Self {
            version,
            voided: version,
            expires_at: Some(now + FORGOTTEN),
            ..Self::unknown(self.key.clone(), now)
        }
    }

    /// The state without a due time: the scheduled run has nothing to do.
    #[must_use]
    pub fn retired(&self, now: Timestamp) -> Self {
        Self {
            due_at: None,
            ..self.advanced(now)
        }
    }
}

#[cfg(test)]
mod tests;
