//! Outages: a store and a cache that a test can switch off and on.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use lark_service::cache::{Cache, CacheError, Claim, Put};
use lark_service::quota::{Decision, Place, Quota, Reservation, Window};
use lark_service::store::intercepted::{Operation, StoreHook};
use lark_service::store::{StoreError, Table};

/// Switches a store off and on.
#[derive(Debug)]
pub struct StoreSwitch {
    is_down: AtomicBool,
    /// Writes until it goes off; negative: any number.
    puts_left: AtomicI64,
}

impl Default for StoreSwitch {
    fn default() -> Self {
        Self {
            is_down: AtomicBool::new(false),
            puts_left: AtomicI64::new(-1),
        }
    }
}

impl StoreSwitch {
    /// Switches the store off after `puts` more writes.
    pub fn stop_after(&self, puts: i64) {
        self.puts_left.store(puts, Ordering::SeqCst);
    }

    /// Switches the store off.
    pub fn stop(&self) {
        self.is_down.store(true, Ordering::SeqCst);
    }

    /// Switches the store on.
    pub fn start(&self) {
        self.is_down.store(false, Ordering::SeqCst);
    }

    /// Counts a write.
    fn count_down(&self) {
        let left = self.puts_left.load(Ordering::SeqCst);
        if left == 0 {
            self.stop();
        }
        if left >= 0 {
            self.puts_left.store(left - 1, Ordering::SeqCst);
        }
    }
}

#[async_trait]
impl StoreHook for StoreSwitch {
    async fn before(&self, operation: Operation, table: Option<Table>) -> Result<(), StoreError> {
        if matches!(operation, Operation::Put | Operation::PutMany) {
            self.count_down();
        }
        if self.is_down.load(Ordering::SeqCst) {
            return Err(StoreError::unavailable(
                operation.name(),
                table.map_or("all", Table::name),
                "taken away by the test",
            ));
        }
        Ok(())
    }
}

/// Fails one operation of a store, as a throttled one fails.
#[derive(Debug)]
pub struct FailOnce {
    operation: Operation,
    table: Table,
    /// How many such operations pass before; negative: it has failed.
    before: AtomicI64,
}

impl FailOnce {
    /// Fails the next `operation` on `table`, after `before` that pass.
    #[must_use]
    pub const fn after(before: i64, operation: Operation, table: Table) -> Self {
        Self {
            operation,
            table,
            before: AtomicI64::new(before),
        }
    }
}

#[async_trait]
impl StoreHook for FailOnce {
    async fn before(&self, operation: Operation, table: Option<Table>) -> Result<(), StoreError> {
        let is_it = operation == self.operation && table == Some(self.table);
        if is_it && self.before.fetch_sub(1, Ordering::SeqCst) == 0 {
            let table = self.table.name();
            return Err(StoreError::unavailable(
                operation.name(),
                table,
                "throttled",
            ));
        }
        Ok(())
    }
}

/// A cache that can be switched off, and that remembers which keys were used.
#[derive(Debug)]
pub struct SwitchableCache {
    cache: Arc<dyn Cache>,
    is_down: AtomicBool,
    round_trips: AtomicU64,
    keys: Mutex<BTreeSet<String>>,
}

impl SwitchableCache {
    /// `cache`, switched on.
    #[must_use]
    pub fn over(cache: Arc<dyn Cache>) -> Self {
        Self {
            cache,
            is_down: AtomicBool::new(false),
            round_trips: AtomicU64::new(0),
            keys: Mutex::default(),
        }
    }

    /// Forgets which keys were used.
    pub fn forget_keys(&self) {
        let mut keys = self.keys.lock().expect("no panic while noting a key");
        keys.clear();
    }

    /// Every key that was read or written since the beginning, or since they were forgotten.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        let keys = self.keys.lock().expect("no panic while noting a key");
        keys.iter().cloned().collect()
    }

    fn note(&self, key: &str) {
        let mut keys = self.keys.lock().expect("no panic while noting a key");
        if !keys.contains(key) {
            keys.insert(key.to_owned());
        }
    }

    /// Switches the cache off.
    pub fn stop(&self) {
        self.is_down.store(true, Ordering::SeqCst);
    }

    /// Switches the cache on.
    pub fn start(&self) {
        self.is_down.store(false, Ordering::SeqCst);
    }

    /// Number of operations so far.
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
        self.note(key);
        self.there()?.get(key).await
    }

    async fn get_many(&self, keys: &[String]) -> Result<Vec<Option<bytes::Bytes>>, CacheError> {
        keys.iter().for_each(|key| self.note(key));
        self.there()?.get_many(keys).await
    }

    async fn put(&self, key: &str, value: &[u8], ttl: Duration) -> Result<(), CacheError> {
        self.note(key);
        self.there()?.put(key, value, ttl).await
    }

    async fn put_newer(&self, puts: &[Put]) -> Result<usize, CacheError> {
        puts.iter().for_each(|put| self.note(&put.key));
        self.there()?.put_newer(puts).await
    }

    async fn delete(&self, key: &str, only_if: Option<&[u8]>) -> Result<bool, CacheError> {
        self.there()?.delete(key, only_if).await
    }

    async fn throttle(
        &self,
        key: &str,
        quotas: &[Quota],
        cost: u32,
    ) -> Result<Decision, CacheError> {
        self.note(key);
        self.there()?.throttle(key, quotas, cost).await
    }

    async fn reserve(
        &self,
        key: &str,
        windows: &[Window],
        patience: Duration,
    ) -> Result<Reservation, CacheError> {
        self.note(key);
        self.there()?.reserve(key, windows, patience).await
    }

    async fn give_back(
        &self,
        key: &str,
        windows: &[Window],
        place: Place,
    ) -> Result<bool, CacheError> {
        self.there()?.give_back(key, windows, place).await
    }

    async fn pause(&self, key: &str, length: Duration) -> Result<(), CacheError> {
        self.note(key);
        self.there()?.pause(key, length).await
    }

    async fn claim(
        &self,
        lease: &str,
        value: &str,
        owner: &[u8],
        ttl: Duration,
    ) -> Result<Claim, CacheError> {
        self.note(lease);
        self.there()?.claim(lease, value, owner, ttl).await
    }

    async fn extend(&self, lease: &str, owner: &[u8], ttl: Duration) -> Result<bool, CacheError> {
        self.there()?.extend(lease, owner, ttl).await
    }

    async fn put_held(&self, lease: &str, owner: &[u8], put: &Put) -> Result<bool, CacheError> {
        self.note(&put.key);
        self.there()?.put_held(lease, owner, put).await
    }

    async fn add_scores(
        &self,
        key: &str,
        scores: &[(String, f64)],
        keep: usize,
        ttl: Duration,
    ) -> Result<(), CacheError> {
        self.note(key);
        self.there()?.add_scores(key, scores, keep, ttl).await
    }

    async fn top_scores(&self, key: &str, limit: usize) -> Result<Vec<(String, f64)>, CacheError> {
        self.note(key);
        self.there()?.top_scores(key, limit).await
    }

    async fn take_scores(&self, key: &str) -> Result<Vec<(String, f64)>, CacheError> {
        self.there()?.take_scores(key).await
    }

    async fn now_us(&self) -> Result<u64, CacheError> {
        self.there()?.now_us().await
    }

    async fn ping(&self) -> Result<(), CacheError> {
        self.there()?.ping().await
    }
}
