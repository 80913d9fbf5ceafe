//! A store that may not be written to.

use async_trait::async_trait;

use super::*;
use crate::clock::Timestamp;
use crate::store::dynamodb::DynamoDbError;
use crate::store::{
    Attributes, DuePosition, Expect, Key, ListPage, Record, Store, StoreError, TableReport,
};
use crate::wiring::Adapters;

/// A store that may not be written to.
#[derive(Debug)]
struct ReadOnly(Arc<dyn Store>);

fn denied(table: Table) -> StoreError {
    let refused = DynamoDbError::Refused {
        code: "AccessDeniedException".to_owned(),
        source: "not authorized".into(),
    };
    StoreError::unavailable("put", table.name(), refused)
}

#[async_trait]
impl Store for ReadOnly {
    async fn get(&self, table: Table, key: &Key) -> Result<Option<Record>, StoreError> {
        self.0.get(table, key).await
    }
    async fn get_many(
        &self,
        table: Table,
        keys: &[Key],
        attributes: Attributes,
    ) -> Result<Vec<Record>, StoreError> {
        self.0.get_many(table, keys, attributes).await
    }
    async fn put(&self, table: Table, _: &Record, _: Expect) -> Result<(), StoreError> {
        Err(denied(table))
    }
    async fn put_many(&self, table: Table, _: &[Record]) -> Result<(), StoreError> {
        Err(denied(table))
    }
    async fn delete(&self, table: Table, key: &Key, expect: Expect) -> Result<(), StoreError> {
        self.0.delete(table, key, expect).await
    }
    async fn list(
        &self,
        table: Table,
        partition: &str,
        sort_prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ListPage, StoreError> {
        self.0
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
        self.0.due(shard, until, after, limit).await
    }
    async fn ping(&self) -> Result<(), StoreError> {
        self.0.ping().await
    }
    async fn inspect(&self) -> Result<Vec<TableReport>, StoreError> {
        self.0.inspect().await
    }
}

#[tokio::test]
async fn what_is_denied_is_named_by_action_and_table() {
    let place = Place::healthy().await;
    let config = place.config();
    let mut adapters = Adapters::connect(&config).await.unwrap();
    adapters.store = Arc::new(ReadOnly(adapters.store));
    let services = Services::new(config.clone(), &adapters);
    let checks = store::permissions(&config, &services).await;
    assert_eq!(checks.len(), Table::ALL.len());
    let remedy = checks[0].remedy.clone().unwrap();
    assert!(
        remedy.contains("allow dynamodb:PutItem on the table tokens"),
        "{remedy}"
    );
}
