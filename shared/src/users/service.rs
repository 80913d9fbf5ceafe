//! The look-up of a user: cache-aside over three tiers.

use std::sync::Arc;
use std::time::Duration;

use quick_cache::sync::Cache as LocalCache;
use tracing::warn;

use super::entry::{Freshness, Tier, UserEntry};
use super::id::UserId;
use crate::apps::Acting;
use crate::cache::CacheClient;
use crate::clock::{Clock, Timestamp};
use crate::coalesce::Flights;
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::ids::{AppId, TenantKey};
use crate::lark::{FailureKind, LarkClient, LarkFailure};
use crate::store::{Expect, Key, Record, Storage, Table, Value};
use crate::telemetry::metrics;
use crate::tokens::{SharedToken, TokenKey, TokenService};

/// How long a profile is kept to be served when Lark fails.
const STALE_IF_ERROR: Duration = Duration::from_secs(24 * 3_600);
/// A TTL is lengthened or shortened by up to this part, so that what was filled together does not end together.
const JITTER: f64 = 0.1;
/// The time for one look-up at Lark, whoever still waits for it.
const FETCH_TIMEOUT: Duration = Duration::from_secs(28);

/// How long what is believed.
#[derive(Clone, Copy, Debug)]
pub struct UserSettings {
    /// A profile.
    pub ttl: Duration,
    /// An absence.
    pub absent_ttl: Duration,
    /// The bound of the process's own cache, in bytes.
    pub local_cache_bytes: u64,
}

/// A user that was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The profile as JSON.
    pub body: String,
    /// How the answer came about.
    pub freshness: Freshness,
}

/// Looks users up. Cheap to clone; clones share everything.
#[derive(Clone, Debug)]
pub struct UserService {
    inner: Arc<Inner>,
}

/// Whom a profile is kept for. A `user_id` tells users apart in one tenant only.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct CacheKey {
    app_id: AppId,
    tenant: Option<TenantKey>,
    id: UserId,
}

#[derive(Debug)]
struct Inner {
    lark: LarkClient,
    tokens: TokenService,
    storage: Storage,
    cache: Option<CacheClient>,
    clock: Arc<dyn Clock>,
    settings: UserSettings,
    local: LocalCache<CacheKey, Arc<UserEntry>, Weigher>,
    flights: Flights<CacheKey, Result<Arc<UserEntry>>>,
}

#[derive(Clone, Debug)]
struct Weigher;

impl quick_cache::Weighter<CacheKey, Arc<UserEntry>> for Weigher {
    fn weight(&self, key: &CacheKey, entry: &Arc<UserEntry>) -> u64 {
        let tenant = key
            .tenant
            .as_ref()
            .map_or(0, |tenant| tenant.as_str().len());
        let texts = key.app_id.as_str().len() + tenant + key.id.as_str().len();
        entry.weight() + (texts + size_of::<CacheKey>()) as u64
    }
}

impl UserService {
    /// A service over these tiers; `cache` is the shared one, if there is one.
    #[must_use]
    pub fn new(
        lark: LarkClient,
        tokens: TokenService,
        storage: Storage,
        cache: Option<CacheClient>,
        clock: Arc<dyn Clock>,
        settings: UserSettings,
    ) -> Self {
        // A profile takes about a kilobyte; the number only sizes the table.
        let expected = usize::try_from(settings.local_cache_bytes / 1_024)
            .unwrap_or(usize::MAX)
            .clamp(16, 1 << 20);
        let local = LocalCache::with_weighter(expected, settings.local_cache_bytes, Weigher);
        let flights = Flights::default();
        Self {
            inner: Arc::new(Inner {
                lark,
                tokens,
                storage,
                cache,
                clock,
                settings,
                local,
                flights,
            }),
        }
    }

    /// The user `id`, as the app sees it.
    ///
    /// # Errors
    /// [`Error::UserNotFound`]; what [`TokenService::token`] says; [`Error::LarkUnavailable`] and its
    /// like when Lark fails and nothing is kept; [`Error::DeadlineExceeded`].
    pub async fn user(&self, acting: &Acting, id: &UserId, deadline: Deadline) -> Result<Found> {
        let inner = &self.inner;
        let key = CacheKey {
            app_id: acting.app().app_id.clone(),
            tenant: acting.tenant().cloned(),
            id: id.clone(),
        };
        let (entry, tier) = match inner.cached(&key, deadline).await {
            Cached::Fresh(entry, tier) => (entry, tier),
            Cached::Stale(old) => match inner.fetched(&key, acting, Kept::Yes, deadline).await {
                Err(error) if error.is_outage() => {
                    warn!(error.code = error.code().as_str(), %error, "serving a stale profile");
                    metrics::cache_request("users", "lark", "stale_served");
                    (old, Tier::Store)
                }
                outcome => (outcome?, Tier::Lark),
            },
            Cached::Nothing => (
                inner.fetched(&key, acting, Kept::No, deadline).await?,
                Tier::Lark,
            ),
        };
        let body = entry.body.clone().ok_or(Error::UserNotFound)?;
        Ok(Found {
            body,
            freshness: Freshness::of(&entry, tier, inner.clock.now()),
        })
    }
}

/// Whether the store keeps a profile of the user.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kept {
    Yes,
    No,
}

/// What the tiers know.
enum Cached {
    Fresh(Arc<UserEntry>, Tier),
    Stale(Arc<UserEntry>),
    Nothing,
}

impl Inner {
    async fn cached(&self, key: &CacheKey, deadline: Deadline) -> Cached {
        let now = self.clock.now();
        if let Some(entry) = self.local.get(key).filter(|entry| entry.is_fresh(now)) {
            metrics::cache_request("users", Tier::Memory.as_str(), "hit");
            return Cached::Fresh(entry, Tier::Memory);
        }
        metrics::cache_request("users", Tier::Memory.as_str(), "miss");
        if let Some(entry) = self.in_shared_cache(key, now).await {
            self.local.insert(key.clone(), Arc::clone(&entry));
            return Cached::Fresh(entry, Tier::Valkey);
        }
        match self.in_store(key, deadline).await {
            Some(entry) if entry.is_fresh(now) => {
                metrics::cache_request("users", Tier::Store.as_str(), "hit");
                self.fill(key, &entry, now).await;
                Cached::Fresh(entry, Tier::Store)
            }
            Some(stale) => {
                metrics::cache_request("users", Tier::Store.as_str(), "stale");
                Cached::Stale(stale)
            }
            None => {
                metrics::cache_request("users", Tier::Store.as_str(), "miss");
                Cached::Nothing
            }
        }
    }

    async fn in_shared_cache(&self, key: &CacheKey, now: Timestamp) -> Option<Arc<UserEntry>> {
        let answer = self.cache.as_ref()?.get(&cache_key(key)).await;
        let failed = answer.is_err();
        let entry = answer
            .ok()
            .flatten()
            .and_then(|stored| serde_json::from_slice(&stored).ok());
        let entry = entry
            .map(Arc::new)
            .filter(|entry: &Arc<UserEntry>| entry.is_fresh(now));
        let result = match (&entry, failed) {
            (Some(_), _) => "hit",
            (None, true) => "error",
            (None, false) => "miss",
        };
        metrics::cache_request("users", Tier::Valkey.as_str(), result);
        entry
    }

    /// A store that does not answer costs a call to Lark.
    async fn in_store(&self, key: &CacheKey, deadline: Deadline) -> Option<Arc<UserEntry>> {
        let record = self
            .storage
            .get(Table::Users, &store_key(key), deadline)
            .await
            .ok()??;
        Some(Arc::new(UserEntry {
            body: Some(record.text("body")?.to_owned()),
            fetched_at: Timestamp::from_millis(record.number("fetched_at")?),
            fresh_until: Timestamp::from_millis(record.number("fresh_until")?),
        }))
    }

    /// The outcome of the look-up that is under way for this user, or of a new one.
    async fn fetched(
        self: &Arc<Self>,
        key: &CacheKey,
        acting: &Acting,
        kept: Kept,
        deadline: Deadline,
    ) -> Result<Arc<UserEntry>> {
        let work = || {
            let (inner, key, acting) = (Arc::clone(self), key.clone(), acting.clone());
            async move {
                inner
                    .fetch(&key, &acting, kept, Deadline::after(FETCH_TIMEOUT))
                    .await
            }
        };
        let outcome = deadline.run(self.flights.join(key.clone(), work)).await?;
        outcome.map_err(|panicked| Error::internal(panicked.to_string()))?
    }

    async fn fetch(
        &self,
        key: &CacheKey,
        acting: &Acting,
        kept: Kept,
        deadline: Deadline,
    ) -> Result<Arc<UserEntry>> {
        // Whoever fetched it while this caller was on the way here filled the process's cache.
        let now = self.clock.now();
        if let Some(entry) = self.local.get(key).filter(|entry| entry.is_fresh(now)) {
            return Ok(entry);
        }
        let call = |token: SharedToken| {
            let (lark, acting, id) = (self.lark.clone(), acting.clone(), key.id.clone());
            async move {
                let installation = acting.installation();
                lark.fetch_user(installation, &token.value, &id, deadline)
                    .await
            }
        };
        let answer = self
            .tokens
            .call(acting.app(), &TokenKey::acting(acting), deadline, call)
            .await?;
        let now = self.clock.now();
        let entry = match answer {
            Ok(user) => UserEntry::present(&user, now, jittered(self.settings.ttl)),
            Err(failure) if failure.kind == FailureKind::NotFound => {
                UserEntry::absent(now, self.settings.absent_ttl)
            }
            Err(failure) => return Err(refused(failure)),
        };
        let entry = Arc::new(entry);
        self.fill(key, &entry, now).await;
        self.keep(key, &entry, kept, deadline).await;
        Ok(entry)
    }

    async fn fill(&self, key: &CacheKey, entry: &Arc<UserEntry>, now: Timestamp) {
        self.local.insert(key.clone(), Arc::clone(entry));
        if let (Some(cache), Ok(value)) = (&self.cache, serde_json::to_vec(&**entry)) {
            // A cache that does not take it costs the next reader a read of the store.
            let _ = cache
                .put(&cache_key(key), &value, entry.fresh_until.since(now))
                .await;
        }
    }

    /// Puts a profile into the store; takes one out that Lark knows no more. A store that fails costs a call to Lark later.
    async fn keep(&self, key: &CacheKey, entry: &UserEntry, kept: Kept, deadline: Deadline) {
        let outcome = match &entry.body {
            Some(body) => {
                let version = u64::try_from(entry.fetched_at.as_millis()).unwrap_or(0);
                let mut record = Record::new(store_key(key), version)
                    .with("body", Value::Text(body.clone()))
                    .with("fetched_at", Value::Number(entry.fetched_at.as_millis()))
                    .with("fresh_until", Value::Number(entry.fresh_until.as_millis()));
                record.expires_at = Some(entry.fetched_at + STALE_IF_ERROR);
                self.storage
                    .put(Table::Users, &record, Expect::Anything, deadline)
                    .await
            }
            None if kept == Kept::Yes => {
                self.storage
                    .delete(Table::Users, &store_key(key), Expect::Anything, deadline)
                    .await
            }
            None => Ok(()),
        };
        if let Err(error) = outcome {
            warn!(%error, "a profile is not stored");
        }
    }
}

/// What Lark's refusal means for the caller.
fn refused(failure: LarkFailure) -> Error {
    let retry_after = failure.retry_after.unwrap_or(Duration::from_secs(1));
    let failure = Box::new(failure);
    match failure.kind {
        FailureKind::NotFound => Error::UserNotFound,
        FailureKind::Forbidden => Error::LarkForbidden(failure),
        FailureKind::RateLimited => Error::RateLimited {
            retry_after,
            failure: Some(failure),
        },
        FailureKind::Unavailable | FailureKind::Timeout => Error::LarkUnavailable {
            failure,
            retry_after,
        },
        FailureKind::TokenInvalid
        | FailureKind::AppRefused
        | FailureKind::GrantVoid
        | FailureKind::TicketMissing
        | FailureKind::Invalid
        | FailureKind::Rejected => Error::LarkRejected(failure),
    }
}

fn jittered(ttl: Duration) -> Duration {
    ttl.mul_f64(1.0 + JITTER * (2.0 * fastrand::f64() - 1.0))
}

fn cache_key(key: &CacheKey) -> String {
    format!(
        "lark:user:{}:{}:{}",
        whose(key),
        key.id.kind().as_str(),
        key.id.as_str()
    )
}

fn store_key(key: &CacheKey) -> Key {
    // The app alone would put a company's whole directory into one partition.
    Key::new(
        format!("{}#{}", whose(key), key.id.as_str()),
        key.id.kind().as_str(),
    )
}

/// The app, and its tenant where it has several.
fn whose(key: &CacheKey) -> String {
    match &key.tenant {
        None => key.app_id.to_string(),
        Some(tenant) => format!("{}@{tenant}", key.app_id),
    }
}
