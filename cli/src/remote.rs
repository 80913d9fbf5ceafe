//! A running service, over HTTP. Its key is in a header and nowhere else: in no address, no output and no failure.

mod access;

use std::path::Path;
use std::time::{Duration, Instant};

use lark_service::aws;
use lark_service::ids::AppId;
use lark_service::wiring::StartError;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use url::Url;

use crate::failure::{Failure, Problem};

/// How long one request may take: longer than API Gateway waits for a function.
const ATTEMPT: Duration = Duration::from_secs(35);
/// How long a call may take with all its repetitions and pauses.
const PATIENCE: Duration = Duration::from_secs(90);
/// The most requests of one call.
const ATTEMPTS: u32 = 4;
/// The pause before the second request; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The largest answer that is read.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// A running service and the key for it.
pub(crate) struct Remote {
    client: Client,
    base: Url,
    key: SecretString,
}

/// When a call is repeated. One that was refused for now (429) certainly did nothing, and always is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Repeat {
    /// Whenever that may help: twice is as good as once.
    Safe,
    /// Only if it did not reach the service.
    IfNotSent,
}

/// A request that is being put together.
pub(crate) struct Call<'r> {
    remote: &'r Remote,
    method: Method,
    url: Url,
    headers: Vec<(&'static str, String)>,
    body: Option<Value>,
}

/// What came of one request.
enum Outcome {
    Answer(Value),
    /// It failed; it makes sense to repeat it after the pause, if there is one.
    Failed(Failure, Again),
}

/// Whether to repeat a request.
enum Again {
    No,
    /// It did nothing.
    Certainly(Option<Duration>),
    /// It may have done something.
    IfSafe(Option<Duration>),
}

impl Remote {
    /// The service at `url`, with the key of the environment or of a file.
    pub(crate) fn connect(url: &str, key_file: Option<&Path>) -> Result<Self, Failure> {
        let base = access::base(url)
            .map_err(|problem| Failure::Usage(format!("the service's URL {problem}")))?;
        let key = access::key(key_file)?;
        let client = aws::http(aws::DEFAULT_IDLE_TIMEOUT).map_err(StartError::from)?;
        Ok(Self { client, base, key })
    }

    /// `GET /v1/…`.
    pub(crate) async fn get(
        &self,
        path: &[&str],
        query: &[(&'static str, String)],
    ) -> Result<Value, Failure> {
        let mut call = self.call(Method::GET, path);
        for (name, value) in query {
            call = call.query(name, value);
        }
        call.send(Repeat::Safe).await
    }

    /// A call of `/v1/…`. Each part of the path is one segment, whatever is in it.
    pub(crate) fn call(&self, method: Method, path: &[&str]) -> Call<'_> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("v1").extend(path);
        }
        let mut headers = Vec::new();
        if method == Method::POST {
            // For repetitions, which have the same.
            headers.push(("idempotency-key", random_name()));
        }
        Call {
            remote: self,
            method,
            url,
            headers,
            body: None,
        }
    }
}

impl Call<'_> {
    pub(crate) fn query(mut self, name: &str, value: &str) -> Self {
        self.url.query_pairs_mut().append_pair(name, value);
        self
    }

    /// With a header, in place of one of the same name.
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(crate) fn app(self, app_id: &AppId) -> Self {
        self.header("x-lark-app-id", app_id.as_str())
    }

    pub(crate) fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    /// Sends it, and again as `repeat` allows, within bounds of number and time. What the service asks to wait is waited, if that
    /// is within the time.
    pub(crate) async fn send(self, repeat: Repeat) -> Result<Value, Failure> {
        let begun = Instant::now();
        let mut pause = FIRST_PAUSE;
        for attempt in 1.. {
            let (failure, again) = match self.once().await {
                Outcome::Answer(answer) => return Ok(answer),
                Outcome::Failed(failure, again) => (failure, again),
            };
            let asked = match again {
                Again::Certainly(asked) => asked,
                Again::IfSafe(asked) if repeat == Repeat::Safe => asked,
                Again::IfSafe(_) | Again::No => return Err(failure),
            };
            let wait = asked.unwrap_or_else(|| pause.mul_f64(0.5 + fastrand::f64() / 2.0));
            if attempt == ATTEMPTS || begun.elapsed() + wait > PATIENCE {
                return Err(failure);
            }
            tokio::time::sleep(wait).await;
            pause *= 2;
        }
        Err(Failure::Unexpected("no request was made".to_owned()))
    }

    async fn once(&self) -> Outcome {
        let remote = self.remote;
        let mut authorization = format!("Bearer {}", remote.key.expose_secret())
            .parse::<reqwest::header::HeaderValue>()
            .unwrap_or_else(|_| reqwest::header::HeaderValue::from_static(""));
        authorization.set_sensitive(true);
        let mut request = remote
            .client
            .request(self.method.clone(), self.url.clone())
            .header(AUTHORIZATION, authorization)
            .timeout(ATTEMPT);
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        if let Some(body) = &self.body {
            request = request
                .header(CONTENT_TYPE, "application/json")
                .body(body.to_string());
        }
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => {
                let again = if error.is_connect() {
                    Again::Certainly(None)
                } else {
                    Again::IfSafe(None)
                };
                return Outcome::Failed(Failure::Unreachable(told(&error)), again);
            }
        };
        let (status, headers) = (response.status(), response.headers().clone());
        match read(response).await {
            Ok(body) => judged(status, &headers, &body),
            Err(failure) => Outcome::Failed(failure, Again::IfSafe(None)),
        }
    }
}

/// What an answer means.
fn judged(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Outcome {
    if status == StatusCode::NO_CONTENT {
        return Outcome::Answer(Value::Null);
    }
    let json = serde_json::from_slice::<Value>(body).ok();
    if status.is_success() {
        return match json {
            Some(json) => Outcome::Answer(json),
            None => {
                let failure = Failure::Unexpected(format!("{status}, without JSON"));
                Outcome::Failed(failure, Again::No)
            }
        };
    }
    let wait = headers.get(RETRY_AFTER);
    let wait = wait.and_then(|it| it.to_str().ok()?.parse().ok());
    let wait = wait.map(Duration::from_secs);
    let again = match status.as_u16() {
        429 => Again::Certainly(wait),
        502..=504 => Again::IfSafe(wait),
        _ => Again::No,
    };
    let problem = Problem::of(status.as_u16(), json.unwrap_or_default());
    // A refusal for the month, or by the platform, is no matter of seconds.
    let again = if problem.is_retryable {
        again
    } else {
        Again::No
    };
    Outcome::Failed(Failure::Refused(Box::new(problem)), again)
}

/// All of an answer, unless it is too large.
async fn read(mut response: reqwest::Response) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body),
            Err(error) => return Err(Failure::Unreachable(told(&error))),
        }
        if body.len() > MAX_ANSWER {
            let detail = format!("an answer of more than {MAX_ANSWER} bytes");
            return Err(Failure::Unexpected(detail));
        }
    }
}

/// What happened, without the address's query.
fn told(error: &reqwest::Error) -> String {
    let mut text = if error.is_timeout() {
        "the service did not answer in time".to_owned()
    } else if error.is_connect() {
        "the service cannot be reached".to_owned()
    } else {
        "the connection to the service failed".to_owned()
    };
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        text.push_str(&format!(": {next}"));
        cause = next.source();
    }
    text
}

/// A name that no other request has.
fn random_name() -> String {
    format!("cli-{:032x}", fastrand::u128(..))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, wait: Option<&str>, body: &str) -> Outcome {
        let mut headers = HeaderMap::new();
        if let Some(wait) = wait {
            headers.insert(RETRY_AFTER, wait.parse().unwrap());
        }
        let status = StatusCode::from_u16(status).unwrap();
        judged(status, &headers, body.as_bytes())
    }

    #[test]
    fn what_may_have_happened_is_repeated_only_where_that_is_safe() {
        let limited = r#"{"code":"rate_limited","detail":"x","retryable":true}"#;
        let Outcome::Failed(_, Again::Certainly(Some(wait))) = answered(429, Some("2"), limited)
        else {
            panic!("a refusal for now did nothing");
        };
        assert_eq!(wait, Duration::from_secs(2));
        let down = r#"{"code":"store_unavailable","detail":"x","retryable":true}"#;
        assert!(matches!(
            answered(503, None, down),
            Outcome::Failed(_, Again::IfSafe(None))
        ));
        let quota = r#"{"code":"lark_rejected","detail":"x","retryable":false}"#;
        for (status, body) in [(502, quota), (400, down), (500, down)] {
            assert!(
                matches!(answered(status, None, body), Outcome::Failed(_, Again::No)),
                "{status}"
            );
        }
        // A gateway's own page.
        assert!(matches!(
            answered(504, None, "<html>"),
            Outcome::Failed(_, Again::IfSafe(None))
        ));
    }
}
