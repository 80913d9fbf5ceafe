//! Protection against look-ups of ids that do not exist, each of which would cost a call to Lark.
//!
//! `warm-cache` reads the directory and puts all its ids into a filter (`filter`), which every process loads from the shared
//! cache. An id that is not in it did not exist then. It may exist now, and a user created a moment ago must not be hidden. So
//! the filter alone refuses no id:
//!
//! - It is consulted only while complete: built recently over the whole directory, with the same number of users before and
//!   after.
//! - Ids that it does not know still go to Lark, within an allowance: new users are rare, floods are not.
//! - Beyond that the number of users is fetched again, after the request arrived and once for all concurrent requests. If it
//!   is unchanged, there is no new user, and the id is refused. If not, the filter is void everywhere until the next one.
//!
//! One gap remains: when one user was created and another deleted since, the new one, looked up during a flood, is found only
//! after the flood or with the next filter.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use quick_cache::sync::Cache as LocalCache;
use tracing::info;

use crate::apps::AppContext;
use crate::cache::Put;
use crate::clock::{Clock, Timestamp};
use crate::deadline::Deadline;
use crate::directory::tiers::{AppTenant, ItemKey};
use crate::limiter::{LimitKey, Limiter};
use crate::quota::Quota;
use crate::seal::Purpose;
use crate::sealed_cache::SealedCache;
use crate::telemetry::metrics;

pub mod filter;
mod user_count;

pub use filter::Filter;
pub use user_count::UserCount;

/// A filter older than this is not consulted. One is built every hour.
const MAX_AGE: Duration = Duration::from_secs(3 * 3_600);
/// How far the clocks of hosts may be apart: a filter that is built later than that from now has no known age.
const CLOCK_SKEW: Duration = Duration::from_secs(60);
/// How often a process asks whether there is a newer filter.
const CHECKED_EVERY: Duration = Duration::from_secs(30);
/// How many ids that the filter does not know go to Lark at once, and per minute after that.
const ALLOWANCE: std::num::NonZeroU32 = std::num::NonZeroU32::new(30).expect("not zero");
/// The ids cannot exist.
const REFUSED: &str = "refused";
/// For how many apps and tenants a process holds filters.
const MAX_FILTERS: usize = 64;

/// Refuses ids that cannot exist. Cheap to clone; clones share everything.
#[derive(Clone, Debug)]
pub struct Guard {
    cache: Option<SealedCache>,
    clock: Arc<dyn Clock>,
    limiter: Limiter,
    user_count: UserCount,
    known: Arc<LocalCache<AppTenant, Known>>,
}

#[derive(Clone, Debug)]
struct Known {
    version: u64,
    filter: Option<Arc<Filter>>,
    checked_at: Timestamp,
}

impl Guard {
    /// A guard with the filters in `cache`; without one, it lets everything through.
    #[must_use]
    pub fn new(
        cache: Option<SealedCache>,
        limiter: Limiter,
        user_count: UserCount,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            cache,
            clock,
            limiter,
            user_count,
            known: Arc::new(LocalCache::new(MAX_FILTERS)),
        }
    }

    /// Whether the item at `key`, unknown to every tier, certainly does not exist.
    pub async fn refuses(&self, context: &AppContext, key: &ItemKey, deadline: Deadline) -> bool {
        let refused = self.refused(context, &key.app_tenant, vec![key], deadline);
        !refused.await.is_empty()
    }

    /// Those of `keys`, all unknown to every tier, that certainly do not exist. The allowance is taken for all ids that the
    /// filter does not know, or for none.
    pub async fn refused<'k>(
        &self,
        context: &AppContext,
        app_tenant: &AppTenant,
        keys: Vec<&'k ItemKey>,
        deadline: Deadline,
    ) -> Vec<&'k ItemKey> {
        if keys.is_empty() {
            return Vec::new();
        }
        let Some(filter) = self.current(app_tenant).await else {
            return Vec::new();
        };
        let strange = keys.into_iter().filter(|key| !filter.may_have(&key.id));
        let strange: Vec<&ItemKey> = strange.collect();
        let result = self
            .judge(context, app_tenant, &filter, strange.len(), deadline)
            .await;
        metrics::guard(result);
        if result == REFUSED {
            strange
        } else {
            Vec::new()
        }
    }

    /// The decision about `strange` ids that `filter` does not know, as the metric's value.
    async fn judge(
        &self,
        context: &AppContext,
        app_tenant: &AppTenant,
        filter: &Filter,
        strange: usize,
        deadline: Deadline,
    ) -> &'static str {
        let cost = u32::try_from(strange).unwrap_or(u32::MAX);
        if cost == 0 {
            return "possible";
        }
        let limit = LimitKey::new("unknown_ids", app_tenant);
        let quota = Quota::new(ALLOWANCE, Duration::from_secs(60));
        if self.limiter.admit(&limit, &[quota], cost).await.is_allowed {
            return "allowed";
        }
        match self.user_count.members(context, deadline).await {
            Some(members) if members == filter.members => REFUSED,
            Some(members) => {
                let app_id = app_tenant.app_id.as_str();
                info!(
                    lark.app_id = app_id,
                    members, "the directory has changed: its filter is void"
                );
                self.withdraw(app_tenant).await;
                "outdated"
            }
            None => "unknown",
        }
    }

    /// Publishes `filter` to all processes, unless a later one is there.
    pub async fn publish(&self, app_tenant: &AppTenant, filter: Filter) {
        let Some(cache) = &self.cache else { return };
        let version = version_of(&filter);
        let put = |key: String, value: Vec<u8>| Put {
            key,
            version,
            value: Bytes::from(value),
            ttl: MAX_AGE,
        };
        // The filter first: a process that sees its version must find it.
        let filter = put(filter_key(app_tenant), filter.to_bytes());
        let published = cache.put_newer_many(Purpose::Guard, &[filter]).await;
        if published.is_ok() {
            let version = put(version_key(app_tenant), Vec::new());
            let _ = cache.put_newer_many(Purpose::Guard, &[version]).await;
            self.known.remove(app_tenant);
        }
    }

    /// The filter to consult now, if there is one.
    async fn current(&self, app_tenant: &AppTenant) -> Option<Arc<Filter>> {
        let cache = self.cache.as_ref()?;
        let now = self.clock.now();
        let known = self.known.get(app_tenant);
        if let Some(known) = &known
            && known.checked_at + CHECKED_EVERY > now
        {
            return self.usable(known.filter.clone(), now);
        }
        // If the cache fails, the known filter stays in use for a while.
        let mark = cache.get(Purpose::Guard, &version_key(app_tenant)).await;
        let Ok(mark) = mark else {
            return self.usable(known.and_then(|known| known.filter), now);
        };
        let version = mark.map_or(0, |mark| mark.version);
        let filter = match known {
            Some(known) if known.version == version => known.filter,
            Some(_) | None if version == 0 => None,
            Some(_) | None => self.load(cache, app_tenant, version).await,
        };
        let known = Known {
            version: filter.as_ref().map_or(0, |_| version),
            filter: filter.clone(),
            checked_at: now,
        };
        self.known.insert(app_tenant.clone(), known);
        self.usable(filter, now)
    }

    async fn load(
        &self,
        cache: &SealedCache,
        app_tenant: &AppTenant,
        version: u64,
    ) -> Option<Arc<Filter>> {
        let key = filter_key(app_tenant);
        let found = cache.get_large(Purpose::Guard, &key).await.ok()??;
        let filter = Filter::from_bytes(&found.value)?;
        info!(
            lark.app_id = app_tenant.app_id.as_str(),
            ids = filter.ids(),
            "loaded a filter of the directory"
        );
        (found.version >= version).then(|| Arc::new(filter))
    }

    fn usable(&self, filter: Option<Arc<Filter>>, now: Timestamp) -> Option<Arc<Filter>> {
        let is_of_now =
            |built_at: Timestamp| built_at <= now + CLOCK_SKEW && built_at + MAX_AGE > now;
        filter.filter(|filter| is_of_now(filter.built_at))
    }

    /// Withdraws the filter: here at once, in other processes at their next check of its version.
    async fn withdraw(&self, app_tenant: &AppTenant) {
        if let Some(cache) = &self.cache {
            let _ = cache.client().delete(&version_key(app_tenant)).await;
        }
        let none = Known {
            version: 0,
            filter: None,
            checked_at: self.clock.now(),
        };
        self.known.insert(app_tenant.clone(), none);
    }
}

fn version_of(filter: &Filter) -> u64 {
    u64::try_from(filter.built_at.as_millis()).unwrap_or(0)
}

fn filter_key(app_tenant: &AppTenant) -> String {
    format!("lark:guard:{app_tenant}")
}

fn version_key(app_tenant: &AppTenant) -> String {
    format!("lark:guard-version:{app_tenant}")
}
