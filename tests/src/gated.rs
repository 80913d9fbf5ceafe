//! A store whose operations wait to be let through, one by one: what happens between two of them is for the test to decide,
//! and a process that is let through no more is a process that froze or died.

use std::sync::Arc;

use async_trait::async_trait;
use lark_service::clock::Timestamp;
use lark_service::store::{
    Attributes, DuePosition, Expect, Key, ListPage, Record, Store, StoreError, Table, TableReport,
};
use tokio::sync::{mpsc, oneshot};

/// A process that waits in front of its next operation.
pub type Waiting = (usize, oneshot::Sender<()>);

/// A store in front of which the process `process` waits.
#[derive(Debug)]
pub struct GatedStore {
    store: Arc<dyn Store>,
    process: usize,
    gate: mpsc::UnboundedSender<Waiting>,
}

impl GatedStore {
    /// `store`, each operation on a token of which is announced to `gate` and waits for its word.
    #[must_use]
    pub const fn over(
        store: Arc<dyn Store>,
        process: usize,
        gate: mpsc::UnboundedSender<Waiting>,
    ) -> Self {
        Self {
            store,
            process,
            gate,
        }
    }

    async fn pass(&self, table: Table) {
        if table != Table::Tokens {
            return;
        }
        let (go, gone) = oneshot::channel();
        // A test that listens no more lets nobody through.
        let _ = self.gate.send((self.process, go));
        if gone.await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl Store for GatedStore {
    async fn get(&self, table: Table, key: &Key) -> Result<Option<Record>, StoreError> {
        self.pass(table).await;
        self.store.get(table, key).await
    }

    async fn get_many(
        &self,
        table: Table,
        keys: &[Key],
        attributes: Attributes,
    ) -> Result<Vec<Record>, StoreError> {
        self.store.get_many(table, keys, attributes).await
    }

    async fn put(&self, table: Table, record: &Record, expect: Expect) -> Result<(), StoreError> {
        self.pass(table).await;
        self.store.put(table, record, expect).await
    }

    async fn put_many(&self, table: Table, records: &[Record]) -> Result<(), StoreError> {
        self.pass(table).await;
        self.store.put_many(table, records).await
    }

    async fn delete(&self, table: Table, key: &Key, expect: Expect) -> Result<(), StoreError> {
        self.pass(table).await;
        self.store.delete(table, key, expect).await
    }

    async fn list(
        &self,
        table: Table,
        partition: &str,
        sort_prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ListPage, StoreError> {
        self.store
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
        self.store.due(shard, until, after, limit).await
    }

    async fn inspect(&self) -> Result<Vec<TableReport>, StoreError> {
        self.store.inspect().await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.store.ping().await
    }
}
