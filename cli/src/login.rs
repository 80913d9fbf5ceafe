//! `lark-service login`: logins of users. Their tokens are never shown.

use clap::Subcommand;
use lark_service::ids::{AppId, OpenId};
use lark_service::tokens::{LoginInfo, TokenInfo, TokenKind};
use serde::Serialize;
use serde_json::json;

use crate::failure::Failure;
use crate::output::Output;
use crate::session::{PAGE, Place, Session, soon};
use crate::values;

#[derive(Debug, Subcommand)]
pub(crate) enum LoginCommand {
    /// List the logins to an app.
    List {
        /// Which app.
        #[arg(value_parser = values::app_id)]
        app_id: AppId,
        /// Only ended ones, whose users must log in again.
        #[arg(long)]
        ended: bool,
    },
    /// End a login: the user must log in again.
    Revoke {
        /// Which app.
        #[arg(value_parser = values::app_id)]
        app_id: AppId,
        /// Which user.
        #[arg(value_parser = values::open_id)]
        open_id: OpenId,
    },
}

/// A login as scripts see it.
#[derive(Serialize)]
struct LoginView<'l> {
    open_id: &'l str,
    #[serde(flatten)]
    login: &'l LoginInfo,
}

pub(crate) async fn run(
    command: LoginCommand,
    place: &Place,
    output: &Output,
) -> Result<(), Failure> {
    match command {
        LoginCommand::List { app_id, ended } => list(&app_id, ended, place, output).await,
        LoginCommand::Revoke { app_id, open_id } => revoke(&app_id, &open_id, place, output).await,
    }
}

async fn list(
    app_id: &AppId,
    is_ended: bool,
    place: &Place,
    output: &Output,
) -> Result<(), Failure> {
    let services = place.store("login list").await?;
    services.apps.read(app_id, soon()).await?;
    let mut list = output.list(&["open_id", "days left", "ended", "uncertain since", "scopes"])?;
    let (user, mut after) = (TokenKind::User, None::<String>);
    loop {
        let page = services
            .tokens
            .list(app_id, user, after.as_deref(), PAGE, soon())
            .await?;
        let logins = page.items.iter().filter_map(view);
        let logins = logins.filter(|view| !is_ended || view.login.ended.is_some());
        let rows = logins.map(|view| {
            let login = view.login;
            let days_left = login.days_left.map(|days| days.to_string());
            let cells = vec![
                view.open_id.to_owned(),
                days_left.unwrap_or_default(),
                login.ended.clone().unwrap_or_default(),
                login.uncertain_since.clone().unwrap_or_default(),
                login.scopes.join(" "),
            ];
            (view, cells)
        });
        list.rows(&rows.collect::<Vec<_>>())?;
        after = page.next_page_token;
        if after.is_none() {
            return list.end("no such login");
        }
    }
}

fn view(info: &TokenInfo) -> Option<LoginView<'_>> {
    Some(LoginView {
        open_id: &info.subject,
        login: info.login.as_ref()?,
    })
}

async fn revoke(
    app_id: &AppId,
    open_id: &OpenId,
    place: &Place,
    output: &Output,
) -> Result<(), Failure> {
    let had_one = match place.open().await? {
        Session::Store(services) => services.tokens.end_login(app_id, open_id, soon()).await?,
        // The service does not tell whether there was one.
        Session::Http(remote) => {
            remote.end_login(app_id, open_id).await?;
            true
        }
    };
    if !had_one {
        return Err(Failure::NotFound {
            code: "login_not_found",
            detail: format!("{open_id} has no login to the app {app_id}"),
        });
    }
    output.answer(
        &json!({ "app_id": app_id, "open_id": open_id, "revoked": true }),
        &format!("{open_id} is no longer logged in to the app {app_id}"),
    )
}
