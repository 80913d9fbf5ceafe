//! Checks of what must keep working: keys for callers, the scheduled refresh, logins.

use std::time::Duration;

use futures_util::future::join_all;

use super::apps::Known;
use super::report::because;
use super::{Check, soon};
use lark_service::api_keys::KeyState;
use lark_service::clock::Timestamp;
use lark_service::config::StoreConfig;
use lark_service::error::Result;
use lark_service::tokens::{SHARDS, TokenKind};
use lark_service::wiring::Services;

const API_KEYS: &str = "api_keys";
const SCHEDULE: &str = "schedule";
const LOGINS: &str = "logins";
/// The schedule runs every minute; what is due for longer was missed by many runs.
const OVERDUE: Duration = Duration::from_secs(600);
/// How many keys or logins are listed per page.
const PAGE: usize = 200;
/// How many pages are read, of keys and of one app's logins.
const MAX_PAGES: usize = 50;

/// Checks keys, schedule and logins.
pub(super) async fn examine(services: &Services, known: &[Known]) -> Vec<Check> {
    vec![
        api_keys(services).await,
        schedule(services).await,
        logins(services, known).await,
    ]
}

async fn api_keys(services: &Services) -> Check {
    let (mut after, mut seen) = (None::<String>, 0);
    for _ in 0..MAX_PAGES {
        let page = services.api_keys.list(after.as_deref(), PAGE, soon()).await;
        let page = match page {
            Ok(page) => page,
            Err(error) => return unread(API_KEYS, &error),
        };
        if page.items.iter().any(|key| key.state == KeyState::Active) {
            return Check::ok(API_KEYS, "there is an active one");
        }
        seen += page.items.len();
        after = page.next_page_token;
        if after.is_none() {
            break;
        }
    }
    Check::failed(
        API_KEYS,
        format!("none of {seen} API keys is active: every caller is refused"),
        "lark-service key create --name … --scope tokens:read --scope users:read --app '*'",
    )
}

async fn schedule(services: &Services) -> Check {
    let until = services.clock.now() - OVERDUE;
    let shards = (0..SHARDS).map(|shard| services.storage.due(shard, until, None, 1, soon()));
    let mut oldest: Option<Timestamp> = None;
    for records in join_all(shards).await {
        match records {
            Ok(records) => {
                let due = records.iter().filter_map(|record| Some(record.due?.at));
                oldest = oldest.into_iter().chain(due).min();
            }
            Err(error) => return unread(SCHEDULE, &error.into()),
        }
    }
    let Some(oldest) = oldest else {
        return Check::ok(SCHEDULE, "no token is due for more than ten minutes");
    };
    let detail = format!(
        "a token is due since {oldest}: the scheduled refresh does not run, or does not keep up"
    );
    match services.config.store {
        StoreConfig::DynamoDb { .. } => Check::failed(
            SCHEDULE,
            detail,
            "see that the schedule of RefreshTokensFunction (template.yaml, rate(1 minute)) is enabled, and look into that \
             function's log and its alarm",
        ),
        // Nothing else runs while this does: only one process can open the embedded store.
        StoreConfig::Embedded { .. } => Check::warning(
            SCHEDULE,
            detail,
            "start the local host, whose schedule runs the function refresh-tokens: make run",
        ),
    }
}

async fn logins(services: &Services, known: &[Known]) -> Check {
    let (mut ended, mut apps, mut all) = (0_usize, Vec::new(), 0_usize);
    for known in known {
        match ended_logins(services, known).await {
            Ok((0, logins)) => all += logins,
            Ok((count, logins)) => {
                ended += count;
                all += logins;
                apps.push(known.app_id.as_str());
            }
            Err(error) => return unread(LOGINS, &error),
        }
    }
    match apps.first() {
        None => Check::ok(LOGINS, format!("none of {all} needs the user")),
        Some(app_id) => Check::warning(
            LOGINS,
            format!(
                "{ended} of {all} logins have ended, of the apps {}",
                apps.join(", ")
            ),
            format!(
                "lark-service login list {app_id} --ended says whose and why: these users must log in again"
            ),
        ),
    }
}

/// How many logins of the app have ended, and how many exist.
async fn ended_logins(services: &Services, known: &Known) -> Result<(usize, usize)> {
    let (mut ended, mut all, mut after) = (0, 0, None::<String>);
    for _ in 0..MAX_PAGES {
        let user = Some(TokenKind::User);
        let page = services
            .tokens
            .list(&known.app_id, user, after.as_deref(), PAGE, soon())
            .await?;
        let logins = page.items.iter().filter_map(|token| token.login.as_ref());
        ended += logins.filter(|login| login.ended.is_some()).count();
        all += page.items.len();
        after = page.next_page_token;
        if after.is_none() {
            break;
        }
    }
    Ok((ended, all))
}

fn unread(name: &'static str, error: &lark_service::error::Error) -> Check {
    let remedy = "run `lark-service doctor` again; see the check `permissions`";
    Check::failed(name, because(error), remedy)
}
