//! The path of every call: route, faults, authentication, rate limit, endpoint, counters.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use serde_json::json;

use crate::answer::{Answer, ApiError, ErrorFormat};
use crate::apps::App;
use crate::authentication;
use crate::endpoint::{AuthMethod, Call, Endpoint};
use crate::faults::{Candidate, Cleared, Fault, FaultAction, FaultStage};
use crate::platform::Platform;
use crate::quota::UsedUp;
use crate::rate_limit::{Caller, Window};
use crate::request::Request;
use crate::routes::{self, Route};
use crate::stop::StopSignal;

/// How a call ends.
pub(crate) enum Outcome {
    Answer(Answer),
    /// TCP reset.
    Reset,
    /// No answer.
    Hang,
}

pub(crate) async fn serve(
    platform: &Platform,
    request: &Request,
    log_id: &str,
    stop: &mut StopSignal,
) -> Outcome {
    let route = routes::find(request);
    let name = match &route {
        Route::Found(endpoint, _) => endpoint.name,
        Route::WrongMethod | Route::Unknown => routes::UNKNOWN,
    };
    let in_flight = platform.counters.arrive(name);
    let settings = platform.settings();
    if let Route::Found(endpoint, _) = &route {
        record_arrival(platform, request, endpoint);
    }
    stop.sleep(Duration::from_millis(settings.delay_ms)).await;
    let pick = |stage| pick_fault(platform, request, name, stage);

    let format = match &route {
        Route::Found(endpoint, _) => endpoint.auth.error_format(),
        Route::WrongMethod | Route::Unknown => ErrorFormat::Platform,
    };
    let mut hanging = None;
    let mut outcome = None;
    if let Some((fault, cleared)) = pick(FaultStage::Before) {
        in_flight.hit_by_fault();
        outcome = apply(fault, format, stop).await;
        hanging = Some(cleared);
    }
    if outcome.is_none() {
        let answer = handle(platform, request, &route)
            .unwrap_or_else(|error| error.answer(&settings, log_id));
        outcome = Some(Outcome::Answer(answer));
        if let Some((fault, cleared)) = pick(FaultStage::After) {
            in_flight.hit_by_fault();
            outcome = apply(fault, format, stop).await.or(outcome);
            hanging = Some(cleared);
        }
    }
    let outcome = outcome.unwrap_or(Outcome::Hang);
    match &outcome {
        Outcome::Answer(answer) => in_flight.answered(answer, request.bearer()),
        Outcome::Reset => {}
        // The call is in flight until the client gives up.
        Outcome::Hang => released(hanging, stop).await,
    }
    outcome
}

fn handle(platform: &Platform, request: &Request, route: &Route) -> Result<Answer, ApiError> {
    let (endpoint, parameters) = match route {
        Route::Found(endpoint, parameters) => (*endpoint, parameters),
        Route::WrongMethod => {
            let status = StatusCode::METHOD_NOT_ALLOWED;
            let msg = "the HTTP method does not match the API";
            return Err(ApiError::documented(status, 99_991_301, msg));
        }
        Route::Unknown => {
            let status = StatusCode::NOT_FOUND;
            return Err(ApiError::documented(
                status,
                99_991_201,
                "404 page not found",
            ));
        }
    };
    let now_ms = platform.clock.now_ms();
    let app = authentication::authenticate(platform, endpoint.auth, request, now_ms)?;
    if endpoint.auth != AuthMethod::Browser {
        platform.counters.count_request(&app.app_id);
    }
    if !app.has_one_of(endpoint.scopes) {
        return Err(ApiError::scopes(&app.app_id, endpoint.scopes));
    }
    let tenant = authentication::tenant(platform, request, now_ms);
    limit(platform, endpoint, &app, tenant.clone(), now_ms)?;
    let quota = platform.settings().monthly_quota;
    let quota = quota.filter(|_| tenant.is_none());
    if let Some(quota) = quota {
        let taken = platform.quota.take(endpoint.name, quota, now_ms);
        taken.map_err(|UsedUp| ApiError::quota_used_up())?;
    }
    let call = Call {
        request,
        parameters,
        app,
        tenant,
        now_ms,
    };
    let answer = (endpoint.handler)(platform, &call);
    if quota.is_some() && answer.is_err() {
        platform.quota.give_back(endpoint.name);
    }
    answer
}

/// Counts the call before anything can go wrong with it, so that the count is what the client has sent.
fn record_arrival(platform: &Platform, request: &Request, endpoint: &'static Endpoint) {
    let now_ms = || platform.clock.now_ms();
    let Some(caller) = authentication::claimed_caller(platform, request, now_ms()) else {
        return;
    };
    let windows = windows(platform, endpoint);
    platform
        .counters
        .record(caller, endpoint.name, &windows, now_ms);
}

fn limit(
    platform: &Platform,
    endpoint: &'static Endpoint,
    app: &App,
    tenant: Option<Arc<str>>,
    now_ms: u64,
) -> Result<(), ApiError> {
    let settings = platform.settings();
    if !settings.rate_limits {
        return Ok(());
    }
    let caller = Caller {
        app_id: app.app_id.as_str().into(),
        tenant,
    };
    let windows = windows(platform, endpoint);
    let kind = settings.rate_limit_windows;
    platform
        .limits
        .take(endpoint.name, &caller, &windows, kind, now_ms)
        .map_err(|exceeded| ApiError::rate_limited(exceeded.limit, exceeded.reset_seconds))
}

/// The windows in which calls of an endpoint are counted.
fn windows(platform: &Platform, endpoint: &Endpoint) -> Vec<Window> {
    let tier = platform.limits.tier(endpoint.name, endpoint.tier);
    platform.settings().windows(tier)
}

fn pick_fault(
    platform: &Platform,
    request: &Request,
    endpoint: &str,
    stage: FaultStage,
) -> Option<(Fault, Cleared)> {
    let now_ms = platform.clock.now_ms();
    platform.faults.pick(&Candidate {
        endpoint,
        path: &request.path,
        stage,
        now_ms,
        app_id: &|| authentication::claimed_app_id(platform, request, now_ms),
    })
}

/// Returns when somebody removes the rules or the simulator stops.
async fn released(hanging: Option<Cleared>, stop: &mut StopSignal) {
    let Some(mut cleared) = hanging else {
        return stop.stopped().await;
    };
    tokio::select! {
        () = cleared.wait() => {}
        () = stop.stopped() => {}
    }
}

/// `None` if the call continues as usual.
async fn apply(fault: Fault, format: ErrorFormat, stop: &mut StopSignal) -> Option<Outcome> {
    stop.sleep(Duration::from_millis(fault.delay_ms)).await;
    match fault.action {
        FaultAction::Continue => None,
        FaultAction::Hang => Some(Outcome::Hang),
        FaultAction::Reset => Some(Outcome::Reset),
        FaultAction::Answer {
            status,
            code,
            msg,
            body,
            headers,
        } => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let mut answer = match format {
                ErrorFormat::Oauth => Answer::oauth(status, code, error_name(status), &msg),
                ErrorFormat::Platform | ErrorFormat::Page => {
                    Answer::json(status, code, &json!({ "code": code, "msg": msg }))
                }
            };
            answer.headers = headers.into_iter().collect();
            if let Some(body) = body {
                answer.body = body.into();
            }
            Some(Outcome::Answer(answer))
        }
    }
}

/// The `error` of an injected answer, by RFC 6749 and its status.
fn error_name(status: StatusCode) -> &'static str {
    match status {
        StatusCode::SERVICE_UNAVAILABLE => "temporarily_unavailable",
        status if status.is_server_error() => "server_error",
        _ => "invalid_request",
    }
}
