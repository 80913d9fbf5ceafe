//! An operator's check-up: configuration, files, store, keys, cache, platform, apps. Each failure comes with its remedy.
//!
//! It writes only probes: a record in each table and a key in the cache, which are removed at once and otherwise expire. No
//! caller waits for it, so it checks each app's credentials with the platform, which costs a token request each.

use std::sync::Arc;
use std::time::Duration;

use lark_service::aws;
use lark_service::clock::Clock;
use lark_service::config::{Config, StoreConfig};
use lark_service::deadline::Deadline;
use lark_service::ids::AppId;
use lark_service::wiring::Services;

mod apps;
mod cache;
mod files;
mod lark;
mod report;
mod store;
mod upkeep;

pub use report::{Check, Report, Status};

use report::Findings;

/// The time for one group of checks.
const PATIENCE: Duration = Duration::from_secs(30);
/// Checks that need a store that answers.
const ON_STORE: [&str; 3] = ["schema", "permissions", "data_keys"];
/// Checks that need a store that answers and data keys that work.
const ON_KEYS: [&str; 8] = [
    "apps",
    "default_app",
    "credentials",
    "tickets",
    "api_keys",
    "schedule",
    "logins",
    "token_times",
];

/// What to check.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Whether to skip the platform.
    pub is_offline: bool,
    /// The apps to check; empty: all.
    pub apps: Vec<AppId>,
}

/// Checks everything that the variables in `lookup` configure, and passes each check to `tell` at once.
pub async fn examine(
    lookup: impl Fn(&'static str) -> Option<String>,
    options: &Options,
    clock: Arc<dyn Clock>,
    tell: &mut (dyn FnMut(&Check) + Send),
) -> Report {
    let mut findings = Findings::new(tell);
    let config = match Config::from_lookup(lookup) {
        Ok(config) => config,
        Err(error) => {
            let remedy = format!(
                "set {}: it {} (docs/configuration.md)",
                error.variable, error.problem
            );
            findings.add(Check::failed("configuration", error.to_string(), remedy));
            let others = ["store", "cache", "lark", "clock"];
            let why = "needs a right configuration";
            findings.skip(&others, why);
            findings.skip(&ON_STORE, why);
            findings.skip(&ON_KEYS, why);
            return findings.into_report();
        }
    };
    findings.add(Check::ok("configuration", described(&config)));
    let (keys_readable, checks) = files::examine(&config);
    findings.extend(checks);
    // Each of them is boxed: they run once and would enlarge the caller's future.
    let services = Box::pin(on_store(&config, keys_readable, &clock, &mut findings)).await;
    findings.extend(Box::pin(cache::examine(&config, &clock)).await);
    let known = match &services {
        Some(services) => {
            let (known, checks) = Box::pin(apps::examine(services, options)).await;
            findings.extend(checks);
            known
        }
        None => Vec::new(),
    };
    let work = on_lark(&config, options, &known, &clock, &mut findings);
    let is_reachable = Box::pin(work).await;
    if let Some(services) = &services {
        if is_reachable {
            findings.extend(Box::pin(apps::credentials(services, &known)).await);
        } else {
            let why = "the platform is not asked or not reached";
            findings.skip(&["credentials"], why);
        }
        findings.extend(Box::pin(upkeep::examine(services, &known)).await);
    }
    findings.into_report()
}

/// Opens and checks the store; returns the services over it if it answers and sealed data can be opened.
async fn on_store(
    config: &Config,
    keys_readable: bool,
    clock: &Arc<dyn Clock>,
    findings: &mut Findings<'_>,
) -> Option<Services> {
    let skip = |findings: &mut Findings<'_>| {
        findings.skip(&ON_STORE, "needs the store");
        findings.skip(&ON_KEYS, "needs the store");
    };
    let adapters = match store::open(config, clock).await {
        Ok(adapters) => adapters,
        Err(check) => {
            findings.add(check);
            skip(findings);
            return None;
        }
    };
    let services = Services::new(config.clone(), &adapters);
    let (answers, check) = store::reachable(&services).await;
    findings.add(check);
    if !answers {
        skip(findings);
        return None;
    }
    let (is_usable, checks) = store::schema(config, &adapters).await;
    findings.extend(checks);
    if !is_usable {
        findings.skip(&["permissions", "data_keys"], "needs the tables");
        findings.skip(&ON_KEYS, "needs the tables");
        return None;
    }
    findings.extend(store::permissions(config, &services).await);
    if !keys_readable {
        findings.skip(&["data_keys"], "needs the key file");
        findings.skip(&ON_KEYS, "needs the data keys");
        return None;
    }
    let (opens, check) = store::data_keys(config, &services).await;
    findings.add(check);
    if !opens {
        findings.skip(&ON_KEYS, "needs the data keys");
        return None;
    }
    Some(services)
}

/// Whether the platform is reachable for the checks of apps.
async fn on_lark(
    config: &Config,
    options: &Options,
    known: &[apps::Known],
    clock: &Arc<dyn Clock>,
    findings: &mut Findings<'_>,
) -> bool {
    let Ok(http) = aws::http(aws::DEFAULT_IDLE_TIMEOUT) else {
        findings.skip(&["lark", "clock"], "the HTTP client cannot be built");
        return false;
    };
    if options.is_offline {
        findings.skip(&["lark"], "--offline");
        findings.add(lark::clock_by_dynamodb(&http, config, clock).await);
        return false;
    }
    let (is_reachable, checks) = lark::examine(&http, config, known, clock).await;
    findings.extend(checks);
    is_reachable
}

fn described(config: &Config) -> String {
    let store = match &config.store {
        StoreConfig::DynamoDb { .. } => "store dynamodb".to_owned(),
        StoreConfig::Embedded { data_dir } => format!("store embedded in {}", data_dir.display()),
    };
    let cache = if config.cache.is_some() {
        "a shared cache"
    } else {
        "no shared cache"
    };
    format!("{store}, {cache}")
}

fn soon() -> Deadline {
    Deadline::after(PATIENCE)
}

#[cfg(test)]
mod tests;
