//! Adapters that can be taken away and given back: what an outage looks like from above.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use lark_service::cache::{Cache, CacheError, Claim, Put};
use lark_service::clock::Timestamp;
use lark_service::quota::{Decision, Quota};
use lark_service::store::{
    Attributes, DuePosition, Expect, Key, ListPage, Record, Store, StoreError, Table, TableReport,
};

/// A store that is there or not.
#[derive(Debug)]
pub struct SwitchableStore {
    store: Arc<dyn Store>,
    is_down: AtomicBool,
    /// How many more writes it takes before it goes away; negative: any number.
    puts_left: AtomicI64,
}

impl SwitchableStore {
    /// `store`, which is there.
    #[must_use]
    pub fn over(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            is_down: AtomicBool::new(false),
            puts_left: AtomicI64::new(-1),
        }
    }

    /// Takes the store away after `puts` more writes.
    pub fn stop_after(&self, puts: i64) {
        self.puts_left.store(puts, Ordering::SeqCst);
    }

    /// Takes the store away.
    pub fn stop(&self) {
        self.is_down.store(true, Ordering::SeqCst);
    }

    /// Gives the store back.
    pub fn start(&self) {
        self.is_down.store(false, Ordering::SeqCst);
    }

    /// A write comes.
    fn count_down(&self) {
        let left = self.puts_left.load(Ordering::SeqCst);
        if left == 0 {
            self.stop();
        }
        if left >= 0 {
            self.puts_left.store(left - 1, Ordering::SeqCst);
        }
    }

    fn there(&self, operation: &'static str, table: Table) -> Result<&dyn Store, StoreError> {
        if self.is_down.load(Ordering::SeqCst) {
            return Err(StoreError::unavailable(
                operation,
                table.name(),
                "taken away by the test",
            ));
        }
        Ok(&*self.store)
    }
}

#[async_trait]
impl Store for SwitchableStore {
    async fn get(&self, table: Table, key: &Key) -> Result<Option<Record>, StoreError> {
        self.there("get", table)?.get(table, key).await
    }

    async fn get_many(
        &self,
        table: Table,
        keys: &[Key],
        attributes: Attributes,
    ) -> Result<Vec<Record>, StoreError> {
        self.there("get_many", table)?
            .get_many(table, keys, attributes)
            .await
    }

    async fn put(&self, table: Table, record: &Record, expect: Expect) -> Result<(), StoreError> {
        self.count_down();
        self.there("put", table)?.put(table, record, expect).await
    }

    async fn put_many(&self, table: Table, records: &[Record]) -> Result<(), StoreError> {
        self.count_down();
        self.there("put_many", table)?
            .put_many(table, records)
            .await
    }

    async fn delete(&self, table: Table, key: &Key, expect: Expect) -> Result<(), StoreError> {
        self.there("delete", table)?
            .delete(table, key, expect)
            .await
    }

    async fn list(
        &self,
        table: Table,
        partition: &str,
        sort_prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ListPage, StoreError> {
        self.there("list", table)?
            .list(table, partition, sort_prefix, after, limit)
            .await
    }

    async fn due(
        &self,
        shard: u8,
        until: Timestamp,
        after: Option<&DuePosition>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        self.there("due", Table::Tokens)?
            .due(shard, until, after, limit)
            .await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.there("ping", Table::Apps)?.ping().await
    }

    async fn inspect(&self) -> Result<Vec<TableReport>, StoreError> {
        self.there("inspect", Table::Apps)?.inspect().await
    }
}

/// A cache that is there or not.
#[derive(Debug)]
pub struct SwitchableCache {
    cache: Arc<dyn Cache>,
    is_down: AtomicBool,
    round_trips: AtomicU64,
}

impl SwitchableCache {
    /// `cache`, which is there.
    #[must_use]
    pub fn over(cache: Arc<dyn Cache>) -> Self {
        Self {
            cache,
            is_down: AtomicBool::new(false),
            round_trips: AtomicU64::new(0),
        }
    }

    /// Takes the cache away.
    pub fn stop(&self) {
        self.is_down.store(true, Ordering::SeqCst);
    }

    /// Gives the cache back.
    pub fn start(&self) {
        self.is_down.store(false, Ordering::SeqCst);
    }

    /// How often it was asked for anything.
    pub fn round_trips(&self) -> u64 {
        self.round_trips.load(Ordering::SeqCst)
    }

    fn there(&self) -> Result<&dyn Cache, CacheError> {
        self.round_trips.fetch_add(1, Ordering::SeqCst);
        if self.is_down.load(Ordering::SeqCst) {
            return Err(CacheError::unavailable("taken away by the test"));
        }
        Ok(&*self.cache)
    }
}

#[async_trait]
impl Cache for SwitchableCache {
    async fn get(&self, key: &str) -> Result<Option<bytes::Bytes>, CacheError> {
        self.there()?.get(key).await
    }

    async fn get_many(&self, keys: &[String]) -> Result<Vec<Option<bytes::Bytes>>, CacheError> {
        self.there()?.get_many(keys).await
    }

    async fn put(&self, key: &str, value: &[u8], ttl: Duration) -> Result<(), CacheError> {
        self.there()?.put(key, value, ttl).await
    }

    async fn put_newer(
        &self,
        key: &str,
        version: u64,
        value: &[u8],
        ttl: Duration,
    ) -> Result<bool, CacheError> {
        self.there()?.put_newer(key, version, value, ttl).await
    }

    async fn put_absent(&self, key: &str, value: &[u8], ttl: Duration) -> Result<bool, CacheError> {
        self.there()?.put_absent(key, value, ttl).await
    }

    async fn delete(&self, key: &str) -> Result<(), CacheError> {
        self.there()?.delete(key).await
    }

    async fn delete_equal(&self, key: &str, value: &[u8]) -> Result<bool, CacheError> {
        self.there()?.delete_equal(key, value).await
    }

    async fn throttle(
        &self,
        key: &str,
        quotas: &[Quota],
        cost: u32,
        patience: Duration,
    ) -> Result<Decision, CacheError> {
        self.there()?.throttle(key, quotas, cost, patience).await
    }

    async fn pause(&self, key: &str, length: Duration) -> Result<(), CacheError> {
        self.there()?.pause(key, length).await
    }

    async fn put_newer_many(&self, entries: &[Put]) -> Result<(), CacheError> {
        self.there()?.put_newer_many(entries).await
    }

    async fn claim(
        &self,
        lease: &str,
        value: &str,
        owner: &[u8],
        ttl: Duration,
    ) -> Result<Claim, CacheError> {
        self.there()?.claim(lease, value, owner, ttl).await
    }

    async fn add_scores(
        &self,
        key: &str,
        scores: &[(String, f64)],
        keep: usize,
        ttl: Duration,
    ) -> Result<(), CacheError> {
        self.there()?.add_scores(key, scores, keep, ttl).await
    }

    async fn top_scores(&self, key: &str, limit: usize) -> Result<Vec<(String, f64)>, CacheError> {
        self.there()?.top_scores(key, limit).await
    }

    async fn add_counts(
        &self,
        key: &str,
        counts: &[(String, u64)],
        ttl: Duration,
    ) -> Result<(), CacheError> {
        self.there()?.add_counts(key, counts, ttl).await
    }

    async fn counts(&self, key: &str) -> Result<BTreeMap<String, u64>, CacheError> {
        self.there()?.counts(key).await
    }

    async fn take_counts(&self, key: &str) -> Result<BTreeMap<String, u64>, CacheError> {
        self.there()?.take_counts(key).await
    }

    async fn ping(&self) -> Result<(), CacheError> {
        self.there()?.ping().await
    }
}
