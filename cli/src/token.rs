//! `lark-service token`: the platform's tokens. Their values are never shown.

use clap::{Args, Subcommand, ValueEnum};
use lark_service::apps::{App, AppKind};
use lark_service::error::Error;
use lark_service::ids::{AppId, OpenId, TenantKey};
use lark_service::tokens::{TokenInfo, TokenKey, TokenKind, Trust};
use lark_service::wiring::Services;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output::Output;
use crate::remote::Remote;
use crate::session::{Asked, PAGE, Place, Session, soon, text, value};
use crate::values;

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Show the state of an app's tokens.
    Show {
        /// Which app.
        #[arg(value_parser = values::app_id)]
        app_id: AppId,
        /// Only of this kind.
        #[arg(long, value_enum)]
        kind: Option<KindArgument>,
        /// Only of this tenant key or open_id.
        #[arg(long)]
        subject: Option<String>,
    },
    /// Fetch or renew a token now, unless there is one that is valid for long.
    ///
    /// With more than half an hour left the platform would return the same token, so there is no request.
    Refresh(Refresh),
}

/// Which token.
#[derive(Args, Debug)]
pub(crate) struct Refresh {
    /// Which app.
    #[arg(value_parser = values::app_id)]
    app_id: AppId,
    /// The token for this tenant of a marketplace app. Default: the app's own token.
    #[arg(long, value_parser = values::tenant_key, conflicts_with = "user")]
    tenant: Option<TenantKey>,
    /// The token of this logged-in user.
    #[arg(long, value_parser = values::open_id)]
    user: Option<OpenId>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum KindArgument {
    Tenant,
    App,
    User,
}

pub(crate) async fn run(
    command: TokenCommand,
    place: &Place,
    output: &Output,
) -> Result<(), Failure> {
    match command {
        TokenCommand::Show {
            app_id,
            kind,
            subject,
        } => {
            let kind = kind.map(TokenKind::from);
            show(&app_id, kind, subject.as_deref(), place, output).await
        }
        TokenCommand::Refresh(which) => match place.open().await? {
            Session::Store(services) => refresh(which, &services, output).await,
            Session::Http(remote) => refresh_remotely(which, *remote, output).await,
        },
    }
}

/// A token, as the API writes it, in one line for people.
pub(crate) fn line(info: &Value) -> String {
    let subject = text(info, "subject");
    let subject = if subject.is_empty() { "-" } else { &subject };
    let until = match info["expires_at"].as_str() {
        Some(at) => format!("valid until {at}"),
        None => "none".to_owned(),
    };
    let failure = failure(info).map(|failure| format!("  {failure}"));
    format!(
        "{} {subject}  {until}{}",
        text(info, "kind"),
        failure.unwrap_or_default()
    )
}

fn failure(info: &Value) -> Option<String> {
    let failure = info.get("failure").filter(|failure| failure.is_object())?;
    let field = |name| text(failure, name);
    let code = field("code");
    let code = if code.is_empty() {
        code
    } else {
        format!(" {code}")
    };
    Some(format!(
        "failed {} times: {}{code} {}; next try {}",
        field("count"),
        field("reason"),
        field("msg"),
        field("retry_at")
    ))
}

async fn show(
    app_id: &AppId,
    kind: Option<TokenKind>,
    subject: Option<&str>,
    place: &Place,
    output: &Output,
) -> Result<(), Failure> {
    let is_wanted = |info: &Value| subject.is_none_or(|subject| subject == text(info, "subject"));
    let row = |info: Value| {
        let fields = ["kind", "subject", "issued_at", "expires_at", "refresh_at"];
        let mut cells: Vec<_> = fields.iter().map(|name| text(&info, name)).collect();
        cells.push(failure(&info).unwrap_or_default());
        (info, cells)
    };
    let columns = &["kind", "subject", "issued", "ends", "due", "last failure"];
    let services = match place.open().await? {
        Session::Store(services) => services,
        session @ Session::Http(_) => {
            if kind == Some(TokenKind::User) {
                place.only_store("token show --kind user")?;
            }
            let app = session.app(app_id).await?;
            let infos = app["tokens"].as_array().into_iter().flatten();
            let is_of_kind =
                |info: &&Value| kind.is_none_or(|kind| text(info, "kind") == kind.as_str());
            let infos = infos.filter(is_of_kind).filter(|info| is_wanted(info));
            let rows: Vec<_> = infos.cloned().map(row).collect();
            let mut list = output.list(columns)?;
            list.rows(&rows)?;
            return list.end("no token is known");
        }
    };
    services.apps.read(app_id, soon()).await?;
    let mut list = output.list(columns)?;
    let mut after = None::<String>;
    let mut kinds = TokenKind::ALL
        .into_iter()
        .filter(|it| kind.is_none_or(|kind| kind == *it));
    let mut kind = kinds.next();
    while let Some(of_kind) = kind {
        let page = services
            .tokens
            .list(app_id, of_kind, after.as_deref(), PAGE, soon())
            .await?;
        let infos = page.items.iter().map(value);
        let infos = infos.collect::<Result<Vec<_>, _>>()?;
        let rows: Vec<_> = infos.into_iter().filter(is_wanted).map(row).collect();
        list.rows(&rows)?;
        after = page.next_page_token;
        if after.is_none() {
            kind = kinds.next();
        }
    }
    list.end("no token is known")
}

/// As [`refresh`], on a running service, which renews its tokens itself.
async fn refresh_remotely(which: Refresh, remote: Remote, output: &Output) -> Result<(), Failure> {
    let Refresh {
        app_id,
        tenant,
        user,
    } = which;
    let session = Session::Http(Box::new(remote));
    let (before, is_marketplace) = match &user {
        Some(_) => (Value::Null, false),
        None => {
            let app = session.app(&app_id).await?;
            let is_marketplace = text(&app, "kind") == "marketplace";
            (app, is_marketplace)
        }
    };
    let asked = match (&user, &tenant) {
        (Some(open_id), _) => Asked::User(open_id),
        (None, Some(_)) if !is_marketplace => return Err(one_tenant()),
        (None, Some(tenant)) => Asked::Tenant(Some(tenant)),
        (None, None) if is_marketplace => Asked::App,
        (None, None) => Asked::Tenant(None),
    };
    let subject = tenant.as_ref().map_or("", |tenant| tenant.as_str());
    let kind = match asked {
        Asked::App => TokenKind::App,
        Asked::Tenant(_) => TokenKind::Tenant,
        Asked::User(_) => TokenKind::User,
    };
    let of = |app: &Value| {
        let mut tokens = app["tokens"].as_array().into_iter().flatten();
        let found =
            tokens.find(|it| text(it, "kind") == kind.as_str() && text(it, "subject") == subject);
        found.cloned().unwrap_or_default()
    };
    let Session::Http(remote) = &session else {
        return Err(Failure::Unexpected("no service".to_owned()));
    };
    let until = remote.token_end(&app_id, &asked).await?;
    let after = match kind {
        TokenKind::User => Value::Null,
        TokenKind::App | TokenKind::Tenant => of(&session.app(&app_id).await?),
    };
    let is_new = kind != TokenKind::User && of(&before)["issued_at"] != after["issued_at"];
    answer(is_new, until.as_deref(), &after, output)
}

fn one_tenant() -> Failure {
    Failure::Usage("--tenant is for marketplace apps: this one has one tenant".to_owned())
}

fn answer(
    is_new: bool,
    until: Option<&str>,
    token: &Value,
    output: &Output,
) -> Result<(), Failure> {
    let until = until.unwrap_or("a moment that the store was not told");
    let text = if is_new {
        format!("the platform issued a token that is valid until {until}")
    } else {
        format!("the current token is valid until {until}; it is renewed automatically")
    };
    output.answer(&json!({ "issued": is_new, "token": token }), &text)
}

async fn refresh(which: Refresh, services: &Services, output: &Output) -> Result<(), Failure> {
    let app = services.apps.enabled(&which.app_id, soon()).await?;
    let key = which.key(&app)?;
    let before = services.tokens.describe(&key, soon()).await?;
    let outcome = services
        .tokens
        .token(&app, &key, Trust::Shared, soon())
        .await;
    // Write the call counts now, because this process ends. A store that does not accept them is no reason to fail.
    let _ = services.meter.persist(&app.app_id, soon()).await;
    let after = services.tokens.describe(&key, soon()).await?;
    if let Err(error) = outcome {
        return Err(refused(error, after.as_ref()));
    }
    let issued_at =
        |info: &Option<TokenInfo>| info.as_ref().and_then(|info| info.issued_at.clone());
    let is_new = issued_at(&before) != issued_at(&after);
    let expires_at = after.as_ref().and_then(|info| info.expires_at.clone());
    answer(is_new, expires_at.as_deref(), &value(&after)?, output)
}

impl Refresh {
    /// The token's key, if the app's kind has such tokens.
    fn key(self, app: &App) -> Result<TokenKey, Failure> {
        let app_id = self.app_id;
        match (app.kind, self.tenant, self.user) {
            (_, _, Some(open_id)) => Ok(TokenKey::user(app_id, &open_id)),
            (AppKind::Internal, Some(_), None) => Err(one_tenant()),
            (AppKind::Marketplace, Some(tenant), None) => {
                Ok(TokenKey::tenant(app_id, Some(&tenant)))
            }
            (AppKind::Internal, None, None) => Ok(TokenKey::tenant(app_id, None)),
            (AppKind::Marketplace, None, None) => Ok(TokenKey::app(app_id)),
        }
    }
}

/// `error`, with the time of the next allowed attempt if it is known.
fn refused(error: Error, info: Option<&TokenInfo>) -> Failure {
    let info = info.and_then(|info| value(info).ok());
    match info.as_ref().and_then(failure) {
        Some(failure) => Failure::Explained(error, failure),
        None => error.into(),
    }
}

impl From<KindArgument> for TokenKind {
    fn from(argument: KindArgument) -> Self {
        match argument {
            KindArgument::Tenant => Self::Tenant,
            KindArgument::App => Self::App,
            KindArgument::User => Self::User,
        }
    }
}
