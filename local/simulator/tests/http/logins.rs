//! Helpers for the tests of logins: one app, one way through the page, one way to ask for tokens.

use http::Request;
use lark_simulator::{Challenge, Consent, Simulator, seeded_app_secret};
use serde_json::{Value, json};
use url::form_urlencoded::Serializer;

use crate::client::{Answer, app_id, call, exchange, post};

pub(crate) const AUTHORIZE: &str = "/open-apis/authen/v1/authorize";
pub(crate) const TOKEN: &str = "/open-apis/authen/v2/oauth/token";
pub(crate) const TOKEN_V3: &str = "/oauth/v3/token";
pub(crate) const USER_INFO: &str = "/open-apis/authen/v1/user_info";
pub(crate) const REDIRECT: &str = "http://127.0.0.1:9/callback";
pub(crate) const SCOPE: &str = "auth:user.id:read offline_access";

/// Of RFC 7636, appendix B.
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub(crate) const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

pub(crate) fn consent(scope: &str) -> Consent {
    Consent {
        scope: scope.to_owned(),
        redirect_uri: REDIRECT.to_owned(),
        challenge: None,
    }
}

/// A code for the first app and user 7.
pub(crate) fn code(simulator: &Simulator) -> String {
    let control = simulator.control();
    control.login(&app_id(), 7, consent(SCOPE)).unwrap()
}

pub(crate) fn code_with(simulator: &Simulator, challenge: Challenge) -> String {
    let consent = Consent {
        challenge: Some(challenge),
        ..consent(SCOPE)
    };
    simulator.control().login(&app_id(), 7, consent).unwrap()
}

/// The fields of a code grant, merged with `changes`; `null` removes a field.
pub(crate) fn code_grant(code: &str, changes: &Value) -> Value {
    merged(
        json!({
            "grant_type": "authorization_code", "client_id": app_id(),
            "client_secret": seeded_app_secret(&app_id()), "code": code,
        }),
        changes,
    )
}

pub(crate) fn refresh_grant(refresh_token: &str, changes: &Value) -> Value {
    merged(
        json!({
            "grant_type": "refresh_token", "client_id": app_id(),
            "client_secret": seeded_app_secret(&app_id()), "refresh_token": refresh_token,
        }),
        changes,
    )
}

fn merged(mut fields: Value, changes: &Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        fields[name] = value.clone();
    }
    fields
}

pub(crate) async fn token(simulator: &Simulator, fields: &Value) -> Answer {
    post(simulator, TOKEN, "", fields).await
}

/// Logs in and returns the tokens.
pub(crate) async fn logged_in(simulator: &Simulator) -> Pair {
    let grant = code_grant(&code(simulator), &json!({}));
    Pair::of(&token(simulator, &grant).await)
}

pub(crate) async fn refreshed(simulator: &Simulator, refresh_token: &str) -> Answer {
    token(simulator, &refresh_grant(refresh_token, &json!({}))).await
}

/// An access token and its refresh token.
pub(crate) struct Pair {
    pub(crate) access: String,
    pub(crate) refresh: String,
}

impl Pair {
    #[track_caller]
    pub(crate) fn of(answer: &Answer) -> Self {
        assert_eq!(answer.code(), (200, 0), "{}", answer.body);
        let text = |name: &str| answer.body[name].as_str().unwrap_or_default().to_owned();
        Self {
            access: text("access_token"),
            refresh: text("refresh_token"),
        }
    }
}

pub(crate) async fn user_info(simulator: &Simulator, token: &str) -> (u16, i64) {
    call(simulator, "GET", USER_INFO, token, "").await.code()
}

/// Sends a form to a path that may have a query.
pub(crate) async fn submit(simulator: &Simulator, path: &str, fields: &[(&str, &str)]) -> Answer {
    let request = Request::post(path)
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(query(fields))
        .unwrap();
    exchange(simulator.addr(), request).await.unwrap()
}

pub(crate) fn query(fields: &[(&str, &str)]) -> String {
    Serializer::new(String::new()).extend_pairs(fields).finish()
}
