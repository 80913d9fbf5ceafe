//! The store in DynamoDB: a DynamoDB table per [`Table`], on demand, with the index `due` on the tokens.
//!
//! [`schema`] states keys and attributes, `inspect` compares the account with it, `item` maps records, `query` reads several
//! in order, `batch` handles many at once, `guarded` writes one while another stays as it is, `observed` reports what a call cost and why it failed.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{ReturnConsumedCapacity, ReturnValuesOnConditionCheckFailure};
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::clock::{Clock, Timestamp};
use crate::store::{
    Attributes, DuePosition, Expect, Guard, Key, ListPage, Record, Store, StoreError, Table,
    TableReport,
};

mod batch;
mod condition;
mod guarded;
mod inspect;
mod item;
mod observed;
mod query;
pub mod schema;

pub use observed::DynamoDbError;
pub use schema::TableNames;

use batch::{CONCURRENT_BATCHES, READ_BATCH, WRITE_BATCH};
use condition::Condition;
use item::{WriteId, key_item, read_item, record_item};
use observed::{Call, Connected};

/// How long one attempt of a read may take. DynamoDB answers within milliseconds: what takes a second is tried on another
/// connection.
const READ_ATTEMPT_TIMEOUT: Duration = Duration::from_secs(1);
/// The most attempts of a read.
const READ_ATTEMPTS: u32 = 3;
/// How long one attempt of a write may take.
const WRITE_ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);
/// The most attempts of a write: all the time that it usually has.
const WRITE_ATTEMPTS: u32 = 5;

/// How many conditional writes of one call are in flight at a time.
const CONCURRENT_PUTS: usize = 16;

/// A [`Store`] in DynamoDB.
///
/// An expired record counts as absent at once, whenever DynamoDB actually deletes it. The SDK repeats throttled, broken and
/// silent attempts: of a read three times with a second for each, of a write five times with two seconds for each. Until the
/// first answer a read is given as much as a write: the first connection may take a second from another continent. The caller
/// sets the time-out over all of them.
///
/// A repeated put recognizes what its first attempt wrote by an attribute of its own, `write_id`: DynamoDB shows the item with
/// which a condition fails, so this takes no second read. Of an emulator that does not show it (dynalite) it is read.
#[derive(Clone, Debug)]
pub struct DynamoDbStore {
    /// For reads, see [`DynamoDbStore::reads`].
    quick: Client,
    /// For writes, and for what no caller waits for.
    patient: Client,
    connected: Connected,
    names: TableNames,
    clock: Arc<dyn Clock>,
}

/// `client` with so many attempts, each of which may take so long, and which says so in `connected` when one was answered.
fn with_attempts(
    client: &Client,
    connected: &Connected,
    attempts: u32,
    timeout: Duration,
) -> Client {
    let config = client.config();
    let retries = config
        .retry_config()
        .cloned()
        .unwrap_or_else(RetryConfig::standard);
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(timeout);
    let config = config
        .to_builder()
        .retry_config(retries.with_max_attempts(attempts))
        .timeout_config(timeouts.build())
        .interceptor(connected.clone());
    Client::from_conf(config.build())
}

impl DynamoDbStore {
    /// The store in the tables `names`, over `client`, whose time-outs and attempts are replaced by the store's own.
    #[must_use]
    pub fn new(client: Client, names: TableNames, clock: Arc<dyn Clock>) -> Self {
        let connected = Connected::default();
        let with = |attempts, timeout| with_attempts(&client, &connected, attempts, timeout);
        Self {
            quick: with(READ_ATTEMPTS, READ_ATTEMPT_TIMEOUT),
            patient: with(WRITE_ATTEMPTS, WRITE_ATTEMPT_TIMEOUT),
            connected,
            names,
            clock,
        }
    }

    /// The client for reads.
    fn reads(&self) -> &Client {
        if self.connected.get() {
            &self.quick
        } else {
            &self.patient
        }
    }

    fn is_live(&self, record: &Record) -> bool {
        record
            .expires_at
            .is_none_or(|expires_at| expires_at > self.clock.now())
    }

    /// Whether the condition of a put failed because of the item that an earlier attempt of the same call wrote.
    async fn met_itself(
        &self,
        call: &Call,
        refused: &PutItemError,
        record: &Record,
        write_id: &WriteId,
    ) -> bool {
        let PutItemError::ConditionalCheckFailedException(failed) = refused else {
            return false;
        };
        if let Some(item) = failed.item() {
            return write_id.is_of(item);
        }
        if !call.was_repeated() {
            return false;
        }
        let request = self
            .reads()
            .get_item()
            .table_name(self.names.get(call.table()))
            .set_key(Some(key_item(&record.key)))
            .consistent_read(true);
        let stored = request.send().await.ok().and_then(|output| output.item);
        stored.is_some_and(|item| write_id.is_of(&item))
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
            .reads()
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
        let write_id = condition.as_ref().map(|_| WriteId::random());
        let item = match &write_id {
            Some(write_id) => write_id.mark(record),
            None => record_item(record),
        };
        let shown = write_id
            .as_ref()
            .map(|_| ReturnValuesOnConditionCheckFailure::AllOld);
        let request = self
            .patient
            .put_item()
            .table_name(self.names.get(table))
            .set_item(Some(item))
            .set_return_values_on_condition_check_failure(shown)
            .set_condition_expression(condition.as_ref().map(Condition::expression))
            .set_expression_attribute_names(condition.as_ref().map(Condition::names))
            .set_expression_attribute_values(condition.map(Condition::values))
            .return_consumed_capacity(ReturnConsumedCapacity::Total);
        let sent = request
            .customize()
            .interceptor(call.attempts())
            .send()
            .await;
        match sent {
            Ok(output) => call.consumed(output.consumed_capacity()),
            Err(error) => {
                let refused = error.as_service_error();
                let met_itself = match (refused, &write_id) {
                    (Some(refused), Some(id)) => self.met_itself(&call, refused, record, id).await,
                    _ => false,
                };
                if !met_itself {
                    return Err(call.refused(error));
                }
            }
        }
        Ok(())
    }

    async fn put_guarded(
        &self,
        table: Table,
        record: &Record,
        expect: Expect,
        guard: &Guard,
    ) -> Result<(), StoreError> {
        self.put_in_transaction(table, record, expect, guard).await
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
            .patient
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
        table: Table,
        shard: u8,
        until: Timestamp,
        after: Option<&DuePosition>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        self.query_due(table, shard, until, after, limit).await
    }

    /// Reads a key that never exists.
    async fn ping(&self) -> Result<(), StoreError> {
        let call = Call::new("ping", Table::Apps);
        let key = Key::new("ping", "ping");
        let request = self
            .reads()
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
