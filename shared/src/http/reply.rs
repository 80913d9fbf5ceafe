//! A successful answer.

use lambda_http::http::{HeaderName, HeaderValue, StatusCode};
use lambda_http::{Body, Response};
use serde::Serialize;

use super::REQUEST_ID;
use crate::error::{Error, Result};

/// A successful answer: JSON, with headers of its own.
#[derive(Clone, Debug)]
pub struct Reply {
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: String,
}

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
            headers: Vec::new(),
            body,
        }
    }

    /// The same answer with another status.
    #[must_use]
    pub const fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// The same answer with one more header; dropped if `value` cannot stand in one.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((HeaderName::from_static(name), value));
        }
        self
    }

    pub(super) fn to_response(&self, request_id: &str) -> Response<Body> {
        let mut response = Response::new(Body::Text(self.body.clone()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        if let Ok(request_id) = HeaderValue::from_str(request_id) {
            headers.insert(REQUEST_ID, request_id);
        }
        headers.extend(self.headers.iter().cloned());
        response
    }
}
