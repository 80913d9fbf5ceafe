//! The store in DynamoDB: a DynamoDB table per [`Table`], on demand, with the index `due` on the tokens.
//!
//! [`schema`] states keys and attributes, `inspect` compares the account with it, `item` maps records, `query` reads several
//! in order, `batch` handles many at once, `observed` reports what a call cost and why it failed.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::ReturnConsumedCapacity;
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::clock::{Clock, Timestamp};
use crate::store::{
    Attributes, DuePosition, Expect, Key, ListPage, Record, Store, StoreError, Table, TableReport,
};

mod batch;
mod condition;
mod inspect;
mod item;
mod observed;
mod query;
pub mod schema;

pub use observed::DynamoDbError;
pub use schema::TableNames;

use batch::{CONCURRENT_BATCHES, READ_BATCH, WRITE_BATCH};
use condition::Condition;
use item::{key_item, read_item, record_item};
use observed::Call;

/// How many conditional writes of one call are in flight at a time.
const CONCURRENT_PUTS: usize = 16;

/// A [`Store`] in DynamoDB.
///
/// An expired record counts as absent at once, whenever DynamoDB actually deletes it. The caller sets the time-outs; the SDK
/// retries throttled and broken calls as configured.
#[derive(Clone, Debug)]
pub struct DynamoDbStore {
    client: Client,
    names: TableNames,
    clock: Arc<dyn Clock>,
}

impl DynamoDbStore {
    /// The store in the tables `names`.
    #[must_use]
    pub fn new(client: Client, names: TableNames, clock: Arc<dyn Clock>) -> Self {
        Self {
            client,
            names,
            clock,
        }
    }

    fn is_live(&self, record: &Record) -> bool {
        record
            .expires_at
            .is_none_or(|expires_at| expires_at > self.clock.now())
    }

    fn condition(&self, expect: Expect) -> Option<Condition> {
        Condition::of(expect, self.clock.now())
    }
}

#[async_trait]
impl Store for DynamoDbStore {
    async fn get(&self, table: Table, key: &Key) -> Result<Option<Record>, StoreError> {
        let call = Call::new("get", table);
        let request = self
            .client
            .get_item()
            .table_name(self.names.get(table))
            .set_key(Some(key_item(key)))
            .consistent_read(true)
            .return_consumed_capacity(ReturnConsumedCapacity::Total);
        let sent = request
            .customize()
            .interceptor(call.attempts())
            .send()
            .await;
        let output = sent.map_err(|error| call.refused(error))?;
        call.consumed(output.consumed_capacity());
        let record = output.item.map(|item| read_item(table, item)).transpose()?;
        Ok(record.filter(|record| self.is_live(record)))
    }

    async fn get_many(
        &self,
        table: Table,
        keys: &[Key],
        attributes: Attributes,
    ) -> Result<Vec<Record>, StoreError> {
        let call = Call::new("get_many", table);
        let distinct: Vec<&Key> = keys.iter().collect::<HashSet<_>>().into_iter().collect();
        let batches = distinct.chunks(READ_BATCH);
        let batches: Vec<_> = batches
            .map(|batch| self.get_batch(&call, table, batch, attributes))
            .collect();
        let records: Vec<Vec<Record>> = stream::iter(batches)
            .buffer_unordered(CONCURRENT_BATCHES)
            .try_collect()
            .await?;
        Ok(records
            .into_iter()
            .flatten()
            .filter(|record| self.is_live(record))
            .collect())
    }

    async fn put_many(&self, table: Table, records: &[Record]) -> Result<(), StoreError> {
        let call = Call::new("put_many", table);
        // A batch with the same key twice is refused.
        let last: HashMap<&Key, &Record> =
            records.iter().map(|record| (&record.key, record)).collect();
        let distinct: Vec<&Record> = last.into_values().collect();
        let batches = distinct.chunks(WRITE_BATCH);
        let batches: Vec<_> = batches
            .map(|batch| self.put_batch(&call, table, batch))
            .collect();
        stream::iter(batches)
            .buffer_unordered(CONCURRENT_BATCHES)
            .try_collect()
            .await
    }

    async fn put(&self, table: Table, record: &Record, expect: Expect) -> Result<(), StoreError> {
        let call = Call::new("put", table);
        let condition = self.condition(expect);
        let request = self
            .client
            .put_item()
            .table_name(self.names.get(table))
            .set_item(Some(record_item(record)))
            .set_condition_expression(condition.as_ref().map(Condition::expression))
            .set_expression_attribute_names(condition.as_ref().map(Condition::names))
            .set_expression_attribute_values(condition.map(Condition::values))
            .return_consumed_capacity(ReturnConsumedCapacity::Total);
        let sent = request
            .customize()
            .interceptor(call.attempts())
            .send()
            .await;
        let output = sent.map_err(|error| call.refused(error))?;
        call.consumed(output.consumed_capacity());
        Ok(())
    }

    /// A request each: a batch of writes has no conditions.
    async fn put_newer(
        &self,
        table: Table,
        records: &[Record],
        latest: u64,
    ) -> Result<(), StoreError> {
        let puts = records.iter().map(|record| async move {
            let version = record.version;
            let expect = Expect::Older { version, latest };
            match self.put(table, record, expect).await {
                Err(StoreError::Conflict) => Ok(()),
                outcome => outcome,
            }
        });
        let puts: Vec<_> = puts.collect();
        stream::iter(puts)
            .buffer_unordered(CONCURRENT_PUTS)
            .try_collect()
            .await
    }

    async fn delete(&self, table: Table, key: &Key, expect: Expect) -> Result<(), StoreError> {
        let call = Call::new("delete", table);
        let condition = self.condition(expect);
        let request = self
            .client
            .delete_item()
            .table_name(self.names.get(table))
            .set_key(Some(key_item(key)))
            .set_condition_expression(condition.as_ref().map(Condition::expression))
            .set_expression_attribute_names(condition.as_ref().map(Condition::names))
            .set_expression_attribute_values(condition.map(Condition::values))
            .return_consumed_capacity(ReturnConsumedCapacity::Total);
        let sent = request
            .customize()
            .interceptor(call.attempts())
            .send()
            .await;
        let output = sent.map_err(|error| call.refused(error))?;
        call.consumed(output.consumed_capacity());
        Ok(())
    }

    async fn list(
        &self,
        table: Table,
        partition: &str,
        sort_prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ListPage, StoreError> {
        self.query_partition(table, partition, sort_prefix, after, limit)
            .await
    }

    async fn due(
        &self,
        shard: u8,
        until: Timestamp,
        after: Option<&DuePosition>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        self.query_due(shard, until, after, limit).await
    }

    /// Reads a key that never exists.
    async fn ping(&self) -> Result<(), StoreError> {
        let call = Call::new("ping", Table::Apps);
        let key = Key::new("ping", "ping");
        let request = self
            .client
            .get_item()
            .table_name(self.names.get(Table::Apps))
            .set_key(Some(key_item(&key)));
        let sent = request
            .customize()
            .interceptor(call.attempts())
            .send()
            .await;
        sent.map(drop).map_err(|error| call.refused(error))
    }

    async fn inspect(&self) -> Result<Vec<TableReport>, StoreError> {
        stream::iter(Table::ALL)
            .map(|table| self.inspect_table(table))
            .buffered(Table::ALL.len())
            .try_collect()
            .await
    }
}
