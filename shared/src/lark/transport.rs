//! One call to Lark: sent within the deadline, repeated where that is safe, read by the body's `code` first.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::header::AUTHORIZATION;
use reqwest::{Method, RequestBuilder};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use tracing::warn;
use url::Url;

use super::apis::{Api, StandardLimits};
use crate::deadline::Deadline;
use crate::error::{FailureKind, LarkFailure};
use crate::lark::outbound_limiter::{Installation, OutboundLimiter};
use crate::limiter::Limiter;
use crate::meter::Meter;
use crate::telemetry::metrics;

mod answer;

use answer::exchange;

/// How often a call that is safe to repeat is sent at most.
const ATTEMPTS: u32 = 3;
/// The first pause between two attempts is a random part of this, doubling after.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
/// A longer wait than this is the caller's business.
const MAX_BACKOFF: Duration = Duration::from_secs(2);
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
    /// The platform's limits for most APIs.
    pub limits: StandardLimits,
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

/// The transport to both platforms, within their limits. Cheap to clone; clones share the connections.
#[derive(Clone, Debug)]
pub struct LarkClient {
    http: reqwest::Client,
    settings: Arc<LarkSettings>,
    turns: OutboundLimiter,
    meter: Meter,
}

/// A call, before it is sent.
#[derive(Debug)]
pub(super) struct LarkCall<'c> {
    pub api: &'static Api,
    /// Whose call it is.
    pub installation: Installation<'c>,
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
    /// A client that sends over `http` what `limiter` admits, and lets `meter` count it.
    #[must_use]
    pub fn new(
        http: reqwest::Client,
        settings: LarkSettings,
        limiter: Limiter,
        meter: Meter,
    ) -> Self {
        let turns = OutboundLimiter::new(limiter, settings.limits);
        Self {
            http,
            settings: Arc::new(settings),
            turns,
            meter,
        }
    }

    /// The same client for work that nobody waits for: its calls leave half of each limit to others.
    #[must_use]
    pub fn in_background(&self) -> Self {
        Self {
            turns: self.turns.in_background(),
            ..self.clone()
        }
    }

    /// Where the platforms are.
    #[must_use]
    pub fn settings(&self) -> &LarkSettings {
        &self.settings
    }

    /// Sends `call` and reads the answer as `T`, which is the whole body.
    pub(super) async fn send<T: DeserializeOwned>(
        &self,
        call: &LarkCall<'_>,
        deadline: Deadline,
    ) -> Result<T, LarkFailure> {
        let outcome = self.repeated(call, deadline).await;
        self.meter.hand_over_if_due().await;
        outcome
    }

    async fn repeated<T: DeserializeOwned>(
        &self,
        call: &LarkCall<'_>,
        deadline: Deadline,
    ) -> Result<T, LarkFailure> {
        let deadline = deadline.at_most(self.settings.timeout);
        let attempts = if call.repeatable { ATTEMPTS } else { 1 };
        let mut attempt = 1;
        self.turns.take(call, deadline).await?;
        loop {
            // A hanging attempt leaves time for the ones after it.
            let timeout = deadline.remaining() / (attempts - attempt + 1);
            let failure = match self.attempt(call, timeout, attempt).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            let failed_at = Instant::now();
            let wait = if self.turns.pause_after(call, &failure).await {
                // The next turn comes when the pause is over.
                Duration::ZERO
            } else {
                backoff(attempt, &failure)
            };
            if attempt >= attempts
                || !failure.kind.is_outage()
                || wait > MAX_BACKOFF
                || wait >= deadline.remaining()
            {
                return Err(failure);
            }
            tokio::time::sleep(wait).await;
            if self.turns.take(call, deadline).await.is_err() {
                // What the platform said is worth more than that there is no time to ask it again.
                return Err(failure);
            }
            let delay_ms = u64::try_from(failed_at.elapsed().as_millis()).unwrap_or(u64::MAX);
            warn!(
                lark.endpoint = call.api.name,
                retry.attempt = attempt,
                lark.code = failure.code,
                delay_ms,
                "retrying a Lark call"
            );
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
        if !outcome.as_ref().is_err_and(|failure| failure.is_unsent) {
            self.meter.note(call.installation.app_id, call.api.name);
        }
        let result = outcome
            .as_ref()
            .map_or_else(|failure| failure.kind.as_str(), |_| "ok");
        metrics::lark_request(call.api.name, result, took);
        if took > SLOW {
            let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            warn!(
                lark.endpoint = call.api.name,
                retry.attempt = attempt,
                duration_ms,
                result,
                "a slow Lark call"
            );
        }
        outcome
    }

    fn request(&self, call: &LarkCall<'_>) -> RequestBuilder {
        let domain = call.installation.domain;
        let mut url = match call.host {
            Host::Open => self.settings.open_url(domain).clone(),
            Host::Accounts => self.settings.accounts_url(domain).clone(),
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
