//! How an answer is read: the body's `code` first.

use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{RequestBuilder, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::{FailureKind, LarkFailure};
use crate::lark::codes::{kind_of, kind_of_status};

/// The largest answer that is read.
const MAX_ANSWER_BYTES: usize = 8 * 1024 * 1024;

/// What every answer has in common.
#[derive(Debug, Deserialize)]
struct Envelope {
    /// Absent in the answers of some log-in endpoints.
    code: Option<i64>,
    #[serde(default)]
    msg: String,
    error: Option<ErrorPart>,
    error_description: Option<String>,
}

/// The log-in endpoints speak OAuth (RFC 6749), where `error` is text.
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

/// Sends `request` and reads the answer as `T`, which is the whole body.
pub(super) async fn exchange<T: DeserializeOwned>(
    request: RequestBuilder,
) -> Result<T, LarkFailure> {
    let mut response = request.send().await.map_err(|error| unreachable(&error))?;
    let body = read_body(&mut response).await?;
    let status = response.status().as_u16();
    read_answer(status, response.headers(), &body)
}

async fn read_body(response: &mut Response) -> Result<Vec<u8>, LarkFailure> {
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
    Ok(body)
}

/// The body's `code` decides; the status only where there is no code to read.
fn read_answer<T: DeserializeOwned>(
    status: u16,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<T, LarkFailure> {
    let header = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned)
    };
    let failure = |kind, code, msg: String, logged: Option<String>| LarkFailure {
        kind,
        code,
        msg,
        log_id: header("x-tt-logid")
            .or(logged)
            .or_else(|| header("x-request-id")),
        http_status: Some(status),
        retry_after: header("x-ogw-ratelimit-reset")
            .and_then(|text| text.parse().ok())
            .map(Duration::from_secs),
        is_unsent: false,
    };
    let Ok(envelope) = serde_json::from_slice::<Envelope>(body) else {
        let msg = format!("HTTP {status} without a readable Lark answer");
        return Err(failure(kind_of_status(status), None, msg, None));
    };
    let has_failed = match (envelope.code, &envelope.error) {
        (Some(code), _) => code != 0,
        (None, Some(ErrorPart::Text(_))) => true,
        (None, _) => !(200..300).contains(&status),
    };
    if has_failed {
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
        return Err(failure(
            kind,
            envelope.code,
            msg.unwrap_or_default(),
            logged,
        ));
    }
    serde_json::from_slice(body).map_err(|error| {
        failure(
            FailureKind::Rejected,
            Some(0),
            format!("Lark's answer is not as documented: {error}"),
            None,
        )
    })
}

/// No answer, told without the URL: it may carry personal data.
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
