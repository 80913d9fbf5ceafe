//! One request, and what handlers read from it.

use std::borrow::Cow;
use std::sync::Mutex;
use std::time::Duration;

use lambda_http::request::RequestContext;
use lambda_http::{Request, RequestExt};
use serde::de::DeserializeOwned;
use url::Url;

use super::{json, query};
use crate::api_keys::{Caller, Scope};
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::ids::{AppId, is_identifier};
use crate::page::{PageRequest, PageRules};

/// Carries the request id, in and out.
pub const REQUEST_ID: &str = "x-request-id";
/// The longest `X-Request-Id` that is accepted: letters, digits, `_` and `-`.
pub const MAX_REQUEST_ID_BYTES: usize = 128;
/// API Gateway gives up after 30 s; an answer of ours should come before.
const GATEWAY_PATIENCE: Duration = Duration::from_secs(29);
/// The part of the invocation's time reserved for sending the answer.
const RESERVE: Duration = Duration::from_millis(300);

/// A request and its context.
#[derive(Debug)]
pub struct Call<'r> {
    request: &'r Request,
    request_id: Cow<'r, str>,
    caller: Option<Caller>,
    deadline: Deadline,
    /// Extra headers of the answer, for success and error alike.
    headers: Mutex<Vec<(&'static str, String)>>,
}

impl<'r> Call<'r> {
    pub(super) fn new(request: &'r Request) -> Self {
        Self {
            request,
            request_id: request_id(request),
            caller: request.request_context_ref().and_then(caller),
            deadline: deadline(request),
            headers: Mutex::default(),
        }
    }

    /// Adds a header to the answer, also if it is an error.
    pub fn answer_with(&self, name: &'static str, value: String) {
        self.headers
            .lock()
            .expect("no panic while holding the headers")
            .push((name, value));
    }

    pub(super) fn answer_headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = self
            .headers
            .lock()
            .expect("no panic while holding the headers");
        std::mem::take(&mut *headers)
    }

    /// The address of the sender, as API Gateway saw it.
    #[must_use]
    pub fn sender(&self) -> Option<&str> {
        let RequestContext::ApiGatewayV2(context) = self.request.request_context_ref()? else {
            return None;
        };
        context.http.source_ip.as_deref()
    }

    /// The host at which API Gateway was reached.
    #[must_use]
    pub fn domain_name(&self) -> Option<&str> {
        let RequestContext::ApiGatewayV2(context) = self.request.request_context_ref()? else {
            return None;
        };
        context
            .domain_name
            .as_deref()
            .filter(|name| !name.is_empty())
    }

    /// The address of the service as browsers see it: the `configured` one, else the host that the request was sent to.
    ///
    /// # Errors
    /// [`Error::Internal`] when neither is known.
    pub fn public_url(&self, configured: Option<&Url>) -> Result<Url> {
        if let Some(url) = configured {
            return Ok(url.clone());
        }
        let host = self.domain_name().ok_or_else(|| {
            Error::internal(
                "set LARK_SERVICE_PUBLIC_URL: the request does not say where it was sent",
            )
        })?;
        Url::parse(&format!("https://{host}")).map_err(|_| {
            Error::internal("set LARK_SERVICE_PUBLIC_URL: the request's host is no host")
        })
    }

    /// Whether the request came over TLS, by API Gateway's word.
    pub(super) fn is_secure(&self) -> bool {
        let protocol = self.request.headers().get("x-forwarded-proto");
        protocol.is_some_and(|protocol| protocol == "https")
    }

    /// Whether the answer is for a person at a browser.
    pub(super) fn wants_html(&self) -> bool {
        let accept = self.request.headers().get("accept");
        accept
            .and_then(|value| value.to_str().ok())
            .is_some_and(|accept| accept.contains("text/html"))
    }

    /// The cookie `name`, if the browser sent it.
    #[must_use]
    pub fn cookie(&self, name: &str) -> Option<&str> {
        let lines = self.request.headers().get_all("cookie").iter();
        let pairs = lines
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(';'));
        pairs
            .filter_map(|pair| pair.trim().split_once('='))
            .find_map(|(known, value)| (known == name).then_some(value))
    }

    /// Which page is asked for: the query parameters `page_size` and `page_token` of a list with these `rules`.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] naming the parameter.
    pub fn page(&self, rules: &PageRules) -> Result<PageRequest> {
        let (size, token) = (self.query("page_size")?, self.query("page_token")?);
        PageRequest::parse(size, token, rules)
    }

    /// The caller's `X-Request-Id` if it is well-formed, else API Gateway's id of the request, else the invocation's.
    #[must_use]
    pub fn request_id(&self) -> &str {
        &self.request_id
    }

    /// When an answer becomes useless.
    #[must_use]
    pub const fn deadline(&self) -> Deadline {
        self.deadline
    }

    /// The request itself.
    #[must_use]
    pub const fn request(&self) -> &Request {
        self.request
    }

    pub(super) fn xray_trace_id(&self) -> Option<&str> {
        self.request.lambda_context_ref()?.xray_trace_id.as_deref()
    }

    pub(super) fn caller_id(&self) -> Option<&str> {
        self.caller.as_ref().map(|caller| caller.key_id.as_str())
    }

    /// The caller, who must have `scope`, as the authorizer told of them: a while ago, and it is the gateway that says so.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] without one, [`Error::PermissionDenied`] without the scope.
    pub fn authorized(&self, scope: Scope) -> Result<&Caller> {
        let caller = self.told_caller()?;
        caller.require(scope)?;
        Ok(caller)
    }

    pub(super) fn told_caller(&self) -> Result<&Caller> {
        let caller = self.caller.as_ref();
        caller.ok_or(Error::Unauthenticated("no API key was presented"))
    }

    /// The API key that the request itself carries.
    pub(super) fn api_key(&self) -> Result<&str> {
        let header = self.header("authorization")?;
        let key = header.and_then(bearer);
        key.ok_or(Error::Unauthenticated("no API key was presented"))
    }

    /// The app to act for, by [`Caller::choose_app`], for a caller who must have `scope`.
    ///
    /// # Errors
    /// As [`Call::authorized`] and [`Caller::choose_app`].
    pub fn app_id(&self, scope: Scope, default: Option<&AppId>) -> Result<AppId> {
        let app_id = self
            .authorized(scope)?
            .choose_app(self.header("x-lark-app-id")?, default)?;
        tracing::Span::current().record("lark.app_id", app_id.as_str());
        Ok(app_id)
    }

    /// The header `name`.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when it is not visible ASCII.
    pub fn header(&self, name: &'static str) -> Result<Option<&str>> {
        let Some(value) = self.request.headers().get(name) else {
            return Ok(None);
        };
        value
            .to_str()
            .map(Some)
            .map_err(|_| Error::invalid(format!("header {name}"), "must be visible ASCII"))
    }

    /// Refuses the header `name`, which has no meaning here.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] naming the header, with why.
    pub fn without_header(&self, name: &'static str, why: &str) -> Result<()> {
        match self.header(name)? {
            None => Ok(()),
            Some(_) => Err(Error::invalid(
                format!("header {name}"),
                format!("must not be given: {why}"),
            )),
        }
    }

    /// The path parameter `name`; empty when the route has none with that name.
    #[must_use]
    pub fn path_parameter(&self, name: &str) -> &str {
        self.request
            .path_parameters_ref()
            .and_then(|all| all.first(name))
            .unwrap_or_default()
    }

    /// The query parameter `name`, which may be given once.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when it is given more than once.
    pub fn query(&self, name: &'static str) -> Result<Option<&str>> {
        let Some(values) = self
            .request
            .query_string_parameters_ref()
            .and_then(|all| all.all(name))
        else {
            return Ok(None);
        };
        match values[..] {
            [] => Ok(None),
            [value] => Ok(Some(value)),
            [_, _, ..] => Err(Error::invalid(name, "must be given once")),
        }
    }

    /// Refuses query parameters other than `known`.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] naming each unknown one, up to twenty.
    pub fn only_query(&self, known: &[&str]) -> Result<()> {
        match self.request.query_string_parameters_ref() {
            Some(all) => query::only(all.iter().map(|(name, _)| name), known),
            None => Ok(()),
        }
    }

    /// Whether the body is JSON, by the header `Content-Type`.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when it is not visible ASCII.
    pub fn is_json(&self) -> Result<bool> {
        let given = self.header("content-type")?.unwrap_or_default();
        let media_type = given.split(';').next().unwrap_or_default().trim();
        Ok(media_type.eq_ignore_ascii_case("application/json"))
    }

    /// The body, read as JSON.
    ///
    /// # Errors
    /// [`Error::PayloadTooLarge`], or [`Error::InvalidArgument`] naming the place in the body.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        self.json_up_to(json::MAX_BODY_BYTES)
    }

    /// The body, read as JSON, if it has at most `max_bytes`: for what becomes a tree, which takes many times as much memory.
    ///
    /// # Errors
    /// As [`Call::json`].
    pub fn json_up_to<T: DeserializeOwned>(&self, max_bytes: usize) -> Result<T> {
        json::object(self.request.body(), max_bytes)
    }

    /// `body`, which was taken out of the request, read as JSON.
    ///
    /// # Errors
    /// As [`Call::json`].
    pub fn json_of<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
        json::object(body, json::MAX_BODY_BYTES)
    }
}

/// The API key in a header `Authorization: Bearer <key>`; the scheme's case does not matter (RFC 9110).
#[must_use]
pub fn bearer(header: &str) -> Option<&str> {
    let (scheme, key) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(key.trim())
}

/// API Gateway's id is the same for the authorizer, the function and the access log of a request.
fn request_id(request: &Request) -> Cow<'_, str> {
    let given = request
        .headers()
        .get(REQUEST_ID)
        .and_then(|value| value.to_str().ok());
    if let Some(given) = given.filter(|id| is_identifier(id, MAX_REQUEST_ID_BYTES)) {
        return Cow::Borrowed(given);
    }
    let gateway = match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV2(context)) => context.request_id.as_deref(),
        Some(_) | None => None,
    };
    let invocation = request
        .lambda_context_ref()
        .map(|context| context.request_id.as_str());
    match gateway.or(invocation).filter(|id| !id.is_empty()) {
        Some(id) => Cow::Borrowed(id),
        None => Cow::Owned(format!(
            "{:016x}{:016x}",
            fastrand::u64(..),
            fastrand::u64(..)
        )),
    }
}

fn deadline(request: &Request) -> Deadline {
    let invocation = request
        .lambda_context_ref()
        .map_or(0, |context| context.deadline);
    if invocation == 0 {
        return Deadline::after(GATEWAY_PATIENCE);
    }
    let ends = Timestamp::from_millis(i64::try_from(invocation).unwrap_or(i64::MAX));
    Deadline::after(
        ends.since(SystemClock.now())
            .saturating_sub(RESERVE)
            .min(GATEWAY_PATIENCE),
    )
}

/// The caller that the authorizer attached; `None` on a route without one.
fn caller(context: &RequestContext) -> Option<Caller> {
    let RequestContext::ApiGatewayV2(context) = context else {
        return None;
    };
    let fields = &context.authorizer.as_ref()?.fields;
    Caller::from_context(|name| fields.get(name).and_then(serde_json::Value::as_str))
}

#[cfg(test)]
mod tests;
