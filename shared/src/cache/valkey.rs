//! The cache in Valkey: one connection for the whole process, a node or a cluster.
//!
//! `link` keeps the connection, `scripts` runs inside the server.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use redis::{Cmd, FromRedisValue, RedisError, cmd};
use secrecy::SecretString;
use url::Url;

use super::iam::IamAuth;
use super::{Cache, CacheError, Claim, Put, versioned};
use crate::quota::{Decision, Place, Quota, Reservation, Window};

mod limits;
mod link;
mod scripts;
mod target;

use link::{Link, Repeat};
use scripts::Script;
use target::Target;

/// How many values one script puts: the server does nothing else for about a millisecond. In a cluster, how many scripts are
/// in flight at a time.
const BATCH: usize = 500;

/// How to reach Valkey, or Redis from version 6.2.
#[derive(Clone)]
pub struct ValkeySettings {
    /// `redis://host:port/db`, or `rediss://` for TLS. Credentials in it are ignored: they belong in `auth`.
    pub url: Url,
    /// Whether the server is a cluster; `url` then names any node or the configuration endpoint.
    pub cluster: bool,
    /// How to log in.
    pub auth: ValkeyAuth,
    /// The time-out of connecting, from DNS lookup to login.
    pub connect_timeout: Duration,
    /// How long an answer may take. Also how long sent data may go unacknowledged until the connection counts as dead.
    pub response_timeout: Duration,
    /// Certificates in PEM to trust instead of Mozilla's: a private authority.
    pub root_certificates: Option<Vec<u8>>,
}

/// How to log in.
#[derive(Clone, Debug, Default)]
pub enum ValkeyAuth {
    /// Not at all.
    #[default]
    None,
    /// By password.
    Password {
        /// The user; `None` for `default`.
        user: Option<String>,
        /// The password.
        password: SecretString,
    },
    /// With an IAM role; every connection gets a new token.
    Iam(IamAuth),
}

/// The settings cannot be used: a wrong scheme, an unreadable certificate.
#[derive(Debug, thiserror::Error)]
#[error("the settings of the cache cannot be used")]
pub struct SettingsError(#[from] RedisError);

/// A [`Cache`] in Valkey.
///
/// It connects when it is first used, or by [`ValkeyCache::warm`], and reconnects by itself. While the server is unreachable,
/// calls fail at once, and connecting is attempted at most once per second. When a connection turns out to be dead, the
/// command is repeated once on a new one, except those that add or take scores or give places back. A repeated [`Cache::put_newer`] or
/// [`Cache::delete`] may find its own effect and not count it, a repeated [`Cache::claim`] renews its own lease, and a
/// repeated [`Cache::throttle`] or [`Cache::reserve`] may count twice. In a cluster the client library repeats all commands alike.
#[derive(Debug)]
pub struct ValkeyCache {
    link: Link,
}

impl ValkeyCache {
    /// The cache at `settings.url`. Nothing is sent yet.
    ///
    /// # Errors
    /// [`SettingsError`] when they cannot be used.
    pub fn connect(settings: &ValkeySettings) -> Result<Self, SettingsError> {
        Ok(Self {
            link: Link::new(Target::new(settings)?),
        })
    }

    /// Connects and logs in, if there is no connection yet. For the start of a process, while nobody waits.
    ///
    /// # Errors
    /// [`CacheError`] when connecting fails; the next call retries.
    pub async fn warm(&self) -> Result<(), CacheError> {
        self.link.connection().await.map(drop).map_err(cache_error)
    }

    /// The server's `maxmemory_policy`, what it does when its memory is full; `None` when it does not report it, as in a
    /// cluster.
    ///
    /// # Errors
    /// [`CacheError`] when the server is unreachable or does not allow the question.
    pub async fn eviction_policy(&self) -> Result<Option<String>, CacheError> {
        let info: redis::Value = self.run(Repeat::Safe, cmd("INFO").arg("memory")).await?;
        let info = String::from_redis_value(info).unwrap_or_default();
        let policy = info
            .lines()
            .find_map(|line| line.strip_prefix("maxmemory_policy:"));
        Ok(policy.map(|policy| policy.trim().to_owned()))
    }

    async fn run<T: FromRedisValue>(&self, repeat: Repeat, command: &Cmd) -> Result<T, CacheError> {
        self.link.run(repeat, command).await.map_err(cache_error)
    }

    async fn run_script<T: FromRedisValue>(
        &self,
        repeat: Repeat,
        script: &Script,
        keys: &[&str],
        arguments: &[&[u8]],
    ) -> Result<T, CacheError> {
        match self
            .link
            .run(repeat, &script.by_hash(keys, arguments))
            .await
        {
            Err(error) if scripts::is_unknown(&error) => {
                self.run(repeat, &script.by_text(keys, arguments)).await
            }
            outcome => outcome.map_err(cache_error),
        }
    }

    /// Runs a script about the limits at `key`.
    async fn run_with<T: FromRedisValue>(
        &self,
        repeat: Repeat,
        script: &Script,
        key: &str,
        numbers: &[u64],
    ) -> Result<T, CacheError> {
        let numbers: Vec<String> = numbers.iter().map(u64::to_string).collect();
        let arguments: Vec<&[u8]> = numbers.iter().map(String::as_bytes).collect();
        self.run_script(repeat, script, &[key], &arguments).await
    }

    /// [`Cache::put_newer`] of values that in a cluster are in one slot.
    async fn put_newer_in_one(&self, puts: &[Put]) -> Result<usize, CacheError> {
        let keys: Vec<&str> = puts.iter().map(|put| put.key.as_str()).collect();
        let values: Vec<[Vec<u8>; 2]> = puts.iter().map(put_arguments).collect();
        let arguments: Vec<&[u8]> = values.iter().flatten().map(Vec::as_slice).collect();
        self.run_script(Repeat::Safe, &scripts::PUT_NEWER, &keys, &arguments)
            .await
    }
}

#[async_trait]
impl Cache for ValkeyCache {
    async fn get(&self, key: &str) -> Result<Option<Bytes>, CacheError> {
        let found = self.link.run(Repeat::Safe, cmd("GET").arg(key)).await;
        of_our_type(found)
    }

    async fn get_many(&self, keys: &[String]) -> Result<Vec<Option<Bytes>>, CacheError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        self.run(Repeat::Safe, cmd("MGET").arg(keys)).await
    }

    async fn put(&self, key: &str, value: &[u8], ttl: Duration) -> Result<(), CacheError> {
        self.run(
            Repeat::Safe,
            cmd("SET").arg(key).arg(value).arg("PX").arg(millis(ttl)),
        )
        .await
    }

    /// On a node one script puts many values. In a cluster the keys are in different slots and each needs its own script; sent
    /// together, they still share packets.
    async fn put_newer(&self, puts: &[Put]) -> Result<usize, CacheError> {
        let (in_one, at_a_time) = if self.link.is_cluster() {
            (1, BATCH)
        } else {
            (BATCH, 1)
        };
        let batches = puts.chunks(in_one);
        let batches: Vec<_> = batches.map(|batch| self.put_newer_in_one(batch)).collect();
        stream::iter(batches)
            .buffer_unordered(at_a_time)
            .try_fold(0, |sum, done| std::future::ready(Ok(sum + done)))
            .await
    }

    async fn claim(
        &self,
        lease: &str,
        value: &str,
        owner: &[u8],
        ttl: Duration,
    ) -> Result<Claim, CacheError> {
        let ttl_ms = millis(ttl).to_string();
        let arguments = [owner, ttl_ms.as_bytes()];
        let (is_taken, now_us, value): (bool, u64, Option<Bytes>) = self
            .run_script(Repeat::Safe, &scripts::CLAIM, &[lease, value], &arguments)
            .await?;
        Ok(if is_taken {
            Claim::taken(now_us, value)
        } else {
            Claim::refused(now_us, value)
        })
    }

    async fn extend(&self, lease: &str, owner: &[u8], ttl: Duration) -> Result<bool, CacheError> {
        let ttl_ms = millis(ttl).to_string();
        let arguments = [owner, ttl_ms.as_bytes()];
        self.run_script(Repeat::Safe, &scripts::EXTEND, &[lease], &arguments)
            .await
    }

    async fn put_held(&self, lease: &str, owner: &[u8], put: &Put) -> Result<bool, CacheError> {
        let [value, ttl_ms] = put_arguments(put);
        let arguments = [owner, &value, &ttl_ms];
        let keys = [lease, put.key.as_str()];
        self.run_script(Repeat::Safe, &scripts::PUT_HELD, &keys, &arguments)
            .await
    }

    async fn delete(&self, key: &str, only_if: Option<&[u8]>) -> Result<bool, CacheError> {
        let Some(value) = only_if else {
            return self.run(Repeat::Safe, cmd("UNLINK").arg(key)).await;
        };
        self.run_script(Repeat::Safe, &scripts::DELETE_EQUAL, &[key], &[value])
            .await
    }

    async fn throttle(
        &self,
        key: &str,
        quotas: &[Quota],
        cost: u32,
    ) -> Result<Decision, CacheError> {
        let numbers = limits::throttle(quotas, cost);
        let reply: Vec<u64> = self
            .run_with(Repeat::Safe, &scripts::THROTTLE, key, &numbers)
            .await?;
        limits::decision(quotas, cost, &reply)
    }

    async fn reserve(
        &self,
        key: &str,
        windows: &[Window],
        patience: Duration,
    ) -> Result<Reservation, CacheError> {
        let numbers = limits::reserve(windows, patience);
        let reply: Vec<u64> = self
            .run_with(Repeat::Safe, &scripts::RESERVE, key, &numbers)
            .await?;
        limits::reservation(windows, &reply)
    }

    /// Not repeated: another call may have got the same place meanwhile.
    async fn give_back(
        &self,
        key: &str,
        windows: &[Window],
        place: Place,
    ) -> Result<bool, CacheError> {
        let numbers = limits::give_back(windows, place);
        self.run_with(Repeat::Never, &scripts::GIVE_BACK, key, &numbers)
            .await
    }

    async fn pause(&self, key: &str, length: Duration) -> Result<(), CacheError> {
        let numbers = limits::pause(length);
        let _: bool = self
            .run_with(Repeat::Safe, &scripts::PAUSE, key, &numbers)
            .await?;
        Ok(())
    }

    async fn add_scores(
        &self,
        key: &str,
        scores: &[(String, f64)],
        keep: usize,
        ttl: Duration,
    ) -> Result<(), CacheError> {
        if scores.is_empty() {
            return Ok(());
        }
        let mut arguments = vec![members(keep).to_string(), millis(ttl).to_string()];
        for (member, score) in scores {
            arguments.extend([score.to_string(), member.clone()]);
        }
        let arguments: Vec<&[u8]> = arguments.iter().map(String::as_bytes).collect();
        let _: bool = self
            .run_script(Repeat::Never, &scripts::ADD_SCORES, &[key], &arguments)
            .await?;
        Ok(())
    }

    async fn top_scores(&self, key: &str, limit: usize) -> Result<Vec<(String, f64)>, CacheError> {
        let Some(last) = members(limit).checked_sub(1) else {
            return Ok(Vec::new());
        };
        let mut range = cmd("ZREVRANGE");
        range.arg(key).arg(0).arg(last).arg("WITHSCORES");
        of_our_type(self.link.run(Repeat::Safe, &range).await)
    }

    async fn take_scores(&self, key: &str) -> Result<Vec<(String, f64)>, CacheError> {
        self.run_script(Repeat::Never, &scripts::TAKE_SCORES, &[key], &[])
            .await
    }

    async fn now_us(&self) -> Result<u64, CacheError> {
        let (seconds, micros): (u64, u64) = self.run(Repeat::Safe, &cmd("TIME")).await?;
        Ok(seconds.saturating_mul(1_000_000).saturating_add(micros))
    }

    async fn ping(&self) -> Result<(), CacheError> {
        self.run(Repeat::Safe, &cmd("PING")).await
    }
}

/// Leaves out the parts of the URL that may be secret.
impl fmt::Debug for ValkeySettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ValkeySettings")
            .field("scheme", &self.url.scheme())
            .field("host", &self.url.host_str())
            .field("port", &self.url.port())
            .field("cluster", &self.cluster)
            .field("auth", &self.auth)
            .finish_non_exhaustive()
    }
}

/// The arguments of [`scripts::PUT_NEWER`] for a value.
fn put_arguments(put: &Put) -> [Vec<u8>; 2] {
    [
        versioned(put.version, &put.value),
        millis(put.ttl).to_string().into_bytes(),
    ]
}

/// A number of members in the server's range: no set has more.
fn members(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn millis(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(1)
}

/// What was read; nothing if the key has a value of another type. We never leave one there, and the next write replaces it: it is
/// no failure of the cache.
fn of_our_type<T: Default>(found: Result<T, RedisError>) -> Result<T, CacheError> {
    match found {
        Err(error) if error.code() == Some("WRONGTYPE") => Ok(T::default()),
        found => found.map_err(cache_error),
    }
}

fn cache_error(error: RedisError) -> CacheError {
    if error.is_timeout() {
        CacheError::Timeout
    } else {
        CacheError::Unavailable(Arc::new(error))
    }
}
