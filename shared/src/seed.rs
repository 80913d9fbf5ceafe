//! The first apps and API keys, from a document: what a new installation needs before it can serve requests. Repeating a seed
//! changes only what differs.

use std::collections::BTreeSet;

use futures_util::{StreamExt, stream};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::api_keys::{
    AllowedApps, AllowedTenants, ApiKey, ApiKeys, Authority, GivenRateLimit, NewApiKey, Scope,
};
use crate::apps::{App, AppChange, AppKind, Apps, NewApp};
use crate::changes::Actor;
use crate::deadline::Deadline;
use crate::error::{Error, FieldError, Result};
use crate::ids::AppId;
use crate::lark::Domain;
use crate::tokens::TokenService;

/// How many apps are written concurrently.
const CONCURRENCY: usize = 32;

/// Apps and API keys.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seed {
    /// The apps.
    #[serde(default)]
    apps: Vec<SeedApp>,
    /// The API keys.
    #[serde(default)]
    api_keys: Vec<SeedApiKey>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SeedApp {
    app_id: String,
    secret: SecretString,
    #[serde(default)]
    domain: Domain,
    #[serde(default)]
    kind: AppKind,
    #[serde(default)]
    name: String,
    #[serde(default)]
    redirect_targets: Vec<String>,
    #[serde(default)]
    login_scopes: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SeedApiKey {
    token: SecretString,
    scopes: Vec<String>,
    apps: Vec<String>,
    #[serde(default)]
    tenants: Option<Vec<String>>,
    /// Null: none.
    #[serde(default = "GivenRateLimit::by_default")]
    rate_limit: Option<GivenRateLimit>,
}

/// What a seed changed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Seeded {
    /// Apps that were not registered or had another secret.
    pub apps: usize,
    /// API keys that did not exist.
    pub api_keys: usize,
}

impl Seed {
    /// Reads a seed document: `{"apps": [{"app_id", "secret", "domain": "feishu" | "lark", "kind": "internal" | "marketplace",
    /// "name", "redirect_targets": […], "login_scopes": […]}], "api_keys": [{"token", "scopes": […], "apps": ["*"] or app ids,
    /// "tenants": ["*"] or tenant keys, "rate_limit": {"limit", "window_seconds"} or null}]}`; an app needs only id and secret, a
    /// key only token, scopes and apps.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] naming the place; never with the value, which may be a secret.
    pub fn parse(json: &str) -> Result<Self> {
        serde_json::from_str(json).map_err(|error| {
            let place = format!("line {} column {}", error.line(), error.column());
            Error::invalid(place, "is not as expected: apps need app_id and secret; api_keys need token, scopes and apps")
        })
    }

    /// Writes what is missing or differs. The tokens of new apps become due, so that the next scheduled run fetches them.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] naming the field, before anything is written; [`Error::Store`], [`Error::Seal`].
    pub async fn apply(
        &self,
        apps: &Apps,
        api_keys: &ApiKeys,
        tokens: &TokenService,
        deadline: Deadline,
    ) -> Result<Seeded> {
        let new_apps = collected(
            self.apps
                .iter()
                .enumerate()
                .map(|(index, app)| app.read(index)),
        )?;
        let new_keys = collected(
            self.api_keys
                .iter()
                .enumerate()
                .map(|(index, key)| key.read(index)),
        )?;
        let mut seeded = Seeded::default();
        let mut written = stream::iter(&new_apps)
            .map(|app| seed_app(app, apps, tokens, deadline))
            .buffer_unordered(CONCURRENCY);
        while let Some(changed) = written.next().await {
            seeded.apps += usize::from(changed?);
        }
        let authority = Authority::Operator(Actor::seed());
        for key in &new_keys {
            match api_keys.add(key, &authority, deadline).await {
                Ok(()) => seeded.api_keys += 1,
                Err(Error::AlreadyExists(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(seeded)
    }
}

async fn seed_app(
    new: &NewApp,
    apps: &Apps,
    tokens: &TokenService,
    deadline: Deadline,
) -> Result<bool> {
    match tokens
        .register_app(apps, new, &Actor::seed(), deadline)
        .await
    {
        Ok(()) => return Ok(true),
        Err(Error::AlreadyExists(_)) => {
            let known = apps.read(&new.app_id, deadline).await?;
            let change = difference(&known, new);
            if change.is_empty() {
                return Ok(false);
            }
            apps.change(&new.app_id, &change, &Actor::seed(), deadline)
                .await?;
        }
        Err(error) => return Err(error),
    }
    tokens.make_first_due(new, deadline).await?;
    Ok(true)
}

/// The change that makes `known` match the document.
fn difference(known: &App, new: &NewApp) -> AppChange {
    let current = known.secrets.current.value.expose_secret();
    AppChange {
        secret: (current != new.secret.expose_secret()).then(|| new.secret.clone()),
        domain: (known.domain != new.domain).then_some(new.domain),
        name: differs(&known.name, &new.name, new.name.is_empty()),
        redirect_targets: differs(
            &known.redirect_targets,
            &new.redirect_targets,
            new.redirect_targets.is_empty(),
        ),
        login_scopes: differs(
            &known.login_scopes,
            &new.login_scopes,
            new.login_scopes.is_empty(),
        ),
        status: None,
        previous_secret_ttl: None,
    }
}

/// The document's value, if it differs from the known one. What the document leaves out stays.
fn differs<T: Clone + PartialEq>(known: &T, said: &T, is_left_out: bool) -> Option<T> {
    (!is_left_out && known != said).then(|| said.clone())
}

/// All values, or all errors.
fn collected<T>(read: impl Iterator<Item = std::result::Result<T, FieldError>>) -> Result<Vec<T>> {
    let (mut right, mut wrong) = (Vec::new(), Vec::new());
    for outcome in read {
        match outcome {
            Ok(value) => right.push(value),
            Err(error) => wrong.push(error),
        }
    }
    if wrong.is_empty() {
        Ok(right)
    } else {
        Err(Error::InvalidArgument(wrong))
    }
}

impl SeedApp {
    fn read(&self, index: usize) -> std::result::Result<NewApp, FieldError> {
        let app_id = AppId::parse(&self.app_id).ok_or_else(|| FieldError {
            field: format!("apps[{index}].app_id"),
            message: "must be 1 to 64 letters, digits, `_` or `-`".to_owned(),
        })?;
        if self.secret.expose_secret().is_empty() {
            return Err(FieldError {
                field: format!("apps[{index}].secret"),
                message: "must not be empty".to_owned(),
            });
        }
        Ok(NewApp {
            app_id,
            secret: self.secret.clone(),
            domain: self.domain,
            kind: self.kind,
            name: self.name.clone(),
            redirect_targets: self.redirect_targets.clone(),
            login_scopes: self.login_scopes.clone(),
        })
    }
}

impl SeedApiKey {
    fn read(&self, index: usize) -> std::result::Result<NewApiKey, FieldError> {
        let wrong = |field: &str, message: String| FieldError {
            field: format!("api_keys[{index}].{field}"),
            message,
        };
        let key = ApiKey::parse(self.token.expose_secret()).ok_or_else(|| {
            wrong(
                "token",
                "must be `lsk_`, 12 letters or digits, `_` and 43 base64url characters".to_owned(),
            )
        })?;
        let scopes = self.scopes.iter().map(|scope| scope.parse::<Scope>());
        let scopes = scopes.collect::<std::result::Result<BTreeSet<_>, _>>();
        let scopes = scopes.map_err(|error| wrong("scopes", error.to_string()))?;
        let apps = AllowedApps::parse(&self.apps.join(" "));
        let tenants = self.tenants.as_ref();
        let tenants = tenants.map_or(AllowedTenants::All, |it| {
            AllowedTenants::parse(&it.join(" "))
        });
        let limit = self.rate_limit.map(|given| {
            let checked = given.check();
            checked.map_err(|right| wrong("rate_limit", right.to_owned()))
        });
        Ok(NewApiKey {
            key,
            name: String::new(),
            scopes,
            apps,
            tenants,
            rate_limit: limit.transpose()?,
            expires_at: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_seed_is_refused_without_showing_a_secret() {
        let error = Seed::parse(r#"{"apps":[{"app_id":"cli_a","secret":"hunter2","colour":1}]}"#)
            .unwrap_err();
        assert!(!format!("{error:?}").contains("hunter2"));
        let seed = Seed::parse(r#"{"apps":[{"app_id":"a b","secret":"hunter2"}]}"#).unwrap();
        assert_eq!(seed.apps[0].read(0).unwrap_err().field, "apps[0].app_id");
        let seed =
            Seed::parse(r#"{"api_keys":[{"token":"lsk_1","scopes":[],"apps":["*"]}]}"#).unwrap();
        assert_eq!(
            seed.api_keys[0].read(0).unwrap_err().field,
            "api_keys[0].token"
        );
    }
}
