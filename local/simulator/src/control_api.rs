//! [`Control`] over HTTP, under `/_sim`. The answer to invalid input is 400 with the field and the problem.

mod directory;
mod messages;

use std::collections::BTreeMap;
use std::time::Duration;

use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::answer::Answer;
use crate::apps::{App, AppPatch};
use crate::control::Control;
use crate::faults::Fault;
use crate::invalid::Invalid;
use crate::rate_limit::Tier;
use crate::request::{BodyError, Request};
use crate::settings::Settings;

type Handler = fn(&Control, &ControlCall<'_>) -> Result<Answer, Invalid>;

type Route = (Method, &'static str, Handler);

const ROUTES: &[Route] = &[
    (Method::GET, "/_sim/counters", counters),
    (Method::POST, "/_sim/counters/reset", reset_counters),
    (Method::GET, "/_sim/clock", clock),
    (Method::POST, "/_sim/clock/advance", advance_clock),
    (Method::POST, "/_sim/clock/set", set_clock),
    (Method::GET, "/_sim/settings", settings),
    (Method::PATCH, "/_sim/settings", change_settings),
    (Method::GET, "/_sim/tiers", tiers),
    (Method::PATCH, "/_sim/tiers", change_tiers),
    (Method::POST, "/_sim/tokens/revoke", revoke_tokens),
    (Method::POST, "/_sim/tokens/lifetime", set_token_lifetime),
    (Method::POST, "/_sim/logins/revoke", revoke_login),
    (Method::GET, "/_sim/faults", faults),
    (Method::POST, "/_sim/faults", add_faults),
    (Method::DELETE, "/_sim/faults", clear_faults),
    (Method::POST, "/_sim/apps", add_app),
    (Method::PATCH, "/_sim/apps/{app_id}", change_app),
    (Method::GET, "/_sim/apps/{app_id}/ticket", ticket),
    (
        Method::POST,
        "/_sim/apps/{app_id}/ticket/rotate",
        rotate_ticket,
    ),
    (Method::POST, "/_sim/apps/{app_id}/ticket/push", push_ticket),
];

struct ControlCall<'a> {
    request: &'a Request,
    parameters: Vec<(&'static str, String)>,
}

/// Whether a request is for the control API.
pub(crate) fn owns(request: &Request) -> bool {
    request
        .segments
        .first()
        .is_some_and(|first| first == "_sim")
}

pub(crate) fn answer(control: &Control, request: &Request) -> Answer {
    let mut status = StatusCode::NOT_FOUND;
    let routes = [ROUTES, directory::ROUTES, messages::ROUTES];
    for (method, path, handler) in routes.into_iter().flatten() {
        let Some(parameters) = request.match_path(path) else {
            continue;
        };
        if *method == request.method {
            let call = ControlCall {
                request,
                parameters,
            };
            return handler(control, &call).unwrap_or_else(|invalid| {
                let body = json!({ "field": invalid.field, "problem": invalid.problem });
                Answer::json(StatusCode::BAD_REQUEST, -1, &body)
            });
        }
        status = StatusCode::METHOD_NOT_ALLOWED;
    }
    let (field, problem) = match status {
        StatusCode::NOT_FOUND => ("path", "no control has this path"),
        _ => ("method", "the control does not have this method"),
    };
    Answer::json(status, -1, &json!({ "field": field, "problem": problem }))
}

impl ControlCall<'_> {
    fn body<T: serde::de::DeserializeOwned>(&self) -> Result<T, Invalid> {
        self.request.json().map_err(|error| match error {
            BodyError::Syntax(problem) => Invalid::new("body", problem),
            BodyError::Field(field, problem) => Invalid::new(field, problem),
        })
    }

    /// The parameter of the path.
    fn parameter(&self) -> &str {
        self.parameters.first().map_or("", |(_, value)| value)
    }

    fn app_id(&self) -> &str {
        self.parameter()
    }

    fn n(&self) -> Result<u32, Invalid> {
        let given = self.parameter();
        given
            .parse()
            .map_err(|_| Invalid::new("n", format!("{given:?} is not a number")))
    }
}

fn counters(control: &Control, call: &ControlCall<'_>) -> Result<Answer, Invalid> {
    let mut counters = control.counters();
    match call.request.query.first("apps") {
        None | Some("false") => {}
        Some("true") => {
            counters.apps = Some(control.all_app_counters());
            counters.peaks_by_app = Some(control.peaks_by_app());
        }
        Some(_) => return Err(Invalid::new("apps", "must be true or false")),
    }
    Ok(ok(&counters))
}

fn reset_counters(control: &Control, _: &ControlCall<'_>) -> Result<Answer, Invalid> {
    control.reset_counters();
    Ok(ok(&json!({})))
}

fn clock(control: &Control, _: &ControlCall<'_>) -> Result<Answer, Invalid> {
    Ok(clock_answer(control))
}

fn advance_clock(control: &Control, call: &ControlCall<'_>) -> Result<Answer, Invalid> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Advance {
        seconds: f64,
    }
    let Advance { seconds } = call.body()?;
    let by = Duration::try_from_secs_f64(seconds)
        .map_err(|error| Invalid::new("seconds", error.to_string()))?;
    control.advance(by);
    Ok(clock_answer(control))
}

fn set_clock(control: &Control, call: &ControlCall<'_>) -> Result<Answer, Invalid> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Set {
        now_ms: Option<u64>,
        frozen: Option<bool>,
    }
    let Set { now_ms, frozen } = call.body()?;
    match frozen {
        Some(true) => control.freeze(),
        Some(false) => control.unfreeze(),
        None if now_ms.is_none() => {
            return Err(Invalid::new(
                "now_ms",
                "now_ms, frozen or both are required",
            ));
        }
        None => {}
    }
    if let Some(now_ms) = now_ms {
        control.set_now_ms(now_ms);
    }
    Ok(clock_answer(control))
}

fn clock_answer(control: &Control) -> Answer {
    ok(&json!({ "now_ms": control.now_ms(), "frozen": control.is_frozen() }))
}

fn settings(control: &Control, _: &ControlCall<'_>) -> Result<Answer, Invalid> {
    Ok(ok(&control.settings()))
}

/// Merges the given fields into the current settings, so that the error for an unknown or mistyped field names it.
fn change_settings(control: &Control, call: &ControlCall<'_>) -> Result<Answer, Invalid> {
    let given: Map<String, Value> = call.body()?;
    let mut merged = json!(control.settings());
    for (field, value) in given {
        merged[field] = value;
    }
    let settings: Settings = serde_path_to_error::deserialize(merged)
        .map_err(|error| Invalid::new(error.path().to_string(), error.inner().to_string()))?;
    control.set_settings(settings)?;
    Ok(ok(&settings))
}

fn tiers(control: &Control, _: &ControlCall<'_>) -> Result<Answer, Invalid> {
    Ok(ok(&json!({ "tiers": control.tiers() })))
}

/// Changes all or none; `null` restores the documented tier.
fn change_tiers(control: &Control, call: &ControlCall<'_>) -> Result<Answer, Invalid> {
    let changes: BTreeMap<String, Option<Tier>> = call.body()?;
    let known = control.tiers();
    if let Some(unknown) = changes.keys().find(|name| !known.contains_key(*name)) {
        let problem = format!("no endpoint is called {unknown}");
        return Err(Invalid::new(unknown, problem));
    }
    for (endpoint, tier) in changes {
        control.set_tier(&endpoint, tier)?;
    }
    tiers(control, call)
}

fn revoke_tokens(control: &Control, call: &ControlCall<'_>) -> Result<Answer, Invalid> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Revoke {
        token: Option<String>,
        app_id: Option<String>,
    }
    let revoked = match call.body()? {
        Revoke {
            token: Some(token),
            app_id: None,
        } => usize::from(control.revoke_token(&token)),
        Revoke {
            token: None,
            app_id: Some(app_id),
        } => control.revoke_app_tokens(&app_id),
        Revoke { .. } => {
            return Err(Invalid::new(
                "token",
                "exactly one of token and app_id is required",
            ));
        }
    };
    Ok(ok(&json!({ "revoked": revoked })))
}

fn revoke_login(control: &Control, call: &ControlCall<'_>) -> Result<Answer, Invalid> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Revoke {
        app_id: String,
        user: u32,
    }
    let Revoke { app_id, user } = call.body()?;
    Ok(ok(
        &json!({ "revoked": control.revoke_login(&app_id, user) }),
    ))
}

fn set_token_lifetime(control: &Control, call: &ControlCall<'_>) -> Result<Answer, Invalid> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Lifetime {
        seconds: u64,
    }
    let Lifetime { seconds } = call.body()?;
    control
        .set_token_lifetime(Duration::from_secs(seconds))
        .map_err(|invalid| Invalid::new("seconds", invalid.problem))?;
    Ok(ok(&control.settings()))
}

fn faults(control: &Control, _: &ControlCall<'_>) -> Result<Answer, Invalid> {
    Ok(ok(&json!({ "faults": control.faults() })))
}

/// Adds all rules or none.
fn add_faults(control: &Control, call: &ControlCall<'_>) -> Result<Answer, Invalid> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Add {
        faults: Vec<Fault>,
    }
    let Add { faults: rules } = call.body()?;
    control.add_faults(rules)?;
    faults(control, call)
}

fn clear_faults(control: &Control, call: &ControlCall<'_>) -> Result<Answer, Invalid> {
    control.clear_faults();
    faults(control, call)
}

fn add_app(control: &Control, call: &ControlCall<'_>) -> Result<Answer, Invalid> {
    let app: App = call.body()?;
    let body = json!({ "app_id": app.app_id });
    control.add_app(app)?;
    Ok(ok(&body))
}

fn change_app(control: &Control, call: &ControlCall<'_>) -> Result<Answer, Invalid> {
    let patch: AppPatch = call.body()?;
    control.update_app(call.app_id(), patch)?;
    Ok(ok(&json!({ "app_id": call.app_id() })))
}

fn ticket(control: &Control, call: &ControlCall<'_>) -> Result<Answer, Invalid> {
    Ok(ok(
        &json!({ "app_ticket": control.app_ticket(call.app_id())? }),
    ))
}

fn rotate_ticket(control: &Control, call: &ControlCall<'_>) -> Result<Answer, Invalid> {
    Ok(ok(
        &json!({ "app_ticket": control.rotate_app_ticket(call.app_id())? }),
    ))
}

/// Pushes in the background; the counters show the result.
fn push_ticket(control: &Control, call: &ControlCall<'_>) -> Result<Answer, Invalid> {
    let app = control.platform().marketplace_app(call.app_id())?;
    control.platform().push_queue.add(&app.app_id);
    Ok(ok(&json!({ "app_id": app.app_id })))
}

fn ok(body: &impl Serialize) -> Answer {
    Answer::json(StatusCode::OK, 0, body)
}
