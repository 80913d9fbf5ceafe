//! `lark-service key`: API keys of callers.

use std::collections::BTreeSet;

use clap::{Args, Subcommand};
use lark_service::api_keys::{
    ApiKey, ApiKeyDescription, ApiKeyInfo, Authority, KeyState, NewApiKey, RateLimit, Scope,
};
use lark_service::changes::Change;
use lark_service::wiring::Services;
use secrecy::ExposeSecret;
use serde::Serialize;
use serde_json::json;

use crate::failure::Failure;
use crate::output::{Output, pairs};
use crate::session;
use crate::session::{PAGE, actor, soon};
use crate::values::{self, End, Limit};

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Create a key and print it, only this once.
    Create(Create),
    /// List the keys.
    List,
    /// Show a key without its secret.
    Show {
        /// The key's id: the part between `lsk_` and the next `_`.
        key_id: String,
        /// Show who changed it, too.
        #[arg(long)]
        changes: bool,
    },
    /// Revoke a key permanently.
    Revoke {
        /// The key's id: the part between `lsk_` and the next `_`.
        key_id: String,
    },
}

/// A new key.
#[derive(Args, Debug)]
pub(crate) struct Create {
    /// A name for people.
    #[arg(long)]
    name: String,
    /// What it allows; may be repeated: tokens:read, user_tokens:read, users:read, messages:send, admin, gateway.
    #[arg(long = "scope", required = true)]
    scopes: Vec<Scope>,
    /// An app it is for; may be repeated. `*` for all.
    #[arg(long = "app", required = true)]
    apps: Vec<String>,
    /// A tenant of marketplace apps that it may act in; may be repeated. `*` for all.
    #[arg(long = "tenant", default_value = "*")]
    tenants: Vec<String>,
    /// How many requests in how many seconds, such as 600/60, or `none`.
    #[arg(long, value_parser = values::rate_limit, default_value = "1000/60")]
    rate_limit: Limit,
    /// When it expires: 90d, or a time such as 2027-01-31T08:00:00Z. Default: never.
    #[arg(long, value_parser = values::end)]
    expires: Option<End>,
}

/// A key with all about it.
#[derive(Serialize)]
struct KeyDetails<'k> {
    #[serde(flatten)]
    info: ApiKeyDescription<'k>,
    /// The whole key: right after it was made, never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'k str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<Vec<Change>>,
}

pub(crate) async fn run(command: KeyCommand, output: &Output) -> Result<(), Failure> {
    match command {
        KeyCommand::Create(new) => create(new, output).await,
        KeyCommand::List => list(output).await,
        KeyCommand::Show { key_id, changes } => show(&key_id, changes, output).await,
        KeyCommand::Revoke { key_id } => revoke(&key_id, output).await,
    }
}

async fn create(new: Create, output: &Output) -> Result<(), Failure> {
    let apps = values::allowed_apps(&new.apps);
    let apps = apps.map_err(|problem| Failure::Usage(format!("--app: {problem}")))?;
    let tenants = values::allowed_tenants(&new.tenants);
    let tenants = tenants.map_err(|problem| Failure::Usage(format!("--tenant: {problem}")))?;
    let services = session::open().await?;
    session::make_data_keys(&services).await?;
    let now = services.clock.now();
    let new = NewApiKey {
        key: ApiKey::generate()?,
        name: new.name,
        scopes: new.scopes.into_iter().collect::<BTreeSet<_>>(),
        apps,
        tenants,
        rate_limit: new.rate_limit.0,
        expires_at: new.expires.map(|end| end.moment(now)),
    };
    services.api_keys.add(&new, &authority(), soon()).await?;
    let info = services.api_keys.show(new.key.id(), soon()).await?;
    let key = new.key.reveal();
    let details = KeyDetails {
        info: ApiKeyDescription::of(&info),
        key: Some(key.expose_secret()),
        changes: None,
    };
    let text = format!(
        "{}\n\nkeep it now: it is not shown again\n{}",
        described(&info),
        key.expose_secret()
    );
    output.answer(&details, &text)
}

async fn list(output: &Output) -> Result<(), Failure> {
    let services = session::open().await?;
    let columns = &[
        "key id",
        "name",
        "status",
        "scopes",
        "apps",
        "limit",
        "ends",
        "last used",
    ];
    let mut list = output.list(columns)?;
    let mut after = None::<String>;
    loop {
        let page = services
            .api_keys
            .list(after.as_deref(), PAGE, soon())
            .await?;
        let rows = page.items.iter().map(|key| {
            let view = ApiKeyDescription::of(key);
            let cells = vec![
                key.key_id.clone(),
                key.name.clone(),
                status(view.status).to_owned(),
                view.scopes.join(" "),
                key.apps.to_string(),
                limit(view.rate_limit),
                view.expires_at.clone().unwrap_or_default(),
                view.last_used_at.clone().unwrap_or_default(),
            ];
            (view, cells)
        });
        list.rows(&rows.collect::<Vec<_>>())?;
        after = page.next_page_token;
        if after.is_none() {
            return list.end("there is no API key");
        }
    }
}

async fn show(key_id: &str, with_changes: bool, output: &Output) -> Result<(), Failure> {
    let services = session::open().await?;
    let info = services.api_keys.show(key_id, soon()).await?;
    let mut text = described(&info);
    let changes = if with_changes {
        Some(changes(&services, key_id).await?)
    } else {
        None
    };
    for change in changes.iter().flatten() {
        let fields = change.fields.join(", ");
        text.push_str(&format!(
            "\nchange {}  {}  {}  {fields}",
            change.at, change.action, change.by
        ));
    }
    let details = KeyDetails {
        info: ApiKeyDescription::of(&info),
        key: None,
        changes,
    };
    output.answer(&details, &text)
}

async fn changes(services: &Services, key_id: &str) -> Result<Vec<Change>, Failure> {
    let (mut changes, mut after) = (Vec::new(), None::<String>);
    loop {
        let page = services
            .api_keys
            .changes(key_id, after.as_deref(), PAGE, soon())
            .await?;
        changes.extend(page.items);
        after = page.next_page_token;
        if after.is_none() {
            return Ok(changes);
        }
    }
}

async fn revoke(key_id: &str, output: &Output) -> Result<(), Failure> {
    let services = session::open().await?;
    services
        .api_keys
        .revoke(key_id, &authority(), soon())
        .await?;
    output.answer(
        &json!({ "key_id": key_id, "status": "revoked" }),
        &format!("revoked the API key {key_id}; functions refuse it at once, or within half a minute if the cache is out of reach"),
    )
}

fn authority() -> Authority {
    Authority::Operator(actor())
}

fn described(info: &ApiKeyInfo) -> String {
    let view = ApiKeyDescription::of(info);
    pairs(&[
        ("key id", info.key_id.clone()),
        ("name", info.name.clone()),
        ("status", status(view.status).to_owned()),
        ("scopes", view.scopes.join(" ")),
        ("apps", info.apps.to_string()),
        ("tenants", info.tenants.to_string()),
        ("rate limit", limit(view.rate_limit)),
        ("ends", view.expires_at.unwrap_or_default()),
        ("last used", view.last_used_at.unwrap_or_default()),
        ("created", view.created_at),
    ])
}

const fn status(state: KeyState) -> &'static str {
    match state {
        KeyState::Active => "active",
        KeyState::Disabled => "disabled",
        KeyState::Revoked => "revoked",
        KeyState::Expired => "expired",
    }
}

fn limit(limit: Option<RateLimit>) -> String {
    limit.map(|limit| limit.to_string()).unwrap_or_default()
}
