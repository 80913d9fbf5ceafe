//! Checks of registered apps: usable, accepted by the platform, with tickets where they need them.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};

use super::report::because;
use super::{Check, Options, soon};
use lark_service::apps::{App, AppKind};
use lark_service::deadline::Deadline;
use lark_service::error::{Error, FailureKind, LarkFailure};
use lark_service::ids::AppId;
use lark_service::lark::auth::{self, AppCredentials, Issue};
use lark_service::lark::{Domain, Installation, Sender};
use lark_service::seal::SealError;
use lark_service::wiring::Services;

const APPS: &str = "apps";
const DEFAULT_APP: &str = "default_app";
const TICKETS: &str = "tickets";
const CREDENTIALS: &str = "credentials";
/// How many apps are checked unless some are named.
const MAX_APPS: usize = 10_000;
/// For how many apps the platform is called unless some are named.
const MAX_ASKED: usize = 200;
/// How many apps are checked concurrently.
const CONCURRENCY: usize = 8;
/// How many apps are listed per page.
const PAGE: usize = 500;
/// The time-out of one call to the platform.
const ASKING: Duration = Duration::from_secs(15);

/// A registered app, usable or not.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) app_id: AppId,
    pub(super) app: Result<Arc<App>, Error>,
}

impl Known {
    pub(super) fn domain(&self) -> Option<Domain> {
        self.app.as_ref().ok().map(|app| app.domain)
    }

    fn enabled(&self) -> Option<&Arc<App>> {
        self.app.as_ref().ok().filter(|app| app.is_enabled())
    }
}

/// The apps, and what was found of them in the store.
pub(super) async fn examine(services: &Services, options: &Options) -> (Vec<Known>, Vec<Check>) {
    let ids = match ids(services, options).await {
        Ok(ids) => ids,
        Err(error) => {
            let remedy = "run `lark-service doctor` again; see the check `permissions`";
            return (
                Vec::new(),
                vec![Check::failed(APPS, because(&error), remedy)],
            );
        }
    };
    let mut known: Vec<_> = stream::iter(ids)
        .map(|app_id| async move {
            let app = services.apps.read(&app_id, soon()).await;
            Known { app_id, app }
        })
        .buffer_unordered(CONCURRENCY)
        .collect()
        .await;
    known.sort_by(|one, other| one.app_id.cmp(&other.app_id));
    let mut checks: Vec<_> = known.iter().filter_map(unusable).collect();
    if checks.is_empty() {
        checks.push(counted(&known));
    }
    checks.push(default_app(services).await);
    checks.push(tickets(services, &known).await);
    (known, checks)
}

async fn ids(services: &Services, options: &Options) -> Result<Vec<AppId>, Error> {
    if !options.apps.is_empty() {
        return Ok(options.apps.clone());
    }
    let (mut ids, mut after) = (Vec::new(), None::<String>);
    while ids.len() < MAX_APPS {
        let (page, next) = services.apps.ids(after.as_deref(), PAGE, soon()).await?;
        ids.extend(page);
        after = next;
        if after.is_none() {
            break;
        }
    }
    Ok(ids)
}

fn counted(known: &[Known]) -> Check {
    if known.is_empty() {
        return Check::warning(
            APPS,
            "no app is registered",
            "lark-service app add --app-id cli_…, with the App Secret on standard input",
        );
    }
    let enabled = known.iter().filter(|known| known.enabled().is_some());
    let detail = format!("{} registered, {} enabled", known.len(), enabled.count());
    Check::ok(APPS, detail)
}

fn unusable(known: &Known) -> Option<Check> {
    let (app_id, error) = (&known.app_id, known.app.as_ref().err()?);
    let anew = format!("lark-service app rotate-secret {app_id} --previous-for 0");
    let remedy = if let Error::Seal(SealError::UnknownKey(key)) = error {
        format!(
            "restore the data key {key} from a backup of the key ring, or give the secret anew: {anew}"
        )
    } else if let Error::Seal(SealError::Broken) = error {
        format!("give the secret anew: {anew}")
    } else if let Error::AppNotFound(_) = error {
        format!("lark-service app add --app-id {app_id}")
    } else {
        let code = error.code().as_str();
        format!("docs/errors.md explains {code}; then: lark-service doctor --app {app_id}")
    };
    let detail = format!("the app {app_id} cannot be used: {}", because(error));
    Some(Check::failed(APPS, detail, remedy))
}

async fn default_app(services: &Services) -> Check {
    let Some(app_id) = &services.config.default_app_id else {
        let why = "LARK_SERVICE_DEFAULT_APP_ID is not set; requests name their app";
        return Check::skipped(DEFAULT_APP, why);
    };
    match services.apps.enabled(app_id, soon()).await {
        Ok(_) => Check::ok(DEFAULT_APP, app_id.to_string()),
        Err(error @ Error::AppDisabled(_)) => {
            let remedy = format!(
                "lark-service app enable {app_id}, or set LARK_SERVICE_DEFAULT_APP_ID to another"
            );
            Check::failed(DEFAULT_APP, error.to_string(), remedy)
        }
        Err(error @ Error::AppNotFound(_)) => {
            let remedy = format!(
                "lark-service app add --app-id {app_id}, or set LARK_SERVICE_DEFAULT_APP_ID to a registered one"
            );
            Check::failed(DEFAULT_APP, error.to_string(), remedy)
        }
        Err(error) => {
            let remedy = format!("see what the check `apps` says of {app_id}");
            Check::failed(DEFAULT_APP, because(&error), remedy)
        }
    }
}

/// Whether each marketplace app has its ticket.
async fn tickets(services: &Services, known: &[Known]) -> Check {
    let apps = known.iter().filter_map(Known::enabled);
    let apps: Vec<_> = apps
        .filter(|app| app.kind == AppKind::Marketplace)
        .collect();
    if apps.is_empty() {
        return Check::skipped(TICKETS, "no marketplace app is enabled");
    }
    let without: Vec<_> = stream::iter(&apps)
        .map(|app| async move {
            let ticket = services.apps.ticket(&app.app_id, soon()).await;
            (!matches!(ticket, Ok(Some(_)))).then(|| app.app_id.to_string())
        })
        .buffer_unordered(CONCURRENCY)
        .filter_map(std::future::ready)
        .collect()
        .await;
    if without.is_empty() {
        return Check::ok(
            TICKETS,
            format!("{} marketplace apps have theirs", apps.len()),
        );
    }
    Check::failed(
        TICKETS,
        format!("no usable ticket came for {}", without.join(", ")),
        "see that the app's event address in the developer console leads to the function store-app-ticket; \
         `lark-service token refresh APP` asks the platform to send the ticket again",
    )
}

/// Asks the platform for a token of each app.
pub(super) async fn credentials(services: &Services, known: &[Known]) -> Vec<Check> {
    let apps: Vec<_> = known.iter().filter_map(Known::enabled).collect();
    if apps.is_empty() {
        return vec![Check::skipped(CREDENTIALS, "no app is enabled")];
    }
    let asked = apps.len().min(MAX_ASKED);
    let mut refused: Vec<_> = stream::iter(&apps[..asked])
        .map(|app| async move { (app, ask(services, app).await) })
        .buffer_unordered(CONCURRENCY)
        .filter_map(async |(app, failure)| Some(refused(app, &failure?)))
        .collect()
        .await;
    refused.sort_by(|one, other| one.detail.cmp(&other.detail));
    let unasked = apps.len() - asked;
    if refused.is_empty() {
        refused.push(Check::ok(
            CREDENTIALS,
            format!("the platform takes those of {asked} apps"),
        ));
    }
    if unasked > 0 {
        let why = format!("{unasked} more apps were not asked about; name some with --app");
        refused.push(Check::skipped(CREDENTIALS, why));
    }
    refused
}

/// Why the platform refuses the current secret, if it does; a marketplace app without a ticket is skipped.
async fn ask(services: &Services, app: &App) -> Option<LarkFailure> {
    let deadline = Deadline::after(ASKING);
    let credentials = AppCredentials {
        app_id: &app.app_id,
        secret: &app.secrets.current.value,
    };
    let ticket;
    let issue = match app.kind {
        AppKind::Internal => Issue::InternalTenant(credentials),
        AppKind::Marketplace => {
            ticket = services.apps.ticket(&app.app_id, deadline).await.ok()??;
            Issue::MarketplaceApp(credentials, &ticket.value)
        }
    };
    let installation = Installation::without_tenant(app.domain, &app.app_id);
    let sender = Sender::without_token(installation);
    let issued = services
        .lark
        .send(sender, &auth::issue(&issue), deadline)
        .await;
    issued.err()
}

fn refused(app: &App, failure: &LarkFailure) -> Check {
    let app_id = &app.app_id;
    let detail = format!("{app_id}: {failure}");
    match (failure.kind, failure.code) {
        // 10014, or 10015 by the platform's documentation: the secret is wrong.
        (FailureKind::AppRefused, Some(10_014 | 10_015)) => Check::failed(
            CREDENTIALS,
            detail,
            format!(
                "lark-service app rotate-secret {app_id}, with the App Secret of the developer console on standard input"
            ),
        ),
        (FailureKind::AppRefused, _) => Check::failed(
            CREDENTIALS,
            detail,
            format!(
                "see in the developer console that the app is in use and its App ID is {app_id}; it lives on {} here: \
                 lark-service app update {app_id} --domain … changes that, lark-service app rotate-secret {app_id} the secret",
                app.domain.as_str()
            ),
        ),
        (kind, _) if kind.is_outage() => Check::warning(
            CREDENTIALS,
            detail,
            format!("try again later: lark-service doctor --app {app_id}"),
        ),
        (_, _) => Check::failed(
            CREDENTIALS,
            detail,
            format!("see docs/errors.md; then: lark-service doctor --app {app_id}"),
        ),
    }
}
