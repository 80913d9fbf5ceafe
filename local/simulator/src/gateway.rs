//! What happens to every call: route, faults, caller, limit, endpoint, counters.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use serde_json::json;

use crate::answer::{Answer, Refusal, Wording};
use crate::apps::App;
use crate::authentication;
use crate::endpoint::{Access, Call, Endpoint};
use crate::faults::{Candidate, Cleared, Fault, FaultAction, FaultStage};
use crate::platform::Platform;
use crate::rate_limit::{Account, Window};
use crate::request::Request;
use crate::routes::{self, Route};
use crate::stop::Stop;

/// How a call ends.
pub(crate) enum Outcome {
    Answer(Answer),
    /// With a TCP reset.
    Reset,
    /// Not at all.
    Hang,
}

pub(crate) async fn serve(
    platform: &Platform,
    request: &Request,
    log_id: &str,
    stop: &mut Stop,
) -> Outcome {
    let route = routes::find(request);
    let name = match &route {
        Route::Found(endpoint, _) => endpoint.name,
        Route::WrongMethod | Route::Unknown => routes::UNKNOWN,
    };
    let in_flight = platform.counters.arrive(name);
    let settings = platform.settings();
    if let Route::Found(endpoint, _) = &route {
        note_arrival(platform, request, endpoint);
    }
    stop.sleep(Duration::from_millis(settings.delay_ms)).await;
    let draw = |stage| draw_fault(platform, request, name, stage);

    let wording = match &route {
        Route::Found(endpoint, _) => endpoint.access.wording(),
        Route::WrongMethod | Route::Unknown => Wording::Platform,
    };
    let mut hanging = None;
    let mut outcome = None;
    if let Some((fault, cleared)) = draw(FaultStage::Before) {
        in_flight.hit_by_fault();
        outcome = apply(fault, wording, stop).await;
        hanging = Some(cleared);
    }
    if outcome.is_none() {
        let answer = handle(platform, request, &route)
            .unwrap_or_else(|refusal| refusal.answer(&settings, log_id));
        outcome = Some(Outcome::Answer(answer));
        if let Some((fault, cleared)) = draw(FaultStage::After) {
            in_flight.hit_by_fault();
            outcome = apply(fault, wording, stop).await.or(outcome);
            hanging = Some(cleared);
        }
    }
    let outcome = outcome.unwrap_or(Outcome::Hang);
    match &outcome {
        Outcome::Answer(answer) => in_flight.answered(answer, request.bearer()),
        Outcome::Reset => {}
        // Still in flight until the client gives up.
        Outcome::Hang => released(hanging, stop).await,
    }
    outcome
}

fn handle(platform: &Platform, request: &Request, route: &Route) -> Result<Answer, Refusal> {
    let (endpoint, parameters) = match route {
        Route::Found(endpoint, parameters) => (*endpoint, parameters),
        Route::WrongMethod => {
            let status = StatusCode::METHOD_NOT_ALLOWED;
            let msg = "the HTTP method does not match the API";
            return Err(Refusal::documented(status, 99_991_301, msg));
        }
        Route::Unknown => {
            let status = StatusCode::NOT_FOUND;
            return Err(Refusal::documented(
                status,
                99_991_201,
                "404 page not found",
            ));
        }
    };
    let now_ms = platform.clock.now_ms();
    let app = authentication::caller(platform, endpoint.access, request, now_ms)?;
    if endpoint.access != Access::Browser {
        platform.counters.by_app(&app.app_id);
    }
    if !app.has_one_of(endpoint.scopes) {
        return Err(Refusal::scopes(&app.app_id, endpoint.scopes));
    }
    let tenant = authentication::tenant(platform, request, now_ms);
    limit(platform, endpoint, &app, tenant.clone(), now_ms)?;
    let call = Call {
        request,
        parameters,
        app,
        tenant,
        now_ms,
    };
    (endpoint.handler)(platform, &call)
}

/// Counted before anything can go wrong with the call: what arrives is what a client sends.
fn note_arrival(platform: &Platform, request: &Request, endpoint: &'static Endpoint) {
    let now_ms = || platform.clock.now_ms();
    let Some(account) = authentication::account(platform, request, now_ms()) else {
        return;
    };
    let windows = windows(platform, endpoint);
    platform
        .counters
        .note(account, endpoint.name, &windows, now_ms);
}

fn limit(
    platform: &Platform,
    endpoint: &'static Endpoint,
    app: &App,
    tenant: Option<Arc<str>>,
    now_ms: u64,
) -> Result<(), Refusal> {
    let settings = platform.settings();
    if !settings.rate_limits {
        return Ok(());
    }
    let account = Account {
        app_id: app.app_id.as_str().into(),
        tenant,
    };
    let windows = windows(platform, endpoint);
    let kind = settings.rate_limit_windows;
    platform
        .limits
        .take(endpoint.name, &account, &windows, kind, now_ms)
        .map_err(|exceeded| Refusal::rate_limited(exceeded.limit, exceeded.reset_seconds))
}

/// The windows in which calls of an endpoint are counted.
fn windows(platform: &Platform, endpoint: &Endpoint) -> Vec<Window> {
    let tier = platform.limits.tier(endpoint.name, endpoint.tier);
    platform.settings().windows(tier)
}

fn draw_fault(
    platform: &Platform,
    request: &Request,
    endpoint: &str,
    stage: FaultStage,
) -> Option<(Fault, Cleared)> {
    let now_ms = platform.clock.now_ms();
    platform.faults.draw(&Candidate {
        endpoint,
        path: &request.path,
        stage,
        now_ms,
        app_id: &|| authentication::claimed_app_id(platform, request, now_ms),
    })
}

/// Returns when the rules are removed or the simulator stops, whichever comes first.
async fn released(hanging: Option<Cleared>, stop: &mut Stop) {
    let Some(mut cleared) = hanging else {
        return stop.stopped().await;
    };
    tokio::select! {
        () = cleared.wait() => {}
        () = stop.stopped() => {}
    }
}

/// `None` when the call goes on as usual.
async fn apply(fault: Fault, wording: Wording, stop: &mut Stop) -> Option<Outcome> {
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
            let mut answer = match wording {
                Wording::Oauth => Answer::oauth(status, code, error_name(status), &msg),
                Wording::Platform | Wording::Page => {
                    Answer::json(status, code, &json!({ "code": code, "msg": msg }))
                }
            };
            answer.headers = headers.into_iter().collect();
            if let Some(body) = body {
                answer.body = Bytes::from(body);
            }
            Some(Outcome::Answer(answer))
        }
    }
}

/// `error` of an answer that was ordered, by RFC 6749 and its status.
fn error_name(status: StatusCode) -> &'static str {
    match status {
        StatusCode::SERVICE_UNAVAILABLE => "temporarily_unavailable",
        status if status.is_server_error() => "server_error",
        _ => "invalid_request",
    }
}
