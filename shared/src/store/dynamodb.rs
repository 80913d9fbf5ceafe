//! The store in DynamoDB: one table each, on demand, with the index `due` on the tokens.
//!
//! [`schema`] states keys and attributes, `inspect` compares the account with it, `item` maps records, `query` reads
//! several in order, `observed` tells what a call cost and why it failed.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::types::{KeysAndAttributes, ReturnConsumedCapacity};
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::clock::{Clock, Timestamp};
use crate::store::{
    DuePosition, Expect, Key, ListPage, Record, Store, StoreError, Table, TableReport,
};

mod condition;
mod inspect;
mod item;
mod observed;
mod query;
pub mod schema;

pub use observed::DynamoDbError;
pub use schema::TableNames;

use condition::Condition;
use item::{Item, key_item, read_item, record_item};
use observed::Call;

/// The most keys a `BatchGetItem` may ask for.
///
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html>
const BATCH: usize = 100;
/// How many batches are under way at a time.
const CONCURRENT_BATCHES: usize = 4;
/// How often in a row a batch may come back without any of its records.
const FRUITLESS_ATTEMPTS: u32 = 5;
/// The longest wait before the second attempt of a batch; it doubles with each further one.
const FIRST_BACKOFF: Duration = Duration::from_millis(25);

/// A [`Store`] in DynamoDB.
///
/// A record that has expired counts as absent at once, whenever DynamoDB gets round to deleting it. The time-outs are the
/// caller's; throttled and broken calls are repeated by the SDK as its configuration says.
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

    /// One `BatchGetItem` and, with backoff, as many more as it takes until every key is answered.
    async fn get_batch(
        &self,
        call: &Call,
        table: Table,
        keys: Vec<Item>,
    ) -> Result<Vec<Record>, StoreError> {
        let name = self.names.get(table);
        let (mut records, mut pending, mut fruitless) = (Vec::with_capacity(keys.len()), keys, 0);
        loop {
            let asked = pending.len();
            let request = keys_and_attributes(pending).map_err(|error| call.failed(error))?;
            let request = self
                .client
                .batch_get_item()
                .request_items(name, request)
                .return_consumed_capacity(ReturnConsumedCapacity::Total);
            let sent = request
                .customize()
                .interceptor(call.attempts())
                .send()
                .await;
            let output = sent.map_err(|error| call.refused(error))?;
            call.consumed(output.consumed_capacity());
            for item in output
                .responses
                .unwrap_or_default()
                .remove(name)
                .unwrap_or_default()
            {
                records.push(read_item(table, item)?);
            }
            pending = output
                .unprocessed_keys
                .and_then(|mut left| left.remove(name))
                .map_or(Vec::new(), |left| left.keys);
            if pending.is_empty() {
                return Ok(records);
            }
            fruitless = if pending.len() < asked {
                0
            } else {
                fruitless + 1
            };
            if fruitless == FRUITLESS_ATTEMPTS {
                return Err(call.failed(DynamoDbError::Unprocessed {
                    keys: pending.len(),
                }));
            }
            tokio::time::sleep(full_jitter(fruitless)).await;
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

    async fn get_many(&self, table: Table, keys: &[Key]) -> Result<Vec<Record>, StoreError> {
        let call = Call::new("get_many", table);
        let distinct: Vec<&Key> = keys.iter().collect::<HashSet<_>>().into_iter().collect();
        let batches: Vec<Vec<Item>> = distinct
            .chunks(BATCH)
            .map(|batch| batch.iter().map(|key| key_item(key)).collect())
            .collect();
        let records: Vec<Vec<Record>> = stream::iter(batches)
            .map(|batch| self.get_batch(&call, table, batch))
            .buffer_unordered(CONCURRENT_BATCHES)
            .try_collect()
            .await?;
        Ok(records
            .into_iter()
            .flatten()
            .filter(|record| self.is_live(record))
            .collect())
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

    /// Reads a key that is never written.
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

fn keys_and_attributes(keys: Vec<Item>) -> Result<KeysAndAttributes, BuildError> {
    KeysAndAttributes::builder()
        .set_keys(Some(keys))
        .consistent_read(true)
        .build()
}

/// Anything between nothing and the backoff that `fruitless` attempts in a row call for, so that callers who were
/// throttled together do not come back together.
fn full_jitter(fruitless: u32) -> Duration {
    if fruitless == 0 {
        return Duration::ZERO;
    }
    (FIRST_BACKOFF * 2_u32.pow(fruitless - 1)).mul_f64(fastrand::f64())
}
