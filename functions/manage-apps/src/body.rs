//! What goes in and out.

use std::sync::Arc;
use std::time::Duration;

use lark_service::apps::{App, AppChange, AppKind, AppStatus, NewApp};
use lark_service::deadline::Deadline;
use lark_service::error::{Error, Result};
use lark_service::ids::AppId;
use lark_service::lark::Domain;
use lark_service::tokens::{TokenInfo, TokenKind, TokenService};
use secrecy::SecretString;
use serde::{Deserialize, Deserializer, Serialize};

/// The longest time that a secret before may count: 30 days.
const MAX_PREVIOUS_SECONDS: f64 = 30.0 * 24.0 * 3_600.0;
/// How many of an app's tokens are shown; a marketplace app may have thousands.
const SHOWN_TOKENS: usize = 20;

/// `POST /v1/apps`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateBody {
    app_id: String,
    secret: SecretString,
    #[serde(default)]
    name: String,
    #[serde(default)]
    domain: Domain,
    #[serde(default)]
    kind: AppKind,
    #[serde(default)]
    redirect_targets: Vec<String>,
}

impl CreateBody {
    pub(crate) fn read(self) -> Result<NewApp> {
        let app_id = AppId::parse(&self.app_id).ok_or_else(|| {
            Error::invalid("app_id", "must be 1 to 64 letters, digits, `_` or `-`")
        })?;
        Ok(NewApp {
            name: self.name,
            domain: self.domain,
            kind: self.kind,
            redirect_targets: self.redirect_targets,
            ..NewApp::new(app_id, self.secret)
        })
    }
}

/// `PATCH /v1/apps/{app_id}`: what is absent stays; `null` is wrong.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeBody {
    #[serde(default, deserialize_with = "given")]
    name: Option<String>,
    #[serde(default, deserialize_with = "given")]
    domain: Option<Domain>,
    #[serde(default, deserialize_with = "given")]
    status: Option<AppStatus>,
    #[serde(default, deserialize_with = "given")]
    secret: Option<SecretString>,
    #[serde(default, deserialize_with = "given")]
    previous_secret_seconds: Option<f64>,
    #[serde(default, deserialize_with = "given")]
    redirect_targets: Option<Vec<String>>,
}

impl ChangeBody {
    pub(crate) fn read(self) -> Result<AppChange> {
        let seconds = self.previous_secret_seconds;
        if seconds.is_some_and(|seconds| !(0.0..=MAX_PREVIOUS_SECONDS).contains(&seconds)) {
            return Err(Error::invalid(
                "previous_secret_seconds",
                "must be from 0 to 2592000, thirty days",
            ));
        }
        let change = AppChange {
            name: self.name,
            domain: self.domain,
            status: self.status,
            secret: self.secret,
            previous_secret_ttl: seconds.map(Duration::from_secs_f64),
            redirect_targets: self.redirect_targets,
        };
        if change.is_empty() {
            return Err(Error::invalid(
                "body",
                "must have at least one of name, domain, status, secret, previous_secret_seconds and redirect_targets",
            ));
        }
        Ok(change)
    }
}

/// Tells an explicit `null` from an absent field: it must be a `T` like any other value.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// An app, without its secret.
#[derive(Serialize)]
pub(crate) struct AppAnswer<'a> {
    app_id: &'a str,
    name: &'a str,
    domain: Domain,
    kind: AppKind,
    status: AppStatus,
    /// Always `********`: secrets go in and never out.
    secret: &'static str,
    /// Tells secrets apart.
    secret_fingerprint: &'a str,
    /// Until when the secret before counts; absent when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_secret_until: Option<String>,
    redirect_targets: &'a [String],
    /// RFC 3339.
    created_at: String,
    /// RFC 3339.
    changed_at: String,
    version: u64,
}

impl<'a> AppAnswer<'a> {
    pub(crate) fn of(app: &'a App) -> Self {
        let previous = app.secrets.previous.as_ref();
        Self {
            app_id: app.app_id.as_str(),
            name: &app.name,
            domain: app.domain,
            kind: app.kind,
            status: app.status,
            secret: "********",
            secret_fingerprint: app.secrets.current.fingerprint.as_str(),
            previous_secret_until: previous.map(|(_, until)| until.to_string()),
            redirect_targets: &app.redirect_targets,
            created_at: app.created_at.to_string(),
            changed_at: app.changed_at.to_string(),
            version: app.version,
        }
    }
}

/// An app and how its own tokens stand.
#[derive(Serialize)]
pub(crate) struct AppDetails<'a> {
    #[serde(flatten)]
    app: AppAnswer<'a>,
    tokens: Vec<TokenInfo>,
}

impl<'a> AppDetails<'a> {
    pub(crate) async fn of(
        app: &'a App,
        tokens: &TokenService,
        deadline: Deadline,
    ) -> Result<Self> {
        let mut shown = Vec::new();
        for kind in [TokenKind::App, TokenKind::Tenant] {
            let page = tokens
                .list(&app.app_id, Some(kind), None, SHOWN_TOKENS, deadline)
                .await?;
            shown.extend(page.items);
        }
        Ok(Self {
            app: AppAnswer::of(app),
            tokens: shown,
        })
    }
}

/// A page of apps.
#[derive(Serialize)]
pub(crate) struct AppList<'a> {
    items: Vec<AppAnswer<'a>>,
    next_page_token: Option<String>,
}

impl<'a> AppList<'a> {
    pub(crate) fn of(apps: &'a [Arc<App>], next_page_token: Option<String>) -> Self {
        Self {
            items: apps.iter().map(|app| AppAnswer::of(app)).collect(),
            next_page_token,
        }
    }
}
