//! Apps, by either way.

use lark_service::apps::{AppChange, AppDescription, NewApp};
use lark_service::ids::AppId;
use lark_service::tokens::TokenKind;
use lark_service::wiring::Services;
use reqwest::Method;
use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};

use super::{PAGE, Page, Session, actor, remote_page, soon, value, with};
use crate::failure::Failure;
use crate::remote::Repeat;

/// How many tokens of a kind `app show` shows on the store; `token show` has them all.
const SHOWN_TOKENS: usize = 50;
/// How many tokens of a kind the API shows.
const TOLD_TOKENS: usize = 20;

impl Session {
    /// A page of apps.
    pub(crate) async fn apps(&self, after: Option<&str>) -> Result<Page, Failure> {
        match self {
            Self::Http(remote) => remote_page(remote, &["apps"], after, &[]).await,
            Self::Store(services) => {
                let page = services.apps.list(after, PAGE, soon()).await?;
                Page::of(page, |app| value(&AppDescription::of(app)))
            }
        }
    }

    /// An app, with `tokens` and `has_more_tokens`.
    pub(crate) async fn app(&self, app_id: &AppId) -> Result<Value, Failure> {
        match self {
            Self::Http(remote) => {
                let app = remote.get(&["apps", app_id.as_str()], &[]).await?;
                let tokens = app["tokens"].as_array().into_iter().flatten();
                let kinds: Vec<_> = tokens.map(|token| token["kind"].as_str()).collect();
                let is_full = |kind| kinds.iter().filter(|it| *it == kind).count() >= TOLD_TOKENS;
                let has_more = kinds.iter().any(is_full);
                Ok(with(app, "has_more_tokens", has_more))
            }
            Self::Store(services) => {
                let app = services.apps.read(app_id, soon()).await?;
                let (tokens, has_more) = some_tokens(services, app_id).await?;
                let app = with(value(&AppDescription::of(&app))?, "tokens", tokens);
                Ok(with(app, "has_more_tokens", has_more))
            }
        }
    }

    /// A page of an app's changes.
    pub(crate) async fn app_changes(
        &self,
        app_id: &AppId,
        after: Option<&str>,
    ) -> Result<Page, Failure> {
        match self {
            Self::Http(remote) => {
                let path = ["apps", app_id.as_str(), "changes"];
                remote_page(remote, &path, after, &[]).await
            }
            Self::Store(services) => {
                let page = services.apps.changes(app_id, after, PAGE, soon()).await?;
                Page::of(page, value)
            }
        }
    }

    /// Registers an app.
    pub(crate) async fn register_app(&self, new: &NewApp) -> Result<Value, Failure> {
        match self {
            Self::Http(remote) => {
                let NewApp {
                    app_id,
                    name,
                    domain,
                    kind,
                    secret,
                    redirect_targets,
                    login_scopes,
                } = new;
                let body = json!({
                    "app_id": app_id,
                    "name": name,
                    "domain": domain,
                    "kind": kind,
                    "secret": secret.expose_secret(),
                    "redirect_targets": redirect_targets,
                    "login_scopes": login_scopes,
                });
                let post = remote.call(Method::POST, &["apps"]).body(body);
                post.send(Repeat::IfNotSent).await
            }
            Self::Store(services) => {
                let (apps, tokens) = (&services.apps, &services.tokens);
                tokens.register_app(apps, new, &actor(), soon()).await?;
                let app = services.apps.read(&new.app_id, soon()).await?;
                value(&AppDescription::of(&app))
            }
        }
    }

    /// Changes an app.
    pub(crate) async fn change_app(
        &self,
        app_id: &AppId,
        change: &AppChange,
    ) -> Result<Value, Failure> {
        match self {
            Self::Http(remote) => {
                let path = ["apps", app_id.as_str()];
                let patch = remote.call(Method::PATCH, &path).body(change_body(change)?);
                patch.send(Repeat::IfNotSent).await
            }
            Self::Store(services) => {
                let actor = actor();
                let app = services.apps.change(app_id, change, &actor, soon()).await?;
                value(&AppDescription::of(&app))
            }
        }
    }
}

/// What of `change` is given, as the API has it.
fn change_body(change: &AppChange) -> Result<Value, Failure> {
    let AppChange {
        name,
        domain,
        status,
        secret,
        previous_secret_ttl,
        redirect_targets,
        login_scopes,
    } = change;
    let secret = secret.as_ref().map(|secret| secret.expose_secret());
    let given = [
        ("name", value(name)?),
        ("domain", value(domain)?),
        ("status", value(status)?),
        ("secret", value(&secret)?),
        (
            "previous_secret_seconds",
            value(&previous_secret_ttl.map(|ttl| ttl.as_secs()))?,
        ),
        ("redirect_targets", value(redirect_targets)?),
        ("login_scopes", value(login_scopes)?),
    ];
    let given = given.into_iter().filter(|(_, value)| !value.is_null());
    let given = given.map(|(name, value)| (name.to_owned(), value));
    Ok(Value::Object(given.collect::<Map<_, _>>()))
}

/// Some tokens of each kind, and whether there are more.
async fn some_tokens(services: &Services, app_id: &AppId) -> Result<(Vec<Value>, bool), Failure> {
    let (mut infos, mut has_more) = (Vec::new(), false);
    for kind in TokenKind::ALL {
        let page = services
            .tokens
            .list(app_id, kind, None, SHOWN_TOKENS, soon());
        let page = page.await?;
        for info in &page.items {
            infos.push(value(info)?);
        }
        has_more |= page.next_page_token.is_some();
    }
    Ok((infos, has_more))
}
