//! One call to Lark: sent within the deadline, repeated where that is safe, read by the body's `code` first.

use std::time::{Duration, Instant};

use reqwest::header::{AUTHORIZATION, HeaderMap};
use reqwest::{Method, RequestBuilder, Response};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tracing::warn;
use url::Url;

use super::codes::{kind_of, kind_of_status};
use super::{FailureKind, LarkFailure};
use crate::deadline::Deadline;
use crate::telemetry::metrics;

/// How often a call that is safe to repeat is sent at most.
const ATTEMPTS: u32 = 3;
/// The first pause between two attempts is a random part of this, doubling after.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
/// A longer wait than this is the caller's business.
const MAX_BACKOFF: Duration = Duration::from_secs(2);
/// The largest answer that is read.
const MAX_ANSWER_BYTES: usize = 8 * 1024 * 1024;
/// Calls that take longer are logged.
const SLOW: Duration = Duration::from_secs(1);

/// Which of the two platforms an app lives on.
#[derive(
    Clone, Copy, Debug, Default, Eq, Hash, PartialEq, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Domain {
    /// Feishu, mainland China: `https://open.feishu.cn`.
    #[default]
    Feishu,
    /// Lark, international: `https://open.larksuite.com`.
    Lark,
}

impl Domain {
    /// The domain as it is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Feishu => "feishu",
            Self::Lark => "lark",
        }
    }
}

/// Where the platforms are and how long to wait for them.
#[derive(Clone, Debug)]
pub struct LarkSettings {
    /// The origin of Feishu's API.
    pub feishu_url: Url,
    /// The origin of Lark's API.
    pub lark_url: Url,
    /// The origin of Feishu's log-in pages.
    pub feishu_accounts_url: Url,
    /// The origin of Lark's log-in pages.
    pub lark_accounts_url: Url,
    /// Which of the platform's token endpoints for logins is asked.
    pub oauth_version: OAuthVersion,
    /// The time for one call, its repetitions included.
    pub timeout: Duration,
}

/// Which of the platform's token endpoints for logins is asked.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum OAuthVersion {
    /// `/open-apis/authen/v2/oauth/token` on the API's host; documented, marked as deprecated in English.
    #[default]
    V2,
    /// `/oauth/v3/token` on the log-in pages' host; what the newest official SDKs call, not documented.
    V3,
}

/// Which of a platform's hosts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Host {
    /// The API's.
    Open,
    /// The log-in pages'.
    Accounts,
}

/// The transport to both platforms. Cheap to clone; clones share the connections.
#[derive(Clone, Debug)]
pub struct LarkClient {
    http: reqwest::Client,
    settings: LarkSettings,
}

/// A call, before it is sent.
#[derive(Debug)]
pub(super) struct LarkCall<'c> {
    /// The call's name in metrics and logs.
    pub endpoint: &'static str,
    pub domain: Domain,
    pub host: Host,
    pub method: Method,
    /// Path segments under the origin; each is percent-encoded.
    pub path: &'c [&'c str],
    pub query: &'c [(&'c str, &'c str)],
    pub token: Option<&'c SecretString>,
    pub body: Option<Vec<u8>>,
    /// Whether sending it twice does no harm.
    pub repeatable: bool,
}

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

impl LarkSettings {
    /// The origin of `domain`'s log-in pages.
    #[must_use]
    pub const fn accounts_url(&self, domain: Domain) -> &Url {
        match domain {
            Domain::Feishu => &self.feishu_accounts_url,
            Domain::Lark => &self.lark_accounts_url,
        }
    }

    /// The origin of `domain`'s API.
    #[must_use]
    pub const fn open_url(&self, domain: Domain) -> &Url {
        match domain {
            Domain::Feishu => &self.feishu_url,
            Domain::Lark => &self.lark_url,
        }
    }
}

impl LarkClient {
    /// A client that sends over `http`.
    #[must_use]
    pub const fn new(http: reqwest::Client, settings: LarkSettings) -> Self {
        Self { http, settings }
    }

    /// Where the platforms are.
    #[must_use]
    pub const fn settings(&self) -> &LarkSettings {
        &self.settings
    }

    /// Sends `call` and reads the answer as `T`, which is the whole body.
    pub(super) async fn send<T: DeserializeOwned>(
        &self,
        call: &LarkCall<'_>,
        deadline: Deadline,
    ) -> Result<T, LarkFailure> {
        let deadline = deadline.at_most(self.settings.timeout);
        let attempts = if call.repeatable { ATTEMPTS } else { 1 };
        let mut attempt = 1;
        loop {
            // A hanging attempt leaves time for the ones after it.
            let timeout = deadline.remaining() / (attempts - attempt + 1);
            let failure = match self.attempt(call, timeout, attempt).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            let wait = backoff(attempt, &failure);
            if attempt >= attempts
                || !failure.kind.is_outage()
                || wait > MAX_BACKOFF
                || wait >= deadline.remaining()
            {
                return Err(failure);
            }
            let delay_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            warn!(
                lark.endpoint = call.endpoint,
                retry.attempt = attempt,
                lark.code = failure.code,
                delay_ms,
                "retrying a Lark call"
            );
            tokio::time::sleep(wait).await;
            attempt += 1;
        }
    }

    async fn attempt<T: DeserializeOwned>(
        &self,
        call: &LarkCall<'_>,
        timeout: Duration,
        attempt: u32,
    ) -> Result<T, LarkFailure> {
        let started = Instant::now();
        let outcome = tokio::time::timeout(timeout, exchange(self.request(call)))
            .await
            .unwrap_or_else(|_| {
                Err(LarkFailure::without_answer(
                    FailureKind::Timeout,
                    "Lark did not answer in time",
                ))
            });
        let took = started.elapsed();
        let result = outcome
            .as_ref()
            .map_or_else(|failure| failure.kind.as_str(), |_| "ok");
        metrics::lark_request(call.endpoint, result, took);
        if took > SLOW {
            let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            warn!(
                lark.endpoint = call.endpoint,
                retry.attempt = attempt,
                duration_ms,
                result,
                "a slow Lark call"
            );
        }
        outcome
    }

    fn request(&self, call: &LarkCall<'_>) -> RequestBuilder {
        let mut url = match call.host {
            Host::Open => self.settings.open_url(call.domain).clone(),
            Host::Accounts => self.settings.accounts_url(call.domain).clone(),
        };
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(call.path);
        }
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(call.query);
        }
        let mut request = self.http.request(call.method.clone(), url);
        if let Some(token) = call.token {
            request = request.header(AUTHORIZATION, sensitive_bearer(token));
        }
        if let Some(body) = &call.body {
            request = request
                .header("content-type", "application/json; charset=utf-8")
                .body(body.clone());
        }
        request
    }
}

/// The header value, marked so that no debug output shows it.
fn sensitive_bearer(token: &SecretString) -> reqwest::header::HeaderValue {
    let text = format!("Bearer {}", token.expose_secret());
    let mut value = reqwest::header::HeaderValue::from_str(&text)
        .unwrap_or_else(|_| reqwest::header::HeaderValue::from_static("Bearer malformed"));
    value.set_sensitive(true);
    value
}

async fn exchange<T: DeserializeOwned>(request: RequestBuilder) -> Result<T, LarkFailure> {
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

/// Full jitter: a random part of a limit that doubles; the platform's own wish if it has one.
fn backoff(attempt: u32, failure: &LarkFailure) -> Duration {
    if let Some(wish) = failure.retry_after {
        return wish;
    }
    let limit = (FIRST_BACKOFF * 2_u32.saturating_pow(attempt.saturating_sub(1))).min(MAX_BACKOFF);
    limit.mul_f64(fastrand::f64())
}

#[cfg(test)]
mod tests;
