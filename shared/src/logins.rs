//! Browser logins of users: begin, finish, end.
//!
//! A login is bound to the browser by a secret cookie, and to one attempt by a state that works once within ten minutes. So
//! forged, replayed and foreign answers of the log-in page are rejected: an attacker gains nothing by sending a victim the
//! callback link of the attacker's own login (RFC 9700, section 4.7). PKCE (RFC 7636) also binds the code to the attempt at
//! the platform.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;
use tracing::{info, warn};
use url::Url;

use crate::apps::Apps;
use crate::clock::Clock;
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::ids::{AppId, OpenId};
use crate::lark::oauth::{self, AuthorizationRequest, Grant, Identity};
use crate::lark::{Installation, LarkClient, Sender};
use crate::seal::Sealer;
use crate::store::{Expect, Key, Record, Storage, StoreError, Table, Value};
use crate::tokens::TokenService;

mod browser;
mod login_request;
mod refusals;

use browser::{cookie_name, set_cookie, state_parts};
use login_request::{allowed_target, scope};
use refusals::{failed, refusal};

/// How long a login may take.
pub const LIFE: Duration = Duration::from_secs(600);
/// How long it is kept that an attempt was taken: longer than a write of the store is repeated.
const TAKEN: Duration = Duration::from_secs(60);
/// Where the platform sends the browser back to, under the service's address.
pub const CALLBACK_PATH: &str = "/v1/oauth/callback";
/// The longest accepted code; the platform's have about 64 characters.
const MAX_CODE_BYTES: usize = 1_024;

/// Begins, finishes and ends logins. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Logins {
    lark: LarkClient,
    apps: Apps,
    tokens: TokenService,
    storage: Storage,
    sealer: Sealer,
    clock: Arc<dyn Clock>,
}

/// A request to begin a login.
#[derive(Clone, Debug)]
pub struct LoginStart<'s> {
    /// The app to log in to.
    pub app_id: &'s AppId,
    /// The scopes to ask for, separated by spaces; `offline_access` is added.
    pub scope: Option<&'s str>,
    /// Where the browser goes after the login: one of the app's redirect targets, or below one.
    pub redirect_to: Option<&'s str>,
    /// The address of this service as browsers see it.
    pub public_url: &'s Url,
}

/// A login that was begun.
#[derive(Clone, Debug)]
pub struct Started {
    /// Where the browser goes: the platform's log-in page.
    pub location: Url,
    /// The cookie that binds the login to the browser: the value of `Set-Cookie`.
    pub cookie: String,
}

/// The parameters that the platform sent the browser back with.
#[derive(Clone, Debug)]
pub struct Callback<'c> {
    /// The state that [`Logins::start`] gave the log-in page.
    pub state: Option<&'c str>,
    /// The code, if the user consented.
    pub code: Option<&'c str>,
    /// The error, if they did not: `access_denied`.
    pub error: Option<&'c str>,
    /// The address of this service as browsers see it.
    pub public_url: &'c Url,
}

/// The end of a login that this browser began.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Where the browser goes next.
    pub redirect_to: Option<Url>,
    /// Removes the cookie: the value of `Set-Cookie`.
    pub cookie: String,
    /// Who logged in, or why the login failed.
    pub outcome: Result<LoggedIn>,
}

/// Who logged in.
#[derive(Clone, Debug)]
pub struct LoggedIn {
    /// The user for the app.
    pub open_id: OpenId,
    /// The app.
    pub app_id: AppId,
    /// The user's name.
    pub name: Option<String>,
    /// Whether the login can be renewed without the user: `offline_access` was granted.
    pub is_renewable: bool,
}

/// A pending attempt, as it is stored.
struct Attempt {
    id: String,
    version: u64,
    app_id: AppId,
    state_hash: Vec<u8>,
    cookie_hash: Vec<u8>,
    code_verifier: SecretString,
    redirect_uri: String,
    redirect_to: Option<Url>,
}

impl Logins {
    /// Logins over these services.
    #[must_use]
    pub const fn new(
        lark: LarkClient,
        apps: Apps,
        tokens: TokenService,
        storage: Storage,
        sealer: Sealer,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            lark,
            apps,
            tokens,
            storage,
            sealer,
            clock,
        }
    }

    /// Begins a login.
    ///
    /// # Errors
    /// [`Error::AppNotFound`], [`Error::InvalidArgument`] naming `scope` or `redirect_to`,
    /// [`Error::Store`], [`Error::Seal`].
    pub async fn start(&self, start: &LoginStart<'_>, deadline: Deadline) -> Result<Started> {
        let app = self.apps.for_login(start.app_id, deadline).await?;
        let scope = scope(&app, start.scope)?;
        let redirect_to = start
            .redirect_to
            .map(|target| allowed_target(&app, target))
            .transpose()?;
        let redirect_uri = callback(start.public_url);
        let (id, secret, cookie, code_verifier) =
            (random_text::<12>()?, random()?, random()?, random()?);
        let state = format!("{id}.{}", secret.expose_secret());
        let sealed = self
            .sealer
            .seal(&seal_context(&id), &code_verifier, deadline)
            .await?;
        let now = self.clock.now();
        let mut record = Record::new(key(&id), 1)
            .with("app_id", Value::Text(app.app_id.to_string()))
            .with("state_hash", Value::Bytes(hash(&secret)))
            .with("cookie_hash", Value::Bytes(hash(&cookie)))
            .with("code_verifier", Value::Bytes(sealed))
            .with("redirect_uri", Value::Text(redirect_uri.clone()));
        if let Some(target) = &redirect_to {
            record = record.with("redirect_to", Value::Text(target.to_string()));
        }
        record.expires_at = Some(now + LIFE);
        self.storage
            .put(Table::Tokens, &record, Expect::Absent, deadline)
            .await?;
        let request = AuthorizationRequest {
            app_id: &app.app_id,
            redirect_uri: &redirect_uri,
            scope: &scope,
            state: &state,
            code_challenge: &URL_SAFE_NO_PAD.encode(hash(&code_verifier)),
        };
        info!(lark.app_id = app.app_id.as_str(), "a login was begun");
        Ok(Started {
            location: oauth::login_page(self.lark.settings().accounts_url(app.domain), &request),
            cookie: set_cookie(start.public_url, &id, cookie.expose_secret(), LIFE),
        })
    }

    /// Finishes the login that `callback` belongs to. `cookie` gives the browser's cookies by name.
    ///
    /// # Errors
    /// [`Error::LoginInvalid`] when this browser did not begin the login, or it has expired or was finished before: nothing
    /// has happened then. [`Error::Store`], [`Error::Seal`]. Later failures are part of the result.
    pub async fn finish<'c>(
        &self,
        callback: &Callback<'_>,
        cookie: impl Fn(&str) -> Option<&'c str>,
        deadline: Deadline,
    ) -> Result<Finished> {
        let (id, secret) = state_parts(callback.state)?;
        let attempt = self.attempt(id, deadline).await?;
        let is_same: bool = hash(&secret.into()).ct_eq(&attempt.state_hash).into();
        if !is_same {
            return Err(Error::LoginInvalid(UNKNOWN_STATE));
        }
        let cookie = cookie(&cookie_name(callback.public_url, id)).unwrap_or_default();
        let is_browser: bool = hash(&cookie.into()).ct_eq(&attempt.cookie_hash).into();
        if !is_browser {
            warn!(
                lark.app_id = attempt.app_id.as_str(),
                "a browser tried to finish a login that it did not begin"
            );
            return Err(Error::LoginInvalid(
                "this browser did not begin the login, or its cookie is gone; begin again",
            ));
        }
        self.claim(&attempt, deadline).await?;
        let outcome = match (callback.code, callback.error) {
            (_, Some(error)) => Err(Error::LoginRefused(refusal(error))),
            (Some(code), None) => self.log_in(&attempt, code, deadline).await,
            (None, None) => Err(Error::LoginInvalid("neither a code nor an error came back")),
        };
        if let Err(error) = &outcome {
            warn!(lark.app_id = attempt.app_id.as_str(), error.code = error.code().as_str(), %error, "a login failed");
        }
        Ok(Finished {
            redirect_to: attempt.redirect_to,
            cookie: set_cookie(callback.public_url, id, "", Duration::ZERO),
            outcome,
        })
    }

    /// Ends the login of `open_id`; returns whether there was one.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn end(&self, app_id: &AppId, open_id: &OpenId, deadline: Deadline) -> Result<bool> {
        self.tokens.end_login(app_id, open_id, deadline).await
    }

    async fn log_in(&self, attempt: &Attempt, code: &str, deadline: Deadline) -> Result<LoggedIn> {
        if code.is_empty() || code.len() > MAX_CODE_BYTES {
            return Err(Error::LoginInvalid("the code is empty or too long"));
        }
        let app = self.apps.enabled(&attempt.app_id, deadline).await?;
        let code = SecretString::from(code);
        let grant = Grant::Code {
            code: &code,
            redirect_uri: &attempt.redirect_uri,
            code_verifier: &attempt.code_verifier,
        };
        let pair = self.tokens.exchange_code(&app, &grant, deadline).await;
        let pair = pair.map_err(|failure| failed(&app, failure))?;
        let sender = Sender {
            installation: Installation::without_tenant(app.domain, &app.app_id),
            token: Some(&pair.token.value),
            key_id: None,
        };
        let identity = self.lark.send(sender, &oauth::user_info(), deadline).await;
        let Identity { open_id, name, .. } = identity.map_err(|failure| failed(&app, failure))?;
        let is_renewable = pair.refresh.is_some();
        self.tokens
            .begin_login(&app.app_id, &open_id, pair, deadline)
            .await?;
        info!(
            lark.app_id = app.app_id.as_str(),
            is_renewable, "a user logged in"
        );
        Ok(LoggedIn {
            open_id,
            app_id: app.app_id.clone(),
            name: name.map(|name| name.reveal().to_owned()),
            is_renewable,
        })
    }

    async fn attempt(&self, id: &str, deadline: Deadline) -> Result<Attempt> {
        let record = self.storage.get(Table::Tokens, &key(id), deadline).await?;
        let record = record.filter(|record| record.number(TAKEN_AT).is_none());
        let record = record.ok_or(Error::LoginInvalid(UNKNOWN_STATE))?;
        let corrupt = |name: &str| StoreError::Corrupt {
            table: Table::Tokens.name(),
            key: "login-state".to_owned(),
            detail: name.to_owned(),
        };
        let bytes = |name: &str| record.bytes(name).ok_or_else(|| corrupt(name));
        let text = |name: &str| record.text(name).ok_or_else(|| corrupt(name));
        let sealed = bytes("code_verifier")?;
        let code_verifier = self
            .sealer
            .open(&seal_context(id), sealed, deadline)
            .await?;
        Ok(Attempt {
            id: id.to_owned(),
            version: record.version,
            app_id: AppId::parse(text("app_id")?).ok_or_else(|| corrupt("app_id"))?,
            state_hash: bytes("state_hash")?.to_vec(),
            cookie_hash: bytes("cookie_hash")?.to_vec(),
            code_verifier,
            redirect_uri: text("redirect_uri")?.to_owned(),
            redirect_to: record.text("redirect_to").and_then(|url| url.parse().ok()),
        })
    }

    /// Claims the attempt for this answer. Of two concurrent answers with the same state, one wins.
    ///
    /// The attempt is replaced by a note that it is taken, and not deleted: the store recognizes its own put after a lost
    /// answer, while a deletion that is repeated looks like another's.
    async fn claim(&self, attempt: &Attempt, deadline: Deadline) -> Result<()> {
        let expect = Expect::Version(attempt.version);
        let now = self.clock.now();
        let mut taken = Record::new(key(&attempt.id), attempt.version + 1)
            .with(TAKEN_AT, Value::Number(now.as_millis()));
        taken.expires_at = Some(now + TAKEN);
        match self
            .storage
            .put(Table::Tokens, &taken, expect, deadline)
            .await
        {
            Ok(()) => Ok(()),
            Err(StoreError::Conflict) => Err(Error::LoginInvalid(UNKNOWN_STATE)),
            Err(error) => Err(error.into()),
        }
    }
}

/// What an attempt has once an answer took it: since when, and nothing else.
const TAKEN_AT: &str = "taken_at";

const UNKNOWN_STATE: &str =
    "the login is unknown, was finished before or took more than ten minutes; begin again";

/// The URL that the platform sends the browser back to; it must be registered in the app's security settings.
#[must_use]
pub fn callback(public_url: &Url) -> String {
    format!(
        "{}{CALLBACK_PATH}",
        public_url.as_str().trim_end_matches('/')
    )
}

/// Never the key of a token: an app id has no `#`.
fn key(id: &str) -> Key {
    Key::new(format!("login#{id}"), "state")
}

fn seal_context(id: &str) -> String {
    format!("login-state/{id}")
}

fn hash(secret: &SecretString) -> Vec<u8> {
    digest(&SHA256, secret.expose_secret().as_bytes())
        .as_ref()
        .to_vec()
}

/// 256 random bits as 43 characters.
fn random() -> Result<SecretString> {
    Ok(random_text::<32>()?.into())
}

fn random_text<const N: usize>() -> Result<String> {
    let mut bytes = [0_u8; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| Error::internal("the system has no randomness"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests;
