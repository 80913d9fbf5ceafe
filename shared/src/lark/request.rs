//! A call to the platform as a value: what to send, and how to read the answer.
//!
//! A request does not know who sends it, when, and how often: [`LarkClient::send`](super::LarkClient::send) takes the sender, and
//! [`Platform`](../../platform/index.html) above it finds the sender's token.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::answer::Answer;
use super::apis::Api;
use super::body::Content;
use super::outbound_limiter::Receiver;
use crate::error::LarkFailure;
use crate::limiter::Turn;
use crate::page::{Page, PageRequest};

/// A platform's hosts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Host {
    /// The API's.
    Open,
    /// The login pages'.
    Accounts,
}

/// Whether a call may still be sent.
pub(super) type MayGo = dyn Fn() -> bool + Send + Sync;
type Read<T> = dyn Fn(&Answer) -> Result<T, LarkFailure> + Send + Sync;

/// A call to the platform whose answer is a `T`. Cheap to clone except for its path and query.
pub struct Request<T = Answer> {
    pub(super) api: Api,
    pub(super) host: Host,
    pub(super) method: Method,
    /// Segments under the origin; each is percent-encoded.
    pub(super) path: Vec<Cow<'static, str>>,
    pub(super) query: Vec<(Cow<'static, str>, Cow<'static, str>)>,
    pub(super) headers: HeaderMap,
    /// In pieces, which are sent one after the other; none: no body.
    pub(super) body: Vec<Content>,
    /// Whether sending it twice does no harm.
    pub(super) is_repeatable: bool,
    /// Its turn, if it was taken before: [`LarkClient::turn`](super::LarkClient::turn).
    turn: Mutex<Option<Box<Turn>>>,
    /// Whether it may still be sent; asked at the last moment.
    pub(super) may_go: Option<Arc<MayGo>>,
    /// Whom it sends a message to.
    pub(super) receivers: Vec<Receiver>,
    read: Arc<Read<T>>,
}

impl Request {
    /// A call that reads: sending it twice does no harm.
    #[must_use]
    pub fn get(api: Api, path: &[&str]) -> Self {
        Self {
            is_repeatable: true,
            ..Self::new(api, Method::GET, path)
        }
    }

    /// A call that is sent once, whatever its outcome, unless it is [`Request::repeatable`].
    #[must_use]
    pub fn post(api: Api, path: &[&str]) -> Self {
        Self::new(api, Method::POST, path)
    }

    /// A call of any method, sent once. It returns the platform's raw answer: a refusal is an [`Answer`] too, unless the token
    /// or an outage is the reason.
    #[must_use]
    pub fn new(api: Api, method: Method, path: &[&str]) -> Self {
        Self {
            api,
            host: Host::Open,
            method,
            path: path
                .iter()
                .map(|part| Cow::Owned((*part).to_owned()))
                .collect(),
            query: Vec::new(),
            headers: HeaderMap::new(),
            body: Vec::new(),
            is_repeatable: false,
            turn: Mutex::default(),
            may_go: None,
            receivers: Vec::new(),
            read: Arc::new(|answer| Ok(answer.clone())),
        }
    }
}

impl<T> Request<T> {
    /// The same call to another host.
    #[must_use]
    pub fn at(mut self, host: Host) -> Self {
        self.host = host;
        self
    }

    /// The same call, which may be retried when its outcome is unknown.
    #[must_use]
    pub fn repeatable(mut self) -> Self {
        self.is_repeatable = true;
        self
    }

    /// The same call, which may be retried if `is_repeatable`.
    #[must_use]
    pub(super) const fn repeatable_if(mut self, is_repeatable: bool) -> Self {
        self.is_repeatable = is_repeatable;
        self
    }

    /// The same call, which is not sent unless `may_go` says so right before: a process may be frozen between its decision and the
    /// call.
    #[must_use]
    pub fn only_if(mut self, may_go: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        self.may_go = Some(Arc::new(may_go));
        self
    }

    /// The same call, whose turn was taken by [`LarkClient::turn`](super::LarkClient::turn): its first attempt asks for none.
    #[must_use]
    pub fn with_turn(mut self, turn: Turn) -> Self {
        self.turn = Mutex::new(Some(Box::new(turn)));
        self
    }

    /// The same call, which sends a message to `receiver`: it waits for a turn there too.
    #[must_use]
    pub fn to(mut self, receiver: Receiver) -> Self {
        self.receivers.push(receiver);
        self
    }

    /// The same call with one more parameter in its query.
    #[must_use]
    pub fn query(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        self.query.push((name.into(), Cow::Owned(value.into())));
        self
    }

    /// The same call with one more header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// The same call with `body` as JSON, which is plain data.
    #[must_use]
    pub fn json(self, body: &impl Serialize) -> Self {
        let body = serde_json::to_vec(body).expect("a request's body is plain data");
        let json = HeaderValue::from_static("application/json; charset=utf-8");
        self.bytes(json, Bytes::from(body))
    }

    /// The same call with `body`, of any content type.
    #[must_use]
    pub fn bytes(mut self, content_type: HeaderValue, body: Bytes) -> Self {
        self.headers.insert(CONTENT_TYPE, content_type);
        self.body = vec![body.into()];
        self
    }

    /// The same call with a form as its body: the content type, and the body in pieces.
    #[must_use]
    pub(super) fn form(mut self, (content_type, pieces): (HeaderValue, Vec<Content>)) -> Self {
        self.headers.insert(CONTENT_TYPE, content_type);
        self.body = pieces;
        self
    }

    /// The same call, for `page` of a list.
    #[must_use]
    pub fn page(self, page: &PageRequest) -> Self {
        let request = self.query("page_size", page.page_size.to_string());
        match &page.page_token {
            Some(token) => request.query("page_token", token.as_str()),
            None => request,
        }
    }

    /// The same call, whose answer `read` reads.
    #[must_use]
    pub fn reading<U>(
        self,
        read: impl Fn(&Answer) -> Result<U, LarkFailure> + Send + Sync + 'static,
    ) -> Request<U> {
        Request {
            api: self.api,
            host: self.host,
            method: self.method,
            path: self.path,
            query: self.query,
            headers: self.headers,
            body: self.body,
            is_repeatable: self.is_repeatable,
            turn: self.turn,
            may_go: self.may_go,
            receivers: self.receivers,
            read: Arc::new(read),
        }
    }

    /// The same call, whose whole body is a `U`.
    #[must_use]
    pub fn reading_json<U: DeserializeOwned + 'static>(self) -> Request<U> {
        self.reading(Answer::json)
    }

    /// The same call, whose body has a `U` in `data`.
    #[must_use]
    pub fn reading_data<U: DeserializeOwned + 'static>(self) -> Request<U> {
        self.reading(data)
    }

    /// The same call, whose body has a page of items in `data`.
    #[must_use]
    pub fn reading_page<U: DeserializeOwned + 'static>(self) -> Request<Page<U>> {
        self.reading(|answer| {
            let data: PageData<U> = data(answer)?;
            let more = NextPage {
                has_more: data.has_more,
                page_token: data.page_token,
            };
            Ok(Page {
                items: data.items.unwrap_or_default(),
                next_page_token: more.page_token(),
            })
        })
    }

    /// The same call, whose answer is transformed by `map`.
    #[must_use]
    pub fn map<U>(
        self,
        map: impl Fn(T) -> Result<U, LarkFailure> + Send + Sync + 'static,
    ) -> Request<U>
    where
        T: 'static,
    {
        let read = Arc::clone(&self.read);
        self.reading(move |answer| map(read(answer)?))
    }

    /// Its turn, once.
    pub(super) fn take_turn(&self) -> Option<Turn> {
        let mut turn = self.turn.lock().expect("no panic while holding a turn");
        turn.take().map(|turn| *turn)
    }

    /// Reads `answer` as the answer of this call.
    pub(super) fn read(&self, answer: &Answer) -> Result<T, LarkFailure> {
        (self.read)(answer)
    }
}

impl<T> fmt::Debug for Request<T> {
    /// Without path, query and body: they may hold secrets and personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("api", &self.api.name)
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Data<T> {
    data: Option<T>,
}

/// The body's `data`.
fn data<T: DeserializeOwned>(answer: &Answer) -> Result<T, LarkFailure> {
    let body: Data<T> = answer.json()?;
    body.data.ok_or_else(|| LarkFailure::lacking("data"))
}

#[derive(Deserialize)]
struct PageData<T> {
    items: Option<Vec<T>>,
    has_more: Option<bool>,
    page_token: Option<String>,
}

/// The fields of every paged list beside its items.
#[derive(Debug, Default, Deserialize)]
pub(super) struct NextPage {
    has_more: Option<bool>,
    page_token: Option<String>,
}

impl NextPage {
    /// The token of the next page, if there is one. A page without a token is the last, even if `has_more` is set: a request
    /// without a token would start over.
    pub(super) fn page_token(self) -> Option<String> {
        let has_more = self.has_more.unwrap_or_default();
        self.page_token
            .filter(|token| has_more && !token.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_the_last_unless_it_says_otherwise_and_how_to_go_on() {
        let next = |text: &str| {
            let next: NextPage = serde_json::from_str(text).unwrap();
            next.page_token()
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

    #[test]
    fn a_request_does_not_print_what_it_carries() {
        let request = Request::post(
            Api::standard("im_message_create"),
            &["messages", "+8613000000000"],
        )
        .query("email", "jane@example.com")
        .json(&"a secret");
        let printed = format!("{request:?}");
        assert!(printed.contains("im_message_create"), "{printed}");
        for secret in ["+86", "jane", "a secret"] {
            assert!(!printed.contains(secret), "{printed}");
        }
    }
}
