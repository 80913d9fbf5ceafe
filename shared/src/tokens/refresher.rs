//! The scheduled run: everything that is due, a bounded number at a time, inside the invocation's deadline. The next run takes
//! what is left; a run that dies loses nothing, since each token's lease and outcome are separate writes.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{StreamExt, stream};
use tracing::warn;

use super::codec::SHARDS;
use super::info::is_forgotten;
use super::logins::REFRESH_TIME;
use super::queue::{FairQueue, Limits};
use super::renewal::Renewal;
use super::tiers::TokenTiers;
use super::{TokenKey, TokenKind, TokenService, TokenState, Verdict};
use crate::apps::{App, Apps};
use crate::clock::Timestamp;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorCode, Result};
use crate::ids::AppId;
use crate::store::{DuePosition, Expect, Record, StoreError, Table, next_version};

mod report;

pub use report::RunReport;
use report::{Ending, Page};

/// How many records of a shard are read at a time.
const PAGE: usize = 500;
/// More records are read when fewer than this many times the concurrency could be begun.
const LOW_WATER: usize = 4;
/// How many tokens of one app wait at a time; the rest is left to the next run.
const WAITING_PER_APP: usize = 2_000;
/// No token is begun with less time left: a request and two writes must fit in.
const RESERVE: Duration = Duration::from_secs(5);
/// A login of a disabled app is checked again after this: its refresh token must not expire meanwhile.
const LOGIN_PAUSE: Duration = Duration::from_secs(3_600);

/// Renews the tokens that are due.
#[derive(Clone, Debug)]
pub struct Refresher {
    tokens: TokenService,
    apps: Apps,
    concurrency: usize,
}

/// The unread part of the index.
struct Reading {
    until: Timestamp,
    /// The shards with more records, each with its next page.
    shards: Vec<(u8, Option<DuePosition>)>,
}

impl Refresher {
    /// A refresher that works on at most `concurrency` tokens at a time.
    #[must_use]
    pub fn new(tokens: &TokenService, apps: Apps, concurrency: usize) -> Self {
        Self {
            tokens: tokens.clone(),
            apps,
            concurrency,
        }
    }

    fn tiers(&self) -> &TokenTiers {
        self.tokens.tiers()
    }

    /// Renews everything that is due now, until it is done or `deadline` is near. Apps take turns.
    ///
    /// # Errors
    /// [`Error::Store`] when the index or the apps cannot be read; what had been begun was finished. Single tokens that fail are
    /// counted instead.
    pub async fn run(&self, deadline: Deadline) -> Result<RunReport> {
        let mut report = RunReport::default();
        let outcome = self.work(&mut report, deadline).await;
        report.log();
        outcome.map(|()| report)
    }

    async fn work(&self, report: &mut RunReport, deadline: Deadline) -> Result<()> {
        let mut failed = None;
        let mut postponed = 0;
        let mut reading = Reading::begin(self.tiers().clock.now());
        let mut queue = FairQueue::new(Limits {
            in_flight: self.concurrency,
            waiting_per_owner: WAITING_PER_APP,
        });
        let mut apps: HashMap<AppId, Option<Arc<App>>> = HashMap::new();
        let mut refused: HashSet<AppId> = HashSet::new();
        let mut running = FuturesUnordered::new();
        loop {
            // After a failure nothing more is begun. What is under way ends by itself: a refresh token that was presented is
            // lost if nobody awaits the answer.
            let may_begin = failed.is_none() && deadline.remaining() >= RESERVE;
            while may_begin
                && failed.is_none()
                && queue.startable() < LOW_WATER * self.concurrency
                && !reading.shards.is_empty()
            {
                let read = self.read_on(&mut reading, &mut queue, &mut apps, deadline);
                match read.await {
                    Ok(page) => postponed += report.found(&page),
                    Err(error) => failed = Some(error),
                }
            }
            while may_begin
                && failed.is_none()
                && let Some((app_id, record)) = queue.pop()
            {
                if refused.contains(&app_id) {
                    // One refusal per app and run is enough.
                    report.failed += 1;
                    queue.finished(&app_id);
                    continue;
                }
                let app = apps.get(&app_id).cloned().flatten();
                // On the heap: many of these wait side by side.
                running.push(Box::pin(async move {
                    let ending = self.renew_one(&record, app, deadline).await;
                    (app_id, ending)
                }));
            }
            let Some((app_id, ending)) = running.next().await else {
                let is_done = queue.waiting() == 0 && reading.shards.is_empty();
                if is_done && may_begin && failed.is_none() && postponed > 0 {
                    // An app had more than may wait at a time: what is left of it is still in the index.
                    report.due -= postponed;
                    postponed = 0;
                    reading = Reading::begin(self.tiers().clock.now());
                    continue;
                }
                report.left += postponed;
                report.is_partial = !is_done || postponed > 0 || failed.is_some();
                break;
            };
            queue.finished(&app_id);
            report.count(ending);
            if ending == Ending::Refused {
                refused.insert(app_id);
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Reads a page of every shard into the queue, and the apps of what is in it.
    async fn read_on(
        &self,
        reading: &mut Reading,
        queue: &mut FairQueue<AppId, Record>,
        apps: &mut HashMap<AppId, Option<Arc<App>>>,
        deadline: Deadline,
    ) -> Result<Page> {
        let mut page = Page::default();
        for record in self.next_page(reading, deadline).await? {
            page.due += 1;
            let Some(key) = TokenKey::from_store_key(&record.key) else {
                page.unusable += 1;
                continue;
            };
            if !queue.push(&key.app_id, record) {
                page.postponed += 1;
            }
        }
        let owners: Vec<_> = queue.owners().cloned().collect();
        self.look_up(&owners, apps, deadline).await?;
        Ok(page)
    }

    /// The next page of every shard that has one, the longest overdue first.
    async fn next_page(&self, reading: &mut Reading, deadline: Deadline) -> Result<Vec<Record>> {
        let until = reading.until;
        let pages = stream::iter(std::mem::take(&mut reading.shards))
            .map(|(shard, after)| async move {
                let page = self
                    .tiers()
                    .storage
                    .due(Table::Tokens, shard, until, after.as_ref(), PAGE, deadline)
                    .await;
                (shard, page)
            })
            .buffer_unordered(usize::from(SHARDS))
            .collect::<Vec<_>>()
            .await;
        let mut records = Vec::new();
        for (shard, page) in pages {
            let page = page?;
            let position = page.last().and_then(Record::due_position);
            if page.len() >= PAGE && position.is_some() {
                reading.shards.push((shard, position));
            }
            records.extend(page);
        }
        records.sort_by_key(|record| record.due.map(|due| due.at));
        Ok(records)
    }

    /// Reads those of `app_ids` that are not known yet.
    async fn look_up(
        &self,
        app_ids: &[AppId],
        apps: &mut HashMap<AppId, Option<Arc<App>>>,
        deadline: Deadline,
    ) -> Result<()> {
        let unknown = app_ids.iter().filter(|app_id| !apps.contains_key(*app_id));
        let unknown: Vec<_> = unknown.cloned().collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let found = self.apps.read_many(&unknown, deadline).await?;
        apps.extend(unknown.into_iter().map(|app_id| (app_id, None)));
        apps.extend(found.into_iter().map(|app| (app.app_id.clone(), Some(app))));
        Ok(())
    }

    async fn renew_one(
        &self,
        record: &Record,
        app: Option<Arc<App>>,
        deadline: Deadline,
    ) -> Ending {
        let outcome = match app.filter(|app| app.is_enabled()) {
            Some(app) => self.renew_leased(record, &app, deadline).await,
            None => self.retire(record, deadline).await,
        };
        match outcome {
            Ok(ending) => ending,
            Err(Error::Store(StoreError::Conflict)) => Ending::Skipped,
            Err(error) => {
                warn!(token.key = %record.key, error.code = error.code().as_str(), %error, "a token is not refreshed");
                if error.code() == ErrorCode::AppRefused {
                    Ending::Refused
                } else {
                    Ending::Failed
                }
            }
        }
    }

    /// The lease is conditional on exactly the version in the index: an index that lags behind causes a conflict.
    async fn renew_leased(&self, record: &Record, app: &App, deadline: Deadline) -> Result<Ending> {
        let state = match TokenState::from_record(record, &self.tiers().sealer, deadline).await {
            Ok(state) => state,
            Err(Error::Seal(_)) => {
                let key = TokenKey::from_store_key(&record.key)
                    .ok_or_else(|| Error::internal("not a token's record"))?;
                TokenState {
                    version: record.version,
                    ..TokenState::unknown(key, self.tiers().clock.now())
                }
            }
            Err(error) => return Err(error),
        };
        if state.key.kind == TokenKind::User {
            return self.renew_login(&state, app, deadline).await;
        }
        self.renew_state(&state, app, deadline).await
    }

    async fn renew_state(
        &self,
        state: &TokenState,
        app: &App,
        deadline: Deadline,
    ) -> Result<Ending> {
        let (tokens, key) = (self.tokens.clone(), state.key.clone());
        let is_login = key.kind == TokenKind::User;
        if is_login && deadline.remaining() < REFRESH_TIME {
            return Ok(Ending::Left);
        }
        let logins = self.tokens.logins();
        let _waiting = is_login.then(|| logins.callers().wait(&key, deadline));
        let renewal = Renewal::until(tokens, key, app.clone(), deadline);
        let expect = Expect::Version(state.version);
        let leased = renewal.take_lease(state, expect).await?;
        let token = renewal.renew(state, &leased).await?;
        // It is still handed out while Lark is down, but it is not a new one.
        let is_new = state
            .token
            .as_ref()
            .is_none_or(|old| old.issued_at < token.issued_at);
        Ok(if is_new {
            Ending::Refreshed
        } else {
            Ending::Failed
        })
    }

    /// A login is renewed while its refresh token is valid, whether or not any caller needs its access token now. For one in
    /// doubt the same rules apply as for a caller.
    async fn renew_login(
        &self,
        state: &TokenState,
        app: &App,
        deadline: Deadline,
    ) -> Result<Ending> {
        let (tiers, expect) = (self.tiers(), Expect::Version(state.version));
        let now = tiers.clock.now();
        if let Some(pair) = self.tokens.logins().pair_in_waiting(state, deadline).await {
            self.tokens.logins().commit_pair(state, pair).await?;
            return Ok(Ending::Refreshed);
        }
        let is_in_doubt = state
            .login
            .as_ref()
            .is_some_and(|login| login.uncertain_since.is_some());
        match state.user_verdict(now) {
            Verdict::Refuse(error) if error.code() == ErrorCode::ReauthorizationRequired => {
                // It ended, or was deleted: the shared cache must know before this run forgets about it.
                if !tiers.publish_surely(state, deadline).await {
                    return Ok(Ending::Failed);
                }
                tiers.write(&state.retired(now), expect, deadline).await?;
                return Ok(Ending::Retired);
            }
            Verdict::Serve(token) if is_in_doubt => {
                let later = due_again(state, token.expires_at, now);
                tiers.write(&later, expect, deadline).await?;
                return Ok(Ending::Skipped);
            }
            Verdict::Refuse(_) | Verdict::Serve(_) | Verdict::Renew(_) => {}
        }
        self.renew_state(state, app, deadline).await
    }

    /// Its app is deleted or disabled. A token leaves the index and comes back with a caller's first request; a login is
    /// checked again later.
    async fn retire(&self, record: &Record, deadline: Deadline) -> Result<Ending> {
        let expect = Expect::Version(record.version);
        if is_forgotten(record) {
            let state = TokenState::from_record(record, &self.tiers().sealer, deadline).await?;
            if !self.tiers().publish_surely(&state, deadline).await {
                return Ok(Ending::Failed);
            }
        }
        let mut retired = record.clone();
        retired.version = next_version(record.version, self.tiers().clock.now());
        let key = TokenKey::from_store_key(&record.key);
        let is_login = key.is_some_and(|key| key.kind == TokenKind::User) && !is_forgotten(record);
        retired.due = retired.due.filter(|_| is_login);
        if let Some(due) = &mut retired.due {
            due.at = self.tiers().clock.now() + LOGIN_PAUSE;
        }
        self.tiers()
            .storage
            .put(Table::Tokens, &retired, expect, deadline)
            .await?;
        Ok(Ending::Retired)
    }
}

/// `state`, due again at `at`.
fn due_again(state: &TokenState, at: Timestamp, now: Timestamp) -> TokenState {
    TokenState {
        version: state.next_version(now),
        due_at: Some(at),
        ..state.clone()
    }
}

impl Reading {
    fn begin(now: Timestamp) -> Self {
        Self {
            until: now,
            shards: (0..SHARDS).map(|shard| (shard, None)).collect(),
        }
    }
}
