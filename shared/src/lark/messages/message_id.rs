//! Ids of messages, as the platform shapes them.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::ids::is_identifier;
use crate::schema::{describe, plain};

/// An id that a message could have, such as `om_dc13264520392913993dd051dba21dcf`.
#[derive(Clone, Debug, Eq, Hash, PartialEq, Deserialize, Serialize)]
#[serde(transparent)]
pub struct MessageId(String);

describe!(
    MessageId,
    "MessageId",
    plain(4..=MessageId::MAX_BYTES, "^om_[A-Za-z0-9_-]+$")
);

/// What an id begins with.
const PREFIX: &str = "om_";

impl MessageId {
    /// The longest id that is accepted.
    pub const MAX_BYTES: usize = 128;

    /// `text` as a message_id, if it can be one. What cannot exist never reaches Lark.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] naming the field `message_id`.
    pub fn parse(text: &str) -> Result<Self> {
        let rest = text.strip_prefix(PREFIX).unwrap_or_default();
        if is_identifier(rest, Self::MAX_BYTES - PREFIX.len()) {
            return Ok(Self(text.to_owned()));
        }
        let hint = match text.get(..3) {
            Some("mj_") => "; this is a message job, whose `delivered.message_id` is meant",
            Some("bm-") => "; this is a batch message, which cannot be read, changed or answered",
            Some(_) | None => "",
        };
        Err(Error::invalid(
            "message_id",
            format!(
                "must be a message_id: `om_` and then letters, digits, `_` or `-`, at most 128 bytes in all{hint}"
            ),
        ))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_id_is_its_prefix_and_an_identifier() {
        assert!(MessageId::parse("om_dc13264520392913993dd051dba21dcf").is_ok());
        assert!(MessageId::parse("om_x100b5").is_ok());
        for bad in [
            "",
            "om_",
            "dc13264520392913993dd051dba21dcf",
            "oc_a",
            "om_a/b",
            "om_..",
            "om_a%2Fb",
            "om_a?b",
            "om_a#b",
            "om_a b",
            "om_a\n",
            "om_ü",
            "ü",
            "mj_01jdyzz8k3v5m7q2c4x6n8p0rs",
            "bm-dc13264520392913993dd051dba21dcf",
            &format!("om_{}", "x".repeat(126)),
        ] {
            let Err(Error::InvalidArgument(errors)) = MessageId::parse(bad) else {
                panic!("{bad:?} is accepted");
            };
            assert_eq!(errors[0].field, "message_id");
            let is_explained = errors[0].message.contains("; this is");
            assert_eq!(
                is_explained,
                bad.starts_with("mj_") || bad.starts_with("bm-")
            );
        }
    }
}
