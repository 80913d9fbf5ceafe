//! Lists in pages: which page is asked for, and what a page is.

use std::fmt::Write as _;

use ring::digest::{SHA256, digest};
use serde::Serialize;

use crate::error::{Error, FailureKind, FieldError, LarkFailure, Result};

/// Which page of a list is asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PageRequest {
    /// How many items are wished for. The platform may bring fewer, even none with more to come, and of the members of a chat
    /// a few more.
    pub page_size: u32,
    /// The `next_page_token` of the page before; none for the first page.
    pub page_token: Option<String>,
}

/// A page of a list.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// What the next page is asked for with; none on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}

impl PageRequest {
    /// The longest token that is accepted.
    pub const MAX_TOKEN_BYTES: usize = 512;

    /// The first page, of `page_size` items.
    #[must_use]
    pub const fn first(page_size: u32) -> Self {
        Self {
            page_size,
            page_token: None,
        }
    }

    /// The page behind `token` of up to `size` items, both as a caller wrote them. Without a size it is `max`: each page costs
    /// a call of the platform.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] naming `page_size`, `page_token` or both.
    pub fn parse(size: Option<&str>, token: Option<&str>, max: u32) -> Result<Self> {
        let mut errors = Vec::new();
        let page_size = match size.map(str::parse) {
            None => max,
            Some(Ok(size)) if (1..=max).contains(&size) => size,
            Some(_) => {
                errors.push(wrong("page_size", format!("must be from 1 to {max}")));
                max
            }
        };
        if token.is_some_and(|token| !can_be_token(token)) {
            let form = format!(
                "must be the next_page_token of the page before: 1 to {} printable ASCII characters without spaces",
                Self::MAX_TOKEN_BYTES
            );
            errors.push(wrong("page_token", form));
        }
        if !errors.is_empty() {
            return Err(Error::InvalidArgument(errors));
        }
        Ok(Self {
            page_size,
            page_token: token.map(str::to_owned),
        })
    }

    /// The page as a part of what it is kept under: at most 75 bytes, for a token may be long.
    pub(crate) fn key_text(&self) -> String {
        match &self.page_token {
            None => self.page_size.to_string(),
            Some(token) => format!("{}:{}", self.page_size, hashed(token)),
        }
    }

    /// What Lark's refusal of this page means for the caller. The token is the one thing about a page that only Lark can judge.
    pub(crate) fn refused(&self, failure: LarkFailure) -> Error {
        if failure.kind == FailureKind::Invalid && self.page_token.is_some() {
            return Error::invalid(
                "page_token",
                "is not, or no longer, one of this list: begin with the first page again",
            );
        }
        Error::of_lark(failure)
    }
}

/// Free text in a form that may stand in a key: 64 hexadecimal digits.
pub(crate) fn hashed(text: &str) -> String {
    let digest = digest(&SHA256, text.as_bytes());
    let bytes = digest.as_ref().iter();
    bytes.fold(String::with_capacity(64), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("writing to text");
        hex
    })
}

fn can_be_token(token: &str) -> bool {
    (1..=PageRequest::MAX_TOKEN_BYTES).contains(&token.len())
        && token.bytes().all(|byte| byte.is_ascii_graphic())
}

fn wrong(field: &str, message: String) -> FieldError {
    FieldError {
        field: field.to_owned(),
        message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(size: Option<&str>, token: Option<&str>, fields: &[&str]) {
        let Err(Error::InvalidArgument(errors)) = PageRequest::parse(size, token, 50) else {
            panic!("{size:?} {token:?} is accepted");
        };
        let named: Vec<_> = errors.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(named, fields);
    }

    #[test]
    fn a_page_is_as_long_as_allowed_unless_it_says_otherwise() {
        let page = |size| PageRequest::parse(size, None, 50).unwrap().page_size;
        assert_eq!([page(None), page(Some("1")), page(Some("50"))], [50, 1, 50]);
    }

    #[test]
    fn each_wrong_field_is_named() {
        for size in ["", "0", "51", "-1", "1.5", "x", "4294967297"] {
            refused(Some(size), Some("t"), &["page_size"]);
        }
        for token in ["", "a b", "a\n", "ü", "\u{7f}", &"x".repeat(513)] {
            refused(None, Some(token), &["page_token"]);
        }
        refused(Some("0"), Some(""), &["page_size", "page_token"]);
        assert!(PageRequest::parse(None, Some("AQD9/Rn9eij9+%2BG8JG6=="), 50).is_ok());
        assert!(PageRequest::parse(None, Some(&"x".repeat(512)), 50).is_ok());
    }

    #[test]
    fn pages_of_other_sizes_and_tokens_are_kept_apart_under_short_keys() {
        let text = |size, token: Option<&str>| {
            let page = PageRequest {
                page_size: size,
                page_token: token.map(str::to_owned),
            };
            page.key_text()
        };
        let long = "x".repeat(512);
        let texts = [
            text(10, None),
            text(50, None),
            text(50, Some("1")),
            text(50, Some(&long)),
        ];
        for (place, one) in texts.iter().enumerate() {
            assert!(one.len() <= 75 && !texts[..place].contains(one), "{one}");
        }
    }

    #[test]
    fn a_hash_is_hexadecimal() {
        // FIPS 180-4's example.
        assert_eq!(
            hashed("abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn a_token_that_lark_finds_wrong_is_the_callers_mistake_and_other_refusals_are_not() {
        let failure = |kind| LarkFailure::without_answer(kind, "");
        let later = PageRequest::parse(None, Some("made-up"), 50).unwrap();
        let code = |page: &PageRequest, kind| page.refused(failure(kind)).code().as_str();
        assert_eq!(code(&later, FailureKind::Invalid), "invalid_argument");
        assert_eq!(code(&later, FailureKind::Forbidden), "lark_forbidden");
        let first = PageRequest::first(50);
        assert_eq!(code(&first, FailureKind::Invalid), "lark_rejected");
    }

    #[test]
    fn only_a_page_with_more_behind_it_has_a_token() {
        let page = |next: Option<&str>| Page {
            items: vec![1],
            next_page_token: next.map(str::to_owned),
        };
        let json = |page: &Page<i32>| serde_json::to_string(page).unwrap();
        assert_eq!(json(&page(None)), r#"{"items":[1]}"#);
        assert_eq!(
            json(&page(Some("t"))),
            r#"{"items":[1],"next_page_token":"t"}"#
        );
    }
}
