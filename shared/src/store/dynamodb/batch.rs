//! Many records in one request, which DynamoDB may process in part: what comes back unprocessed is requested again.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::types::{
    KeysAndAttributes, PutRequest, ReturnConsumedCapacity, WriteRequest,
};

use super::DynamoDbStore;
use super::item::{Item, key_item, read_item, record_item};
use super::observed::{Call, DynamoDbError};
use super::schema::{DUE_AT, DUE_SHARD, PARTITION, SORT, TTL, VERSION};
use crate::store::{Attributes, Key, Record, StoreError, Table};

/// The most keys a `BatchGetItem` may ask for.
///
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html>
pub(super) const READ_BATCH: usize = 100;
/// The most items a `BatchWriteItem` may have.
///
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html>
pub(super) const WRITE_BATCH: usize = 25;
/// How many batches are in flight at a time.
pub(super) const CONCURRENT_BATCHES: usize = 4;
/// How often in a row a batch may come back entirely unprocessed.
const FRUITLESS_ATTEMPTS: u32 = 5;
/// The longest wait before the second attempt of a batch; it doubles with each further one.
const FIRST_BACKOFF: Duration = Duration::from_millis(25);

impl DynamoDbStore {
    /// One `BatchGetItem` and, with backoff, as many more as needed until every key is answered.
    pub(super) async fn get_batch(
        &self,
        call: &Call,
        table: Table,
        keys: &[&Key],
        attributes: Attributes,
    ) -> Result<Vec<Record>, StoreError> {
        let name = self.names.get(table);
        let mut records = Vec::with_capacity(keys.len());
        let mut pending: Vec<Item> = keys.iter().map(|key| key_item(key)).collect();
        let mut rounds = Rounds::default();
        while !pending.is_empty() {
            rounds.wait().await;
            let asked = pending.len();
            let request =
                keys_and_attributes(pending, attributes).map_err(|error| call.failed(error))?;
            let request = self
                .reads()
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
            let items = output.responses.and_then(|mut found| found.remove(name));
            for item in items.unwrap_or_default() {
                records.push(read_item(table, item)?);
            }
            let left = output.unprocessed_keys;
            let left = left.and_then(|mut left| left.remove(name));
            pending = left.map(|left| left.keys).unwrap_or_default();
            rounds
                .done(asked, pending.len())
                .map_err(|error| call.failed(error))?;
        }
        Ok(records)
    }

    /// One `BatchWriteItem` and, with backoff, as many more as needed until every record is written. No two have the same key.
    pub(super) async fn put_batch(
        &self,
        call: &Call,
        table: Table,
        records: &[&Record],
    ) -> Result<(), StoreError> {
        let name = self.names.get(table);
        let writes: Result<Vec<_>, _> = records.iter().map(|record| write(record)).collect();
        let mut pending = writes.map_err(|error| call.failed(error))?;
        let mut rounds = Rounds::default();
        while !pending.is_empty() {
            rounds.wait().await;
            let asked = pending.len();
            let request = self
                .patient
                .batch_write_item()
                .request_items(name, pending)
                .return_consumed_capacity(ReturnConsumedCapacity::Total);
            let sent = request
                .customize()
                .interceptor(call.attempts())
                .send()
                .await;
            let output = sent.map_err(|error| call.refused(error))?;
            call.consumed(output.consumed_capacity());
            let left = output.unprocessed_items;
            pending = left
                .and_then(|mut left| left.remove(name))
                .unwrap_or_default();
            rounds
                .done(asked, pending.len())
                .map_err(|error| call.failed(error))?;
        }
        Ok(())
    }
}

/// How often a batch was sent without any progress.
#[derive(Debug, Default)]
struct Rounds {
    fruitless: u32,
}

impl Rounds {
    /// Waits a random time between zero and the backoff for this many fruitless attempts in a row, so that callers who were
    /// throttled together do not retry together.
    async fn wait(&self) {
        if let Some(doublings) = self.fruitless.checked_sub(1) {
            let longest = FIRST_BACKOFF * 2_u32.pow(doublings);
            tokio::time::sleep(longest.mul_f64(fastrand::f64())).await;
        }
    }

    /// Records that of `asked`, `left` came back unprocessed.
    fn done(&mut self, asked: usize, left: usize) -> Result<(), DynamoDbError> {
        self.fruitless = if left < asked { 0 } else { self.fruitless + 1 };
        if self.fruitless == FRUITLESS_ATTEMPTS {
            return Err(DynamoDbError::Unprocessed { keys: left });
        }
        Ok(())
    }
}

fn write(record: &Record) -> Result<WriteRequest, BuildError> {
    let put = PutRequest::builder().set_item(Some(record_item(record)));
    Ok(WriteRequest::builder().put_request(put.build()?).build())
}

fn keys_and_attributes(
    keys: Vec<Item>,
    attributes: Attributes,
) -> Result<KeysAndAttributes, BuildError> {
    let request = KeysAndAttributes::builder()
        .set_keys(Some(keys))
        .consistent_read(true);
    let request = match attributes {
        Attributes::All => request,
        Attributes::Only(names) => {
            let (expression, aliases) = projection(names);
            request
                .projection_expression(expression)
                .set_expression_attribute_names(Some(aliases))
        }
    };
    request.build()
}

/// The attributes that every record needs, and those in `names`, by aliases: some names are reserved words of DynamoDB.
fn projection(names: &[&str]) -> (String, HashMap<String, String>) {
    let always = [PARTITION, SORT, VERSION, DUE_SHARD, DUE_AT, TTL];
    let mut expression = Vec::new();
    let mut aliases = HashMap::new();
    for (number, name) in always.iter().chain(names).enumerate() {
        let alias = format!("#n{number}");
        expression.push(alias.clone());
        aliases.insert(alias, (*name).to_owned());
    }
    (expression.join(", "), aliases)
}
