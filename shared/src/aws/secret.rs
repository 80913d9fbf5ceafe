//! Reading one secret of AWS Secrets Manager, at the start of a process.
//!
//! One signed request: an SDK for a single call would add to every function's size and start.
//! <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html>

use std::error::Error as StdError;
use std::time::{Duration, UNIX_EPOCH};

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use reqwest::StatusCode;
use secrecy::SecretString;
use serde::Deserialize;

use super::DEFAULT_IDLE_TIMEOUT;
use crate::clock::{Clock, Timestamp};

/// How long one attempt may take.
const TIMEOUT: Duration = Duration::from_secs(3);
/// The most attempts: a start without the secret fails.
const ATTEMPTS: u32 = 3;
/// The longest answer that is read. A secret has at most 65,536 bytes.
const MAX_BYTES: usize = 256 * 1_024;
const CONTENT_TYPE: &str = "application/x-amz-json-1.1";
const TARGET: &str = "secretsmanager.GetSecretValue";

/// Why there is no secret. Never says what is in it.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// No region, no credentials, or a name that cannot be asked for.
    #[error("Secrets Manager cannot be asked: {0}")]
    Request(String),
    /// Secrets Manager refuses: no such secret, or no permission.
    #[error("Secrets Manager refuses to read the secret: status {status}, {kind}")]
    Refused {
        /// The status of the answer.
        status: u16,
        /// The kind of error that it names.
        kind: String,
    },
    /// No answer, or one without a text.
    #[error("Secrets Manager does not answer with a text: {0}")]
    Answer(String),
}

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "SecretString")]
    text: Option<SecretString>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Refusal {
    #[serde(rename = "__type")]
    kind: String,
}

/// The text of the secret `id`, a name or an ARN, with the region, credentials and endpoint of `sdk`.
///
/// # Errors
/// [`SecretError`].
pub async fn text(
    sdk: &SdkConfig,
    id: &str,
    clock: &dyn Clock,
) -> Result<SecretString, SecretError> {
    let http = super::http(DEFAULT_IDLE_TIMEOUT)
        .map_err(|error| SecretError::Request(error.to_string()))?;
    let region = sdk
        .region()
        .ok_or_else(|| SecretError::Request("it needs AWS_REGION".to_owned()))?
        .as_ref();
    let endpoint = sdk
        .endpoint_url()
        .map_or_else(|| public_endpoint(region), str::to_owned);
    let provider = sdk
        .credentials_provider()
        .ok_or_else(|| SecretError::Request("it needs AWS credentials".to_owned()))?;
    let credentials = provider.provide_credentials().await;
    let credentials = credentials.map_err(|error| SecretError::Request(error.to_string()))?;
    for attempt in 1.. {
        let request = signed(&endpoint, region, id, &credentials, clock.now())
            .map_err(|error| SecretError::Request(error.to_string()))?;
        let read = tokio::time::timeout(TIMEOUT, read(&http, request)).await;
        let outcome =
            read.unwrap_or_else(|_| Err(SecretError::Answer("nothing came in time".to_owned())));
        match outcome {
            Err(error) if attempt < ATTEMPTS && is_transient(&error) => {
                tracing::warn!(retry.attempt = attempt, %error, "reading a secret again");
            }
            outcome => return outcome,
        }
    }
    unreachable!("the last attempt returns")
}

fn is_transient(error: &SecretError) -> bool {
    match error {
        SecretError::Answer(_) => true,
        SecretError::Refused { status, .. } => *status >= 500 || *status == 429,
        SecretError::Request(_) => false,
    }
}

async fn read(
    http: &reqwest::Client,
    request: reqwest::Request,
) -> Result<SecretString, SecretError> {
    let failed = |error: reqwest::Error| SecretError::Answer(error.without_url().to_string());
    let mut response = http.execute(request).await.map_err(failed)?;
    let status = response.status();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > MAX_BYTES {
            return Err(SecretError::Answer("it is too long".to_owned()));
        }
        body.extend_from_slice(&chunk);
    }
    if status != StatusCode::OK {
        let refusal: Refusal = serde_json::from_slice(&body).unwrap_or_default();
        let kind = refusal.kind.chars().filter(char::is_ascii_alphanumeric);
        return Err(SecretError::Refused {
            status: status.as_u16(),
            kind: kind.take(64).collect(),
        });
    }
    // Not the parser's words: they may quote the secret.
    let answer: Answer = serde_json::from_slice(&body)
        .map_err(|_| SecretError::Answer("it is not JSON".to_owned()))?;
    answer
        .text
        .ok_or_else(|| SecretError::Answer("the secret is binary".to_owned()))
}

fn public_endpoint(region: &str) -> String {
    let suffix = if region.starts_with("cn-") {
        "amazonaws.com.cn"
    } else {
        "amazonaws.com"
    };
    format!("https://secretsmanager.{region}.{suffix}")
}

fn signed(
    endpoint: &str,
    region: &str,
    id: &str,
    credentials: &Credentials,
    now: Timestamp,
) -> Result<reqwest::Request, Box<dyn StdError + Send + Sync>> {
    let identity = credentials.clone().into();
    let params = SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("secretsmanager")
        .time(UNIX_EPOCH + now.since(Timestamp::default()))
        .settings(SigningSettings::default())
        .build()?
        .into();
    let body = serde_json::json!({ "SecretId": id }).to_string();
    let address = format!("{}/", endpoint.trim_end_matches('/'));
    let headers = [("content-type", CONTENT_TYPE), ("x-amz-target", TARGET)];
    let signable = SignableRequest::new(
        "POST",
        &address,
        headers.into_iter(),
        SignableBody::Bytes(body.as_bytes()),
    )?;
    let (instructions, _) = sign(signable, &params)?.into_parts();
    let mut request = http::Request::post(&address)
        .header("content-type", CONTENT_TYPE)
        .header("x-amz-target", TARGET)
        .body(body)?;
    instructions.apply_to_request_http1x(&mut request);
    Ok(reqwest::Request::try_from(request)?)
}

#[cfg(test)]
mod tests;
