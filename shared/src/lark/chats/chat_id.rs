//! Ids of chats, as the platform shapes them.

use crate::error::{Error, Result};
use crate::schema::{describe, plain};

/// An id that a chat could have, such as `oc_a0553eda9014c201e6969b478895c230`.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct ChatId(String);

describe!(
    ChatId,
    "ChatId",
    plain(4..=ChatId::MAX_BYTES, "^oc_[A-Za-z0-9]+$")
);

impl ChatId {
    /// The longest id that is accepted.
    pub const MAX_BYTES: usize = 64;

    /// `text` as a chat_id, if it can be one. What cannot exist never reaches Lark.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] naming the field `id`.
    pub fn parse(text: &str) -> Result<Self> {
        let rest = text.strip_prefix("oc_").unwrap_or_default();
        let is_plain = rest.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if rest.is_empty() || !is_plain || text.len() > Self::MAX_BYTES {
            return Err(Error::invalid(
                "id",
                "must be a chat_id: `oc_` and then letters or digits, at most 64 bytes in all",
            ));
        }
        Ok(Self(text.to_owned()))
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
    fn a_chat_id_is_its_prefix_and_letters_or_digits() {
        assert!(ChatId::parse("oc_a0553eda9014c201e6969b478895c230").is_ok());
        for bad in [
            "",
            "oc_",
            "a0553eda",
            "ou_a0553eda",
            "oc_a/b",
            "oc_a%2Fb",
            "oc_..",
            "oc_a:b",
            "oc_a b",
            "oc_a\n",
            "oc_ü",
            &format!("oc_{}", "x".repeat(62)),
        ] {
            let Err(Error::InvalidArgument(errors)) = ChatId::parse(bad) else {
                panic!("{bad:?} is accepted");
            };
            assert_eq!(errors[0].field, "id");
        }
    }
}
