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
use lark_service::store::Table;
use lark_service::tokens::schedule::is_in_future;
use lark_service::tokens::{SHARDS, TokenKind};
use lark_service::wiring::Services;

const API_KEYS: &str = "api_keys";
const SCHEDULE: &str = "schedule";
const LOGINS: &str = "logins";
const TIMES: &str = "token_times";
/// The schedule runs every minute; what is due for longer was missed by many runs.
const OVERDUE: Duration = Duration::from_secs(600);
/// How many keys or tokens are listed per page.
const PAGE: usize = 200;
/// How many pages are read, of keys and of one app's tokens.
const MAX_PAGES: usize = 50;

/// Checks keys, schedule and logins.
pub(super) async fn examine(services: &Services, known: &[Known]) -> Vec<Check> {
    let mut checks = vec![api_keys(services).await, schedule(services).await];
    checks.extend(tokens(services, known).await);
    checks
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
    let shards = (0..SHARDS).map(|shard| {
        services
            .storage
            .due(Table::Tokens, shard, until, None, 1, soon())
    });
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

/// The checks of all tokens: logins that ended, and what a fast clock has left behind.
async fn tokens(services: &Services, known: &[Known]) -> Vec<Check> {
    let (mut sum, mut apps) = (Tokens::default(), Vec::new());
    for known in known {
        match read_tokens(services, known).await {
            Ok(tokens) => {
                if tokens.ended > 0 {
                    apps.push(known.app_id.as_str());
                }
                sum.all += tokens.all;
                sum.logins += tokens.logins;
                sum.ended += tokens.ended;
                sum.from_future += tokens.from_future;
            }
            Err(error) => return vec![unread(LOGINS, &error), unread(TIMES, &error)],
        }
    }
    vec![logins(&sum, &apps), times(&sum)]
}

fn logins(tokens: &Tokens, apps: &[&str]) -> Check {
    let Tokens { logins, ended, .. } = tokens;
    match apps.first() {
        None => Check::ok(LOGINS, format!("none of {logins} needs the user")),
        Some(app_id) => Check::warning(
            LOGINS,
            format!(
                "{ended} of {logins} logins have ended, of the apps {}",
                apps.join(", ")
            ),
            format!(
                "lark-service login list {app_id} --ended says whose and why: these users must log in again"
            ),
        ),
    }
}

fn times(tokens: &Tokens) -> Check {
    let Tokens {
        all, from_future, ..
    } = tokens;
    if *from_future == 0 {
        return Check::ok(TIMES, format!("none of {all} tokens is from the future"));
    }
    Check::warning(
        TIMES,
        format!(
            "{from_future} of {all} tokens are from the future: the clock of a process is or was fast. They are not handed out, \
             and replaced when they are next asked for"
        ),
        "let every machine that runs the service follow a time server: timedatectl set-ntp true",
    )
}

/// Counts of tokens.
#[derive(Default)]
struct Tokens {
    all: usize,
    logins: usize,
    /// Logins that ended.
    ended: usize,
    /// Issued later than now.
    from_future: usize,
}

async fn read_tokens(services: &Services, known: &Known) -> Result<Tokens> {
    let mut tokens = Tokens::default();
    for kind in TokenKind::ALL {
        read_kind(services, known, kind, &mut tokens).await?;
    }
    Ok(tokens)
}

async fn read_kind(
    services: &Services,
    known: &Known,
    kind: TokenKind,
    tokens: &mut Tokens,
) -> Result<()> {
    let (mut after, now) = (None::<String>, services.clock.now());
    for _ in 0..MAX_PAGES {
        let page = services
            .tokens
            .list(&known.app_id, kind, after.as_deref(), PAGE, soon())
            .await?;
        for token in &page.items {
            let issued_at = token.issued_at.as_deref().and_then(Timestamp::parse);
            let login = token.login.as_ref();
            tokens.all += 1;
            tokens.logins += usize::from(login.is_some());
            tokens.ended += usize::from(login.is_some_and(|login| login.ended.is_some()));
            tokens.from_future += usize::from(issued_at.is_some_and(|at| is_in_future(at, now)));
        }
        after = page.next_page_token;
        if after.is_none() {
            break;
        }
    }
    Ok(())
}

fn unread(name: &'static str, error: &lark_service::error::Error) -> Check {
    let remedy = "run `lark-service doctor` again; see the check `permissions`";
    Check::failed(name, because(error), remedy)
}
