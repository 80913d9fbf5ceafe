//! Authorization codes. A code is for one use within five minutes, and bound to app, redirect URI and PKCE challenge.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::error::OauthError;
use super::scopes::Scopes;
use crate::digest::sha256_base64url;
use crate::random::RandomValues;

/// "The code is valid for 5 minutes" ("Obtain OAuth code" in the platform's reference).
const LIFETIME_MS: u64 = 5 * 60 * 1000;

/// A sweep drops old codes each time this many more are stored than after the last one.
const SWEEP_STEP: usize = 1024;

/// The PKCE challenge that came with the authorize page; the token request must answer it (RFC 7636).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// `code_challenge_method=S256`: SHA-256 of the verifier in base64url without padding, 43 characters.
    S256(String),
    /// `code_challenge_method=plain`, the platform's default: the verifier itself, 43 to 128 characters.
    Plain(String),
}

impl Challenge {
    /// `None` if no verifier can match the challenge.
    pub(crate) fn new(method: &str, challenge: &str) -> Option<Self> {
        match method {
            "S256" if challenge.len() == 43 && is_verifier(challenge) => {
                Some(Self::S256(challenge.to_owned()))
            }
            "plain" if is_verifier(challenge) => Some(Self::Plain(challenge.to_owned())),
            _ => None,
        }
    }

    fn is_met_by(&self, verifier: &str) -> bool {
        is_verifier(verifier)
            && match self {
                Self::S256(challenge) => *challenge == sha256_base64url(verifier),
                Self::Plain(challenge) => challenge == verifier,
            }
    }
}

/// What a user has approved for an app.
#[derive(Clone, Debug)]
pub(crate) struct Authorization {
    pub(crate) app_id: String,
    pub(crate) n: u32,
    pub(crate) scopes: Scopes,
    pub(crate) redirect_uri: String,
    pub(crate) challenge: Option<Challenge>,
    pub(crate) at_ms: u64,
}

/// What an app sends with a code.
pub(crate) struct CodeExchange<'a> {
    pub(crate) app_id: &'a str,
    pub(crate) redirect_uri: Option<&'a str>,
    pub(crate) verifier: Option<&'a str>,
    pub(crate) now_ms: u64,
}

#[derive(Default)]
pub(crate) struct Codes(Mutex<State>);

#[derive(Default)]
struct State {
    codes: HashMap<String, Code>,
    sweep_at: usize,
}

struct Code {
    authorization: Arc<Authorization>,
    is_used: bool,
}

impl Codes {
    pub(crate) fn issue(&self, authorization: Authorization, random: &RandomValues) -> String {
        let mut state = self.lock();
        state.sweep(authorization.at_ms);
        let code = random.text(48);
        let issued = Code {
            authorization: Arc::new(authorization),
            is_used: false,
        };
        state.codes.insert(code.clone(), issued);
        code
    }

    /// Marks the code as used, unless the check or `issue_tokens` fails.
    pub(crate) fn redeem<T>(
        &self,
        code: &str,
        exchange: &CodeExchange<'_>,
        issue_tokens: impl FnOnce(&Authorization) -> Result<T, OauthError>,
    ) -> Result<T, OauthError> {
        let mut state = self.lock();
        let code = state.codes.get_mut(code).ok_or(OauthError::UnknownCode)?;
        code.check(exchange)?;
        let issued = issue_tokens(&code.authorization)?;
        code.is_used = true;
        Ok(issued)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Expired codes stay for a while, so that the answer can be "expired" instead of "unknown".
    fn sweep(&mut self, now_ms: u64) {
        if self.codes.len() < self.sweep_at.max(SWEEP_STEP) {
            return;
        }
        self.codes
            .retain(|_, code| now_ms < code.authorization.at_ms.saturating_add(2 * LIFETIME_MS));
        self.sweep_at = self.codes.len() * 2 + SWEEP_STEP;
    }
}

impl Code {
    fn check(&self, exchange: &CodeExchange<'_>) -> Result<(), OauthError> {
        let authorization = &self.authorization;
        if authorization.app_id != exchange.app_id {
            return Err(OauthError::OtherApp);
        }
        if self.is_used {
            return Err(OauthError::UsedCode);
        }
        if exchange.now_ms >= authorization.at_ms.saturating_add(LIFETIME_MS) {
            return Err(OauthError::ExpiredCode);
        }
        if exchange
            .redirect_uri
            .is_some_and(|uri| uri != authorization.redirect_uri)
        {
            return Err(OauthError::RedirectMismatch);
        }
        // A verifier without challenge is an error too: somebody may have removed the challenge (RFC 9700, 2.1.1).
        let is_proven = match (&authorization.challenge, exchange.verifier) {
            (Some(challenge), Some(verifier)) => challenge.is_met_by(verifier),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        match is_proven {
            true => Ok(()),
            false => Err(OauthError::PkceFailed),
        }
    }
}

/// 43 to 128 characters of `A-Za-z0-9-._~`.
fn is_verifier(text: &str) -> bool {
    (43..=128).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}
