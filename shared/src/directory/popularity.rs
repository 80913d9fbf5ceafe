//! The users looked up most, over all processes: what is worth warming.
//!
//! A process counts a sample of its look-ups and flushes the counts now and then to a sorted set of bounded size in the shared
//! cache. Older counts weigh less: a new one is worth twice as much as one of a week ago. It is an estimate; lost counts cost
//! a look-up later.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::cache::CacheClient;
use crate::clock::{Clock, Timestamp};
use crate::directory::tiers::{AppTenant, ItemId, ItemKey};

/// One look-up in so many is counted.
const SAMPLE: u32 = 4;
/// How many look-ups a process counts before it flushes.
const MAX_PENDING: usize = 64;
/// How long a process holds counts before it flushes.
const MAX_AGE: Duration = Duration::from_secs(10);
/// How many ids are kept for an app and tenant.
const KEEP: usize = 5_000;
/// After this time a count weighs half.
const HALF_LIFE: Duration = Duration::from_secs(7 * 24 * 3_600);
/// The TTL of a set, from the last addition.
const TTL: Duration = Duration::from_secs(30 * 24 * 3_600);
/// The epoch of the weights, 2026-01-01: they double with each half-life and stay finite until the year 2045.
const BEGINNING: Timestamp = Timestamp::from_seconds(1_767_225_600);

/// Counts what is looked up. Cheap to clone; clones share everything.
#[derive(Clone, Debug)]
pub struct Popularity {
    cache: Option<CacheClient>,
    clock: Arc<dyn Clock>,
    pending: Arc<Mutex<Pending>>,
}

#[derive(Debug, Default)]
struct Pending {
    counts: HashMap<ItemKey, u32>,
    since: Option<Timestamp>,
}

impl Popularity {
    /// Counts into `cache`; without one, it counts nothing.
    #[must_use]
    pub fn new(cache: Option<CacheClient>, clock: Arc<dyn Clock>) -> Self {
        Self {
            cache,
            clock,
            pending: Arc::default(),
        }
    }

    /// Counts a look-up of `key`. Now and then this waits for a write to the shared cache, at most for its time-out.
    pub async fn note(&self, key: &ItemKey) {
        if self.cache.is_none() || fastrand::u32(..SAMPLE) != 0 {
            return;
        }
        let due = {
            let mut pending = self.pending.lock().expect("no panic while counting");
            *pending.counts.entry(key.clone()).or_default() += 1;
            let now = self.clock.now();
            let since = *pending.since.get_or_insert(now);
            let is_due = pending.counts.len() >= MAX_PENDING || since + MAX_AGE <= now;
            is_due.then(|| std::mem::take(&mut *pending))
        };
        if let Some(due) = due {
            self.hand_over(due).await;
        }
    }

    /// The ids of `app_tenant` looked up most, the most popular first.
    pub async fn top(&self, app_tenant: &AppTenant, limit: usize) -> Vec<ItemId> {
        let Some(cache) = &self.cache else {
            return Vec::new();
        };
        let scores = cache.top_scores(&cache_key(app_tenant), limit).await;
        let scores = scores.unwrap_or_default().into_iter();
        scores
            .filter_map(|(member, _)| ItemId::parse(&member))
            .collect()
    }

    async fn hand_over(&self, due: Pending) {
        let Some(cache) = &self.cache else { return };
        let worth = weight(self.clock.now()) * f64::from(SAMPLE);
        let mut by_app: HashMap<AppTenant, Vec<(String, f64)>> = HashMap::new();
        for (key, count) in due.counts {
            let scores = by_app.entry(key.app_tenant).or_default();
            scores.push((key.id.to_string(), f64::from(count) * worth));
        }
        for (app_tenant, scores) in by_app {
            // Counts that the cache does not accept are lost.
            let _ = cache
                .add_scores(&cache_key(&app_tenant), &scores, KEEP, TTL)
                .await;
        }
    }
}

fn cache_key(app_tenant: &AppTenant) -> String {
    format!("lark:popular:{app_tenant}")
}

fn weight(now: Timestamp) -> f64 {
    let half_lives = now.since(BEGINNING).as_secs_f64() / HALF_LIFE.as_secs_f64();
    half_lives.min(1_000.0).exp2()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::memory::MemoryCache;
    use crate::clock::ManualClock;
    use crate::directory::tiers::IdKind;
    use crate::ids::AppId;

    fn key(number: u32) -> ItemKey {
        let app_tenant = AppTenant {
            app_id: AppId::parse("cli_a").unwrap(),
            tenant: None,
        };
        ItemKey::new(
            app_tenant,
            ItemId::new(IdKind::OpenId, format!("ou_{number}")),
        )
    }

    fn popularity() -> (Popularity, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::at(BEGINNING));
        let cache = MemoryCache::new(1 << 20, Arc::clone(&clock) as Arc<dyn Clock>);
        let cache = CacheClient::new(Arc::new(cache), Duration::from_secs(5));
        let popularity = Popularity::new(Some(cache), Arc::clone(&clock) as Arc<dyn Clock>);
        (popularity, clock)
    }

    #[tokio::test]
    async fn those_who_are_asked_for_most_come_first() {
        let (popularity, _) = popularity();
        for round in 0..4_000 {
            for number in 0..10_u32 {
                if round % (number + 1) == 0 {
                    popularity.note(&key(number)).await;
                }
            }
            // Enough others that counts are flushed.
            popularity.note(&key(1_000 + round)).await;
        }
        let top = popularity.top(&key(0).app_tenant, 3).await;
        assert_eq!(top, [key(0).id, key(1).id, key(2).id]);
    }

    #[tokio::test]
    async fn what_was_popular_long_ago_gives_way() {
        let (popularity, clock) = popularity();
        let ask = async |number: u32, times: u32| {
            for _ in 0..times {
                popularity.note(&key(number)).await;
            }
            clock.advance(MAX_AGE);
            for _ in 0..100 {
                popularity.note(&key(number)).await;
            }
        };
        ask(1, 1_000).await;
        clock.advance(Duration::from_secs(29 * 24 * 3_600));
        ask(2, 300).await;
        assert_eq!(popularity.top(&key(0).app_tenant, 1).await, [key(2).id]);
    }
}
