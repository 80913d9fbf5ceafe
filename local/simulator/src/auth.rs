//! Tokens of self-built apps ("Get custom app's tenant_access_token" and "Get custom app's app_access_token" in the
//! platform's authentication reference). Their fields stand at the top level, without `data`.

use http::{Method, StatusCode};
use serde::Serialize;

use crate::answer::{Answer, Refusal};
use crate::audience::Audience;
use crate::endpoint::{Access, Call, Endpoint};
use crate::platform::Platform;
use crate::rate_limit::Tier;
use crate::tokens::Grant;

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        name: "auth.tenant_access_token.internal",
        method: Method::POST,
        path: "/open-apis/auth/v3/tenant_access_token/internal",
        access: Access::AppSecret,
        scopes: &[],
        tier: Tier::Four,
        handler: tenant_access_token,
    },
    Endpoint {
        name: "auth.app_access_token.internal",
        method: Method::POST,
        path: "/open-apis/auth/v3/app_access_token/internal",
        access: Access::AppSecret,
        scopes: &[],
        tier: Tier::Four,
        handler: app_access_token,
    },
];

#[derive(Serialize)]
struct TokenAnswer<'a> {
    code: i64,
    msg: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    app_access_token: Option<&'a str>,
    tenant_access_token: &'a str,
    /// Remaining seconds, not a moment.
    expire: u64,
}

fn tenant_access_token(platform: &Platform, call: &Call<'_>) -> Result<Answer, Refusal> {
    let grant = grant(platform, call)?;
    Ok(answer(None, &grant))
}

/// Carries the tenant token as well; the documented sample has both equal.
fn app_access_token(platform: &Platform, call: &Call<'_>) -> Result<Answer, Refusal> {
    let grant = grant(platform, call)?;
    Ok(answer(Some(&grant.token), &grant))
}

/// These endpoints are for self-built apps.
fn grant(platform: &Platform, call: &Call<'_>) -> Result<Grant, Refusal> {
    if call.app.marketplace {
        return Err(Refusal::app(10_014, "app unauthorized"));
    }
    Ok(platform.issue_token(&call.app.app_id, Audience::Own, call.now_ms))
}

fn answer(app_access_token: Option<&str>, grant: &Grant) -> Answer {
    let body = TokenAnswer {
        code: 0,
        msg: "ok",
        app_access_token,
        tenant_access_token: &grant.token,
        expire: grant.expire,
    };
    Answer::json(StatusCode::OK, 0, &body)
}
