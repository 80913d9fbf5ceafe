//! The sealed attributes of a token's record, for resealing.

use super::TokenKey;
use super::logins::codec as login_codec;
use crate::clock::Timestamp;
use crate::store::Record;

/// The sealed attributes that a token's record may have, each with its context.
pub(crate) fn sealed_attributes(record: &Record) -> Vec<(&'static str, String)> {
    let Some(key) = TokenKey::from_store_key(&record.key) else {
        return Vec::new();
    };
    vec![
        ("value", key.seal_context()),
        ("refresh", login_codec::context(&key)),
    ]
}

/// Until when a process renews the token: resealing must not make its write conflict.
pub(crate) fn leased_until(record: &Record) -> Option<Timestamp> {
    record.number("leased_until").map(Timestamp::from_millis)
}
