//! Tokens of marketplace apps ("Get app_access_token", "Get tenant_access_token" and "Resend app_ticket" in the
//! platform's authentication reference). The app needs a ticket that the platform pushes to it.

pub(crate) mod push;

use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;

use crate::answer::{Answer, ApiError};
use crate::audience::Audience;
use crate::endpoint::{AuthMethod, Call, Endpoint};
use crate::platform::Platform;
use crate::rate_limit::Tier;

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        name: "auth.app_access_token",
        method: Method::POST,
        path: "/open-apis/auth/v3/app_access_token",
        auth: AuthMethod::AppSecret,
        scopes: &[],
        tier: Tier::Four,
        handler: app_access_token,
    },
    Endpoint {
        name: "auth.tenant_access_token",
        method: Method::POST,
        path: "/open-apis/auth/v3/tenant_access_token",
        auth: AuthMethod::AppToken,
        scopes: &[],
        tier: Tier::Four,
        handler: tenant_access_token,
    },
    Endpoint {
        name: "auth.app_ticket.resend",
        method: Method::POST,
        path: "/open-apis/auth/v3/app_ticket/resend",
        auth: AuthMethod::AppSecret,
        scopes: &[],
        tier: Tier::Four,
        handler: resend,
    },
];

/// 10012 without a valid ticket.
fn app_access_token(platform: &Platform, call: &Call<'_>) -> Result<Answer, ApiError> {
    #[derive(Deserialize)]
    struct Body {
        app_ticket: Option<String>,
    }
    only_marketplace(call)?;
    let body: Body = body(call)?;
    let is_good = body.app_ticket.is_some_and(|ticket| {
        let app_id = &call.app.app_id;
        platform
            .tickets
            .accepts(app_id, &ticket, call.now_ms, &platform.random)
    });
    if !is_good {
        return Err(ApiError::app(10_012, "app ticket is invalid"));
    }
    let issued = platform.issue_token(&call.app.app_id, Audience::App, call.now_ms);
    let body = json!({
        "code": 0, "msg": "ok", "app_access_token": &*issued.token, "expire": issued.expire,
    });
    Ok(Answer::json(StatusCode::OK, 0, &body))
}

/// 10013 if the tenant has not installed the app.
fn tenant_access_token(platform: &Platform, call: &Call<'_>) -> Result<Answer, ApiError> {
    #[derive(Deserialize)]
    struct Body {
        tenant_key: String,
    }
    only_marketplace(call)?;
    let Body { tenant_key } = body(call)?;
    if !call.app.tenants.contains(&tenant_key) {
        return Err(ApiError::app(10_013, "tenant_key is invalid"));
    }
    let audience = Audience::Tenant(tenant_key.into());
    let issued = platform.issue_token(&call.app.app_id, audience, call.now_ms);
    let body = json!({
        "code": 0, "msg": "ok", "tenant_access_token": &*issued.token, "expire": issued.expire,
    });
    Ok(Answer::json(StatusCode::OK, 0, &body))
}

/// Answers immediately and pushes in the background; 10016 for a self-built app.
fn resend(platform: &Platform, call: &Call<'_>) -> Result<Answer, ApiError> {
    if !call.app.marketplace {
        return Err(ApiError::app(10_016, "app resend fail"));
    }
    platform.push_queue.add(&call.app.app_id);
    let body = json!({ "code": 0, "msg": "success" });
    Ok(Answer::json(StatusCode::OK, 0, &body))
}

fn only_marketplace(call: &Call<'_>) -> Result<(), ApiError> {
    match call.app.marketplace {
        true => Ok(()),
        false => Err(ApiError::app(10_014, "app unauthorized")),
    }
}

fn body<T: serde::de::DeserializeOwned>(call: &Call<'_>) -> Result<T, ApiError> {
    call.request
        .json()
        .map_err(|_| ApiError::app(10_003, "invalid param"))
}
