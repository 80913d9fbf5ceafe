//! A successful answer.

use lambda_http::http::{HeaderName, HeaderValue, StatusCode};
use lambda_http::{Body, Response};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::REQUEST_ID;
use crate::directory::tiers::Found;
use crate::error::{Error, Result};

/// A successful answer: JSON, with extra headers.
#[derive(Clone, Debug)]
pub struct Reply {
    status: StatusCode,
    content_type: Option<&'static str>,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: String,
}

/// An answer that is kept for who repeats the request.
#[derive(Deserialize, Serialize)]
struct Kept {
    status: u16,
    is_json: bool,
    headers: Vec<(String, String)>,
    body: String,
}

/// The content type of all else.
const JSON: &str = "application/json";
/// The content type of pages.
pub(super) const HTML: &str = "text/html; charset=utf-8";
/// The headers of every page: it loads nothing, cannot be framed, sends no referrer and is not stored.
pub(super) const PAGE_HEADERS: [(&str, &str); 5] = [
    (
        "content-security-policy",
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cache-control", "no-store"),
];

impl Reply {
    /// `200 OK` with `body` as JSON.
    ///
    /// # Errors
    /// [`Error::Internal`] when `body` cannot be written as JSON.
    pub fn json(body: &impl Serialize) -> Result<Self> {
        let body = serde_json::to_string(body)
            .map_err(|error| Error::internal(format!("serialising: {error}")))?;
        Ok(Self::raw_json(body))
    }

    /// `200 OK` with `body`, which is JSON already.
    #[must_use]
    pub const fn raw_json(body: String) -> Self {
        Self {
            status: StatusCode::OK,
            content_type: Some(JSON),
            headers: Vec::new(),
            body,
        }
    }

    /// `200 OK` with what was found, with `Age` and `Cache-Status`, which tell where the answer came from, and for how long the
    /// caller, and nobody on the way, may keep it. It depends on who asks, and for which app and tenant.
    #[must_use]
    pub fn found(found: Found) -> Self {
        let Found { body, freshness } = found;
        Self::raw_json(body)
            .with_header("age", &freshness.age.as_secs().to_string())
            .with_header("cache-status", &freshness.cache_status())
            .with_header("cache-control", &freshness.cache_control())
            .with_header("vary", "authorization, x-lark-app-id, x-lark-tenant-key")
    }

    /// `204 No Content`.
    #[must_use]
    pub const fn nothing() -> Self {
        Self {
            status: StatusCode::NO_CONTENT,
            content_type: None,
            headers: Vec::new(),
            body: String::new(),
        }
    }

    /// `302 Found`: the browser goes to `location` without sending a referrer.
    #[must_use]
    pub fn redirect(location: &str) -> Self {
        Self {
            status: StatusCode::FOUND,
            ..Self::nothing()
        }
        .with_header("location", location)
        .with_header("cache-control", "no-store")
        .with_header("referrer-policy", "no-referrer")
    }

    /// `200 OK` with a page for a person.
    #[must_use]
    pub fn page(html: String) -> Self {
        let page = Self {
            status: StatusCode::OK,
            content_type: Some(HTML),
            headers: Vec::new(),
            body: html,
        };
        PAGE_HEADERS
            .iter()
            .fold(page, |page, (name, value)| page.with_header(name, value))
    }

    /// The same answer with another status.
    #[must_use]
    pub const fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// The same answer with one more header; dropped if `value` is not valid in one.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((HeaderName::from_static(name), value));
        }
        self
    }

    /// The answer as it is kept for who repeats the request; `None` if it is a page, which nobody asks for twice.
    pub(super) fn kept(&self) -> Result<Option<SecretString>> {
        let is_json = self.content_type == Some(JSON);
        if !is_json && self.content_type.is_some() {
            return Ok(None);
        }
        let headers = self.headers.iter();
        let headers = headers.filter_map(|(name, value)| {
            let value = value.to_str().ok()?.to_owned();
            Some((name.as_str().to_owned(), value))
        });
        let kept = Kept {
            status: self.status.as_u16(),
            is_json,
            headers: headers.collect(),
            body: self.body.clone(),
        };
        let text = serde_json::to_string(&kept)
            .map_err(|error| Error::internal(format!("serialising: {error}")))?;
        Ok(Some(text.into()))
    }

    /// The answer that was [`Reply::kept`].
    pub(super) fn of_kept(kept: &SecretString) -> Result<Self> {
        let wrong = || Error::internal("an answer that was kept cannot be read");
        let kept: Kept = serde_json::from_str(kept.expose_secret()).map_err(|_| wrong())?;
        let headers = kept.headers.iter().map(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
            let value = HeaderValue::from_str(value).map_err(|_| wrong())?;
            Ok((name, value))
        });
        Ok(Self {
            status: StatusCode::from_u16(kept.status).map_err(|_| wrong())?,
            content_type: kept.is_json.then_some(JSON),
            headers: headers.collect::<Result<_>>()?,
            body: kept.body,
        })
    }

    pub(super) fn to_response(&self, request_id: &str) -> Response<Body> {
        let mut response = Response::new(Body::Text(self.body.clone()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        if let Some(content_type) = self.content_type {
            headers.insert("content-type", HeaderValue::from_static(content_type));
        }
        if let Ok(request_id) = HeaderValue::from_str(request_id) {
            headers.insert(REQUEST_ID, request_id);
        }
        for (name, value) in &self.headers {
            headers.append(name.clone(), value.clone());
        }
        response
    }
}
