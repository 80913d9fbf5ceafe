//! Authorization codes: single use, five minutes, bound to app, redirect URI and PKCE challenge.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::error::OauthError;
use super::scopes::Scopes;
use crate::digest::sha256_base64url;
use crate::random::Values;

/// "The code is valid for 5 minutes" ("Obtain OAuth code" in the platform's reference).
const LIFETIME_MS: u64 = 5 * 60 * 1000;

/// Old codes are swept out whenever this many more are stored than after the last sweep.
const SWEEP_STEP: usize = 1024;

/// What was proven at the authorize page and is to be proven again (RFC 7636).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// `code_challenge_method=S256`: SHA-256 of the verifier in base64url without padding, 43 characters.
    S256(String),
    /// `code_challenge_method=plain`, the platform's default: the verifier itself, 43 to 128 characters.
    Plain(String),
}

impl Challenge {
    /// `None` for a challenge that no verifier can meet.
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

/// To what somebody has consented.
#[derive(Clone, Debug)]
pub(crate) struct Consented {
    pub(crate) app_id: String,
    pub(crate) n: u32,
    pub(crate) scopes: Scopes,
    pub(crate) redirect_uri: String,
    pub(crate) challenge: Option<Challenge>,
    pub(crate) at_ms: u64,
}

/// What an app presents with a code.
pub(crate) struct Presented<'a> {
    pub(crate) app_id: &'a str,
    pub(crate) redirect_uri: Option<&'a str>,
    pub(crate) verifier: Option<&'a str>,
    pub(crate) now_ms: u64,
}

#[derive(Default)]
pub(crate) struct Codes(Mutex<Book>);

#[derive(Default)]
struct Book {
    codes: HashMap<String, Code>,
    sweep_at: usize,
}

struct Code {
    consented: Arc<Consented>,
    is_used: bool,
}

impl Codes {
    pub(crate) fn issue(&self, consented: Consented, values: &Values) -> String {
        let mut book = self.lock();
        book.sweep(consented.at_ms);
        let code = values.text(48);
        let issued = Code {
            consented: Arc::new(consented),
            is_used: false,
        };
        book.codes.insert(code.clone(), issued);
        code
    }

    /// Uses the code up, unless it or the exchange is refused.
    pub(crate) fn redeem<T>(
        &self,
        code: &str,
        presented: &Presented<'_>,
        exchange: impl FnOnce(&Consented) -> Result<T, OauthError>,
    ) -> Result<T, OauthError> {
        let mut book = self.lock();
        let code = book.codes.get_mut(code).ok_or(OauthError::UnknownCode)?;
        code.check(presented)?;
        let done = exchange(&code.consented)?;
        code.is_used = true;
        Ok(done)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    /// Codes are remembered for a while after their end, to say that they had one.
    fn sweep(&mut self, now_ms: u64) {
        if self.codes.len() < self.sweep_at.max(SWEEP_STEP) {
            return;
        }
        self.codes
            .retain(|_, code| now_ms < code.consented.at_ms.saturating_add(2 * LIFETIME_MS));
        self.sweep_at = self.codes.len() * 2 + SWEEP_STEP;
    }
}

impl Code {
    fn check(&self, presented: &Presented<'_>) -> Result<(), OauthError> {
        let consented = &self.consented;
        if consented.app_id != presented.app_id {
            return Err(OauthError::OtherApp);
        }
        if self.is_used {
            return Err(OauthError::UsedCode);
        }
        if presented.now_ms >= consented.at_ms.saturating_add(LIFETIME_MS) {
            return Err(OauthError::ExpiredCode);
        }
        if presented
            .redirect_uri
            .is_some_and(|uri| uri != consented.redirect_uri)
        {
            return Err(OauthError::RedirectMismatch);
        }
        // A verifier without challenge is refused too: somebody has taken the challenge away (RFC 9700, 2.1.1).
        let is_proven = match (&consented.challenge, presented.verifier) {
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
