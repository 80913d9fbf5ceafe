//! Logins of users at a browser: begun, finished, ended.
//!
//! What is begun is bound to the browser by a cookie that nobody else has, and to the one attempt by a state that works
//! once within ten minutes. So neither a forged nor a replayed nor a foreign answer of the log-in page is taken: whoever
//! sends somebody a link to the end of their own login gets nowhere (RFC 9700, section 4.7). PKCE (RFC 7636) binds the code
//! to the attempt at the platform too.

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

use crate::apps::{App, Apps};
use crate::clock::Clock;
use crate::deadline::Deadline;
use crate::error::{Error, FieldError, Result};
use crate::ids::{AppId, OpenId, is_identifier};
use crate::lark::oauth::{Grant, Identity, LoginRequest};
use crate::lark::{FailureKind, LarkClient, LarkFailure};
use crate::seal::Sealer;
use crate::store::{Expect, Key, Record, Storage, StoreError, Table, Value};
use crate::tokens::{OFFLINE_ACCESS, TokenService};

/// How long a login may take.
pub const LIFE: Duration = Duration::from_secs(600);
/// Where the platform sends the browser back to, under the service's address.
pub const CALLBACK_PATH: &str = "/v1/oauth/callback";
/// The most scopes that the platform lets a login ask for ("Obtain OAuth code").
const MAX_SCOPES: usize = 50;
/// The length of an attempt's id.
const ID_BYTES: usize = 16;
/// The parameters that tell a redirect target how the login ended.
const TOLD: [&str; 3] = ["login", "open_id", "code"];
/// The longest code that is passed on; the platform's have about 64 characters.
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

/// What a login is asked for.
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
    /// What binds the login to the browser: the value of `Set-Cookie`.
    pub cookie: String,
}

/// What the platform sent the browser back with.
#[derive(Clone, Debug)]
pub struct Callback<'c> {
    /// What [`Logins::start`] gave the log-in page.
    pub state: Option<&'c str>,
    /// The code, if the user consented.
    pub code: Option<&'c str>,
    /// Why not, if they did not: `access_denied`.
    pub error: Option<&'c str>,
    /// The address of this service as browsers see it.
    pub public_url: &'c Url,
}

/// How a login ended that was this browser's own.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Where the browser wants to go.
    pub redirect_to: Option<Url>,
    /// Removes the cookie: the value of `Set-Cookie`.
    pub cookie: String,
    /// Who logged in, or why nobody did.
    pub outcome: Result<LoggedIn>,
}

/// Who logged in.
#[derive(Clone, Debug)]
pub struct LoggedIn {
    /// The user for the app.
    pub open_id: OpenId,
    /// The app.
    pub app_id: AppId,
    /// How the user is called.
    pub name: Option<String>,
    /// Whether the login can be renewed without the user: `offline_access` was granted.
    pub is_renewable: bool,
}

/// An attempt that is under way, as it is kept.
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
    /// Logins over these.
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
    /// [`Error::AppNotFound`], [`Error::AppDisabled`], [`Error::InvalidArgument`] naming `scope` or `redirect_to`,
    /// [`Error::Store`], [`Error::Seal`].
    pub async fn start(&self, start: &LoginStart<'_>, deadline: Deadline) -> Result<Started> {
        let app = self.apps.enabled(start.app_id, deadline).await?;
        let scope = scope(start.scope)?;
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
        let request = LoginRequest {
            app_id: &app.app_id,
            redirect_uri: &redirect_uri,
            scope: &scope,
            state: &state,
            code_challenge: &URL_SAFE_NO_PAD.encode(hash(&code_verifier)),
        };
        info!(lark.app_id = app.app_id.as_str(), "a login was begun");
        Ok(Started {
            location: self.lark.login_page(app.domain, &request),
            cookie: set_cookie(start.public_url, &id, cookie.expose_secret(), LIFE),
        })
    }

    /// Finishes the login that `callback` belongs to. `cookie` gives the browser's cookies by name.
    ///
    /// # Errors
    /// [`Error::LoginInvalid`] when this is not the end of a login that this browser began, is over or was finished before:
    /// nothing has happened then. [`Error::Store`], [`Error::Seal`]. What goes wrong later is part of the answer.
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
                "a login was to be finished in another browser than it was begun in"
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

    /// Ends the login of `open_id`; says whether there was one.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn end(&self, app_id: &AppId, open_id: &OpenId, deadline: Deadline) -> Result<bool> {
        self.tokens.end_login(app_id, open_id, deadline).await
    }

    async fn log_in(&self, attempt: &Attempt, code: &str, deadline: Deadline) -> Result<LoggedIn> {
        if code.is_empty() || code.len() > MAX_CODE_BYTES {
            return Err(Error::LoginInvalid("the code is none of the platform's"));
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
        let identity = self
            .lark
            .fetch_identity(app.domain, &pair.token.value, deadline)
            .await;
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

    /// Takes the attempt for this one answer. Of two that come with the same one, one gets it.
    async fn claim(&self, attempt: &Attempt, deadline: Deadline) -> Result<()> {
        let expect = Expect::Version(attempt.version);
        match self
            .storage
            .delete(Table::Tokens, &key(&attempt.id), expect, deadline)
            .await
        {
            Ok(()) => Ok(()),
            Err(StoreError::Conflict) => Err(Error::LoginInvalid(UNKNOWN_STATE)),
            Err(error) => Err(error.into()),
        }
    }
}

const UNKNOWN_STATE: &str =
    "the login is unknown, was finished before or took more than ten minutes; begin again";

/// Where the platform sends the browser back to; it must be registered in the app's security settings.
#[must_use]
pub fn callback(public_url: &Url) -> String {
    format!(
        "{}{CALLBACK_PATH}",
        public_url.as_str().trim_end_matches('/')
    )
}

/// What the platform said of the code or the user.
fn failed(app: &App, failure: LarkFailure) -> Error {
    let retry_after = failure.retry_after.unwrap_or(Duration::from_secs(1));
    match failure.kind {
        FailureKind::GrantVoid | FailureKind::TokenInvalid => {
            Error::LoginRefused(format!("Lark says {failure}"))
        }
        FailureKind::AppRefused => Error::AppRefused {
            app_id: app.app_id.clone(),
            failure: Box::new(failure),
            retry_after,
        },
        FailureKind::RateLimited => Error::RateLimited {
            retry_after,
            failure: Some(Box::new(failure)),
        },
        FailureKind::Unavailable | FailureKind::Timeout => Error::LarkUnavailable {
            failure: Box::new(failure),
            retry_after,
        },
        FailureKind::NotFound
        | FailureKind::Forbidden
        | FailureKind::TicketMissing
        | FailureKind::Invalid
        | FailureKind::Rejected => Error::LarkRejected(Box::new(failure)),
    }
}

/// The platform's word for a refusal, if it is one that can be shown.
fn refusal(error: &str) -> String {
    if error == "access_denied" {
        return "the user did not consent".to_owned();
    }
    let shown = if is_identifier(error, 64) {
        error
    } else {
        "an unknown reason"
    };
    format!("the log-in page says {shown}")
}

/// The scopes to ask for. Without `offline_access` the login would end with its first token.
fn scope(asked: Option<&str>) -> Result<String> {
    let mut scopes: Vec<_> = asked.unwrap_or_default().split_ascii_whitespace().collect();
    scopes.push(OFFLINE_ACCESS);
    scopes.sort_unstable();
    scopes.dedup();
    let is_scope = |scope: &&str| {
        scope.len() <= 128
            && scope
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b":._-".contains(&byte))
    };
    if scopes.len() > MAX_SCOPES || !scopes.iter().all(is_scope) {
        return Err(Error::InvalidArgument(vec![FieldError {
            field: "scope".to_owned(),
            message:
                "must be up to 49 scopes such as contact:user.base:readonly, separated by spaces"
                    .to_owned(),
        }]));
    }
    Ok(scopes.join(" "))
}

/// `target`, if it is one of the app's redirect targets or below one.
fn allowed_target(app: &App, target: &str) -> Result<Url> {
    let wrong = || {
        Error::invalid(
            "redirect_to",
            "must be one of the app's redirect_targets, or an address below one",
        )
    };
    let url = Url::parse(target).map_err(|_| wrong())?;
    let is_plain = url.username().is_empty() && url.password().is_none();
    // Ours are added later; with two of a name, a failed login could be read as a good one.
    if url
        .query_pairs()
        .any(|(name, _)| TOLD.contains(&name.as_ref()))
    {
        return Err(Error::invalid(
            "redirect_to",
            "must not have a parameter login, open_id or code",
        ));
    }
    let is_allowed = app
        .redirect_targets
        .iter()
        .filter_map(|allowed| Url::parse(allowed).ok())
        .any(|allowed| is_below(&url, &allowed));
    if is_plain && is_allowed {
        Ok(url)
    } else {
        Err(wrong())
    }
}

/// Whether `url` has the origin of `allowed` and its path, or one below it.
fn is_below(url: &Url, allowed: &Url) -> bool {
    let base = allowed.path().trim_end_matches('/');
    let rest = url.path().strip_prefix(base);
    url.scheme() == allowed.scheme()
        && url.host_str() == allowed.host_str()
        && url.port_or_known_default() == allowed.port_or_known_default()
        && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        && (base.is_empty() || !rest.is_some_and(may_climb))
}

/// Whether a server that decodes or cleans the path in its own way could be led out of the folder: by `..%2f` or `..;/`.
/// What browsers see as `..` is resolved already.
fn may_climb(path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    ["..", "%2e", "%2f", "%5c", "%25"]
        .iter()
        .any(|part| path.contains(part))
}

/// The id and the secret in what came back.
fn state_parts(state: Option<&str>) -> Result<(&str, &str)> {
    let parts = state.and_then(|state| state.split_once('.'));
    parts
        .filter(|(id, secret)| {
            id.len() == ID_BYTES && is_identifier(id, ID_BYTES) && is_identifier(secret, 64)
        })
        .ok_or(Error::LoginInvalid(UNKNOWN_STATE))
}

/// A name for each attempt, so that logins in two tabs do not get in each other's way. Over HTTPS the prefix keeps
/// neighbouring hosts from setting it (RFC 6265bis).
fn cookie_name(public_url: &Url, id: &str) -> String {
    let prefix = if is_https(public_url) { "__Host-" } else { "" };
    format!("{prefix}lark-login-{id}")
}

fn set_cookie(public_url: &Url, id: &str, value: &str, life: Duration) -> String {
    let secure = if is_https(public_url) { "; Secure" } else { "" };
    format!(
        "{}={value}; Path=/; Max-Age={}; HttpOnly; SameSite=Lax{secure}",
        cookie_name(public_url, id),
        life.as_secs()
    )
}

fn is_https(url: &Url) -> bool {
    url.scheme() == "https"
}

/// Apart from every token: an app id has no `#`.
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
mod tests {
    use super::*;

    fn below(url: &str, allowed: &str) -> bool {
        is_below(&Url::parse(url).unwrap(), &Url::parse(allowed).unwrap())
    }

    #[test]
    fn a_target_is_allowed_with_everything_below_it_and_nothing_beside_it() {
        let allowed = "https://portal.example/done";
        for right in [
            "https://portal.example/done",
            "https://portal.example:443/done/?a=b",
            "https://portal.example/done/deep#x",
        ] {
            assert!(below(right, allowed), "{right}");
        }
        for wrong in [
            "http://portal.example/done",
            "https://portal.example:8443/done",
            "https://portal.example.evil.example/done",
            "https://evil.example/done",
            "https://portal.example/donee",
            "https://portal.example/",
            "https://portal.example/done/../other",
            "https://portal.example/done/%2e%2e/other",
            "https://portal.example\\.evil.example/done",
            "https://portal.example/done/..%2fother",
            "https://portal.example/done/%2E%2e%5Cother",
            "https://portal.example/done/..;/other",
            "https://portal.example/done/%252e%252e%252fother",
        ] {
            assert!(!below(wrong, allowed), "{wrong}");
        }
        assert!(below(
            "https://portal.example/any%2fwhere",
            "https://portal.example"
        ));
    }

    #[test]
    fn offline_access_is_always_asked_for_and_once() {
        assert_eq!(scope(None).unwrap(), "offline_access");
        assert_eq!(
            scope(Some("offline_access  contact:user.base:readonly")).unwrap(),
            "contact:user.base:readonly offline_access"
        );
        assert!(scope(Some("a\"b")).is_err());
        let many: Vec<_> = (0..50).map(|n| format!("s{n}")).collect();
        assert!(scope(Some(&many.join(" "))).is_err());
    }

    #[test]
    fn over_https_the_cookie_is_bound_to_the_host() {
        let secure = Url::parse("https://api.example").unwrap();
        let cookie = set_cookie(&secure, "abc", "v", LIFE);
        assert_eq!(
            cookie,
            "__Host-lark-login-abc=v; Path=/; Max-Age=600; HttpOnly; SameSite=Lax; Secure"
        );
        let local = Url::parse("http://127.0.0.1:9000").unwrap();
        assert!(!set_cookie(&local, "abc", "v", LIFE).contains("Secure"));
    }
}
