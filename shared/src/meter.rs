//! How often each app calls the platform in a month, by API and by the API key that asked: the platform's free plan caps the calls
//! of a month over all apps of a tenant.
//!
//! Each process counts locally and adds its counts to the shared cache at intervals. From there, or directly from the process
//! if there is no cache, counts are added to a record per app and month. A process that dies loses what it had not handed
//! over, at most [`HAND_OVER_CALLS`] calls or those of [`HAND_OVER_AFTER`]; a cache that loses its memory loses what no run
//! had recorded yet.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;
use tracing::warn;

use crate::cache::CacheClient;
use crate::clock::Clock;
use crate::deadline::Deadline;
use crate::error::Result;
use crate::ids::AppId;
use crate::store::{Expect, Key, Record, Storage, StoreError, Table, Value};

mod month;

pub use month::Month;
use month::until_platform_month_turns;

/// Counts are handed over when this many calls were counted,
pub const HAND_OVER_CALLS: u64 = 64;
/// or when this much time has passed, at the first call after that.
pub const HAND_OVER_AFTER: Duration = Duration::from_secs(10);
/// How many apps (and months) are handed over concurrently: together they take no longer than one.
const HAND_OVER_APPS: usize = 64;
/// How many apps and months a process counts while it cannot hand over. Further ones are not counted.
const MAX_PENDING: usize = 4_096;
/// How long the shared cache keeps a month's counts after the last one. The warm-up takes them every hour.
const CACHED: Duration = Duration::from_secs(45 * 24 * 3_600);
/// How long a month's record is kept, as long as changes of apps are.
const KEPT: Duration = Duration::from_secs(400 * 24 * 3_600);
/// How often an addition to a record is retried when others add to it at the same time.
const ATTEMPTS: u32 = 8;
/// More calls of one API than the platform lets anybody make in a month.
const MONTH_CALLS: u64 = 1_000_000_000;
/// More calls of one API than are counted in the cache between two runs that put them on record.
const TAKEN_CALLS: u64 = 1_000_000;
/// More APIs than there are; of more API keys those with the fewest calls are forgotten. A record then has about 30 KB.
const MAX_NAMES: usize = 1_000;
/// The length of a longer name than any API or key has.
const MAX_NAME_BYTES: usize = 128;
/// The one attribute of a record: a JSON object of counts by API, or by key.
const CALLS: &str = "calls";

/// Counts by API, or by API key.
pub type Calls = BTreeMap<String, u64>;

/// Counts calls of the platform. Cheap to clone; clones share everything.
#[derive(Clone, Debug)]
pub struct Meter {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    storage: Storage,
    cache: Option<CacheClient>,
    clock: Arc<dyn Clock>,
    pending: Mutex<Pending>,
}

/// What calls are counted by.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum By {
    /// The API: every call.
    Api,
    /// The API key that asked: calls that the platform's quota counts, and of the service's own none.
    Key,
}

/// Whose calls are counted, by what, in which month.
type Subject = (AppId, By, Month);

/// What this process has counted but not handed over.
#[derive(Debug, Default)]
struct Pending {
    counts: BTreeMap<Subject, Calls>,
    /// Calls since the last hand-over.
    calls: u64,
    handed_over_at: Option<Instant>,
}

impl Meter {
    /// A meter that keeps records in `storage`; `cache` is the shared one, if there is one.
    #[must_use]
    pub fn new(storage: Storage, cache: Option<CacheClient>, clock: Arc<dyn Clock>) -> Self {
        let inner = Inner {
            storage,
            cache,
            clock,
            pending: Mutex::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// The current month.
    #[must_use]
    pub fn month(&self) -> Month {
        Month::of(self.inner.clock.now())
    }

    /// How long it takes until the platform's quota of calls is full again.
    #[must_use]
    pub fn until_quota_renews(&self) -> Duration {
        until_platform_month_turns(self.inner.clock.now())
    }

    /// Counts a call of `app_id` to `api` that was sent and not refused; also for the API key `key_id`, which is given if the quota
    /// counts the call.
    pub fn note(&self, app_id: &AppId, api: &str, key_id: Option<&str>) {
        let month = self.month();
        let mut pending = self.pending();
        pending.calls += 1;
        let names = [(By::Api, Some(api)), (By::Key, key_id)];
        for (by, name) in names {
            if let Some(name) = name {
                let calls = Calls::from([(name.to_owned(), 1)]);
                pending.add((app_id.clone(), by, month.clone()), calls);
            }
        }
    }

    /// Hands over to the shared cache if it is due. Takes no longer than one write to the cache; what the cache does not
    /// accept is handed over later. If the cache accepted counts but its answer was lost, they count twice.
    pub async fn hand_over_if_due(&self) {
        let is_due = self.pending().is_due(Instant::now());
        if is_due {
            self.hand_over().await;
        }
    }

    /// Hands over to the shared cache what this process has counted.
    pub async fn hand_over(&self) {
        let Some(cache) = &self.inner.cache else {
            return;
        };
        let batch = self.pending().take_some(Instant::now());
        let additions = batch.into_iter().map(|(key, calls)| async move {
            let scores = scores_of(&calls);
            let name = cache_key(&key);
            let added = cache.add_scores(&name, &scores, MAX_NAMES, CACHED).await;
            // A failing cache is counted and logged there.
            added.err().map(|_| (key, calls))
        });
        let failed = join_all(additions).await;
        let mut pending = self.pending();
        for (key, calls) in failed.into_iter().flatten() {
            pending.add(key, calls);
        }
    }

    /// Records what was counted for `app_id` in this month and the previous one. What the store does not accept remains
    /// counted.
    ///
    /// # Errors
    /// [`crate::error::Error::Store`].
    pub async fn persist(&self, app_id: &AppId, deadline: Deadline) -> Result<()> {
        let month = self.month();
        for month in [month.before(), month] {
            for by in [By::Api, By::Key] {
                let subject = (app_id.clone(), by, month.clone());
                let taken = self.take(&subject).await;
                if taken.is_empty() {
                    continue;
                }
                if let Err(error) = self.add_to_record(&subject, &taken, deadline).await {
                    self.pending().add(subject, taken);
                    self.hand_over().await;
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// How often `app_id` has called each API in `month`, or for each API key: the sum of the record, the shared cache and the counts
    /// of this process.
    ///
    /// # Errors
    /// [`crate::error::Error::Store`]. Without the cache, its part is missing.
    pub async fn usage(
        &self,
        app_id: &AppId,
        by: By,
        month: &Month,
        deadline: Deadline,
    ) -> Result<Calls> {
        let subject = (app_id.clone(), by, month.clone());
        let stored = self.record(&subject, deadline).await?;
        let mut usage = stored.as_ref().map(calls_of).unwrap_or_default();
        if let Some(cache) = &self.inner.cache {
            match cache.top_scores(&cache_key(&subject), MAX_NAMES).await {
                Ok(scores) => add(&mut usage, calls_in(scores)),
                Err(error) => warn!(%error, "calls that are not on record yet are left out"),
            }
        }
        if let Some(own) = self.pending().counts.get(&subject) {
            add(&mut usage, own.clone());
        }
        Ok(usage)
    }

    /// Takes what was counted, so that nobody else records it.
    async fn take(&self, subject: &Subject) -> Calls {
        let own = self.pending().counts.remove(subject);
        let mut taken = own.unwrap_or_default();
        if let Some(cache) = &self.inner.cache
            && let Ok(scores) = cache.take_scores(&cache_key(subject)).await
        {
            add(&mut taken, calls_in(scores));
        }
        taken
    }

    async fn add_to_record(
        &self,
        subject: &Subject,
        taken: &Calls,
        deadline: Deadline,
    ) -> Result<()> {
        for _ in 0..ATTEMPTS {
            let found = self.record(subject, deadline).await?;
            let mut calls = found.as_ref().map(calls_of).unwrap_or_default();
            add(&mut calls, taken.clone());
            let (version, expect) = found.map_or((1, Expect::Absent), |found| {
                (
                    found.version.saturating_add(1),
                    Expect::Version(found.version),
                )
            });
            let text = serde_json::to_string(&calls).expect("counts are JSON");
            let mut record = Record::new(record_key(subject), version);
            record = record.with(CALLS, Value::Text(text));
            record.expires_at = Some(self.inner.clock.now() + KEPT);
            let put = self
                .inner
                .storage
                .put(Table::Apps, &record, expect, deadline);
            match put.await {
                Ok(()) => return Ok(()),
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
    }

    async fn record(&self, subject: &Subject, deadline: Deadline) -> Result<Option<Record>> {
        let key = record_key(subject);
        Ok(self.inner.storage.get(Table::Apps, &key, deadline).await?)
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.inner
            .pending
            .lock()
            .expect("no panic while holding the counts")
    }
}

impl Pending {
    /// The first call of a process is handed over at once: it may be the only one.
    fn is_due(&self, now: Instant) -> bool {
        let is_late = |at| now.duration_since(at) >= HAND_OVER_AFTER;
        !self.counts.is_empty()
            && (self.calls >= HAND_OVER_CALLS || self.handed_over_at.is_none_or(is_late))
    }

    fn take_some(&mut self, now: Instant) -> Vec<(Subject, Calls)> {
        self.handed_over_at = Some(now);
        self.calls = 0;
        let batch = std::iter::from_fn(|| self.counts.pop_first());
        batch.take(HAND_OVER_APPS).collect()
    }

    fn add(&mut self, subject: Subject, calls: Calls) {
        if self.counts.len() < MAX_PENDING || self.counts.contains_key(&subject) {
            add(self.counts.entry(subject).or_default(), calls);
        }
    }
}

fn add(sum: &mut Calls, calls: Calls) {
    for (name, count) in calls {
        if sum.len() < MAX_NAMES || sum.contains_key(&name) {
            let sum = sum.entry(name).or_default();
            *sum = sum.saturating_add(count);
        }
    }
}

/// The counts on record. An unreadable record counts as none: that blocks nothing, and this is not a bill. So does a count that
/// no month can have: somebody wrote it into the cache before counts from there were bounded.
fn calls_of(record: &Record) -> Calls {
    let text = record.text(CALLS).unwrap_or_default();
    let mut calls: Calls = serde_json::from_str(text).unwrap_or_default();
    calls.retain(|_, count| *count <= MONTH_CALLS);
    calls
}

/// `calls` as the shared cache counts them: a month has far fewer than the 2^53 up to which a score is exact.
fn scores_of(calls: &Calls) -> Vec<(String, f64)> {
    let scores = calls.iter();
    scores
        .map(|(api, count)| (api.clone(), *count as f64))
        .collect()
}

/// The calls counted in the shared cache, as far as they are possible: whoever can write there can count what never was.
fn calls_in(scores: Vec<(String, f64)>) -> Calls {
    let scores = scores.into_iter();
    let possible = scores.filter(|(name, score)| is_name(name) && *score >= 0.0);
    let possible = possible.take(MAX_NAMES);
    possible
        .map(|(name, score)| (name, score.min(TAKEN_CALLS as f64) as u64))
        .collect()
}

/// Whether `name` has the form of an API's name, `contact_user_get`, or of a key's id.
fn is_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(is_plain)
}

fn cache_key((app_id, by, month): &Subject) -> String {
    match by {
        By::Api => format!("lark:api-calls:{app_id}:{month}"),
        By::Key => format!("lark:key-calls:{app_id}:{month}"),
    }
}

/// In a partition of its own: who counts calls may not write the app's record.
fn record_key((app_id, by, month): &Subject) -> Key {
    let sort = match by {
        By::Api => month.to_string(),
        By::Key => format!("{month}#keys"),
    };
    Key::new(format!("usage#{app_id}"), sort)
}

#[cfg(test)]
mod tests;
