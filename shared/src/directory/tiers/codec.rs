//! The format of an entry in the shared cache and in the store.
//!
//! In the shared cache, sealed: one line with the metadata, then the body unchanged, so that decoding costs no more than finding
//! the end of the line.

use std::fmt::Write as _;

use super::entry::{AbsentReason, Content, Entry};
use super::key::{ItemId, ItemKey};
use crate::clock::Timestamp;
use crate::sealed_cache::Opened;
use crate::store::{Record, Value};

/// The attributes of a record, beside key and expiry: all of them are needed to answer.
pub(super) const ATTRIBUTES: &[&str] = &[
    BODY,
    POINTER,
    ALIASES,
    FETCHED_AT,
    FRESH_UNTIL,
    SERVE_UNTIL,
    LOAD_MS,
];
const BODY: &str = "body";
const POINTER: &str = "pointer";
const ALIASES: &str = "aliases";
const FETCHED_AT: &str = "fetched_at";
const FRESH_UNTIL: &str = "fresh_until";
const SERVE_UNTIL: &str = "serve_until";
const LOAD_MS: &str = "load_ms";

/// The value, to be sealed.
pub(super) fn to_value(entry: &Entry) -> Vec<u8> {
    let (sort, rest, body) = match &entry.content {
        Content::Body { body, aliases } => ('b', words(aliases), body.as_str()),
        Content::Pointer(to) => ('p', to.to_string(), ""),
        Content::Absent(reason) => ('a', reason.as_str().to_owned(), ""),
    };
    let mut text = String::with_capacity(96 + rest.len() + body.len());
    let (fetched, fresh, serve) = (
        entry.fetched_at.as_millis(),
        entry.fresh_until.as_millis(),
        entry.serve_until.as_millis(),
    );
    let line = writeln!(
        text,
        "1{sort} {fetched} {fresh} {serve} {} {rest}",
        entry.load_ms
    );
    line.expect("writing to text");
    text.push_str(body);
    text.into_bytes()
}

/// Reads what [`to_value`] made; `None` for anything else.
pub(super) fn from_value(opened: &Opened) -> Option<Entry> {
    let text = std::str::from_utf8(&opened.value).ok()?;
    let (line, body) = text.split_once('\n')?;
    let mut words = line.split(' ');
    let sort = words.next()?;
    let mut number = || words.next()?.parse::<i64>().ok();
    let [fetched, fresh, serve, load] = [number()?, number()?, number()?, number()?];
    let content = match sort {
        "1b" => Content::Body {
            body: body.to_owned(),
            aliases: words
                .filter(|word| !word.is_empty())
                .map(ItemId::parse)
                .collect::<Option<_>>()?,
        },
        "1p" => Content::Pointer(ItemId::parse(words.next()?)?),
        "1a" => Content::Absent(AbsentReason::parse(words.next()?)?),
        _ => return None,
    };
    Some(Entry {
        content,
        version: opened.version,
        fetched_at: Timestamp::from_millis(fetched),
        fresh_until: Timestamp::from_millis(fresh),
        serve_until: Timestamp::from_millis(serve),
        load_ms: u32::try_from(load).ok()?,
    })
}

/// The record of `entry`; `None` for an absence, which is not stored.
pub(super) fn to_record(key: &ItemKey, entry: &Entry, expires_at: Timestamp) -> Option<Record> {
    let record = Record::new(key.store_key(), entry.version);
    let record = match &entry.content {
        Content::Body { body, aliases } => record
            .with(BODY, Value::Text(body.clone()))
            .with(ALIASES, Value::Text(words(aliases))),
        Content::Pointer(to) => record.with(POINTER, Value::Text(to.to_string())),
        Content::Absent(_) => return None,
    };
    let mut record = record
        .with(FETCHED_AT, Value::Number(entry.fetched_at.as_millis()))
        .with(FRESH_UNTIL, Value::Number(entry.fresh_until.as_millis()))
        .with(SERVE_UNTIL, Value::Number(entry.serve_until.as_millis()))
        .with(LOAD_MS, Value::Number(entry.load_ms.into()));
    record.expires_at = Some(expires_at);
    Some(record)
}

/// The entry in `record`; `None` for anything else.
pub(super) fn from_record(record: &Record) -> Option<Entry> {
    let content = match record.text(BODY) {
        Some(body) => Content::Body {
            body: body.to_owned(),
            aliases: record
                .text(ALIASES)?
                .split_whitespace()
                .map(ItemId::parse)
                .collect::<Option<_>>()?,
        },
        None => Content::Pointer(ItemId::parse(record.text(POINTER)?)?),
    };
    let moment = |name| Some(Timestamp::from_millis(record.number(name)?));
    Some(Entry {
        content,
        version: record.version,
        fetched_at: moment(FETCHED_AT)?,
        fresh_until: moment(FRESH_UNTIL)?,
        serve_until: moment(SERVE_UNTIL)?,
        load_ms: u32::try_from(record.number(LOAD_MS)?).ok()?,
    })
}

fn words(ids: &[ItemId]) -> String {
    let texts: Vec<String> = ids.iter().map(ToString::to_string).collect();
    texts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::tiers::{AppTenant, IdKind};
    use crate::ids::AppId;

    fn entries() -> Vec<Entry> {
        let entry = |content| Entry {
            content,
            version: 7,
            fetched_at: Timestamp::from_millis(1),
            fresh_until: Timestamp::from_millis(2),
            serve_until: Timestamp::from_millis(3),
            load_ms: 4,
        };
        let id = |text: &str| ItemId::new(IdKind::UserId, text);
        let body = |aliases| Content::Body {
            body: "{\"name\":\"a\nb\"}".to_owned(),
            aliases,
        };
        vec![
            entry(body(vec![id("u1"), id("u:2")])),
            entry(body(Vec::new())),
            entry(Content::Pointer(id("u1"))),
            entry(Content::Absent(AbsentReason::LeftOut)),
        ]
    }

    #[test]
    fn entries_survive_the_shared_cache() {
        for entry in entries() {
            let opened = Opened {
                version: entry.version,
                value: to_value(&entry).into(),
            };
            assert_eq!(from_value(&opened), Some(entry));
        }
    }

    #[test]
    fn entries_but_absences_survive_the_store() {
        let app_tenant = AppTenant {
            app_id: AppId::parse("cli_a").unwrap(),
            tenant: None,
        };
        let key = ItemKey::new(app_tenant, ItemId::new(IdKind::OpenId, "ou_1"));
        for entry in entries() {
            let record = to_record(&key, &entry, Timestamp::from_millis(9_000));
            let is_absence = matches!(entry.content, Content::Absent(_));
            assert_eq!(record.is_none(), is_absence);
            if let Some(record) = record {
                let names: Vec<&str> = record.attributes.keys().map(String::as_str).collect();
                assert!(names.iter().all(|name| ATTRIBUTES.contains(name)));
                assert_eq!(from_record(&record), Some(entry));
            }
        }
    }

    #[test]
    fn what_is_not_an_entry_is_nothing() {
        for text in [
            "",
            "1b 1 2 3 4",
            "2b 1 2 3 4 \n",
            "1b 1 2 x 4 \n",
            "1a 1 2 3 4 gone\n",
        ] {
            let opened = Opened {
                version: 1,
                value: text.into(),
            };
            assert_eq!(from_value(&opened), None, "{text:?}");
        }
    }
}
