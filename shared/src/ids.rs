//! Identifiers that must not be swapped with one another, and personal data that must not reach a log.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::schema::{describe, plain, text};

/// An app of the Lark Open Platform, such as `cli_a1b2c3`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Deserialize, Serialize)]
#[serde(transparent)]
pub struct AppId(String);

describe!(
    AppId,
    "AppId",
    text(
        "An app of the platform.",
        1..=AppId::MAX_BYTES,
        "^[A-Za-z0-9_-]+$",
    )
);

impl AppId {
    /// The longest app id that is accepted.
    pub const MAX_BYTES: usize = 64;

    /// `text` as an app id, if it can be one: 1 to 64 ASCII letters, digits, `_` or `-`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        is_identifier(text, Self::MAX_BYTES).then(|| Self(text.to_owned()))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A user as one app knows them, such as `ou_7d8a6e6df7621556ce0d21922b676706`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Deserialize, Serialize)]
#[serde(transparent)]
pub struct OpenId(String);

describe!(
    OpenId,
    "OpenId",
    text(
        "A user for one app.",
        0..=OpenId::MAX_BYTES,
        "^ou_[A-Za-z0-9_-]+$",
    )
);

impl OpenId {
    /// The longest open_id that is accepted.
    pub const MAX_BYTES: usize = 64;

    /// `text` as an open_id, if it can be one: `ou_`, then letters, digits, `_` or `-`; 64 bytes at most.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("ou_")?;
        is_identifier(rest, Self::MAX_BYTES - 3).then(|| Self(text.to_owned()))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OpenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A tenant that installed a marketplace app, such as `736588c9260f175d`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Deserialize, Serialize)]
#[serde(transparent)]
pub struct TenantKey(String);

describe!(
    TenantKey,
    "TenantKey",
    plain(1..=TenantKey::MAX_BYTES, "^[A-Za-z0-9_-]+$")
);

impl TenantKey {
    /// The longest tenant key that is accepted.
    pub const MAX_BYTES: usize = 64;

    /// `text` as a tenant key, if it can be one: 1 to 64 ASCII letters, digits, `_` or `-`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        is_identifier(text, Self::MAX_BYTES).then(|| Self(text.to_owned()))
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TenantKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether `text` is 1 to `max_bytes` ASCII letters, digits, `_` or `-`.
#[must_use]
pub fn is_identifier(text: &str, max_bytes: usize) -> bool {
    !text.is_empty()
        && text.len() <= max_bytes
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

/// Text that identifies or reaches a person: responses contain it, but its `Debug` and `Display` show nothing of it.
#[derive(Clone, Eq, Hash, PartialEq, Deserialize, Serialize)]
#[serde(transparent)]
pub struct Personal(String);

impl Personal {
    /// Wraps `text`, which is masked from now on.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself. Not for logs.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Personal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[personal]")
    }
}

impl fmt::Display for Personal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[personal]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_id_is_a_plain_identifier() {
        assert!(AppId::parse("cli_a1-B2").is_some());
        for bad in ["", "cli a", "cli#1", "cli/1", "é", &"x".repeat(65)] {
            assert!(AppId::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn personal_data_does_not_print() {
        let mobile = Personal::new("+8613800000000");
        assert_eq!(format!("{mobile} {mobile:?}"), "[personal] [personal]");
    }
}
