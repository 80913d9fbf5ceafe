//! Warm-up of the tiers: after a deployment and every hour.
//!
//! For each enabled app: it persists the counts of its calls to the platform, then warms its token, the most popular users,
//! and the directory, where the app may read all of it (`directory`). A run ends with its deadline and the next one resumes
//! there, both among the apps and within a directory. Calls to Lark leave room for callers.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use serde::Serialize;
use tracing::{info, warn};

use crate::apps::{App, AppContext, AppKind, Apps};
use crate::cache::Lease;
use crate::clock::Clock;
use crate::deadline::Deadline;
use crate::directory::guard::{Guard, UserCount};
use crate::directory::popularity::Popularity;
use crate::directory::tiers::{AppTenant, Tiers};
use crate::directory::users::UserService;
use crate::error::Result;
use crate::ids::AppId;
use crate::lark::contacts::UserId;
use crate::meter::Meter;
use crate::platform::Platform;
use crate::sealed_cache::SealedCache;
use crate::store::{Expect, Key, Record, Storage, Table, Value};
use crate::tokens::{TokenKey, TokenService, Trust};

mod directory;
mod draft;

/// How many apps are warmed at a time.
const CONCURRENT_APPS: usize = 4;
/// How many apps are read at a time.
const PAGE: usize = 100;
/// How many of an app's most popular users are warmed.
const POPULAR: usize = 2_000;
/// A user who stays fresh for this long is not fetched: the next run is not much later than that.
const FRESH_FOR: Duration = Duration::from_secs(30 * 60);
/// The part of a run's time reserved for saving where it stopped.
const RESERVE: Duration = Duration::from_secs(5);
/// With less time than this left, no call to Lark is begun, and a failed one counts as out of time.
const SHORTEST_CALL: Duration = Duration::from_millis(200);
/// The TTL of a run's lease on an app. If a run dies, the next run after that takes the app.
const LEASE_TTL: Duration = Duration::from_secs(5 * 60);

/// What a run did.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Report {
    /// Apps processed: all, or the rest of an earlier run's.
    pub apps: u64,
    /// Apps that have a usable token now.
    pub tokens: u64,
    /// Popular users fetched.
    pub popular_users: u64,
    /// Users read from directories.
    pub directory_users: u64,
    /// Departments whose users were read.
    pub departments: u64,
    /// Directories that have a new filter.
    pub filters: u64,
    /// Apps with a failure; the log has the details.
    pub failed: u64,
    /// Whether the time ran out before the work was done. The next run resumes there.
    pub is_unfinished: bool,
}

/// Fills the tiers. Cheap to clone; clones share everything.
#[derive(Clone, Debug)]
pub struct Warmer {
    pub(crate) apps: Apps,
    pub(crate) tokens: TokenService,
    /// Over `platform`.
    pub(crate) users: UserService,
    /// Leaves room for callers.
    pub(crate) platform: Platform,
    pub(crate) tiers: Tiers,
    pub(crate) guard: Guard,
    pub(crate) user_count: UserCount,
    pub(crate) popularity: Popularity,
    pub(crate) meter: Meter,
    pub(crate) storage: Storage,
    pub(crate) cache: Option<SealedCache>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Warmer {
    /// Warms the apps `only`, or all of them if it is empty.
    ///
    /// # Errors
    /// [`crate::error::Error::Store`] when the apps cannot be read. A failure of one app is in the report and in the log.
    pub async fn run(&self, only: &[AppId], deadline: Deadline) -> Result<Report> {
        let mut report = Report::default();
        let work = Deadline::after(deadline.remaining().saturating_sub(RESERVE));
        if only.is_empty() {
            self.run_all(&mut report, work, deadline).await?;
        } else {
            let apps = self.apps.read_many(only, deadline).await?;
            self.warm_page(apps, &mut report, work).await;
        }
        info!(?report, "warmed up");
        Ok(report)
    }

    /// All apps, from where the last run stopped.
    async fn run_all(&self, report: &mut Report, work: Deadline, deadline: Deadline) -> Result<()> {
        let beginning = self.stopped_at(deadline).await?;
        let mut after = beginning.clone();
        loop {
            let page = self.apps.list(after.as_deref(), PAGE, deadline).await?;
            self.warm_page(page.items, report, work).await;
            if work.has_passed() {
                // The next run repeats this page: what is done already is fresh by then.
                report.is_unfinished = true;
                return self.stop_at(after, deadline).await;
            }
            after = page.next_page_token;
            if after.is_none() {
                break;
            }
        }
        // The run that stopped there has warmed the apps before it.
        if beginning.is_some() {
            self.stop_at(None, deadline).await?;
        }
        Ok(())
    }

    async fn warm_page(&self, apps: Vec<Arc<App>>, report: &mut Report, work: Deadline) {
        let enabled = apps.into_iter().filter(|app| app.is_enabled());
        let outcomes: Vec<Report> = stream::iter(enabled)
            .map(|app| Box::pin(self.warm(app, work)))
            .buffer_unordered(CONCURRENT_APPS)
            .collect()
            .await;
        for outcome in outcomes {
            report.add(&outcome);
        }
    }

    async fn warm(&self, app: Arc<App>, work: Deadline) -> Report {
        let mut report = Report {
            apps: 1,
            ..Report::default()
        };
        // Once an hour is often enough; after a failure the counts wait for the next run.
        if let Err(error) = self.meter.persist(&app.app_id, work).await {
            warn!(lark.app_id = app.app_id.as_str(), %error, "counts of calls to the platform are not persisted");
        }
        // A marketplace app has a token and a directory for each tenant; its tokens are the refresher's.
        if app.kind == AppKind::Marketplace || work.has_passed() {
            return report;
        }
        let lease = self.cache.as_ref().map(|cache| {
            let key = format!("lark:warm-up:{}", app.app_id);
            Lease::new(cache.client(), key, LEASE_TTL)
        });
        if let Some(lease) = &lease
            && !lease.may_proceed().await
        {
            return report;
        }
        let outcome = match AppContext::new(Arc::clone(&app), None) {
            Ok(context) => self.warm_app(&context, &mut report, work).await,
            Err(error) => Err(error),
        };
        match outcome {
            Ok(()) => {}
            Err(_) if work.remaining() < SHORTEST_CALL => report.is_unfinished = true,
            Err(error) => {
                report.failed = 1;
                warn!(lark.app_id = app.app_id.as_str(), error.code = error.code().as_str(), %error, "an app is not warmed");
            }
        }
        if let Some(lease) = lease {
            lease.release().await;
        }
        report
    }

    async fn warm_app(
        &self,
        context: &AppContext,
        report: &mut Report,
        work: Deadline,
    ) -> Result<()> {
        let key = TokenKey::of_context(context);
        self.tokens
            .token(context.app(), &key, Trust::Shared, work)
            .await?;
        report.tokens = 1;
        let app_tenant = AppTenant::of(context);
        let popular = self.popularity.top(&app_tenant, POPULAR).await;
        let ids = popular.iter().filter_map(UserId::of_item).collect();
        let until = self.clock.now() + FRESH_FOR;
        report.popular_users = self.users.warm(context, ids, until, work).await?;
        self.read_directory(context, report, work).await
    }

    async fn stopped_at(&self, deadline: Deadline) -> Result<Option<String>> {
        let record = self
            .storage
            .get(Table::Directory, &progress_key(), deadline)
            .await?;
        Ok(record.and_then(|record| record.text(AFTER).map(str::to_owned)))
    }

    async fn stop_at(&self, after: Option<String>, deadline: Deadline) -> Result<()> {
        let key = progress_key();
        match after {
            Some(after) => {
                let version = u64::try_from(self.clock.now().as_millis()).unwrap_or(0);
                let record = Record::new(key, version).with(AFTER, Value::Text(after));
                let put = self
                    .storage
                    .put(Table::Directory, &record, Expect::Anything, deadline);
                Ok(put.await?)
            }
            None => {
                let delete =
                    self.storage
                        .delete(Table::Directory, &key, Expect::Anything, deadline);
                Ok(delete.await?)
            }
        }
    }
}

/// The app after which the next run begins.
const AFTER: &str = "after";

fn progress_key() -> Key {
    Key::new("warm-up", "progress")
}

impl Report {
    fn add(&mut self, other: &Self) {
        self.apps += other.apps;
        self.tokens += other.tokens;
        self.popular_users += other.popular_users;
        self.directory_users += other.directory_users;
        self.departments += other.departments;
        self.filters += other.filters;
        self.failed += other.failed;
        self.is_unfinished |= other.is_unfinished;
    }
}
