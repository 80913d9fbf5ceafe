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
}

impl Condition {
    /// The condition for `expect` at the moment `now`; `None` when any state is allowed.
    pub(super) fn of(expect: Expect, now: Timestamp) -> Option<Self> {
        let version = match expect {
            Expect::Anything => return None,
            Expect::Absent => None,
            Expect::Version(version) => Some(number(version)),
        };
        Some(Self {
            now: number(epoch_seconds(now)),
            version,
        })
    }

    pub(super) fn expression(&self) -> String {
        let expression = match self.version {
            None => "attribute_not_exists(#pk) OR #ttl <= :now",
            Some(_) => "#version = :version AND (attribute_not_exists(#ttl) OR #ttl > :now)",
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
        version
            .into_iter()
            .chain([(":now".to_owned(), self.now)])
            .collect()
    }
}
