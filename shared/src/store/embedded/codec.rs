//! The stored form of a record.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::store::{Due, Key, Record, StoreError, Table, Value};

/// The first byte of a stored value. Another form gets another number.
const FORMAT: u8 = 1;

#[derive(Serialize, Deserialize)]
struct Stored {
    version: u64,
    due: Option<(u8, i64)>,
    /// Seconds since the Unix epoch.
    expires_at: Option<i64>,
    attributes: Vec<(String, StoredValue)>,
}

#[derive(Serialize, Deserialize)]
enum StoredValue {
    Text(String),
    Number(i64),
    Bytes(Vec<u8>),
}

/// The stored form of all of `record` but its key.
pub(super) fn encode(record: &Record) -> Result<Vec<u8>, postcard::Error> {
    let stored = Stored {
        version: record.version,
        due: record.due.map(|due| (due.shard, due.at.as_millis())),
        expires_at: record.expires_at.map(Timestamp::as_seconds_rounded_up),
        attributes: record
            .attributes
            .iter()
            .map(|(name, value)| (name.clone(), stored_value(value)))
            .collect(),
    };
    postcard::to_extend(&stored, vec![FORMAT])
}

/// The record that was stored at `key` as `bytes`.
///
/// # Errors
/// [`StoreError::Corrupt`] for another format, and for bytes that do not match it.
pub(super) fn decode(table: Table, key: Key, bytes: &[u8]) -> Result<Record, StoreError> {
    let corrupt = |detail: String| StoreError::Corrupt {
        table: table.name(),
        key: key.to_string(),
        detail,
    };
    let stored: Stored = match bytes.split_first() {
        Some((&FORMAT, content)) => postcard::from_bytes(content)
            .map_err(|error| corrupt(format!("not a record: {error}")))?,
        Some((format, _)) => {
            return Err(corrupt(format!(
                "format {format} is unknown to this version"
            )));
        }
        None => return Err(corrupt("it is empty".to_owned())),
    };
    let attributes: BTreeMap<String, Value> = stored
        .attributes
        .into_iter()
        .map(|(name, value)| (name, loaded_value(value)))
        .collect();
    Ok(Record {
        key,
        version: stored.version,
        attributes,
        due: stored.due.map(|(shard, at)| Due {
            shard,
            at: Timestamp::from_millis(at),
        }),
        expires_at: stored.expires_at.map(Timestamp::from_seconds),
    })
}

fn stored_value(value: &Value) -> StoredValue {
    match value {
        Value::Text(text) => StoredValue::Text(text.clone()),
        Value::Number(number) => StoredValue::Number(*number),
        Value::Bytes(bytes) => StoredValue::Bytes(bytes.clone()),
    }
}

fn loaded_value(value: StoredValue) -> Value {
    match value {
        StoredValue::Text(text) => Value::Text(text),
        StoredValue::Number(number) => Value::Number(number),
        StoredValue::Bytes(bytes) => Value::Bytes(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detail(bytes: &[u8]) -> String {
        match decode(Table::Apps, Key::new("cli_a", "app"), bytes) {
            Err(StoreError::Corrupt {
                table: "apps",
                key,
                detail,
            }) if key == "cli_a/app" => detail,
            other => panic!("not a corrupt record: {other:?}"),
        }
    }

    #[test]
    fn an_unknown_format_is_corrupt() {
        assert_eq!(
            detail(&[2, 0, 0, 0, 0]),
            "format 2 is unknown to this version"
        );
    }

    #[test]
    fn a_record_cut_short_is_corrupt() {
        let record =
            Record::new(Key::new("cli_a", "app"), 7).with("name", Value::Text("Lark".to_owned()));
        let mut bytes = encode(&record).unwrap();
        bytes.truncate(bytes.len() - 1);
        assert!(detail(&bytes).starts_with("not a record: "));
    }

    #[test]
    fn nothing_at_all_is_corrupt() {
        assert_eq!(detail(&[]), "it is empty");
    }

    /// Files of this form exist: when this fails, the form needs a new number.
    #[test]
    fn the_stored_form_stays_what_it_is() {
        let mut record = Record::new(Key::new("cli_a", "app"), 300)
            .with("bytes", Value::Bytes(vec![9]))
            .with("number", Value::Number(-1))
            .with("text", Value::Text("a".to_owned()));
        record.due = Some(Due {
            shard: 3,
            at: Timestamp::from_millis(2),
        });
        record.expires_at = Some(Timestamp::from_millis(1_001));
        let expected = b"\x01\xac\x02\x01\x03\x04\x01\x04\x03\x05bytes\x02\x01\x09\x06number\x01\x01\x04text\x00\x01a";
        assert_eq!(encode(&record).unwrap(), expected);
    }
}
