//! `lark-service app`: registered apps.

mod removal;
mod usage;
mod view;

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use lark_service::apps::{AppChange, AppDescription, AppKind, AppStatus, NewApp};
use lark_service::changes::Change;
use lark_service::ids::AppId;
use lark_service::lark::Domain;
use lark_service::meter::Month;
use lark_service::tokens::{TokenInfo, TokenKind};
use lark_service::wiring::Services;

use self::view::AppDetails;
use crate::failure::Failure;
use crate::output::{Output, pairs};
use crate::session::{PAGE, actor, soon};
use crate::{secret_input, session, token, values};

/// How many tokens `app show` shows; `token show` has them all.
const SHOWN_TOKENS: usize = 50;

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

pub(crate) async fn run(command: AppCommand, output: &Output) -> Result<(), Failure> {
    match command {
        AppCommand::Add(new) => add(new, output).await,
        AppCommand::List => list(output).await,
        AppCommand::Show { app_id, changes } => show(&app_id, changes, output).await,
        AppCommand::Usage { app_id, month } => usage::show(&app_id, month, output).await,
        AppCommand::Update(update) => update.run(output).await,
        AppCommand::RotateSecret {
            app_id,
            previous_for,
        } => rotate_secret(&app_id, previous_for, output).await,
        AppCommand::Enable { app_id } => switch(&app_id, AppStatus::Enabled, output).await,
        AppCommand::Disable { app_id } => switch(&app_id, AppStatus::Disabled, output).await,
        AppCommand::Delete { app_id, yes } => removal::delete(&app_id, yes, output).await,
    }
}

async fn add(new: Add, output: &Output) -> Result<(), Failure> {
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
    let services = session::open().await?;
    let (apps, tokens) = (&services.apps, &services.tokens);
    tokens.register_app(apps, &new, &actor(), soon()).await?;
    let app = services.apps.read(&new.app_id, soon()).await?;
    let text = format!(
        "registered the app {}; its first token is due now",
        new.app_id
    );
    output.answer(&AppDescription::of(&app), &text)
}

async fn list(output: &Output) -> Result<(), Failure> {
    let services = session::open().await?;
    let mut list = output.list(&["app id", "name", "domain", "kind", "status", "changed"])?;
    let mut after = None::<String>;
    loop {
        let page = services.apps.list(after.as_deref(), PAGE, soon()).await?;
        let rows = page.items.iter().map(|app| {
            let cells = vec![
                app.app_id.to_string(),
                app.name.clone(),
                app.domain.as_str().to_owned(),
                app.kind.as_str().to_owned(),
                app.status.as_str().to_owned(),
                app.changed_at.to_string(),
            ];
            (AppDescription::of(app), cells)
        });
        list.rows(&rows.collect::<Vec<_>>())?;
        after = page.next_page_token;
        if after.is_none() {
            return list.end("no app is registered");
        }
    }
}

async fn show(app_id: &AppId, with_changes: bool, output: &Output) -> Result<(), Failure> {
    let services = session::open().await?;
    let app = services.apps.read(app_id, soon()).await?;
    let (tokens, has_more_tokens) = tokens(&services, app_id).await?;
    let changes = if with_changes {
        Some(changes(&services, app_id).await?)
    } else {
        None
    };
    let mut text = pairs(&[
        ("app id", app.app_id.to_string()),
        ("name", app.name.clone()),
        ("domain", app.domain.as_str().to_owned()),
        ("kind", app.kind.as_str().to_owned()),
        ("status", app.status.as_str().to_owned()),
        (
            "secret",
            format!("fingerprint {}", app.secrets.current.fingerprint.as_str()),
        ),
        (
            "previous secret",
            AppDescription::of(&app)
                .previous_secret_until
                .map(|until| format!("counts until {until}"))
                .unwrap_or_default(),
        ),
        ("redirect targets", app.redirect_targets.join(" ")),
        ("login scopes", app.login_scopes.join(" ")),
        ("created", app.created_at.to_string()),
        ("changed", app.changed_at.to_string()),
    ]);
    for info in &tokens {
        text.push_str(&format!("\ntoken {}", token::line(info)));
    }
    if has_more_tokens {
        text.push_str(&format!("\nmore: lark-service token show {app_id}"));
    }
    for change in changes.iter().flatten() {
        let fields = change.fields.join(", ");
        text.push_str(&format!(
            "\nchange {}  {}  {}  {fields}",
            change.at, change.action, change.by
        ));
    }
    let details = AppDetails {
        app: AppDescription::of(&app),
        tokens: &tokens,
        has_more_tokens,
        changes,
    };
    output.answer(&details, &text)
}

/// Some tokens of each kind, and whether there are more.
async fn tokens(services: &Services, app_id: &AppId) -> Result<(Vec<TokenInfo>, bool), Failure> {
    let (mut infos, mut has_more) = (Vec::new(), false);
    for kind in TokenKind::ALL {
        let page = services
            .tokens
            .list(app_id, kind, None, SHOWN_TOKENS, soon());
        let page = page.await?;
        infos.extend(page.items);
        has_more |= page.next_page_token.is_some();
    }
    Ok((infos, has_more))
}

async fn changes(services: &Services, app_id: &AppId) -> Result<Vec<Change>, Failure> {
    let (mut changes, mut after) = (Vec::new(), None::<String>);
    loop {
        let page = services
            .apps
            .changes(app_id, after.as_deref(), PAGE, soon())
            .await?;
        changes.extend(page.items);
        after = page.next_page_token;
        if after.is_none() {
            return Ok(changes);
        }
    }
}

impl Update {
    async fn run(self, output: &Output) -> Result<(), Failure> {
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
        change_app(&self.app_id, &change, "changed", output).await
    }
}

async fn rotate_secret(
    app_id: &AppId,
    previous_for: Duration,
    output: &Output,
) -> Result<(), Failure> {
    let change = AppChange {
        secret: Some(secret_input::secret("New App Secret")?),
        previous_secret_ttl: Some(previous_for),
        ..AppChange::default()
    };
    change_app(app_id, &change, "gave a new secret to", output).await
}

async fn switch(app_id: &AppId, status: AppStatus, output: &Output) -> Result<(), Failure> {
    let change = AppChange {
        status: Some(status),
        ..AppChange::default()
    };
    change_app(app_id, &change, status.as_str(), output).await
}

async fn change_app(
    app_id: &AppId,
    change: &AppChange,
    done: &str,
    output: &Output,
) -> Result<(), Failure> {
    let services = session::open().await?;
    let app = services
        .apps
        .change(app_id, change, &actor(), soon())
        .await?;
    output.answer(
        &AppDescription::of(&app),
        &format!("{done} the app {app_id}"),
    )
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
