//! What a write expects of the stored record, as DynamoDB's condition expressions.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::item::{epoch_seconds, number};
use super::schema::{PARTITION, TTL, VERSION};
use crate::clock::Timestamp;
use crate::store::Expect;

/// The condition of a write.
#[derive(Debug)]
pub(super) struct Condition {
    now: AttributeValue,
    version: Option<AttributeValue>,
    latest: Option<AttributeValue>,
}

impl Condition {
    /// The condition for `expect` at the moment `now`; `None` when any state is allowed.
    pub(super) fn of(expect: Expect, now: Timestamp) -> Option<Self> {
        let (version, latest) = match expect {
            Expect::Anything => return None,
            Expect::Absent => (None, None),
            Expect::Version(version) => (Some(number(version)), None),
            Expect::Older { version, latest } => (Some(number(version)), Some(number(latest))),
        };
        Some(Self {
            now: number(epoch_seconds(now)),
            version,
            latest,
        })
    }

    pub(super) fn expression(&self) -> String {
        let expression = match (&self.version, &self.latest) {
            (None, _) => "attribute_not_exists(#pk) OR #ttl <= :now",
            (Some(_), Some(_)) => {
                "attribute_not_exists(#version) OR #version < :version OR #version > :latest OR #ttl <= :now"
            }
            (Some(_), None) => {
                "#version = :version AND (attribute_not_exists(#ttl) OR #ttl > :now)"
            }
        };
        expression.to_owned()
    }

    pub(super) fn names(&self) -> HashMap<String, String> {
        let compared = match self.version {
            None => ("#pk", PARTITION),
            Some(_) => ("#version", VERSION),
        };
        [compared, ("#ttl", TTL)]
            .map(|(name, attribute)| (name.to_owned(), attribute.to_owned()))
            .into()
    }

    pub(super) fn values(self) -> HashMap<String, AttributeValue> {
        let version = self.version.map(|version| (":version".to_owned(), version));
        let latest = self.latest.map(|latest| (":latest".to_owned(), latest));
        version
            .into_iter()
            .chain(latest)
            .chain([(":now".to_owned(), self.now)])
            .collect()
    }
}
