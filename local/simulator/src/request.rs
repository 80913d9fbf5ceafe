//! A request for the endpoints: read completely, decoded once.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, Method, header};
use serde::de::DeserializeOwned;

use crate::multipart::Form;

/// A complete request. It has a body for every method and `Content-Type`: SDKs send `{}` with GET, and JSON without a
/// type.
pub(crate) struct Request {
    pub(crate) method: Method,
    /// As received, without a trailing slash.
    pub(crate) path: String,
    /// Split at `/`, then percent-decoded, so that `%2F` stays inside its segment. A trailing slash makes no segment.
    pub(crate) segments: Vec<String>,
    pub(crate) query: Query,
    pub(crate) headers: HeaderMap,
    /// Empty if it was a multipart form.
    pub(crate) body: Bytes,
    multipart: Mutex<Option<Form>>,
}

/// The body of a request, complete.
pub(crate) enum RequestBody {
    Bytes(Bytes),
    /// `None` if it is malformed.
    Multipart(Option<Form>),
}

impl Request {
    pub(crate) fn new(parts: &http::request::Parts, body: RequestBody) -> Self {
        let (body, multipart) = match body {
            RequestBody::Bytes(body) => (body, None),
            RequestBody::Multipart(form) => (Bytes::new(), form),
        };
        Self {
            method: parts.method.clone(),
            path: parts.uri.path().trim_end_matches('/').to_owned(),
            segments: segments(parts.uri.path()),
            query: Query::parse(parts.uri.query().unwrap_or_default()),
            headers: parts.headers.clone(),
            body,
            multipart: Mutex::new(multipart),
        }
    }

    /// The multipart form; `None` if it is malformed, the body is no such form, or it was taken before.
    pub(crate) fn take_multipart(&self) -> Option<Form> {
        let mut form = self
            .multipart
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        form.take()
    }

    /// The path parameters, if the path matches the pattern.
    pub(crate) fn match_path(&self, pattern: &'static str) -> Option<Vec<(&'static str, String)>> {
        let mut parameters = Vec::new();
        let mut given = self.segments.iter();
        for wanted in pattern.trim_start_matches('/').split('/') {
            let segment = given.next()?;
            let name = wanted
                .strip_prefix('{')
                .and_then(|rest| rest.strip_suffix('}'));
            match name {
                Some(_) if segment.is_empty() => return None,
                Some(name) => parameters.push((name, segment.clone())),
                None if wanted != segment => return None,
                None => {}
            }
        }
        given.next().is_none().then_some(parameters)
    }

    /// What follows `Bearer ` in `Authorization`; `None` without such a header.
    pub(crate) fn bearer(&self) -> Option<&str> {
        let value = self.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        value
            .strip_prefix("Bearer ")
            .filter(|token| !token.is_empty())
    }

    /// Whether the body is a form, by its type; all other bodies are read as JSON.
    pub(crate) fn is_form(&self) -> bool {
        let content_type = self.headers.get(header::CONTENT_TYPE);
        content_type
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.starts_with("application/x-www-form-urlencoded"))
    }

    /// The body as a form, whatever its type.
    pub(crate) fn form(&self) -> Query {
        Query::parse(&String::from_utf8_lossy(&self.body))
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// [`BodyError`] distinguishes bad syntax from an invalid field.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, BodyError> {
        let mut deserializer = serde_json::Deserializer::from_slice(&self.body);
        let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
            let path = error.path().to_string();
            let error = error.into_inner();
            match error.is_data() {
                true => BodyError::Field(field_name(&path, &error.to_string()), error.to_string()),
                false => BodyError::Syntax(error.to_string()),
            }
        })?;
        deserializer
            .end()
            .map_err(|error| BodyError::Syntax(error.to_string()))?;
        Ok(value)
    }
}

/// Why a body could not be read.
pub(crate) enum BodyError {
    /// Not JSON, and where.
    Syntax(String),
    /// JSON, but with an invalid field: its name and the problem.
    Field(String, String),
}

/// Decoded pairs in order.
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    fn parse(query: &str) -> Self {
        Self(
            url::form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
        )
    }

    pub(crate) fn first(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// All values of a repeated parameter: `name=a&name=b` or, from raw Node calls, `name[]=a&name[]=b`.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.0
            .iter()
            .filter(|(key, _)| key.strip_suffix("[]").unwrap_or(key) == name)
            .map(|(_, value)| value.as_str())
            .collect()
    }
}

fn segments(path: &str) -> Vec<String> {
    path.trim_matches('/')
        .split('/')
        .map(percent_decode)
        .collect()
}

fn percent_decode(segment: &str) -> String {
    let bytes = segment.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%')
            .then(|| segment.get(at + 1..at + 3))
            .flatten()
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        decoded.push(escaped.unwrap_or(bytes[at]));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// Serde has the name of a missing or unknown field only in the message, in backquotes.
fn field_name(path: &str, message: &str) -> String {
    if path != "." && !message.starts_with("missing field") {
        return path.to_owned();
    }
    let quoted = message.split('`').nth(1).unwrap_or("body");
    match path {
        "." => quoted.to_owned(),
        path => format!("{path}.{quoted}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expected: &[&str]) {
        assert_eq!(segments(path), expected);
    }

    #[test]
    fn paths_are_split_before_they_are_decoded() {
        check("/a/b/", &["a", "b"]);
        check("/a%2Fb/c%20d", &["a/b", "c d"]);
        check("/%zz/%", &["%zz", "%"]);
        check("/%E4%BD%A0", &["你"]);
        check("/", &[""]);
    }

    #[test]
    fn repeated_parameters_have_two_spellings() {
        let query = Query::parse("id=a&id%5B%5D=b&other=c&id=");
        assert_eq!(query.all("id"), ["a", "b", ""]);
    }
}
