//! Calls that only read: what was asked for is in `data`, and lists come in pages.

use reqwest::Method;
use secrecy::SecretString;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::apis::Api;
use super::transport::{Host, LarkCall};
use super::{Installation, LarkClient};
use crate::deadline::Deadline;
use crate::error::{FailureKind, LarkFailure};
use crate::page::{Page, PageRequest};

/// A call that reads. It is safe to repeat.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading<'c> {
    pub api: &'static Api,
    pub installation: Installation<'c>,
    pub token: &'c SecretString,
    /// Path segments under the origin; each is percent-encoded.
    pub path: &'c [&'c str],
    pub query: &'c [(&'c str, &'c str)],
}

#[derive(Deserialize)]
struct Answer<T> {
    data: Option<T>,
}

/// What every list in pages has beside its items.
#[derive(Debug, Default, Deserialize)]
pub(super) struct More {
    has_more: Option<bool>,
    page_token: Option<String>,
}

#[derive(Deserialize)]
struct PageData<T> {
    items: Option<Vec<T>>,
    has_more: Option<bool>,
    page_token: Option<String>,
}

impl More {
    /// What the next page is asked for with, if there is one. A page without a token is the last, whatever it says: asking
    /// without one would begin again.
    pub(super) fn next_page_token(self) -> Option<String> {
        let has_more = self.has_more.unwrap_or_default();
        self.page_token
            .filter(|token| has_more && !token.is_empty())
    }
}

impl LarkClient {
    /// The `data` of the answer.
    pub(super) async fn read<T: DeserializeOwned>(
        &self,
        reading: &Reading<'_>,
        deadline: Deadline,
    ) -> Result<T, LarkFailure> {
        let call = LarkCall {
            api: reading.api,
            installation: reading.installation,
            host: Host::Open,
            method: Method::GET,
            path: reading.path,
            query: reading.query,
            token: Some(reading.token),
            body: None,
            repeatable: true,
        };
        let answer: Answer<T> = self.send(&call, deadline).await?;
        answer.data.ok_or_else(|| lacking("data"))
    }

    /// The `data` of the answer to a call for this page.
    pub(super) async fn read_paged<T: DeserializeOwned>(
        &self,
        reading: &Reading<'_>,
        page: &PageRequest,
        deadline: Deadline,
    ) -> Result<T, LarkFailure> {
        let size = page.page_size.to_string();
        let mut query = reading.query.to_vec();
        query.push(("page_size", &size));
        if let Some(token) = &page.page_token {
            query.push(("page_token", token));
        }
        let reading = Reading {
            query: &query,
            ..*reading
        };
        self.read(&reading, deadline).await
    }

    /// A page of `items`.
    pub(super) async fn read_page<T: DeserializeOwned>(
        &self,
        reading: &Reading<'_>,
        page: &PageRequest,
        deadline: Deadline,
    ) -> Result<Page<T>, LarkFailure> {
        let data: PageData<T> = self.read_paged(reading, page, deadline).await?;
        let more = More {
            has_more: data.has_more,
            page_token: data.page_token,
        };
        Ok(Page {
            items: data.items.unwrap_or_default(),
            next_page_token: more.next_page_token(),
        })
    }
}

/// An answer that is not as documented.
pub(super) fn lacking(what: &str) -> LarkFailure {
    let msg = format!("Lark's answer has no {what} in it");
    LarkFailure::without_answer(FailureKind::Rejected, msg)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_the_last_unless_it_says_otherwise_and_how_to_go_on() {
        let next = |text: &str| {
            let more: More = serde_json::from_str(text).unwrap();
            more.next_page_token()
        };
        let token = Some("t".to_owned());
        assert_eq!(next(r#"{"has_more":true,"page_token":"t"}"#), token);
        for last in [
            r#"{"has_more":false,"page_token":"t"}"#,
            r#"{"has_more":true,"page_token":""}"#,
            r#"{"has_more":true}"#,
            r#"{"page_token":"t"}"#,
            r#"{"has_more":null,"page_token":null}"#,
        ] {
            assert_eq!(next(last), None, "{last}");
        }
    }
}
