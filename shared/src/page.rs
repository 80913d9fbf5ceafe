//! Lists in pages: the requested page, and the page returned.

use std::borrow::Cow;
use std::fmt::Write as _;

use ring::digest::{SHA256, digest};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{Ref, RefOr, Schema};

use crate::error::{Error, FailureKind, FieldError, LarkFailure, Result};
use crate::ids::is_identifier;

/// Which page of a list is requested.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PageRequest {
    /// How many items are requested. The platform may return fewer, even none although more follow, and for the members of a
    /// chat a few more.
    pub page_size: u32,
    /// The `next_page_token` of the previous page; none for the first page.
    pub page_token: Option<String>,
}

/// What a list allows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PageRules {
    /// The most items of a page.
    pub max_size: u32,
    /// How many items it has unless the caller says so.
    pub default_size: u32,
    /// Whose tokens they are.
    pub token: TokenForm,
}

/// Whose page tokens a list has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TokenForm {
    /// Ours: the last item's key.
    Ours,
    /// The platform's, in a form of its own.
    Platform,
}

/// A page of a list.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Page<T> {
    /// The items of the page.
    pub items: Vec<T>,
    /// What the next page is asked for with; null on the last one.
    pub next_page_token: Option<String>,
}

impl PageRules {
    /// Lists of what the service itself keeps.
    pub const OURS: Self = Self {
        max_size: 100,
        default_size: 50,
        token: TokenForm::Ours,
    };

    /// Lists of the platform with up to `max_size` items, which is also what they have unless the caller says otherwise: each
    /// page costs a call.
    #[must_use]
    pub const fn platform(max_size: u32) -> Self {
        Self {
            max_size,
            default_size: max_size,
            token: TokenForm::Platform,
        }
    }
}

impl TokenForm {
    /// The longest token that is accepted.
    #[must_use]
    pub const fn max_bytes(self) -> usize {
        match self {
            Self::Ours => 128,
            Self::Platform => 512,
        }
    }

    fn accepts(self, token: &str) -> bool {
        match self {
            Self::Ours => is_identifier(token, self.max_bytes()),
            Self::Platform => {
                (1..=self.max_bytes()).contains(&token.len())
                    && token.bytes().all(|byte| byte.is_ascii_graphic())
            }
        }
    }

    fn form(self) -> String {
        let characters = match self {
            Self::Ours => "letters, digits, `_` or `-`",
            Self::Platform => "printable ASCII characters without spaces",
        };
        format!("1 to {} {characters}", self.max_bytes())
    }
}

impl<T: ToSchema> utoipa::PartialSchema for Page<T> {
    fn schema() -> RefOr<Schema> {
        let token = ObjectBuilder::new()
            .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
            .description(Some(
                "What to give as `page_token` for the next page; null on the last one.",
            ))
            .min_length(Some(1));
        ObjectBuilder::new()
            .property("items", Ref::from_schema_name(T::name()).to_array_builder())
            .property("next_page_token", token)
            .required("items")
            .required("next_page_token")
            .into()
    }
}

impl<T: ToSchema> ToSchema for Page<T> {
    fn name() -> Cow<'static, str> {
        format!("{}Page", T::name()).into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((T::name().into_owned(), T::schema()));
        T::schemas(schemas);
    }
}

impl PageRequest {
    /// The first page, of `page_size` items.
    #[must_use]
    pub const fn first(page_size: u32) -> Self {
        Self {
            page_size,
            page_token: None,
        }
    }

    /// The page at `token` of up to `size` items, both as the caller wrote them. The default size is `max`: each page costs a
    /// call to the platform.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] naming `page_size`, `page_token` or both.
    pub fn parse(size: Option<&str>, token: Option<&str>, rules: &PageRules) -> Result<Self> {
        let mut errors = Vec::new();
        let page_size = match size.map(str::parse) {
            None => rules.default_size,
            Some(Ok(size)) if (1..=rules.max_size).contains(&size) => size,
            Some(_) => {
                let form = format!("must be a number from 1 to {}", rules.max_size);
                errors.push(wrong("page_size", form));
                rules.max_size
            }
        };
        if token.is_some_and(|token| !rules.token.accepts(token)) {
            let form = format!(
                "must be the next_page_token of the page before: {}",
                rules.token.form()
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

    /// How many items are wished for, as a length.
    #[must_use]
    pub const fn limit(&self) -> usize {
        self.page_size as usize
    }

    /// The `next_page_token` of the page before.
    #[must_use]
    pub fn after(&self) -> Option<&str> {
        self.page_token.as_deref()
    }

    /// The page as a part of what it is kept under: at most 75 bytes, for a token may be long.
    pub(crate) fn key_text(&self) -> String {
        match &self.page_token {
            None => self.page_size.to_string(),
            Some(token) => format!("{}:{}", self.page_size, hashed(token)),
        }
    }

    /// What Lark's refusal of this page means for the caller. The token is the only part of a page that only Lark can check.
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

/// Free text in a form that may be part of a key: 64 hexadecimal digits.
pub(crate) fn hashed(text: &str) -> String {
    let digest = digest(&SHA256, text.as_bytes());
    let bytes = digest.as_ref().iter();
    bytes.fold(String::with_capacity(64), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("writing to text");
        hex
    })
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

    const PLATFORM: PageRules = PageRules::platform(50);

    #[track_caller]
    fn refused(rules: &PageRules, size: Option<&str>, token: Option<&str>, fields: &[&str]) {
        let Err(Error::InvalidArgument(errors)) = PageRequest::parse(size, token, rules) else {
            panic!("{size:?} {token:?} is accepted");
        };
        let named: Vec<_> = errors.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(named, fields);
    }

    #[test]
    fn a_page_is_as_long_as_allowed_unless_it_says_otherwise() {
        let page = |rules, size| PageRequest::parse(size, None, rules).unwrap().page_size;
        for (rules, default) in [(&PLATFORM, 50), (&PageRules::OURS, 50)] {
            let sizes = [None, Some("1"), Some("50")].map(|size| page(rules, size));
            assert_eq!(sizes, [default, 1, 50]);
        }
        assert_eq!(page(&PageRules::OURS, Some("100")), 100);
    }

    #[test]
    fn each_wrong_field_is_named() {
        for rules in [&PLATFORM, &PageRules::OURS] {
            for size in ["", "0", "101", "-1", "1.5", "x", "4294967297"] {
                refused(rules, Some(size), Some("t"), &["page_size"]);
            }
            for token in ["", "a b", "a\n", "ü", "\u{7f}", &"x".repeat(513)] {
                refused(rules, Some("1"), Some(token), &["page_token"]);
            }
            refused(rules, Some("0"), Some(""), &["page_size", "page_token"]);
        }
        refused(&PLATFORM, Some("51"), None, &["page_size"]);
    }

    #[test]
    fn a_token_has_the_form_of_its_list() {
        let is_right = |rules, token| PageRequest::parse(None, Some(token), rules).is_ok();
        for (token, ours, platform) in [
            ("cli_a1-B2", true, true),
            ("AQD9/Rn9eij9+%2BG8JG6==", false, true),
            (&"x".repeat(128), true, true),
            (&"x".repeat(129), false, true),
            (&"x".repeat(512), false, true),
        ] {
            let found = (
                is_right(&PageRules::OURS, token),
                is_right(&PLATFORM, token),
            );
            assert_eq!(found, (ours, platform), "{token}");
        }
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
        let later = PageRequest::parse(None, Some("made-up"), &PLATFORM).unwrap();
        let code = |page: &PageRequest, kind| page.refused(failure(kind)).code().as_str();
        assert_eq!(code(&later, FailureKind::Invalid), "invalid_argument");
        assert_eq!(code(&later, FailureKind::Forbidden), "lark_forbidden");
        let first = PageRequest::first(50);
        assert_eq!(code(&first, FailureKind::Invalid), "lark_rejected");
    }

    #[test]
    fn every_page_says_whether_more_is_behind_it() {
        for (next, text) in [
            (None, r#"{"items":[1],"next_page_token":null}"#),
            (Some("t"), r#"{"items":[1],"next_page_token":"t"}"#),
        ] {
            let page = Page {
                items: vec![1],
                next_page_token: next.map(str::to_owned),
            };
            assert_eq!(serde_json::to_string(&page).unwrap(), text);
        }
    }
}
