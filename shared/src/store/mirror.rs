//! The few records that everything else needs (apps, data keys), with a copy in the shared cache for when the store fails or
//! does not answer within 100 ms. The store is always asked first: a copy is never preferred to its answer.
//!
//! API keys have no copies: whoever can write to the cache could grant themselves access while the store is down.

use std::time::Duration;

use tracing::warn;

use super::{Attributes, Expect, Key, Record, Storage, StoreError, Table};
use crate::cache::{CacheClient, split_version};
use crate::deadline::Deadline;

/// How long a copy is kept after the last read of the store.
const KEPT: Duration = Duration::from_secs(24 * 3_600);

/// How long the store may take before a copy answers in its place.
const PATIENCE: Duration = Duration::from_millis(100);

/// The state of a copy in the shared cache.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Copied {
    /// The copy exists, at this version.
    Version(u64),
    /// There is no copy.
    Nothing,
    /// The cache does not answer, or there is none.
    Unknown,
}

/// A store with copies in the shared cache. What it holds must be sealed or hashed where it is secret.
#[derive(Clone, Debug)]
pub struct Mirror {
    storage: Storage,
    cache: Option<CacheClient>,
}

impl Mirror {
    /// Wraps `storage`, with copies in `cache` if there is one.
    #[must_use]
    pub const fn new(storage: Storage, cache: Option<CacheClient>) -> Self {
        Self { storage, cache }
    }

    /// The record at `key`, from the store or, if that fails or takes longer than 100 ms, from the copy. Without a copy the
    /// store has all its time.
    ///
    /// # Errors
    /// The store's error, when there is no copy either.
    pub async fn get(
        &self,
        table: Table,
        key: &Key,
        deadline: Deadline,
    ) -> Result<Option<Record>, StoreError> {
        let answer = tokio::select! {
            biased;
            answer = self.storage.get(table, key, deadline) => answer,
            record = self.copied_later(table, key) => {
                let waited_ms = PATIENCE.as_millis();
                warn!(store.table = table.name(), waited_ms, "going on with the copy of a record");
                return Ok(Some(record));
            }
        };
        match answer {
            Ok(Some(record)) => {
                self.copy(table, &record).await;
                Ok(Some(record))
            }
            Ok(None) => {
                self.forget(table, key).await;
                Ok(None)
            }
            Err(error) => match self.copied(table, key).await {
                Some(record) => {
                    warn!(store.table = table.name(), %error, "going on with the copy of a record");
                    Ok(Some(record))
                }
                None => Err(error),
            },
        }
    }

    /// The records at `keys`, from the store alone.
    ///
    /// # Errors
    /// The store's error.
    pub async fn get_many(
        &self,
        table: Table,
        keys: &[Key],
        attributes: Attributes,
        deadline: Deadline,
    ) -> Result<Vec<Record>, StoreError> {
        self.storage
            .get_many(table, keys, attributes, deadline)
            .await
    }

    /// Writes the record and its copy, if `expect` holds. The copy's version tells every process to read the record again, so it
    /// is written past the breaker and patiently. If it does not arrive all the same, a process may go on with what it remembers
    /// until that is too old.
    ///
    /// # Errors
    /// The store's error.
    pub async fn put(
        &self,
        table: Table,
        record: &Record,
        expect: Expect,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        self.storage.put(table, record, expect, deadline).await?;
        if let Some(cache) = &self.cache
            && let Ok(value) = serde_json::to_vec(record)
        {
            let (key, version) = (cache_key(table, &record.key), record.version);
            let put = cache.put_newer_surely(&key, version, &value, KEPT, deadline);
            if let Err(error) = put.await {
                warn!(store.table = table.name(), %error, "a change has not reached the shared cache");
            }
        }
        Ok(())
    }

    /// The store without the copies.
    #[must_use]
    pub const fn storage(&self) -> &Storage {
        &self.storage
    }

    /// The version of the copy at `key`, which every write through a mirror updates.
    pub async fn copied_version(&self, table: Table, key: &Key) -> Copied {
        let Some(cache) = &self.cache else {
            return Copied::Unknown;
        };
        match cache.get(&cache_key(table, key)).await {
            Ok(Some(stored)) => split_version(&stored)
                .map_or(Copied::Nothing, |(version, _)| Copied::Version(version)),
            Ok(None) => Copied::Nothing,
            Err(_) => Copied::Unknown,
        }
    }

    async fn copy(&self, table: Table, record: &Record) {
        let Some(cache) = &self.cache else { return };
        if let Ok(value) = serde_json::to_vec(record) {
            // If the cache refuses it, that matters only if the store fails too.
            let _ = cache
                .put_newer(&cache_key(table, &record.key), record.version, &value, KEPT)
                .await;
        }
    }

    async fn forget(&self, table: Table, key: &Key) {
        if let Some(cache) = &self.cache {
            // If this fails, the copy expires by itself.
            let _ = cache.delete(&cache_key(table, key)).await;
        }
    }

    /// The copy, after [`PATIENCE`]; never, if there is none.
    async fn copied_later(&self, table: Table, key: &Key) -> Record {
        tokio::time::sleep(PATIENCE).await;
        match self.copied(table, key).await {
            Some(record) => record,
            None => std::future::pending().await,
        }
    }

    async fn copied(&self, table: Table, key: &Key) -> Option<Record> {
        let stored = self
            .cache
            .as_ref()?
            .get(&cache_key(table, key))
            .await
            .ok()??;
        let (_, value) = split_version(&stored)?;
        serde_json::from_slice(&value).ok()
    }
}

fn cache_key(table: Table, key: &Key) -> String {
    format!("lark:record:{}:{key}", table.name())
}

#[cfg(test)]
mod tests;
