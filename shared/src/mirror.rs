//! The few records that everything else needs (apps), with a copy in the shared cache for when the store fails or does not
//! answer within 100 ms. The store is always asked first: a copy is never preferred to its answer. Copies are sealed.
//!
//! API keys have no copies: an old one that somebody puts back would let in whom it was taken from while the store is down.

use std::time::Duration;

use tracing::warn;

use crate::cache::Put;
use crate::deadline::Deadline;
use crate::seal::Purpose;
use crate::sealed_cache::{Opened, SealedCache};
use crate::store::{Answer, Attributes, Expect, Key, Record, Storage, StoreError, Table, or_copy};

/// How long a copy is kept after the last read of the store.
const KEPT: Duration = Duration::from_secs(24 * 3_600);

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
    cache: Option<SealedCache>,
}

impl Mirror {
    /// Wraps `storage`, with copies in `cache` if there is one.
    #[must_use]
    pub const fn new(storage: Storage, cache: Option<SealedCache>) -> Self {
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
        let stored = self.storage.get(table, key, deadline);
        match or_copy(table, stored, || self.copied(table, key)).await? {
            Answer::Stored(Some(record)) => {
                self.copy(table, &record).await;
                Ok(Some(record))
            }
            Answer::Stored(None) => {
                self.forget(table, key).await;
                Ok(None)
            }
            Answer::Copied(record) => Ok(Some(record)),
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
        if let (Some(cache), Some(put)) = (&self.cache, put_of(table, record)) {
            let put = cache.put_newer_surely(Purpose::Records, &put, deadline);
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
        match self.opened(table, key).await {
            Some(Ok(Some(copy))) => Copied::Version(copy.version),
            Some(Ok(None)) => Copied::Nothing,
            Some(Err(_)) | None => Copied::Unknown,
        }
    }

    async fn copy(&self, table: Table, record: &Record) {
        if let (Some(cache), Some(put)) = (&self.cache, put_of(table, record)) {
            // If the cache refuses it, that matters only if the store fails too.
            let _ = cache.put_newer(Purpose::Records, &put).await;
        }
    }

    async fn forget(&self, table: Table, key: &Key) {
        if let Some(cache) = &self.cache {
            // If this fails, the copy expires by itself.
            let _ = cache.client().delete(&cache_key(table, key)).await;
        }
    }

    async fn copied(&self, table: Table, key: &Key) -> Option<Record> {
        let copy = self.opened(table, key).await?.ok()??;
        serde_json::from_slice(&copy.value).ok()
    }

    /// The copy; `None` without a cache.
    async fn opened(
        &self,
        table: Table,
        key: &Key,
    ) -> Option<Result<Option<Opened>, crate::cache::CacheError>> {
        let cache = self.cache.as_ref()?;
        Some(cache.get(Purpose::Records, &cache_key(table, key)).await)
    }
}

fn put_of(table: Table, record: &Record) -> Option<Put> {
    Some(Put {
        key: cache_key(table, &record.key),
        version: record.version,
        value: serde_json::to_vec(record).ok()?.into(),
        ttl: KEPT,
    })
}

fn cache_key(table: Table, key: &Key) -> String {
    format!("lark:record:{}:{key}", table.name())
}

#[cfg(test)]
mod tests;
