//! Addresses of pages.

use url::Url;

/// The longest address that is accepted, in bytes.
const MAX_BYTES: usize = 4_096;

/// What is wrong with `text` as the address of a page that a message links to.
pub(crate) fn web_problem(text: &str) -> Option<&'static str> {
    let is_web = Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    // The parser forgives `https:host` and `https:///host`; a client may not.
    let has_host = text
        .split_once("://")
        .is_some_and(|(_, rest)| rest.starts_with(|c: char| c.is_alphanumeric() || c == '['));
    (!is_web || !has_host || is_untidy(text)).then_some(
        "must be the address of a page: `https://` or `http://`, a host and the rest, without spaces, at most 4096 bytes",
    )
}

/// What is wrong with `text` as an address that a card opens: a page, or a place within the client, such as
/// `lark://msgcard/unsupported_action`.
pub(super) fn card_problem(text: &str) -> Option<&'static str> {
    let is_address = Url::parse(text).is_ok_and(|url| {
        !matches!(
            url.scheme(),
            "javascript" | "data" | "vbscript" | "file" | "blob"
        )
    });
    (!is_address || is_untidy(text)).then_some(
        "must be an address with its scheme, such as `https://…` or `lark://…`, without spaces, at most 4096 bytes",
    )
}

/// A parser of addresses forgives white space and control characters; a client may not.
fn is_untidy(text: &str) -> bool {
    text.len() > MAX_BYTES || text.chars().any(|c| c.is_whitespace() || c.is_control())
}
