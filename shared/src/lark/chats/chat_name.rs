//! The search text for chats.

use crate::error::{Error, Result};
use crate::schema::{describe, of_length};

/// A part of a chat's name, or of a member's. Source: "Search for groups visible to a user or bot".
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct ChatName(String);

describe!(ChatName, "ChatName", of_length(1..=ChatName::MAX_CHARS));

impl ChatName {
    /// The longest one that gives results on the platform, in characters.
    pub const MAX_CHARS: usize = 64;

    /// `text`, trimmed.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] naming the field `name`, where the platform would never find anything.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        let is_long = text.chars().count() > Self::MAX_CHARS;
        if text.is_empty() || is_long || text.chars().any(char::is_control) {
            return Err(Error::invalid(
                "name",
                format!(
                    "must be a part of a chat's name: 1 to {} characters, none of them a control character",
                    Self::MAX_CHARS
                ),
            ));
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_text_whatever_the_language() {
        let longest = "群".repeat(64);
        for (given, kept) in [
            ("lunch", "lunch"),
            ("  午餐 群 ", "午餐 群"),
            (&longest, &longest),
        ] {
            let name = ChatName::parse(given).unwrap();
            assert_eq!(name.as_str(), kept);
        }
    }

    #[test]
    fn a_name_that_finds_nothing_is_refused_by_field() {
        for bad in ["", "  ", "a\nb", &"x".repeat(65)] {
            let Err(Error::InvalidArgument(errors)) = ChatName::parse(bad) else {
                panic!("{bad:?} is accepted");
            };
            assert_eq!(errors[0].field, "name");
        }
    }
}
