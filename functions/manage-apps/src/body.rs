//! What goes in and out.

use std::sync::Arc;
use std::time::Duration;

use lark_service::apps::{App, AppChange, AppDescription, AppKind, AppStatus, NewApp};
use lark_service::deadline::Deadline;
use lark_service::error::{Error, Result};
use lark_service::ids::AppId;
use lark_service::lark::Domain;
use lark_service::page::Page;
use lark_service::schema::{LoginScopes, Name, RedirectTargets, Secret};
use lark_service::tokens::{TokenInfo, TokenKind, TokenService};
use secrecy::SecretString;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

/// The longest time that a secret before may count: 30 days.
const MAX_PREVIOUS_SECONDS: f64 = 30.0 * 24.0 * 3_600.0;
/// How many of an app's tokens are shown; a marketplace app may have thousands.
const SHOWN_TOKENS: usize = 20;

/// A new app.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewApp)]
pub(crate) struct CreateBody {
    #[schema(value_type = AppId)]
    app_id: String,
    #[schema(value_type = Secret)]
    secret: SecretString,
    #[serde(default)]
    #[schema(value_type = Name, default = "")]
    name: String,
    #[serde(default)]
    #[schema(default = Domain::default)]
    domain: Domain,
    #[serde(default)]
    #[schema(default = AppKind::default)]
    kind: AppKind,
    #[serde(default)]
    #[schema(value_type = RedirectTargets, default = json!([]))]
    redirect_targets: Vec<String>,
    #[serde(default)]
    #[schema(value_type = LoginScopes, default = json!([]))]
    login_scopes: Vec<String>,
}

impl CreateBody {
    pub(crate) fn read(self) -> Result<NewApp> {
        let app_id = AppId::parse(&self.app_id).ok_or_else(|| {
            Error::invalid("app_id", "must be 1 to 64 letters, digits, `_` or `-`")
        })?;
        Ok(NewApp {
            app_id,
            secret: self.secret,
            name: self.name,
            domain: self.domain,
            kind: self.kind,
            redirect_targets: self.redirect_targets,
            login_scopes: self.login_scopes,
        })
    }
}

/// What to change of an app: what is absent stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AppChange)]
pub(crate) struct ChangeBody {
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Name)]
    name: Option<String>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Domain)]
    domain: Option<Domain>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = AppStatus)]
    status: Option<AppStatus>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Secret)]
    secret: Option<SecretString>,
    /// How long the secret before counts from now on; 0 ends it. With a new secret, a day unless said otherwise.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = f64, minimum = 0, maximum = 2_592_000)]
    previous_secret_seconds: Option<f64>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = RedirectTargets)]
    redirect_targets: Option<Vec<String>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = LoginScopes)]
    login_scopes: Option<Vec<String>>,
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
            login_scopes: self.login_scopes,
        };
        if change.is_empty() {
            return Err(Error::invalid(
                "body",
                "must have at least one of name, domain, status, secret, previous_secret_seconds, redirect_targets and login_scopes",
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

/// An app and how its own tokens stand.
#[derive(Serialize, ToSchema)]
pub(crate) struct AppDetails<'a> {
    #[serde(flatten)]
    app: AppDescription<'a>,
    #[schema(max_items = 40)]
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
                .list(&app.app_id, kind, None, SHOWN_TOKENS, deadline)
                .await?;
            shown.extend(page.items);
        }
        Ok(Self {
            app: AppDescription::of(app),
            tokens: shown,
        })
    }
}

/// A page of apps.
pub(crate) fn app_page(
    apps: &[Arc<App>],
    next_page_token: Option<String>,
) -> Page<AppDescription<'_>> {
    Page {
        items: apps.iter().map(|app| AppDescription::of(app)).collect(),
        next_page_token,
    }
}
