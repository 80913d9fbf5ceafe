//! An answer of the platform, and how it is read: the body's `code` first.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::HeaderMap;
use reqwest::{RequestBuilder, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::codes::{kind_of, kind_of_status};
use super::words::{call_id, quoted};
use crate::error::{FailureKind, LarkFailure};

/// The largest accepted answer.
const MAX_ANSWER_BYTES: usize = 8 * 1024 * 1024;

/// The platform's answer: the requested data, or a refusal.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, at most 8 MiB.
    pub body: Bytes,
    refusal: Option<LarkFailure>,
}

/// The fields that every answer has.
#[derive(Debug, Deserialize)]
struct Envelope {
    /// Absent in the answers of some login endpoints.
    code: Option<i64>,
    #[serde(default)]
    msg: String,
    error: Option<ErrorPart>,
    error_description: Option<String>,
}

/// The login endpoints speak OAuth (RFC 6749), where `error` is text.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum ErrorPart {
    Object(ErrorObject),
    Text(String),
}

#[derive(Debug, Deserialize)]
struct ErrorObject {
    log_id: Option<String>,
}

impl Answer {
    /// The answer with these parts.
    #[must_use]
    pub fn new(status: u16, headers: HeaderMap, body: Bytes) -> Self {
        let mut answer = Self {
            status,
            headers,
            body,
            refusal: None,
        };
        answer.refusal = answer.find_refusal();
        answer
    }

    /// The whole body as `T`.
    ///
    /// # Errors
    /// The platform's refusal; [`FailureKind::Rejected`] when the body is not as documented.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, LarkFailure> {
        if let Some(refusal) = &self.refusal {
            return Err(refusal.clone());
        }
        serde_json::from_slice(&self.body).map_err(|error| {
            // The error's own words may hold a value of the answer.
            let (line, column) = (error.line(), error.column());
            let msg = format!("Lark's answer is not as documented at line {line} column {column}");
            self.failure(FailureKind::Rejected, Some(0), msg, None)
        })
    }

    /// The platform's refusal, if the answer is one. The body's `code` decides; the status only where there is no code.
    #[must_use]
    pub const fn refusal(&self) -> Option<&LarkFailure> {
        self.refusal.as_ref()
    }

    fn find_refusal(&self) -> Option<LarkFailure> {
        let status = self.status;
        let Ok(envelope) = serde_json::from_slice::<Envelope>(&self.body) else {
            let msg = format!("HTTP {status} without a readable Lark answer");
            return Some(self.failure(kind_of_status(status), None, msg, None));
        };
        let has_failed = match (envelope.code, &envelope.error) {
            (Some(code), _) => code != 0,
            (None, Some(ErrorPart::Text(_))) => true,
            (None, _) => !(200..300).contains(&status),
        };
        if !has_failed {
            return None;
        }
        let kind = envelope
            .code
            .map_or_else(|| kind_of_status(status), |code| kind_of(code, status));
        let (logged, oauth) = match envelope.error {
            Some(ErrorPart::Object(error)) => (error.log_id, None),
            Some(ErrorPart::Text(text)) => (None, Some(text)),
            None => (None, None),
        };
        let said = Some(envelope.msg).filter(|msg| !msg.is_empty());
        let msg = said.or(envelope.error_description).or(oauth);
        Some(self.failure(kind, envelope.code, msg.unwrap_or_default(), logged))
    }

    fn failure(
        &self,
        kind: FailureKind,
        code: Option<i64>,
        msg: String,
        logged: Option<String>,
    ) -> LarkFailure {
        LarkFailure {
            kind,
            code,
            msg: quoted(&msg),
            log_id: self
                .header("x-tt-logid")
                .or(logged)
                .or_else(|| self.header("x-request-id"))
                .and_then(|id| call_id(&id)),
            http_status: Some(self.status),
            retry_after: self
                .header("x-ogw-ratelimit-reset")
                .and_then(|text| text.parse().ok())
                .map(Duration::from_secs),
            is_unsent: false,
        }
    }

    /// The platform's id of the call.
    #[must_use]
    pub fn log_id(&self) -> Option<String> {
        let told = self
            .header("x-tt-logid")
            .or_else(|| self.header("x-request-id"));
        told.and_then(|id| call_id(&id))
    }

    fn header(&self, name: &str) -> Option<String> {
        let value = self.headers.get(name)?.to_str().ok()?;
        Some(value.to_owned())
    }
}

/// Sends `request` and reads the whole answer.
pub(super) async fn exchange(request: RequestBuilder) -> Result<Answer, LarkFailure> {
    let mut response = request.send().await.map_err(|error| unreachable(&error))?;
    let body = read_body(&mut response).await?;
    let headers = std::mem::take(response.headers_mut());
    Ok(Answer::new(response.status().as_u16(), headers, body))
}

async fn read_body(response: &mut Response) -> Result<Bytes, LarkFailure> {
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| unreachable(&error))?
    {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(LarkFailure::without_answer(
                FailureKind::Rejected,
                "Lark's answer is too large",
            ));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.into())
}

/// The failure without an answer. It leaves out the URL, which may contain personal data.
fn unreachable(error: &reqwest::Error) -> LarkFailure {
    if error.is_timeout() {
        return LarkFailure::without_answer(FailureKind::Timeout, "Lark did not answer in time");
    }
    let what = if error.is_connect() {
        "cannot connect to Lark"
    } else {
        "the connection to Lark broke"
    };
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause.and_then(std::error::Error::source) {
        cause = Some(next);
    }
    let msg = cause.map_or_else(|| what.to_owned(), |cause| format!("{what}: {cause}"));
    LarkFailure {
        is_unsent: error.is_connect(),
        ..LarkFailure::without_answer(FailureKind::Unavailable, msg)
    }
}

#[cfg(test)]
mod tests;
