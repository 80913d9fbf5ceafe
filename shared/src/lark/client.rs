//! The client of both platforms: sends a request within the deadline and retries it where that is safe.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::RequestBuilder;
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH};
use secrecy::{ExposeSecret, SecretString};
use tracing::{error, warn};

use super::answer::{Answer, exchange};
use super::apis::counts_in_quota;
use super::body::Content;
use super::departure::{Departure, HeldBack};
use super::outbound_limiter::{Installation, OutboundLimiter, patience_until};
use super::request::{Host, Request};
use super::settings::LarkSettings;
use crate::connections::telling;
use crate::deadline::Deadline;
use crate::error::{FailureKind, LarkFailure};
use crate::limiter::{Pacer, Turn};
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
/// How often a call may miss its place on its way to the connection.
const MAX_MISSED: u32 = 8;

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

    /// The turn of `request`, if it comes within `patience`. Its moment may lie ahead. Whoever takes it does what must be done before
    /// the call, and sends the request as [`Request::with_turn`], which waits for the moment: the call goes out then, and
    /// if that is missed, with another turn. A cache that is slow makes it wait, and never go beyond a limit.
    ///
    /// # Errors
    /// [`FailureKind::RateLimited`], with when a turn is to be had.
    pub async fn turn<T>(
        &self,
        sender: Sender<'_>,
        request: &Request<T>,
        patience: Duration,
    ) -> Result<Turn, LarkFailure> {
        let (installation, api) = (sender.installation, &request.api);
        let limiter = self.limiter.patient();
        let turn = limiter.turn(installation, api, &request.receivers, patience);
        turn.await
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
        let mut departure = Box::pin(self.departure(sender, request, deadline)).await?;
        let mut missed = 0;
        loop {
            if deadline.has_passed() {
                // Frozen with its place.
                return Err(late("no time was left to send the request"));
            }
            // A hanging attempt leaves time for the ones after it.
            let timeout = deadline.remaining() / (attempts - attempt + 1);
            let outcome = self.attempt(sender, request, &departure, timeout, attempt);
            let failure = match outcome.await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            if departure.held_back() == Some(HeldBack::Missed) && missed < MAX_MISSED {
                missed += 1;
                departure.come(deadline).await?;
                continue;
            }
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
            departure = match Box::pin(self.departure(sender, request, deadline)).await {
                Ok(departure) if !deadline.has_passed() => departure,
                // The platform's failure says more than the lack of time for a retry.
                Ok(_) | Err(_) => return Err(failure),
            };
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

    /// The departure of `request`, whose moment has come.
    async fn departure<T>(
        &self,
        sender: Sender<'_>,
        request: &Request<T>,
        deadline: Deadline,
    ) -> Result<Arc<Departure>, LarkFailure> {
        let turn = match request.take_turn() {
            Some(turn) => turn,
            None => {
                let (installation, api) = (sender.installation, &request.api);
                let patience = patience_until(deadline);
                let turn = self
                    .limiter
                    .turn(installation, api, &request.receivers, patience);
                turn.await?
            }
        };
        let departure = Departure::new(request, turn);
        departure.come(deadline).await?;
        Ok(Arc::new(departure))
    }

    async fn attempt<T>(
        &self,
        sender: Sender<'_>,
        request: &Request<T>,
        departure: &Arc<Departure>,
        timeout: Duration,
        attempt: u32,
    ) -> Result<T, LarkFailure> {
        let api = &request.api;
        let prepared = self.prepared(sender, request, departure);
        if request.body.is_empty()
            && let Err(held_back) = departure.leave()
        {
            return Err(late(&held_back.to_string()));
        }
        let started = Instant::now();
        let exchange = async { read(request, &exchange(prepared).await?) };
        // Boxed: every future above it would be as large.
        let exchange = Box::pin(telling(Arc::clone(departure) as _, exchange));
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
        if let Some(held_back) = departure.held_back() {
            return Err(late(&held_back.to_string()));
        }
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

    fn prepared<T>(
        &self,
        sender: Sender<'_>,
        request: &Request<T>,
        departure: &Arc<Departure>,
    ) -> RequestBuilder {
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
        if request.body.is_empty() {
            return prepared;
        }
        let length: usize = request.body.iter().map(Content::bytes).sum();
        prepared
            .header(CONTENT_LENGTH, length)
            .body(reqwest::Body::wrap_stream(departure.body(&request.body)))
    }
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
