//! What is known of a token: the token, who is renewing it, what went wrong last. Decisions about it are pure.

use std::time::Duration;

use super::schedule::{self, Standing};
use super::{SharedToken, TokenKey};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::lark::{FailureKind, LarkFailure};
use crate::seal::Fingerprint;

/// What is known of a token, at one version.
#[derive(Clone, Debug)]
pub struct TokenState {
    /// Which token.
    pub key: TokenKey,
    /// Grows with each change; zero: not stored yet.
    pub version: u64,
    /// The token, if there is one.
    pub token: Option<SharedToken>,
    /// Until when somebody is renewing it.
    pub leased_until: Option<Timestamp>,
    /// The failures since the last success.
    pub failure: Option<TokenFailure>,
    /// When the scheduled run should look at it.
    pub due_at: Timestamp,
}

/// Failures in a row, and what the last one was.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TokenFailure {
    /// How many.
    pub count: u32,
    /// With which secret of the app.
    pub fingerprint: Fingerprint,
    /// The last one.
    pub last: LarkFailure,
    /// When the next attempt is allowed.
    pub retry_at: Timestamp,
}

impl TokenFailure {
    /// The error for a caller who asks at `now`.
    #[must_use]
    pub fn to_error(&self, key: &TokenKey, now: Timestamp) -> Error {
        failure_to_error(key, &self.last, self.retry_at.since(now))
    }
}

/// The error that Lark's refusal to issue the token `key` stands for.
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
        FailureKind::RateLimited => Error::RateLimited {
            retry_after,
            failure: Some(failure),
        },
        FailureKind::Unavailable | FailureKind::Timeout => Error::LarkUnavailable {
            failure,
            retry_after,
        },
        FailureKind::TokenInvalid
        | FailureKind::NotFound
        | FailureKind::Forbidden
        | FailureKind::Invalid
        | FailureKind::Rejected => Error::LarkRejected(failure),
    }
}

/// What to do for a caller.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Answer with this token.
    Serve(SharedToken),
    /// Renew; should that fail, this token still works.
    Renew(Option<SharedToken>),
    /// Answer with this error; trying again now would not help.
    Refuse(Box<Error>),
}

impl TokenState {
    /// Nothing known yet.
    #[must_use]
    pub const fn unknown(key: TokenKey, now: Timestamp) -> Self {
        Self {
            key,
            version: 0,
            token: None,
            leased_until: None,
            failure: None,
            due_at: now,
        }
    }

    /// What to do at `now` for a caller whose app's secret has the fingerprint `secret`. Tokens and failures of another
    /// secret do not count.
    #[must_use]
    pub fn verdict(&self, secret: &Fingerprint, now: Timestamp) -> Verdict {
        let token = self
            .token
            .as_ref()
            .filter(|token| token.fingerprint == *secret);
        let standing = token.map_or(Standing::Ended, |token| {
            schedule::standing(token.issued_at, token.expires_at, now)
        });
        let cooling = self
            .failure
            .as_ref()
            .filter(|failure| failure.fingerprint == *secret && failure.retry_at > now);
        match (standing, token, cooling) {
            (Standing::Fresh, Some(token), _) | (Standing::Ending, Some(token), Some(_)) => {
                Verdict::Serve(token.clone())
            }
            (Standing::Ending, Some(token), None) => Verdict::Renew(Some(token.clone())),
            (_, _, Some(failure)) => Verdict::Refuse(Box::new(failure.to_error(&self.key, now))),
            (_, _, None) => Verdict::Renew(None),
        }
    }

    /// Whether somebody is renewing it.
    #[must_use]
    pub fn is_leased(&self, now: Timestamp) -> bool {
        self.leased_until.is_some_and(|until| until > now)
    }

    /// The next version: higher than this one and than any given out before `now`, even by a record that is gone.
    #[must_use]
    pub fn next_version(&self, now: Timestamp) -> u64 {
        u64::try_from(now.as_millis())
            .unwrap_or(0)
            .max(self.version.saturating_add(1))
    }

    /// The state in which somebody renews it until `until`. Until then the scheduled run leaves it alone.
    #[must_use]
    pub fn leased(&self, now: Timestamp, until: Timestamp) -> Self {
        Self {
            version: self.next_version(now),
            leased_until: Some(until),
            due_at: until,
            ..self.clone()
        }
    }

    /// The state after `token` was issued.
    #[must_use]
    pub fn renewed(&self, token: SharedToken, now: Timestamp, jitter: f64) -> Self {
        // Never in the past: a platform that hands out tokens near their end is asked once a minute, not without pause.
        let due_at = schedule::refresh_at(token.issued_at, token.expires_at, jitter)
            .max(now + Duration::from_secs(1));
        let version = self.next_version(now);
        Self {
            key: self.key.clone(),
            version,
            token: Some(token),
            leased_until: None,
            failure: None,
            due_at,
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
        let version = self.next_version(now);
        Self {
            version,
            leased_until: None,
            failure: Some(failure),
            due_at: retry_at,
            ..self.clone()
        }
    }

    /// The state after the platform rejected the token before its time.
    #[must_use]
    pub fn without_token(&self, now: Timestamp) -> Self {
        Self {
            version: self.next_version(now),
            token: None,
            due_at: now,
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::ids::AppId;
    use crate::tokens::{Token, TokenKind};

    const NOW: Timestamp = Timestamp::from_seconds(1_000_000);

    fn secret(text: &str) -> Fingerprint {
        Fingerprint::from_stored(text)
    }

    fn state(left: Option<u64>) -> TokenState {
        let key = TokenKey::internal(AppId::parse("cli_a").unwrap(), TokenKind::Tenant);
        let token = left.map(|left| {
            let expires_at = NOW + Duration::from_secs(left);
            Arc::new(Token {
                value: "t".into(),
                fingerprint: secret("s"),
                issued_at: expires_at - Duration::from_secs(7_200),
                expires_at,
            })
        });
        TokenState {
            token,
            ..TokenState::unknown(key, NOW)
        }
    }

    fn outage() -> LarkFailure {
        LarkFailure::without_answer(FailureKind::Unavailable, "down")
    }

    fn verdict(state: &TokenState) -> &'static str {
        match state.verdict(&secret("s"), NOW) {
            Verdict::Serve(_) => "serve",
            Verdict::Renew(Some(_)) => "renew with fallback",
            Verdict::Renew(None) => "renew",
            Verdict::Refuse(error) => error.code().as_str(),
        }
    }

    #[test]
    fn a_token_is_served_until_its_margin_and_inside_the_refresh_window() {
        assert_eq!(verdict(&state(Some(7_000))), "serve");
        assert_eq!(verdict(&state(Some(1_300))), "serve");
        assert_eq!(verdict(&state(Some(200))), "renew with fallback");
        assert_eq!(verdict(&state(Some(0))), "renew");
        assert_eq!(verdict(&state(None)), "renew");
    }

    #[test]
    fn while_lark_is_down_a_token_is_served_to_its_end() {
        let failed = |left| state(left).failed(outage(), &secret("s"), NOW);
        assert_eq!(verdict(&failed(Some(1))), "serve");
        assert_eq!(verdict(&failed(Some(0))), "lark_unavailable");
        assert_eq!(verdict(&failed(None)), "lark_unavailable");
    }

    #[test]
    fn tokens_and_failures_of_another_secret_do_not_count() {
        let other = state(Some(7_000));
        assert!(matches!(
            other.verdict(&secret("rotated"), NOW),
            Verdict::Renew(None)
        ));
        let failed = state(None).failed(outage(), &secret("old"), NOW);
        assert_eq!(verdict(&failed), "renew");
    }

    #[test]
    fn every_change_has_a_higher_version_even_after_the_record_was_lost() {
        let state = state(Some(100));
        let leased = state.leased(NOW, NOW + Duration::from_secs(15));
        assert!(leased.version > state.version);
        assert!(leased.failed(outage(), &secret("s"), NOW).version > leased.version);
        assert!(
            TokenState::unknown(state.key, NOW).next_version(NOW + Duration::from_millis(1))
                > leased.version
        );
    }
}
