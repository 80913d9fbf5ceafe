//! A store with a hook in front of every operation: outages, refusals and pauses for tests, without another copy of the
//! port.

use std::sync::Arc;

use async_trait::async_trait;

use super::{
    Attributes, DuePosition, Expect, Guard, Key, ListPage, Record, Store, StoreError, Table,
    TableReport,
};
use crate::clock::Timestamp;

/// An operation of [`Store`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Operation {
    /// [`Store::get`].
    Get,
    /// [`Store::get_many`].
    GetMany,
    /// [`Store::put`] and [`Store::put_guarded`].
    Put,
    /// [`Store::put_many`] and [`Store::put_newer`].
    PutMany,
    /// [`Store::delete`].
    Delete,
    /// [`Store::list`].
    List,
    /// [`Store::due`].
    Due,
    /// [`Store::ping`].
    Ping,
    /// [`Store::inspect`].
    Inspect,
}

impl Operation {
    /// The name of the port's method.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::GetMany => "get_many",
            Self::Put => "put",
            Self::PutMany => "put_many",
            Self::Delete => "delete",
            Self::List => "list",
            Self::Due => "due",
            Self::Ping => "ping",
            Self::Inspect => "inspect",
        }
    }
}

/// Decides whether and when an operation reaches the store.
#[async_trait]
pub trait StoreHook: std::fmt::Debug + Send + Sync {
    /// Runs before `operation` on `table`; `None` for an operation on all tables.
    ///
    /// # Errors
    /// The error of the operation, which then never reaches the store.
    async fn before(&self, operation: Operation, table: Option<Table>) -> Result<(), StoreError>;

    /// Runs after a [`Store::get`] from `table`, with its answer at hand: by then the answer may be out of date.
    async fn after_get(&self, _table: Table) {}

    /// Runs after a [`Store::put`] of `key` that succeeded.
    ///
    /// # Errors
    /// What the caller gets in place of the answer, which is lost.
    async fn after_put(&self, _table: Table, _key: &Key) -> Result<(), StoreError> {
        Ok(())
    }
}

/// A store whose operations run after a hook.
#[derive(Debug)]
pub struct InterceptedStore {
    store: Arc<dyn Store>,
    hook: Arc<dyn StoreHook>,
}

impl InterceptedStore {
    /// `store` behind `hook`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, hook: Arc<dyn StoreHook>) -> Self {
        Self { store, hook }
    }

    /// The store, once the hook has let the operation pass.
    async fn after_hook(
        &self,
        operation: Operation,
        table: Option<Table>,
    ) -> Result<&dyn Store, StoreError> {
        self.hook.before(operation, table).await?;
        Ok(&*self.store)
    }
}

#[async_trait]
impl Store for InterceptedStore {
    async fn get(&self, table: Table, key: &Key) -> Result<Option<Record>, StoreError> {
        let store = self.after_hook(Operation::Get, Some(table)).await?;
        let answer = store.get(table, key).await;
        self.hook.after_get(table).await;
        answer
    }

    async fn get_many(
        &self,
        table: Table,
        keys: &[Key],
        attributes: Attributes,
    ) -> Result<Vec<Record>, StoreError> {
        let store = self.after_hook(Operation::GetMany, Some(table)).await?;
        store.get_many(table, keys, attributes).await
    }

    async fn put(&self, table: Table, record: &Record, expect: Expect) -> Result<(), StoreError> {
        let store = self.after_hook(Operation::Put, Some(table)).await?;
        store.put(table, record, expect).await?;
        self.hook.after_put(table, &record.key).await
    }

    async fn put_guarded(
        &self,
        table: Table,
        record: &Record,
        expect: Expect,
        guard: &Guard,
    ) -> Result<(), StoreError> {
        let store = self.after_hook(Operation::Put, Some(table)).await?;
        store.put_guarded(table, record, expect, guard).await
    }

    async fn put_many(&self, table: Table, records: &[Record]) -> Result<(), StoreError> {
        let store = self.after_hook(Operation::PutMany, Some(table)).await?;
        store.put_many(table, records).await
    }

    async fn put_newer(
        &self,
        table: Table,
        records: &[Record],
        latest: u64,
    ) -> Result<(), StoreError> {
        let store = self.after_hook(Operation::PutMany, Some(table)).await?;
        store.put_newer(table, records, latest).await
    }

    async fn delete(&self, table: Table, key: &Key, expect: Expect) -> Result<(), StoreError> {
        let store = self.after_hook(Operation::Delete, Some(table)).await?;
        store.delete(table, key, expect).await
    }

    async fn list(
        &self,
        table: Table,
        partition: &str,
        sort_prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ListPage, StoreError> {
        let store = self.after_hook(Operation::List, Some(table)).await?;
        store
            .list(table, partition, sort_prefix, after, limit)
            .await
    }

    async fn due(
        &self,
        table: Table,
        shard: u8,
        until: Timestamp,
        after: Option<&DuePosition>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        let store = self.after_hook(Operation::Due, Some(table)).await?;
        store.due(table, shard, until, after, limit).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.after_hook(Operation::Ping, None).await?.ping().await
    }

    async fn inspect(&self) -> Result<Vec<TableReport>, StoreError> {
        let store = self.after_hook(Operation::Inspect, None).await?;
        store.inspect().await
    }
}
