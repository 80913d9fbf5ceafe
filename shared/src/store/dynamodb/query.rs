//! Reading records in order: those of a partition, and those that are due.

use aws_sdk_dynamodb::operation::query::QueryOutput;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity};

use super::DynamoDbStore;
use super::item::{Item, epoch_seconds, key_item, number, read_item};
use super::observed::Call;
use super::schema::{DUE_AT, DUE_INDEX, DUE_SHARD, PARTITION, SORT, TTL};
use crate::clock::Timestamp;
use crate::store::{DuePosition, Key, ListPage, Record, StoreError, Table};

/// The most records per request.
const PAGE: usize = 1_000;

impl DynamoDbStore {
    /// One page of a partition, from one `Query`: it ends after `limit` or [`PAGE`] items or 1 MB, including expired records.
    pub(super) async fn query_partition(
        &self,
        table: Table,
        partition: &str,
        sort_prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ListPage, StoreError> {
        if limit == 0 {
            return Ok(ListPage::default());
        }
        let start = match Start::of(sort_prefix, after) {
            Start::First => None,
            Start::After(sort) => Some(key_item(&Key::new(partition, sort))),
            Start::Nowhere => return Ok(ListPage::default()),
        };
        let call = Call::new("list", table);
        let mut query = self
            .live(table)
            .consistent_read(true)
            .expression_attribute_names("#pk", PARTITION)
            .expression_attribute_values(":pk", AttributeValue::S(partition.to_owned()));
        // DynamoDB refuses an empty prefix.
        query = if sort_prefix.is_empty() {
            query.key_condition_expression("#pk = :pk")
        } else {
            query
                .key_condition_expression("#pk = :pk AND begins_with(#sk, :prefix)")
                .expression_attribute_names("#sk", SORT)
                .expression_attribute_values(":prefix", AttributeValue::S(sort_prefix.to_owned()))
        };
        let output = send(&call, query, limit, start).await?;
        let next = output.last_evaluated_key.map(|key| last_sort(&call, key));
        Ok(ListPage {
            records: read_items(table, output.items)?,
            next: next.transpose()?,
        })
    }

    /// As many `Query` requests to the index as needed to find `limit` records that have not expired.
    pub(super) async fn query_due(
        &self,
        table: Table,
        shard: u8,
        until: Timestamp,
        after: Option<&DuePosition>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        // DynamoDB refuses a start beyond the end, and an index that is not there.
        if !table.has_due_index() || after.is_some_and(|after| after.at > until) {
            return Ok(Vec::new());
        }
        let call = Call::new("due", table);
        let query = self
            .live(table)
            .index_name(DUE_INDEX)
            .key_condition_expression("#due_shard = :shard AND #due_at <= :until")
            .expression_attribute_names("#due_shard", DUE_SHARD)
            .expression_attribute_names("#due_at", DUE_AT)
            .expression_attribute_values(":shard", number(shard))
            .expression_attribute_values(":until", number(until.as_millis()));
        let mut due = Vec::new();
        let mut start = after.map(|after| index_key(shard, after));
        while due.len() < limit {
            let output = send(&call, query.clone(), limit - due.len(), start).await?;
            due.extend(read_items(table, output.items)?);
            start = output.last_evaluated_key;
            if start.is_none() {
                break;
            }
        }
        Ok(due)
    }

    /// A query of `table` that skips expired records.
    fn live(&self, table: Table) -> QueryFluentBuilder {
        self.reads()
            .query()
            .table_name(self.names.get(table))
            .filter_expression("attribute_not_exists(#ttl) OR #ttl > :now")
            .expression_attribute_names("#ttl", TTL)
            .expression_attribute_values(":now", number(epoch_seconds(self.clock.now())))
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
    }
}

/// Where a list starts. DynamoDB refuses to start at a key that the query does not match.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Start<'a> {
    /// At the first key with the prefix.
    First,
    /// After this key, which has the prefix.
    After(&'a str),
    /// Beyond the last key with the prefix.
    Nowhere,
}

impl<'a> Start<'a> {
    fn of(prefix: &str, after: Option<&'a str>) -> Self {
        match after {
            Some(after) if !after.is_empty() && after.starts_with(prefix) => Self::After(after),
            Some(after) if after > prefix => Self::Nowhere,
            Some(_) | None => Self::First,
        }
    }
}

async fn send(
    call: &Call,
    query: QueryFluentBuilder,
    limit: usize,
    start: Option<Item>,
) -> Result<QueryOutput, StoreError> {
    let limit = i32::try_from(limit.min(PAGE)).unwrap_or(i32::MAX);
    let request = query.limit(limit).set_exclusive_start_key(start);
    let sent = request
        .customize()
        .interceptor(call.attempts())
        .send()
        .await;
    let output = sent.map_err(|error| call.refused(error))?;
    call.consumed(output.consumed_capacity());
    Ok(output)
}

fn read_items(table: Table, items: Option<Vec<Item>>) -> Result<Vec<Record>, StoreError> {
    items
        .unwrap_or_default()
        .into_iter()
        .map(|item| read_item(table, item))
        .collect()
}

fn last_sort(call: &Call, mut key: Item) -> Result<String, StoreError> {
    match key.remove(SORT) {
        Some(AttributeValue::S(sort)) => Ok(sort),
        Some(_) | None => Err(call.failed("a page ends with a key that is not ours")),
    }
}

fn index_key(shard: u8, position: &DuePosition) -> Item {
    let mut key = key_item(&position.key);
    key.insert(DUE_SHARD.to_owned(), number(shard));
    key.insert(DUE_AT.to_owned(), number(position.at.as_millis()));
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(prefix: &str, after: Option<&str>, expected: Start<'_>) {
        assert_eq!(Start::of(prefix, after), expected, "{prefix:?} {after:?}");
    }

    #[test]
    fn a_list_starts_at_its_prefix_or_after_a_key_with_it() {
        check("", None, Start::First);
        check("user#", None, Start::First);
        check("user#", Some("user#7"), Start::After("user#7"));
        check("user#", Some("user#"), Start::After("user#"));
        check("", Some("user#7"), Start::After("user#7"));
    }

    #[test]
    fn no_key_is_empty_so_that_nothing_is_before_it() {
        check("", Some(""), Start::First);
        check("user#", Some(""), Start::First);
    }

    #[test]
    fn a_key_before_the_prefix_leaves_everything_to_be_listed() {
        check("user#", Some("tenant#7"), Start::First);
        check("user#", Some("user"), Start::First);
        check("user#", Some("user\""), Start::First);
    }

    #[test]
    fn a_key_beyond_the_prefix_leaves_nothing_to_be_listed() {
        check("user#", Some("user$"), Start::Nowhere);
        check("user#", Some("v"), Start::Nowhere);
        check("user#", Some("\u{1f426}"), Start::Nowhere);
    }
}
