//! Lists in pages: the size of a page, and the token for the next one.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use crate::hash::{hash, mix};
use crate::request::Query;

/// The page that a call requests.
pub(crate) struct PageRequest {
    /// The list with its arguments: a token is valid for its own list only.
    list: String,
    size: usize,
    /// The position of the last item on the previous page, 0 at the beginning.
    pub(crate) after: u64,
}

/// The size of a page by default, and at most.
#[derive(Clone, Copy)]
pub(crate) struct PageSizes {
    pub(crate) default: usize,
    pub(crate) max: usize,
}

/// The invalid parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PageError {
    Size,
    Token,
}

/// A page in an answer. It has a `page_token` only if there are more items.
#[derive(Serialize)]
pub(crate) struct PageData<T> {
    pub(crate) has_more: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) page_token: Option<String>,
    pub(crate) items: Vec<T>,
}

impl PageRequest {
    /// From `page_size` and `page_token`; empty ones count as absent.
    pub(crate) fn parse(query: &Query, list: String, sizes: PageSizes) -> Result<Self, PageError> {
        let given = |name| query.first(name).filter(|value| !value.is_empty());
        let size = match given("page_size") {
            None => sizes.default,
            Some(size) => size
                .parse()
                .ok()
                .filter(|size| (1..=sizes.max).contains(size))
                .ok_or(PageError::Size)?,
        };
        let after = match given("page_token") {
            None => 0,
            Some(token) => position(&list, token).ok_or(PageError::Token)?,
        };
        Ok(Self { list, size, after })
    }

    /// How many items to fetch: one more than the page has, to see whether there are more.
    pub(crate) fn fetch_limit(&self) -> usize {
        self.size + 1
    }

    /// Takes the page from items that begin after [`after`](Self::after), each with its position.
    pub(crate) fn fill<T>(&self, items: impl IntoIterator<Item = (u64, T)>) -> PageData<T> {
        let mut items = items.into_iter();
        let page: Vec<_> = items.by_ref().take(self.size).collect();
        let has_more = items.next().is_some();
        let last = page.last().filter(|_| has_more);
        PageData {
            has_more,
            page_token: last.map(|(position, _)| token(&self.list, *position)),
            items: page.into_iter().map(|(_, item)| item).collect(),
        }
    }
}

/// The position and a checksum that ties it to its list: 22 characters.
fn token(list: &str, position: u64) -> String {
    let check = mix(hash(list) ^ mix(position));
    URL_SAFE_NO_PAD.encode((u128::from(position) << 64 | u128::from(check)).to_be_bytes())
}

fn position(list: &str, token: &str) -> Option<u64> {
    let bytes: [u8; 16] = URL_SAFE_NO_PAD.decode(token).ok()?.try_into().ok()?;
    let position = (u128::from_be_bytes(bytes) >> 64) as u64;
    (self::token(list, position) == token).then_some(position)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_its_position_in_its_own_list_only() {
        for at in [1, 42, u64::MAX] {
            assert_eq!(position("a", &token("a", at)), Some(at));
            assert_eq!(position("b", &token("a", at)), None);
        }
        for bad in ["", "x", "AAAAAAAAAAAAAAAAAAAAAA", "not base64!"] {
            assert_eq!(position("a", bad), None, "{bad}");
        }
    }

    #[test]
    fn only_a_page_with_more_items_after_it_has_a_token() {
        let page = PageRequest {
            list: "a".to_owned(),
            size: 2,
            after: 0,
        };
        let tokens: Vec<_> = [1, 2, 3]
            .map(|length| page.fill((1..=length).map(|at| (at, at))).page_token)
            .into();
        assert_eq!(tokens, [None, None, Some(token("a", 2))]);
    }
}
