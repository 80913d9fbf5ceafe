//! `lark-service key`: API keys of callers.

use clap::{Args, Subcommand};
use lark_service::api_keys::Scope;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output::{Output, pairs};
use crate::session::{KeyWish, Place, add_changes, text, with};
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
    /// Set where the ends of a key's messages are posted, and print what signs them, only this once.
    Callback {
        /// The key's id: the part between `lsk_` and the next `_`.
        key_id: String,
        /// An https address of the internet. The secrets before the new one sign for a day more.
        #[arg(long, value_name = "URL", required_unless_present = "off")]
        to: Option<String>,
        /// Post them nowhere.
        #[arg(long, conflicts_with = "to")]
        off: bool,
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
    /// Where the ends of its messages are posted, an https address of the internet. Default: nowhere.
    #[arg(long, value_name = "URL")]
    callback_url: Option<String>,
}

pub(crate) async fn run(
    command: KeyCommand,
    place: &Place,
    output: &Output,
) -> Result<(), Failure> {
    match command {
        KeyCommand::Create(new) => create(new, place, output).await,
        KeyCommand::List => list(place, output).await,
        KeyCommand::Show { key_id, changes } => show(&key_id, changes, place, output).await,
        KeyCommand::Callback { key_id, to, off: _ } => {
            set_callback(&key_id, to.as_deref(), place, output).await
        }
        KeyCommand::Revoke { key_id } => revoke(&key_id, place, output).await,
    }
}

async fn create(new: Create, place: &Place, output: &Output) -> Result<(), Failure> {
    let apps = values::allowed_apps(&new.apps);
    let apps = apps.map_err(|problem| Failure::Usage(format!("--app: {problem}")))?;
    let tenants = values::allowed_tenants(&new.tenants);
    let tenants = tenants.map_err(|problem| Failure::Usage(format!("--tenant: {problem}")))?;
    let wish = KeyWish {
        name: new.name,
        scopes: new.scopes,
        apps,
        tenants,
        rate_limit: new.rate_limit.0,
        expires: new.expires,
        callback_url: new.callback_url,
    };
    let made = place.open().await?.create_key(wish).await?;
    let mut told = format!(
        "{}\n\nkeep it now: it is not shown again\n{}",
        described(&made),
        text(&made, "key")
    );
    add_secret(&mut told, &made);
    output.answer(&made, &told)
}

async fn set_callback(
    key_id: &str,
    url: Option<&str>,
    place: &Place,
    output: &Output,
) -> Result<(), Failure> {
    let session = place.open().await?;
    let changed = session.set_callback(key_id, url).await?;
    let mut told = described(&changed);
    add_secret(&mut told, &changed);
    output.answer(&changed, &told)
}

/// Adds what signs callbacks, if `key` has it.
fn add_secret(told: &mut String, key: &Value) {
    let secret = text(key, "callback_secret");
    if !secret.is_empty() {
        told.push_str("\n\nthis signs its callbacks: it is not shown again\n");
        told.push_str(&secret);
    }
}

async fn list(place: &Place, output: &Output) -> Result<(), Failure> {
    let session = place.open().await?;
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
        let page = session.keys(after.as_deref()).await?;
        let rows = page.items.into_iter().map(|key| {
            let field = |name| text(&key, name);
            let cells = vec![
                field("key_id"),
                field("name"),
                field("status"),
                field("scopes"),
                field("apps"),
                limit(&key),
                field("expires_at"),
                field("last_used_at"),
            ];
            (key, cells)
        });
        list.rows(&rows.collect::<Vec<_>>())?;
        after = page.next;
        if after.is_none() {
            return list.end("there is no API key");
        }
    }
}

async fn show(
    key_id: &str,
    with_changes: bool,
    place: &Place,
    output: &Output,
) -> Result<(), Failure> {
    let session = place.open().await?;
    let key = session.key(key_id).await?;
    let mut changes = with_changes.then(Vec::new);
    if let Some(changes) = &mut changes {
        let mut after = None::<String>;
        loop {
            let page = session.key_changes(key_id, after.as_deref()).await?;
            changes.extend(page.items);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
    }
    let mut told = described(&key);
    add_changes(&mut told, changes.as_deref());
    let details = match changes {
        Some(changes) => with(key, "changes", changes),
        None => key,
    };
    output.answer(&details, &told)
}

async fn revoke(key_id: &str, place: &Place, output: &Output) -> Result<(), Failure> {
    place.open().await?.revoke_key(key_id).await?;
    output.answer(
        &json!({ "key_id": key_id, "status": "revoked" }),
        &format!("revoked the API key {key_id}; functions refuse it at once, or within half a minute if the cache is out of reach"),
    )
}

fn described(key: &Value) -> String {
    let field = |name| text(key, name);
    pairs(&[
        ("key id", field("key_id")),
        ("name", field("name")),
        ("status", field("status")),
        ("scopes", field("scopes")),
        ("apps", field("apps")),
        ("tenants", field("tenants")),
        ("rate limit", limit(key)),
        ("ends", field("expires_at")),
        ("last used", field("last_used_at")),
        ("created", field("created_at")),
        ("callbacks", field("callback_url")),
        ("callbacks off", text(&key["callback_disabled"], "reason")),
    ])
}

/// `600/60`; nothing for a key without a limit.
fn limit(key: &Value) -> String {
    let limit = &key["rate_limit"];
    if limit.is_null() {
        return String::new();
    }
    format!("{}/{}", text(limit, "limit"), text(limit, "window_seconds"))
}
