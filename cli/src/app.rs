//! `lark-service app`: registered apps.

mod removal;
mod usage;

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use lark_service::apps::{AppChange, AppKind, AppStatus, NewApp};
use lark_service::ids::AppId;
use lark_service::lark::Domain;
use lark_service::meter::Month;
use serde_json::Value;

use crate::failure::Failure;
use crate::output::{Output, pairs};
use crate::session::{Place, add_changes, text, with};
use crate::{secret_input, token, values};

#[derive(Debug, Subcommand)]
pub(crate) enum AppCommand {
    /// Register an app. Its secret is read from standard input or a prompt.
    Add(Add),
    /// List the apps.
    List,
    /// Show an app, its tokens and their failures.
    Show {
        /// Which app.
        #[arg(value_parser = values::app_id)]
        app_id: AppId,
        /// Show who changed it, too.
        #[arg(long)]
        changes: bool,
    },
    /// Show how often an app called the platform in a month, by API.
    Usage {
        /// Which app.
        #[arg(value_parser = values::app_id)]
        app_id: AppId,
        /// Which month, in UTC: 2026-11. Default: the current one.
        #[arg(long, value_parser = values::month)]
        month: Option<Month>,
    },
    /// Change an app. The rest stays unchanged.
    Update(Update),
    /// Set an app's new secret, read from standard input or a prompt. Tokens of both secrets stay valid for a while.
    RotateSecret {
        /// Which app.
        #[arg(value_parser = values::app_id)]
        app_id: AppId,
        /// How long the previous secret stays valid: 24h, 30m, or 0 to end it at once.
        #[arg(long, value_parser = values::length, default_value = "24h")]
        previous_for: Duration,
    },
    /// Switch an app on.
    Enable {
        /// Which app.
        #[arg(value_parser = values::app_id)]
        app_id: AppId,
    },
    /// Switch an app off: the service does nothing for it until it is switched on again. Logins stay.
    Disable {
        /// Which app.
        #[arg(value_parser = values::app_id)]
        app_id: AppId,
    },
    /// Delete an app with its tokens and logins. Run it again to continue after an interruption.
    Delete {
        /// Which app.
        #[arg(value_parser = values::app_id)]
        app_id: AppId,
        /// Do not ask for confirmation.
        #[arg(long)]
        yes: bool,
    },
}

/// A new app.
#[derive(Args, Debug)]
pub(crate) struct Add {
    /// The App ID of the developer console.
    #[arg(long, value_parser = values::app_id)]
    app_id: AppId,
    /// How people call it.
    #[arg(long, default_value = "")]
    name: String,
    /// The platform it lives on.
    #[arg(long, value_enum, default_value = "feishu")]
    domain: DomainArgument,
    /// Made by the tenant for itself, or installed from the app directory.
    #[arg(long, value_enum, default_value = "internal")]
    kind: KindArgument,
    /// Where browsers may be sent after a login; may be repeated.
    #[arg(long = "redirect-target", value_name = "URL")]
    redirect_targets: Vec<String>,
    /// A scope that logins may ask for beside offline_access; may be repeated.
    #[arg(long = "login-scope", value_name = "SCOPE")]
    login_scopes: Vec<String>,
}

/// The changes to an app.
#[derive(Args, Debug)]
pub(crate) struct Update {
    /// Which app.
    #[arg(value_parser = values::app_id)]
    app_id: AppId,
    /// How people call it.
    #[arg(long)]
    name: Option<String>,
    /// The platform it lives on.
    #[arg(long, value_enum)]
    domain: Option<DomainArgument>,
    /// Where browsers may be sent after a login, in place of what was allowed before; may be repeated.
    #[arg(
        long = "redirect-target",
        value_name = "URL",
        conflicts_with = "no_redirect_targets"
    )]
    redirect_targets: Vec<String>,
    /// Send browsers nowhere after a login.
    #[arg(long)]
    no_redirect_targets: bool,
    /// A scope that logins may ask for beside offline_access, in place of what was allowed before; may be repeated.
    #[arg(
        long = "login-scope",
        value_name = "SCOPE",
        conflicts_with = "no_login_scopes"
    )]
    login_scopes: Vec<String>,
    /// Let logins ask for nothing but offline_access.
    #[arg(long)]
    no_login_scopes: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum DomainArgument {
    Feishu,
    Lark,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum KindArgument {
    Internal,
    Marketplace,
}

pub(crate) async fn run(
    command: AppCommand,
    place: &Place,
    output: &Output,
) -> Result<(), Failure> {
    match command {
        AppCommand::Add(new) => add(new, place, output).await,
        AppCommand::List => list(place, output).await,
        AppCommand::Show { app_id, changes } => show(&app_id, changes, place, output).await,
        AppCommand::Usage { app_id, month } => usage::show(&app_id, month, place, output).await,
        AppCommand::Update(update) => update.run(place, output).await,
        AppCommand::RotateSecret {
            app_id,
            previous_for,
        } => rotate_secret(&app_id, previous_for, place, output).await,
        AppCommand::Enable { app_id } => switch(&app_id, AppStatus::Enabled, place, output).await,
        AppCommand::Disable { app_id } => switch(&app_id, AppStatus::Disabled, place, output).await,
        AppCommand::Delete { app_id, yes } => removal::delete(&app_id, yes, place, output).await,
    }
}

async fn add(new: Add, place: &Place, output: &Output) -> Result<(), Failure> {
    let secret = secret_input::secret("App Secret")?;
    let new = NewApp {
        app_id: new.app_id,
        secret,
        name: new.name,
        domain: new.domain.into(),
        kind: new.kind.into(),
        redirect_targets: new.redirect_targets,
        login_scopes: new.login_scopes,
    };
    let app = place.open().await?.register_app(&new).await?;
    let text = format!(
        "registered the app {}; its first token is due now",
        new.app_id
    );
    output.answer(&app, &text)
}

async fn list(place: &Place, output: &Output) -> Result<(), Failure> {
    let session = place.open().await?;
    let mut list = output.list(&["app id", "name", "domain", "kind", "status", "changed"])?;
    let mut after = None::<String>;
    loop {
        let page = session.apps(after.as_deref()).await?;
        let fields = ["app_id", "name", "domain", "kind", "status", "changed_at"];
        let rows = page.items.into_iter().map(|app| {
            let cells = fields.iter().map(|name| text(&app, name)).collect();
            (app, cells)
        });
        list.rows(&rows.collect::<Vec<_>>())?;
        after = page.next;
        if after.is_none() {
            return list.end("no app is registered");
        }
    }
}

async fn show(
    app_id: &AppId,
    with_changes: bool,
    place: &Place,
    output: &Output,
) -> Result<(), Failure> {
    let session = place.open().await?;
    let app = session.app(app_id).await?;
    let mut changes = with_changes.then(Vec::new);
    if let Some(changes) = &mut changes {
        let mut after = None::<String>;
        loop {
            let page = session.app_changes(app_id, after.as_deref()).await?;
            changes.extend(page.items);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
    }
    let mut told = described(&app);
    for info in app["tokens"].as_array().into_iter().flatten() {
        told.push_str(&format!("\ntoken {}", token::line(info)));
    }
    if app["has_more_tokens"] == true {
        told.push_str(&format!("\nmore: lark-service token show {app_id}"));
    }
    add_changes(&mut told, changes.as_deref());
    let details = match changes {
        Some(changes) => with(app, "changes", changes),
        None => app,
    };
    output.answer(&details, &told)
}

fn described(app: &Value) -> String {
    let field = |name| text(app, name);
    let previous = app["previous_secret_until"].as_str();
    pairs(&[
        ("app id", field("app_id")),
        ("name", field("name")),
        ("domain", field("domain")),
        ("kind", field("kind")),
        ("status", field("status")),
        (
            "secret",
            format!("fingerprint {}", field("secret_fingerprint")),
        ),
        (
            "previous secret",
            previous
                .map(|until| format!("counts until {until}"))
                .unwrap_or_default(),
        ),
        ("redirect targets", field("redirect_targets")),
        ("login scopes", field("login_scopes")),
        ("created", field("created_at")),
        ("changed", field("changed_at")),
    ])
}

impl Update {
    async fn run(self, place: &Place, output: &Output) -> Result<(), Failure> {
        let list = |is_cleared: bool, given: Vec<String>| {
            if is_cleared {
                Some(Vec::new())
            } else {
                Some(given).filter(|given| !given.is_empty())
            }
        };
        let change = AppChange {
            name: self.name,
            domain: self.domain.map(Domain::from),
            redirect_targets: list(self.no_redirect_targets, self.redirect_targets),
            login_scopes: list(self.no_login_scopes, self.login_scopes),
            status: None,
            secret: None,
            previous_secret_ttl: None,
        };
        if change.is_empty() {
            let detail = "say what to change: --name, --domain, --redirect-target, --no-redirect-targets, --login-scope or --no-login-scopes";
            return Err(Failure::Usage(detail.to_owned()));
        }
        change_app(&self.app_id, &change, "changed", place, output).await
    }
}

async fn rotate_secret(
    app_id: &AppId,
    previous_for: Duration,
    place: &Place,
    output: &Output,
) -> Result<(), Failure> {
    let change = AppChange {
        secret: Some(secret_input::secret("New App Secret")?),
        previous_secret_ttl: Some(previous_for),
        ..AppChange::default()
    };
    change_app(app_id, &change, "gave a new secret to", place, output).await
}

async fn switch(
    app_id: &AppId,
    status: AppStatus,
    place: &Place,
    output: &Output,
) -> Result<(), Failure> {
    let change = AppChange {
        status: Some(status),
        ..AppChange::default()
    };
    change_app(app_id, &change, status.as_str(), place, output).await
}

async fn change_app(
    app_id: &AppId,
    change: &AppChange,
    done: &str,
    place: &Place,
    output: &Output,
) -> Result<(), Failure> {
    let app = place.open().await?.change_app(app_id, change).await?;
    output.answer(&app, &format!("{done} the app {app_id}"))
}

impl From<DomainArgument> for Domain {
    fn from(argument: DomainArgument) -> Self {
        match argument {
            DomainArgument::Feishu => Self::Feishu,
            DomainArgument::Lark => Self::Lark,
        }
    }
}

impl From<KindArgument> for AppKind {
    fn from(argument: KindArgument) -> Self {
        match argument {
            KindArgument::Internal => Self::Internal,
            KindArgument::Marketplace => Self::Marketplace,
        }
    }
}
