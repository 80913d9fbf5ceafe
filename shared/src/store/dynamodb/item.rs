//! Records as DynamoDB items, and back.

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;

use super::schema::{DUE_AT, DUE_SHARD, PARTITION, SORT, TTL, VERSION, WRITE_ID};
use crate::clock::Timestamp;
use crate::store::{Due, Key, Record, StoreError, Table, Value};

/// An item, or the key of one.
pub(super) type Item = HashMap<String, AttributeValue>;

/// Seconds since the Unix epoch, rounded down: an expiry is compared with the second that has begun.
pub(super) fn epoch_seconds(moment: Timestamp) -> i64 {
    moment.as_millis().div_euclid(1_000)
}

pub(super) fn number(number: impl ToString) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

pub(super) fn key_item(key: &Key) -> Item {
    HashMap::from([
        (
            PARTITION.to_owned(),
            AttributeValue::S(key.partition.clone()),
        ),
        (SORT.to_owned(), AttributeValue::S(key.sort.clone())),
    ])
}

pub(super) fn record_item(record: &Record) -> Item {
    let mut item = key_item(&record.key);
    item.insert(VERSION.to_owned(), number(record.version));
    if let Some(due) = record.due {
        item.insert(DUE_SHARD.to_owned(), number(due.shard));
        item.insert(DUE_AT.to_owned(), number(due.at.as_millis()));
    }
    if let Some(expires_at) = record.expires_at {
        item.insert(TTL.to_owned(), number(expires_at.as_seconds_rounded_up()));
    }
    item.extend(
        record
            .attributes
            .iter()
            .map(|(name, value)| (name.clone(), attribute(value))),
    );
    item
}

/// Marks an item as written by one call of the port, so that a repetition of its request recognizes it.
///
/// The SDK repeats a request whose answer was lost. If the first one had taken effect, the condition of the second does not
/// hold any more, and what stands in its way is the very item that it would write.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct WriteId([u8; 16]);

impl WriteId {
    /// An id that no other call has.
    pub(super) fn random() -> Self {
        Self(fastrand::u128(..).to_be_bytes())
    }

    /// `record` as an item with this id.
    pub(super) fn mark(&self, record: &Record) -> Item {
        let mut item = record_item(record);
        item.insert(WRITE_ID.to_owned(), AttributeValue::B(Blob::new(self.0)));
        item
    }

    /// Whether the item has this id.
    pub(super) fn is_of(&self, item: &Item) -> bool {
        matches!(item.get(WRITE_ID), Some(AttributeValue::B(id)) if id.as_ref() == self.0)
    }
}

fn attribute(value: &Value) -> AttributeValue {
    match value {
        Value::Text(text) => AttributeValue::S(text.clone()),
        Value::Number(value) => number(value),
        Value::Bytes(bytes) => AttributeValue::B(Blob::new(bytes.as_slice())),
    }
}

/// The record in `item`.
///
/// # Errors
/// [`StoreError::Corrupt`] when it was not written by [`record_item`].
pub(super) fn read_item(table: Table, mut item: Item) -> Result<Record, StoreError> {
    let key = Key::new(take_text(&mut item, PARTITION), take_text(&mut item, SORT));
    read_content(&key, item).map_err(|detail| StoreError::Corrupt {
        table: table.name(),
        key: key.to_string(),
        detail,
    })
}

fn read_content(key: &Key, mut item: Item) -> Result<Record, String> {
    let version = take_number(&mut item, VERSION)?.ok_or("it has no version")?;
    let due = match (
        take_number(&mut item, DUE_SHARD)?,
        take_number(&mut item, DUE_AT)?,
    ) {
        (Some(shard), Some(at)) => Some(Due {
            shard,
            at: Timestamp::from_millis(at),
        }),
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => return Err("it has half a due time".to_owned()),
    };
    let expires_at = take_number(&mut item, TTL)?.map(Timestamp::from_seconds);
    item.remove(WRITE_ID);
    let attributes = item
        .into_iter()
        .map(|(name, found)| Ok((value(&name, found)?, name)).map(|(v, n)| (n, v)))
        .collect::<Result<_, String>>()?;
    Ok(Record {
        key: key.clone(),
        version,
        attributes,
        due,
        expires_at,
    })
}

fn take_text(item: &mut Item, name: &str) -> String {
    match item.remove(name) {
        Some(AttributeValue::S(text)) => text,
        Some(_) | None => String::new(),
    }
}

fn take_number<T: std::str::FromStr>(item: &mut Item, name: &str) -> Result<Option<T>, String> {
    let Some(found) = item.remove(name) else {
        return Ok(None);
    };
    let number = found.as_n().ok().and_then(|number| number.parse().ok());
    number
        .map(Some)
        .ok_or_else(|| format!("its {name} is not a number of ours"))
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "DynamoDB has seven more types and may get others; none is ours"
)]
fn value(name: &str, found: AttributeValue) -> Result<Value, String> {
    match found {
        AttributeValue::S(text) => Ok(Value::Text(text)),
        AttributeValue::B(blob) => Ok(Value::Bytes(blob.into_inner())),
        AttributeValue::N(number) => number
            .parse()
            .map(Value::Number)
            .map_err(|_| format!("its {name} is not a number of ours")),
        _ => Err(format!("its {name} is neither text nor number nor bytes")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(attributes: &[(&str, AttributeValue)]) -> Item {
        let mut item = key_item(&Key::new("cli_a", "tenant"));
        item.extend(
            attributes
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone())),
        );
        item
    }

    fn detail(attributes: &[(&str, AttributeValue)]) -> String {
        match read_item(Table::Tokens, item(attributes)) {
            Err(StoreError::Corrupt {
                table: "tokens",
                key,
                detail,
            }) if key == "cli_a/tenant" => detail,
            other => panic!("not a corrupt record: {other:?}"),
        }
    }

    #[test]
    fn what_is_written_is_read_with_the_expiry_rounded_up() {
        let mut record = Record::new(Key::new("cli_a", "tenant"), u64::MAX)
            .with("text", Value::Text(String::new()))
            .with("number", Value::Number(i64::MIN))
            .with("bytes", Value::Bytes(vec![0, 255]));
        record.due = Some(Due {
            shard: 255,
            at: Timestamp::from_millis(1_001),
        });
        record.expires_at = Some(Timestamp::from_millis(1_001));
        let read = read_item(Table::Tokens, record_item(&record)).unwrap();
        record.expires_at = Some(Timestamp::from_seconds(2));
        assert_eq!(read, record);
        let marked = WriteId::random().mark(&record);
        assert_eq!(read_item(Table::Tokens, marked).unwrap(), record);
    }

    #[test]
    fn an_item_without_version_is_corrupt() {
        assert_eq!(detail(&[]), "it has no version");
    }

    #[test]
    fn an_item_with_half_a_due_time_is_corrupt() {
        assert_eq!(
            detail(&[("version", number(1)), ("due_at", number(1))]),
            "it has half a due time"
        );
    }

    #[test]
    fn an_attribute_of_a_foreign_type_is_corrupt() {
        let foreign = [("version", number(1)), ("flag", AttributeValue::Bool(true))];
        assert_eq!(
            detail(&foreign),
            "its flag is neither text nor number nor bytes"
        );
    }

    #[test]
    fn a_number_that_is_no_whole_number_is_corrupt() {
        assert_eq!(
            detail(&[("version", number(1.5))]),
            "its version is not a number of ours"
        );
    }
}
