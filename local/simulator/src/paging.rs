//! Lists in pages: how long a page is, and the token by which the next one is asked for.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use crate::hash::{hash, mix};
use crate::request::Query;

/// The page that a call asks for.
pub(crate) struct Page {
    /// Which list, arguments included: the token of one list is none of another.
    list: String,
    size: usize,
    /// The position of the last item of the page before, 0 at the beginning.
    pub(crate) after: u64,
}

/// How long a page is when the call does not say, and at most.
#[derive(Clone, Copy)]
pub(crate) struct Sizes {
    pub(crate) default: usize,
    pub(crate) max: usize,
}

/// Which parameter cannot be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadPage {
    Size,
    Token,
}

/// A page as answers have it; `page_token` is there only when there is more.
#[derive(Serialize)]
pub(crate) struct Filled<T> {
    pub(crate) has_more: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) page_token: Option<String>,
    pub(crate) items: Vec<T>,
}

impl Page {
    /// From `page_size` and `page_token`; empty ones count as absent.
    pub(crate) fn asked(query: &Query, list: String, sizes: Sizes) -> Result<Self, BadPage> {
        let given = |name| query.first(name).filter(|value| !value.is_empty());
        let size = match given("page_size") {
            None => sizes.default,
            Some(size) => size
                .parse()
                .ok()
                .filter(|size| (1..=sizes.max).contains(size))
                .ok_or(BadPage::Size)?,
        };
        let after = match given("page_token") {
            None => 0,
            Some(token) => position(&list, token).ok_or(BadPage::Token)?,
        };
        Ok(Self { list, size, after })
    }

    /// How many items tell both the page and whether there is more.
    pub(crate) fn wanted(&self) -> usize {
        self.size + 1
    }

    /// Of the items from [`after`](Self::after) on, each with its position.
    pub(crate) fn fill<T>(&self, items: impl IntoIterator<Item = (u64, T)>) -> Filled<T> {
        let mut items = items.into_iter();
        let page: Vec<_> = items.by_ref().take(self.size).collect();
        let has_more = items.next().is_some();
        let last = page.last().filter(|_| has_more);
        Filled {
            has_more,
            page_token: last.map(|(position, _)| token(&self.list, *position)),
            items: page.into_iter().map(|(_, item)| item).collect(),
        }
    }
}

/// The position, and a check that ties it to its list: 22 characters.
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
    fn a_token_leads_back_to_its_position_in_its_own_list_only() {
        for at in [1, 42, u64::MAX] {
            assert_eq!(position("a", &token("a", at)), Some(at));
            assert_eq!(position("b", &token("a", at)), None);
        }
        for bad in ["", "x", "AAAAAAAAAAAAAAAAAAAAAA", "not base64!"] {
            assert_eq!(position("a", bad), None, "{bad}");
        }
    }

    #[test]
    fn only_a_page_with_more_behind_it_has_a_token() {
        let page = Page {
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
