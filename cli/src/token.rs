//! `lark-service token`: the platform's tokens. Their values are never shown.

use clap::{Args, Subcommand, ValueEnum};
use lark_service::apps::{App, AppKind};
use lark_service::error::Error;
use lark_service::ids::{AppId, OpenId, TenantKey};
use lark_service::tokens::{TokenInfo, TokenKey, TokenKind, Trust};
use serde_json::json;

use crate::failure::Failure;
use crate::output::Output;
use crate::session::{PAGE, soon};
use crate::{session, values};

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

pub(crate) async fn run(command: TokenCommand, output: &Output) -> Result<(), Failure> {
    match command {
        TokenCommand::Show {
            app_id,
            kind,
            subject,
        } => {
            let kind = kind.map(TokenKind::from);
            show(&app_id, kind, subject.as_deref(), output).await
        }
        TokenCommand::Refresh(which) => refresh(which, output).await,
    }
}

/// A token in one line, for people.
pub(crate) fn line(info: &TokenInfo) -> String {
    let subject = if info.subject.is_empty() {
        "-"
    } else {
        &info.subject
    };
    let until = match &info.expires_at {
        Some(at) => format!("valid until {at}"),
        None => "none".to_owned(),
    };
    let failure = failure(info).map(|failure| format!("  {failure}"));
    format!(
        "{} {subject}  {until}{}",
        info.kind,
        failure.unwrap_or_default()
    )
}

fn failure(info: &TokenInfo) -> Option<String> {
    let failure = info.failure.as_ref()?;
    let code = failure
        .code
        .map(|code| format!(" {code}"))
        .unwrap_or_default();
    Some(format!(
        "failed {} times: {}{code} {}; next try {}",
        failure.count, failure.reason, failure.msg, failure.retry_at
    ))
}

async fn show(
    app_id: &AppId,
    kind: Option<TokenKind>,
    subject: Option<&str>,
    output: &Output,
) -> Result<(), Failure> {
    let services = session::open().await?;
    services.apps.read(app_id, soon()).await?;
    let mut list = output.list(&["kind", "subject", "issued", "ends", "due", "last failure"])?;
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
        let infos = page.items.into_iter();
        let infos = infos.filter(|info| subject.is_none_or(|subject| subject == info.subject));
        let rows = infos.map(|info| {
            let cells = vec![
                info.kind.to_owned(),
                info.subject.clone(),
                info.issued_at.clone().unwrap_or_default(),
                info.expires_at.clone().unwrap_or_default(),
                info.refresh_at.clone().unwrap_or_default(),
                failure(&info).unwrap_or_default(),
            ];
            (info, cells)
        });
        list.rows(&rows.collect::<Vec<_>>())?;
        after = page.next_page_token;
        if after.is_none() {
            kind = kinds.next();
        }
    }
    list.end("no token is known")
}

async fn refresh(which: Refresh, output: &Output) -> Result<(), Failure> {
    let services = session::open().await?;
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
    let until = expires_at
        .as_deref()
        .unwrap_or("a moment that the store was not told");
    let text = if is_new {
        format!("the platform issued a token that is valid until {until}")
    } else {
        format!("the current token is valid until {until}; it is renewed automatically")
    };
    output.answer(&json!({ "issued": is_new, "token": after }), &text)
}

impl Refresh {
    /// The token's key, if the app's kind has such tokens.
    fn key(self, app: &App) -> Result<TokenKey, Failure> {
        let app_id = self.app_id;
        match (app.kind, self.tenant, self.user) {
            (_, _, Some(open_id)) => Ok(TokenKey::user(app_id, &open_id)),
            (AppKind::Internal, Some(_), None) => Err(Failure::Usage(
                "--tenant is for marketplace apps: this one has one tenant".to_owned(),
            )),
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
    match info.and_then(failure) {
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
