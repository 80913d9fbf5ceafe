//! The client of both platforms: sends a request within the deadline and retries it where that is safe.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{Stream, stream};
use reqwest::RequestBuilder;
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH};
use secrecy::{ExposeSecret, SecretString};
use tracing::{error, warn};

use super::answer::{Answer, exchange};
use super::apis::counts_in_quota;
use super::request::{Host, Request};
use super::settings::LarkSettings;
use crate::deadline::Deadline;
use crate::error::{FailureKind, LarkFailure};
use crate::lark::outbound_limiter::{Installation, OutboundLimiter};
use crate::limiter::Pacer;
use crate::meter::Meter;
use crate::telemetry::metrics;

/// The most attempts for a call that is safe to repeat.
const ATTEMPTS: u32 = 3;
/// The first pause between two attempts is a random part of this; it doubles after that.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
/// Longer waits are left to the caller.
const MAX_BACKOFF: Duration = Duration::from_secs(2);
/// Calls that take longer than this are logged.
const SLOW: Duration = Duration::from_secs(1);
/// The most of a body that is handed to a connection at once.
const PORTION_BYTES: usize = 64 * 1024;

/// The transport to both platforms, within their limits. Cheap to clone; clones share the connections.
#[derive(Clone, Debug)]
pub struct LarkClient {
    http: reqwest::Client,
    settings: Arc<LarkSettings>,
    limiter: OutboundLimiter,
    meter: Meter,
}

/// Who sends a request.
#[derive(Clone, Copy, Debug)]
pub struct Sender<'s> {
    /// The installation whose limits the call counts against.
    pub installation: Installation<'s>,
    /// The access token that goes with it, if it needs one.
    pub token: Option<&'s SecretString>,
    /// The API key for which the call is made; `None`: the service's own.
    pub key_id: Option<&'s str>,
}

impl<'s> Sender<'s> {
    /// A sender whose call needs no token.
    #[must_use]
    pub const fn without_token(installation: Installation<'s>) -> Self {
        Self {
            installation,
            token: None,
            key_id: None,
        }
    }
}

impl LarkClient {
    /// A client that sends over `http` the calls that `pacer` gives places to; `meter` counts them.
    #[must_use]
    pub fn new(http: reqwest::Client, settings: LarkSettings, pacer: Pacer, meter: Meter) -> Self {
        let limiter = OutboundLimiter::new(pacer, settings.limits);
        Self {
            http,
            settings: Arc::new(settings),
            limiter,
            meter,
        }
    }

    /// The same client for background work: its calls leave half of each limit to others.
    #[must_use]
    pub fn in_background(&self) -> Self {
        Self {
            limiter: self.limiter.in_background(),
            ..self.clone()
        }
    }

    /// Where the platforms are.
    #[must_use]
    pub fn settings(&self) -> &LarkSettings {
        &self.settings
    }

    /// Sends `request` when the limiter admits it, within `deadline` and the time for a call, with retries where they are safe
    /// and useful.
    ///
    /// # Errors
    /// The platform's refusal, or the lack of a usable answer.
    pub async fn send<T>(
        &self,
        sender: Sender<'_>,
        request: &Request<T>,
        deadline: Deadline,
    ) -> Result<T, LarkFailure> {
        let outcome = self.repeated(sender, request, deadline).await;
        self.meter.hand_over_if_due().await;
        outcome
    }

    /// Waits for the turn of `request`, for `patience` at most. Whoever takes it sends the request right afterwards, as
    /// [`Request::with_turn`].
    ///
    /// # Errors
    /// [`FailureKind::RateLimited`], with when a turn is to be had.
    pub async fn turn<T>(
        &self,
        sender: Sender<'_>,
        request: &Request<T>,
        patience: Duration,
    ) -> Result<(), LarkFailure> {
        self.limiter
            .acquire_within(
                sender.installation,
                &request.api,
                &request.receivers,
                patience,
            )
            .await
    }

    async fn repeated<T>(
        &self,
        sender: Sender<'_>,
        request: &Request<T>,
        deadline: Deadline,
    ) -> Result<T, LarkFailure> {
        let deadline = deadline.at_most(self.settings.timeout);
        let (api, installation) = (&request.api, sender.installation);
        let attempts = if request.is_repeatable { ATTEMPTS } else { 1 };
        let mut attempt = 1;
        let receivers = &request.receivers;
        if !request.has_turn {
            self.limiter
                .acquire(installation, api, receivers, deadline)
                .await?;
        }
        if deadline.has_passed() {
            // Frozen with its place.
            return Err(late("no time was left to send the request"));
        }
        loop {
            // A hanging attempt leaves time for the ones after it.
            let timeout = deadline.remaining() / (attempts - attempt + 1);
            let failure = match self.attempt(sender, request, timeout, attempt).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            let failed_at = Instant::now();
            let is_paused = self
                .limiter
                .pause_after(installation, api, receivers, &failure)
                .await;
            let wait = if is_paused {
                // The limiter admits the next attempt when the pause is over.
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
            let admitted = self
                .limiter
                .acquire(installation, api, receivers, deadline)
                .await;
            if admitted.is_err() || deadline.has_passed() {
                // The platform's failure says more than the lack of time for a retry.
                return Err(failure);
            }
            let delay_ms = u64::try_from(failed_at.elapsed().as_millis()).unwrap_or(u64::MAX);
            warn!(
                lark.endpoint = &*api.name,
                retry.attempt = attempt,
                lark.code = failure.code,
                delay_ms,
                "retrying a Lark call"
            );
            attempt += 1;
        }
    }

    async fn attempt<T>(
        &self,
        sender: Sender<'_>,
        request: &Request<T>,
        timeout: Duration,
        attempt: u32,
    ) -> Result<T, LarkFailure> {
        let api = &request.api;
        if !request.may_go() {
            return Err(late("its time was over before it was sent"));
        }
        let started = Instant::now();
        let exchange = async { read(request, &exchange(self.prepared(sender, request)).await?) };
        let deadline = Deadline::after(timeout);
        let outcome = if request.is_repeatable {
            deadline.run(exchange).await
        } else {
            deadline.run_once(exchange).await
        };
        let outcome = outcome.unwrap_or_else(|_| {
            Err(LarkFailure::without_answer(
                FailureKind::Timeout,
                "Lark did not answer in time",
            ))
        });
        let took = started.elapsed();
        let outcome = outcome.map_err(|failure| self.explained(sender, &api.name, failure));
        if outcome.as_ref().map_or_else(may_count, |_| true) {
            let key_id = sender.key_id.filter(|_| counts_in_quota(&api.name));
            let app_id = sender.installation.app_id;
            self.meter.note(app_id, &api.name, key_id);
        }
        let result = outcome
            .as_ref()
            .map_or_else(|failure| failure.kind.as_str(), |_| "ok");
        metrics::lark_request(api.name.clone(), result, took);
        if took > SLOW {
            let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            warn!(
                lark.endpoint = &*api.name,
                retry.attempt = attempt,
                duration_ms,
                result,
                "a slow Lark call"
            );
        }
        outcome
    }

    /// `failure`, if it is a used-up quota with the time until it is full again: somebody must act.
    fn explained(
        &self,
        sender: Sender<'_>,
        endpoint: &str,
        mut failure: LarkFailure,
    ) -> LarkFailure {
        if failure.kind == FailureKind::QuotaExhausted {
            let renews_in = self.meter.until_quota_renews();
            failure.retry_after = Some(renews_in);
            error!(
                lark.app_id = sender.installation.app_id.as_str(),
                lark.endpoint = endpoint,
                lark.code = failure.code,
                lark.log_id = failure.log_id,
                renews_in_s = renews_in.as_secs(),
                "the month's quota of Lark's calls is used up"
            );
        }
        failure
    }

    fn prepared<T>(&self, sender: Sender<'_>, request: &Request<T>) -> RequestBuilder {
        let domain = sender.installation.domain;
        let mut url = match request.host {
            Host::Open => self.settings.open_url(domain).clone(),
            Host::Accounts => self.settings.accounts_url(domain).clone(),
        };
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(&request.path);
        }
        if !request.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&request.query);
        }
        let mut prepared = self.http.request(request.method.clone(), url);
        prepared = prepared.headers(request.headers.clone());
        if let Some(token) = sender.token {
            prepared = prepared.header(AUTHORIZATION, sensitive_bearer(token));
        }
        match &request.body[..] {
            [] => prepared,
            [whole] => prepared.body(whole.clone()),
            pieces => {
                let length: usize = pieces.iter().map(Bytes::len).sum();
                prepared
                    .header(CONTENT_LENGTH, length)
                    .body(reqwest::Body::wrap_stream(in_portions(pieces)))
            }
        }
    }
}

/// `pieces` one after the other, in portions that the connection takes without buffering a whole file.
fn in_portions(pieces: &[Bytes]) -> impl Stream<Item = Result<Bytes, Infallible>> + use<> {
    let mut left: VecDeque<Bytes> = pieces.iter().cloned().collect();
    stream::iter(std::iter::from_fn(move || {
        let mut first = left.pop_front()?;
        if first.len() > PORTION_BYTES {
            let rest = first.split_off(PORTION_BYTES);
            left.push_front(rest);
        }
        Some(Ok(first))
    }))
}

/// A request that was not sent, because it would have been too late.
fn late(msg: &str) -> LarkFailure {
    LarkFailure {
        is_unsent: true,
        ..LarkFailure::without_answer(FailureKind::Timeout, msg)
    }
}

/// Whether the platform may have counted a call that failed: it does not count what it refuses.
fn may_count(failure: &LarkFailure) -> bool {
    let is_refused = failure.http_status.is_some_and(|status| status >= 400);
    !failure.is_unsent && !is_refused
}

/// Reads `answer` for `request`. A rejected token, a used-up quota and an outage are failures, whatever the request's own reader
/// accepts.
fn read<T>(request: &Request<T>, answer: &Answer) -> Result<T, LarkFailure> {
    let is_failure = |kind: FailureKind| {
        matches!(
            kind,
            FailureKind::TokenInvalid | FailureKind::QuotaExhausted
        ) || kind.is_outage()
    };
    match answer.refusal() {
        Some(refusal) if is_failure(refusal.kind) => Err(refusal.clone()),
        Some(_) | None => request.read(answer),
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

/// Full jitter: a random part of a limit that doubles; the pause that the platform asks for, if any.
fn backoff(attempt: u32, failure: &LarkFailure) -> Duration {
    if let Some(pause) = failure.retry_after {
        return pause;
    }
    let limit = (FIRST_BACKOFF * 2_u32.saturating_pow(attempt.saturating_sub(1))).min(MAX_BACKOFF);
    limit.mul_f64(fastrand::f64())
}

#[cfg(test)]
mod tests;
