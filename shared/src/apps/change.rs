//! An operator's change to an app: its checks, and its effect on the record. Pure.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::{AppKind, AppStatus};
use crate::changes::{self, Actor};
use crate::clock::Timestamp;
use crate::error::{Error, FieldError, Result};
use crate::ids::AppId;
use crate::lark::Domain;
use crate::store::{Record, Value};

/// How long the previous secret stays valid by default.
const PREVIOUS_SECRET: Duration = Duration::from_secs(24 * 3_600);
/// The most redirect targets of an app.
const MAX_REDIRECT_TARGETS: usize = 20;
/// The most scopes that the platform lets a login ask for is 50 ("Obtain OAuth code"); `offline_access` is one of them.
pub const MAX_LOGIN_SCOPES: usize = 49;
/// The longest scope.
const MAX_SCOPE_BYTES: usize = 128;
/// The longest name and the longest address.
const MAX_TEXT_BYTES: usize = 256;
/// The longest secret; the platform's have 32 characters.
const MAX_SECRET_BYTES: usize = 256;

/// A new app, as an operator registers it.
#[derive(Clone, Debug)]
pub struct NewApp {
    /// Its id.
    pub app_id: AppId,
    /// Its display name.
    pub name: String,
    /// The platform it lives on.
    pub domain: Domain,
    /// How it gets into its tenants.
    pub kind: AppKind,
    /// Its secret.
    pub secret: SecretString,
    /// See [`super::App::redirect_targets`].
    pub redirect_targets: Vec<String>,
    /// See [`super::App::login_scopes`].
    pub login_scopes: Vec<String>,
}

impl NewApp {
    /// An internal app on Feishu with only its secret.
    #[must_use]
    pub fn new(app_id: AppId, secret: SecretString) -> Self {
        Self {
            app_id,
            name: String::new(),
            domain: Domain::default(),
            kind: AppKind::default(),
            secret,
            redirect_targets: Vec::new(),
            login_scopes: Vec::new(),
        }
    }

    /// Passes if an app can be registered so.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] naming each field that is wrong.
    pub fn check(&self) -> Result<()> {
        check(&[
            name_problem(&self.name),
            secret_problem(&self.secret),
            targets_problem(&self.redirect_targets),
            scopes_problem(&self.login_scopes),
        ])
    }
}

/// A change to an app; fields that are `None` stay as they are.
#[derive(Clone, Debug, Default)]
pub struct AppChange {
    /// Its display name.
    pub name: Option<String>,
    /// The platform it lives on.
    pub domain: Option<Domain>,
    /// Whether it may be used.
    pub status: Option<AppStatus>,
    /// A new secret; the current one becomes the previous one.
    pub secret: Option<SecretString>,
    /// How long the previous secret stays valid from now on; zero: not at all. With a new secret the default is a day.
    pub previous_secret_ttl: Option<Duration>,
    /// See [`super::App::redirect_targets`].
    pub redirect_targets: Option<Vec<String>>,
    /// See [`super::App::login_scopes`].
    pub login_scopes: Option<Vec<String>>,
}

impl AppChange {
    /// Whether it changes nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        matches!(
            self,
            Self {
                name: None,
                domain: None,
                status: None,
                secret: None,
                previous_secret_ttl: None,
                redirect_targets: None,
                login_scopes: None,
            }
        )
    }
}

/// `record` after `change`, or `None` if that changes nothing. `sealed` is the new secret, `None` if there is none or it is the
/// current one already.
pub(super) fn changed(
    mut record: Record,
    change: &AppChange,
    sealed: Option<Vec<u8>>,
    actor: &Actor,
    now: Timestamp,
) -> Option<Record> {
    // Every field, so that the compiler asks for a new one here.
    let AppChange {
        name,
        domain,
        status,
        secret,
        previous_secret_ttl,
        redirect_targets,
        login_scopes,
    } = change;
    let (mut fields, mut action) = (Vec::new(), "changed");
    if let Some(name) = name {
        record = record.with("name", Value::Text(name.clone()));
        fields.push("name");
    }
    if let Some(domain) = domain {
        record = record.with("domain", Value::Text(domain.as_str().to_owned()));
        fields.push("domain");
    }
    if let Some(targets) = redirect_targets {
        record = record.with("redirect_targets", Value::Text(targets.join(" ")));
        fields.push("redirect_targets");
    }
    if let Some(scopes) = login_scopes {
        record = record.with("login_scopes", Value::Text(scopes.join(" ")));
        fields.push("login_scopes");
    }
    if let Some(status) = status {
        record = record.with("status", Value::Text(status.as_str().to_owned()));
        fields.push("status");
        action = status.as_str();
    }
    let mut previous_ttl = *previous_secret_ttl;
    if let Some(sealed) = sealed {
        if let Some(current) = record
            .attributes
            .insert("secret".to_owned(), Value::Bytes(sealed))
        {
            record = record.with("previous_secret", current);
        }
        previous_ttl = Some(previous_ttl.unwrap_or(PREVIOUS_SECRET));
        fields.push("secret");
        action = "secret_rotated";
    }
    if let Some(ttl) = previous_ttl {
        fields.push("previous_secret");
        if ttl.is_zero() {
            record.attributes.remove("previous_secret");
            record.attributes.remove("previous_secret_until");
            if secret.is_none() {
                action = "previous_secret_dropped";
            }
        } else {
            let until = (now + ttl).as_millis();
            record = record.with("previous_secret_until", Value::Number(until));
        }
    }
    (!fields.is_empty()).then(|| changes::stamped(record, actor, action, &fields, now))
}

pub(super) fn check(problems: &[Option<FieldError>]) -> Result<()> {
    let problems: Vec<_> = problems.iter().flatten().cloned().collect();
    if problems.is_empty() {
        Ok(())
    } else {
        Err(Error::InvalidArgument(problems))
    }
}

fn problem(field: &str, message: impl Into<String>) -> FieldError {
    FieldError {
        field: field.to_owned(),
        message: message.into(),
    }
}

pub(super) fn name_problem(name: &str) -> Option<FieldError> {
    let is_wrong = name.len() > MAX_TEXT_BYTES || name.chars().any(char::is_control);
    is_wrong.then(|| problem("name", "must be up to 256 bytes of text on one line"))
}

pub(super) fn secret_problem(secret: &SecretString) -> Option<FieldError> {
    let secret = secret.expose_secret();
    let is_wrong = secret.is_empty()
        || secret.len() > MAX_SECRET_BYTES
        || !secret.bytes().all(|byte| byte.is_ascii_graphic());
    is_wrong.then(|| problem("secret", "must be 1 to 256 visible ASCII characters"))
}

pub(super) fn targets_problem(targets: &[String]) -> Option<FieldError> {
    if targets.len() > MAX_REDIRECT_TARGETS {
        return Some(problem("redirect_targets", "must be 20 addresses at most"));
    }
    let position = targets.iter().position(|target| !is_target(target))?;
    Some(problem(
        &format!("redirect_targets[{position}]"),
        "must be an https address such as https://portal.example or https://portal.example/done, without user, query and \
         fragment; http only for 127.0.0.1 and localhost",
    ))
}

pub(super) fn scopes_problem(scopes: &[String]) -> Option<FieldError> {
    if scopes.len() > MAX_LOGIN_SCOPES {
        return Some(problem("login_scopes", "must be 49 scopes at most"));
    }
    let position = scopes.iter().position(|scope| !is_login_scope(scope))?;
    Some(problem(
        &format!("login_scopes[{position}]"),
        "must be a scope of the platform such as contact:user.base:readonly",
    ))
}

/// Whether `scope` has the form of the platform's scopes.
#[must_use]
pub fn is_login_scope(scope: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b":._-".contains(&byte);
    (1..=MAX_SCOPE_BYTES).contains(&scope.len()) && scope.bytes().all(is_plain)
}

fn is_target(target: &str) -> bool {
    let Ok(url) = url::Url::parse(target) else {
        return false;
    };
    let is_local = matches!(url.host_str(), Some("127.0.0.1" | "localhost"));
    target.len() <= MAX_TEXT_BYTES
        && (url.scheme() == "https" || url.scheme() == "http" && is_local)
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
        && !target.contains(char::is_whitespace)
        && !target.contains([';', '\\'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_of_a_login_has_the_form_of_the_platforms() {
        let scopes = |scopes: &[&str]| {
            let scopes: Vec<_> = scopes.iter().map(|scope| (*scope).to_owned()).collect();
            scopes_problem(&scopes).map(|problem| problem.field)
        };
        assert_eq!(scopes(&["contact:user.base:readonly", "im:message"]), None);
        for wrong in ["", "a b", "a\n", "a&b", "é", &"x".repeat(129)] {
            let named = scopes(&["im:message", wrong]);
            assert_eq!(named.as_deref(), Some("login_scopes[1]"), "{wrong}");
        }
        assert_eq!(scopes(&["a"; 50]).as_deref(), Some("login_scopes"));
    }

    #[test]
    fn a_redirect_target_is_an_https_address_or_a_local_one() {
        for right in [
            "https://portal.example",
            "https://portal.example:8443/done/",
            "http://127.0.0.1:3000",
            "http://localhost/x",
        ] {
            assert!(is_target(right), "{right}");
        }
        for wrong in [
            "",
            "portal.example",
            "http://portal.example",
            "javascript:alert(1)",
            "https://a@portal.example",
            "https://portal.example/?x=1",
            "https://portal.example/#x",
            "https://portal .example",
            "https://portal.example/a;b",
        ] {
            assert!(!is_target(wrong), "{wrong}");
        }
    }
}
