//! The store and the shared cache as one process reaches them: through its gates.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use lark_service::cache::{Cache, CacheError, Claim, Put};
use lark_service::clock::Timestamp;
use lark_service::quota::{Decision, Place, Quota, Reservation, Window};
use lark_service::store::{
    Attributes, DuePosition, Expect, Guard, Key, ListPage, Record, Store, StoreError, Table,
    TableReport,
};

use crate::gate::{Gates, Mode, Point, Stage};

/// The store behind gates. Only what concerns tokens stops.
#[derive(Debug)]
pub(crate) struct GatedStore {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) gates: Gates,
}

impl GatedStore {
    async fn through<T>(
        &self,
        name: &'static str,
        table: Table,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        if table != Table::Tokens {
            return self.gates.busy(work).await;
        }
        let lost = || StoreError::unavailable(name, table.name(), "lost by the schedule");
        if self.gates.pass(Point::Store(name, Stage::Begin)).await == Mode::Lose {
            return Err(lost());
        }
        let outcome = self.gates.busy(work).await;
        if self.gates.pass(Point::Store(name, Stage::Answer)).await == Mode::Lose {
            return Err(lost());
        }
        outcome
    }
}

#[async_trait]
impl Store for GatedStore {
    async fn get(&self, table: Table, key: &Key) -> Result<Option<Record>, StoreError> {
        self.through("get", table, self.store.get(table, key)).await
    }

    async fn get_many(
        &self,
        table: Table,
        keys: &[Key],
        attributes: Attributes,
    ) -> Result<Vec<Record>, StoreError> {
        let work = self.store.get_many(table, keys, attributes);
        self.through("get_many", table, work).await
    }

    async fn put(&self, table: Table, record: &Record, expect: Expect) -> Result<(), StoreError> {
        let work = self.store.put(table, record, expect);
        self.through("put", table, work).await
    }

    async fn put_guarded(
        &self,
        table: Table,
        record: &Record,
        expect: Expect,
        guard: &Guard,
    ) -> Result<(), StoreError> {
        let work = self.store.put_guarded(table, record, expect, guard);
        self.through("put_guarded", table, work).await
    }

    async fn put_many(&self, table: Table, records: &[Record]) -> Result<(), StoreError> {
        let work = self.store.put_many(table, records);
        self.through("put_many", table, work).await
    }

    async fn put_newer(
        &self,
        table: Table,
        records: &[Record],
        version: u64,
    ) -> Result<(), StoreError> {
        let work = self.store.put_newer(table, records, version);
        self.through("put_newer", table, work).await
    }

    async fn delete(&self, table: Table, key: &Key, expect: Expect) -> Result<(), StoreError> {
        let work = self.store.delete(table, key, expect);
        self.through("delete", table, work).await
    }

    async fn list(
        &self,
        table: Table,
        partition: &str,
        sort_prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ListPage, StoreError> {
        let work = self.store.list(table, partition, sort_prefix, after, limit);
        self.through("list", table, work).await
    }

    /// Passes: sixteen gates for one reading of the index would take most of a schedule.
    async fn due(
        &self,
        table: Table,
        shard: u8,
        until: Timestamp,
        after: Option<&DuePosition>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        let work = self.store.due(table, shard, until, after, limit);
        self.gates.busy(work).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.store.ping().await
    }

    async fn inspect(&self) -> Result<Vec<TableReport>, StoreError> {
        self.store.inspect().await
    }
}

/// The shared cache behind gates. Only tokens and the pairs that wait there stop; leases of the cache decide nothing.
#[derive(Debug)]
pub(crate) struct GatedCache {
    pub(crate) cache: Arc<dyn Cache>,
    pub(crate) gates: Gates,
}

impl GatedCache {
    async fn through<T>(
        &self,
        name: &'static str,
        key: &str,
        work: impl Future<Output = Result<T, CacheError>>,
    ) -> Result<T, CacheError> {
        self.gates.alive().await;
        if !key.starts_with("lark:token:") && !key.starts_with("lark:login-rescue:") {
            return work.await;
        }
        let lost = || CacheError::unavailable("lost by the schedule");
        if self.gates.pass(Point::Cache(name, Stage::Begin)).await == Mode::Lose {
            return Err(lost());
        }
        let outcome = work.await;
        if self.gates.pass(Point::Cache(name, Stage::Answer)).await == Mode::Lose {
            return Err(lost());
        }
        outcome
    }
}

#[async_trait]
impl Cache for GatedCache {
    async fn get(&self, key: &str) -> Result<Option<Bytes>, CacheError> {
        self.through("get", key, self.cache.get(key)).await
    }

    async fn get_many(&self, keys: &[String]) -> Result<Vec<Option<Bytes>>, CacheError> {
        self.gates.alive().await;
        self.cache.get_many(keys).await
    }

    async fn put(&self, key: &str, value: &[u8], ttl: Duration) -> Result<(), CacheError> {
        self.through("put", key, self.cache.put(key, value, ttl))
            .await
    }

    async fn put_newer(&self, puts: &[Put]) -> Result<usize, CacheError> {
        let key = puts.first().map_or("", |put| put.key.as_str());
        self.through("put_newer", key, self.cache.put_newer(puts))
            .await
    }

    async fn claim(
        &self,
        lease: &str,
        value: &str,
        owner: &[u8],
        ttl: Duration,
    ) -> Result<Claim, CacheError> {
        self.gates.alive().await;
        self.cache.claim(lease, value, owner, ttl).await
    }

    async fn delete(&self, key: &str, only_if: Option<&[u8]>) -> Result<bool, CacheError> {
        self.through("delete", key, self.cache.delete(key, only_if))
            .await
    }

    async fn extend(&self, lease: &str, owner: &[u8], ttl: Duration) -> Result<bool, CacheError> {
        self.gates.alive().await;
        self.cache.extend(lease, owner, ttl).await
    }

    async fn put_held(&self, lease: &str, owner: &[u8], put: &Put) -> Result<bool, CacheError> {
        self.gates.alive().await;
        self.cache.put_held(lease, owner, put).await
    }

    async fn give_back(
        &self,
        key: &str,
        windows: &[Window],
        place: Place,
    ) -> Result<bool, CacheError> {
        self.gates.alive().await;
        self.cache.give_back(key, windows, place).await
    }

    async fn now_us(&self) -> Result<u64, CacheError> {
        self.gates.alive().await;
        self.cache.now_us().await
    }

    async fn throttle(
        &self,
        key: &str,
        quotas: &[Quota],
        cost: u32,
    ) -> Result<Decision, CacheError> {
        self.gates.alive().await;
        self.cache.throttle(key, quotas, cost).await
    }

    async fn reserve(
        &self,
        key: &str,
        windows: &[Window],
        patience: Duration,
    ) -> Result<Reservation, CacheError> {
        self.gates.alive().await;
        self.cache.reserve(key, windows, patience).await
    }

    async fn pause(&self, key: &str, length: Duration) -> Result<(), CacheError> {
        self.gates.alive().await;
        self.cache.pause(key, length).await
    }

    async fn add_scores(
        &self,
        key: &str,
        scores: &[(String, f64)],
        keep: usize,
        ttl: Duration,
    ) -> Result<(), CacheError> {
        self.gates.alive().await;
        self.cache.add_scores(key, scores, keep, ttl).await
    }

    async fn top_scores(&self, key: &str, limit: usize) -> Result<Vec<(String, f64)>, CacheError> {
        self.gates.alive().await;
        self.cache.top_scores(key, limit).await
    }

    async fn take_scores(&self, key: &str) -> Result<Vec<(String, f64)>, CacheError> {
        self.gates.alive().await;
        self.cache.take_scores(key).await
    }

    async fn ping(&self) -> Result<(), CacheError> {
        self.gates.alive().await;
        self.cache.ping().await
    }
}
