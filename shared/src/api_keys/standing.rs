//! Whether a key that the gateway remembers may still be used: asked at each request, in the round trip that is made anyway.
//!
//! Every change of a key leaves a mark in the shared cache: the version of its record. A mark that is newer than what a process
//! knows makes it read the record, and so does one that is missing. The mark says nothing else, so that whoever writes the cache
//! can neither grant nor take anything: the store decides.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tracing::warn;

use super::{ApiKeys, Caller, RateLimit, info, known, store_key};
use crate::cache::{CacheClient, Put, split_version};
use crate::clock::Timestamp;
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::store::{Record, StoreError, Table};

/// How long what a process knows of a key counts without a mark: the shared cache is away, or has lost it.
pub const UNMARKED: Duration = Duration::from_secs(5);
/// How long it counts at most: a mark may not have arrived.
pub const MARKED: Duration = Duration::from_secs(30);
/// How long the store is not asked again about a key after it failed to answer.
const EXCUSED: Duration = Duration::from_secs(5);
/// How long a mark stays. It is made again when it is missing.
const KEPT: Duration = Duration::from_secs(24 * 3_600);

/// What the shared cache says of a key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Mark {
    /// A record of this version was written or read.
    Version(u64),
    Nothing,
    /// The cache does not answer, or there is none.
    Unknown,
}

/// What this process read of a key.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    /// `None`: it may not be used.
    caller: Option<Arc<Caller>>,
    version: u64,
    /// When the store was asked.
    read_at: Timestamp,
    /// The mark at that time; zero without one.
    mark: u64,
}

/// A caller as the authorizer told of them, or as this process read of them later.
#[derive(Debug)]
pub struct Latest<'c> {
    given: &'c Caller,
    read: Option<Standing>,
}

impl Latest<'_> {
    /// The caller.
    #[must_use]
    pub fn caller(&self) -> &Caller {
        let read = self.read.as_ref();
        read.and_then(|read| read.caller.as_deref())
            .unwrap_or(self.given)
    }

    /// What their rate limit is.
    #[must_use]
    pub fn rate_limit(&self) -> Option<RateLimit> {
        self.caller().rate_limit
    }

    fn version(&self) -> u64 {
        let read = self.read.as_ref();
        read.map_or(self.given.version, |read| read.version)
    }

    fn confirmed_at(&self) -> Timestamp {
        let read = self.read.as_ref();
        read.map_or(self.given.confirmed_at, |read| read.read_at)
    }

    /// Whether the store was asked less than `limit` before `now`. In the future it was not: a clock was wrong.
    fn is_recent(&self, now: Timestamp, limit: Duration) -> bool {
        self.confirmed_at() <= now && now.since(self.confirmed_at()) < limit
    }

    /// Whether `mark` tells of a change that nobody here has read. A mark that was there when the record was read tells nothing
    /// that the record does not.
    fn is_overtaken(&self, mark: Mark) -> bool {
        let seen = self.read.as_ref().map_or(0, |read| read.mark);
        match mark {
            Mark::Version(version) => version > self.version().max(seen),
            Mark::Nothing | Mark::Unknown => false,
        }
    }

    /// Whether the store need not be asked.
    fn is_settled(&self, mark: Mark, now: Timestamp) -> bool {
        let limit = match mark {
            Mark::Version(version) if version <= self.version() => MARKED,
            Mark::Version(_) if self.is_overtaken(mark) => return false,
            Mark::Version(_) | Mark::Nothing | Mark::Unknown => UNMARKED,
        };
        self.is_recent(now, limit)
    }

    /// Passes if the key may be used at `now`.
    fn check(&self, now: Timestamp) -> Result<()> {
        let is_stopped = self.read.as_ref().is_some_and(|it| it.caller.is_none());
        let has_ended = self.caller().expires_at.is_some_and(|at| at <= now);
        if is_stopped || has_ended {
            return Err(Error::PermissionDenied(
                "the API key is not valid".to_owned(),
            ));
        }
        Ok(())
    }
}

impl ApiKeys {
    /// `given`, or what this process has read of that key since. Not yet whether it may still be used: see
    /// [`ApiKeys::confirm`].
    #[must_use]
    pub fn latest<'c>(&self, given: &'c Caller) -> Latest<'c> {
        let read = self.standings.get(&given.key_id);
        let is_later =
            |read: &Standing| (read.version, read.read_at) >= (given.version, given.confirmed_at);
        Latest {
            given,
            read: read.filter(is_later),
        }
    }

    /// The caller as they are now, who may still use their key. Costs one read of the shared cache; the store is asked when the
    /// cache has a mark of a change or none at all, and every [`MARKED`].
    ///
    /// # Errors
    /// [`Error::PermissionDenied`] for a key that was disabled or revoked or has ended; [`Error::Store`] when it was changed and
    /// the store does not say how.
    pub async fn confirm<'c>(&self, latest: Latest<'c>, deadline: Deadline) -> Result<Latest<'c>> {
        let latest = self.renewed_caller(latest, deadline).await?;
        latest.check(self.clock.now())?;
        Ok(latest)
    }

    /// `latest`, by the store if that has to be asked.
    async fn renewed_caller<'c>(
        &self,
        mut latest: Latest<'c>,
        deadline: Deadline,
    ) -> Result<Latest<'c>> {
        let id = &latest.given.key_id;
        let now = self.clock.now();
        let (mark, found) = if latest.is_recent(now, MARKED) || self.is_excused(id, now) {
            let mark = self.mark(id).await;
            if latest.is_settled(mark, now)
                || !latest.is_overtaken(mark) && self.is_excused(id, now)
            {
                return Ok(latest);
            }
            self.ask(&latest, std::future::ready(mark), deadline).await
        } else {
            // Whatever the mark says: both at once.
            self.ask(&latest, self.mark(id), deadline).await
        };
        match found {
            Ok(record) => latest.read = Some(self.learn(&latest, record, mark, now).await),
            Err(error) if latest.is_overtaken(mark) => return Err(error.into()),
            Err(error) => {
                warn!(key_id = id, %error, "going on with what was known of an API key");
                self.excused.insert(id.clone(), now);
            }
        }
        Ok(latest)
    }

    /// Tells every process that the key's record has this version now, or may have.
    pub(super) async fn publish(&self, id: &str, version: u64, deadline: Deadline) {
        self.standings.remove(id);
        if let Some(cache) = &self.cache {
            let put = mark_of(id, version);
            if let Err(error) = cache.put_newer_surely(&put, deadline).await {
                warn!(key_id = id, %error, "a change of an API key has not reached the shared cache");
            }
        }
    }

    fn is_excused(&self, id: &str, now: Timestamp) -> bool {
        let failed_at = self.excused.get(id);
        failed_at.is_some_and(|at| at <= now && now.since(at) < EXCUSED)
    }

    async fn mark(&self, id: &str) -> Mark {
        match &self.cache {
            Some(cache) => read_mark(cache, id).await,
            None => Mark::Unknown,
        }
    }

    /// The mark, and the record at the same time. The store has [`known::PATIENCE`], and all its time if the mark tells of a
    /// change.
    async fn ask(
        &self,
        latest: &Latest<'_>,
        mark: impl Future<Output = Mark>,
        deadline: Deadline,
    ) -> (Mark, std::result::Result<Option<Record>, StoreError>) {
        let key = store_key(&latest.given.key_id);
        let mut read = pin!(self.storage.get(Table::ApiKeys, &key, deadline));
        let soon = tokio::time::timeout(known::PATIENCE, read.as_mut());
        let (mark, found) = tokio::join!(mark, soon);
        let found = match found {
            Ok(found) => found,
            Err(_) if latest.is_overtaken(mark) => read.await,
            Err(_) => Err(StoreError::Timeout {
                operation: "get",
                table: Table::ApiKeys.name(),
            }),
        };
        (mark, found)
    }

    /// Remembers what the store said when it was asked at `now`, and makes a mark if there was none.
    async fn learn(
        &self,
        latest: &Latest<'_>,
        record: Option<Record>,
        mark: Mark,
        now: Timestamp,
    ) -> Standing {
        let id = &latest.given.key_id;
        let caller = record.as_ref().and_then(|it| info::caller(it, now, now));
        let standing = Standing {
            caller: caller.map(Arc::new),
            version: record.as_ref().map_or(latest.version(), |it| it.version),
            read_at: now,
            mark: match mark {
                Mark::Version(version) => version,
                Mark::Nothing | Mark::Unknown => 0,
            },
        };
        let is_newest = |known: Standing| known.version <= standing.version;
        if self.standings.get(id).is_none_or(is_newest) {
            self.standings.insert(id.clone(), standing.clone());
        }
        if let (Mark::Nothing, Some(record), Some(cache)) = (mark, &record, &self.cache) {
            // If the cache refuses it, the record is read again in a while.
            let _ = cache.put_newer(&mark_of(id, record.version)).await;
        }
        standing
    }
}

async fn read_mark(cache: &CacheClient, id: &str) -> Mark {
    match cache.get(&mark_key(id)).await {
        Ok(Some(stored)) => {
            split_version(&stored).map_or(Mark::Nothing, |(version, _)| Mark::Version(version))
        }
        Ok(None) => Mark::Nothing,
        Err(_) => Mark::Unknown,
    }
}

fn mark_of(id: &str, version: u64) -> Put {
    Put {
        key: mark_key(id),
        version,
        value: Bytes::new(),
        ttl: KEPT,
    }
}

fn mark_key(id: &str) -> String {
    format!("lark:key:{id}")
}

#[cfg(test)]
mod outages;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);

    fn given(version: u64, age: Duration) -> Caller {
        Caller {
            key_id: "k".to_owned(),
            scopes: std::collections::BTreeSet::new(),
            apps: super::super::AllowedApps::All,
            tenants: super::super::AllowedTenants::All,
            rate_limit: None,
            expires_at: None,
            version,
            confirmed_at: NOW - age,
            has_callback: false,
        }
    }

    fn is_settled(age_ms: u64, read_under: Option<u64>, mark: Mark) -> bool {
        let given = given(7, Duration::from_millis(age_ms));
        let read = read_under.map(|mark| Standing {
            caller: Some(Arc::new(given.clone())),
            version: 7,
            read_at: given.confirmed_at,
            mark,
        });
        let given = &given;
        Latest { given, read }.is_settled(mark, NOW)
    }

    #[test]
    fn a_mark_of_what_is_known_makes_it_count_for_half_a_minute() {
        for mark in [Mark::Version(0), Mark::Version(7)] {
            assert!(is_settled(29_999, None, mark) && is_settled(0, Some(7), mark));
            assert!(!is_settled(30_000, None, mark) && !is_settled(30_000, Some(7), mark));
        }
    }

    #[test]
    fn without_a_mark_it_counts_for_five_seconds() {
        for mark in [Mark::Nothing, Mark::Unknown] {
            assert!(is_settled(4_999, None, mark) && is_settled(4_999, Some(9), mark));
            assert!(!is_settled(5_000, None, mark) && !is_settled(5_000, Some(9), mark));
        }
    }

    #[test]
    fn a_newer_mark_is_looked_into_once_and_then_again_after_five_seconds() {
        assert!(!is_settled(0, None, Mark::Version(8)));
        assert!(!is_settled(0, Some(8), Mark::Version(9)));
        assert!(is_settled(4_999, Some(8), Mark::Version(8)));
        assert!(!is_settled(5_000, Some(8), Mark::Version(8)));
    }

    #[test]
    fn what_was_confirmed_in_the_future_was_not() {
        let given = Caller {
            confirmed_at: NOW + Duration::from_millis(1),
            ..given(7, Duration::ZERO)
        };
        let latest = Latest {
            given: &given,
            read: None,
        };
        assert!(!latest.is_settled(Mark::Version(7), NOW));
    }
}
