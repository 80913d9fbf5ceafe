//! Tokens of self-built apps ("Get custom app's tenant_access_token" and "Get custom app's app_access_token" in the
//! platform's authentication reference). The answers have their fields at the top level, without `data`.

use http::{Method, StatusCode};
use serde::Serialize;

use crate::answer::{Answer, ApiError};
use crate::audience::Audience;
use crate::endpoint::{AuthMethod, Call, Endpoint};
use crate::platform::Platform;
use crate::rate_limit::Tier;
use crate::tokens::IssuedToken;

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        name: "auth.tenant_access_token.internal",
        method: Method::POST,
        path: "/open-apis/auth/v3/tenant_access_token/internal",
        auth: AuthMethod::AppSecret,
        scopes: &[],
        tier: Tier::Four,
        handler: tenant_access_token,
    },
    Endpoint {
        name: "auth.app_access_token.internal",
        method: Method::POST,
        path: "/open-apis/auth/v3/app_access_token/internal",
        auth: AuthMethod::AppSecret,
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
    /// Remaining seconds, not a time.
    expire: u64,
}

fn tenant_access_token(platform: &Platform, call: &Call<'_>) -> Result<Answer, ApiError> {
    let issued = issue(platform, call)?;
    Ok(answer(None, &issued))
}

/// The answer has the tenant token as well; in the documented sample both are equal.
fn app_access_token(platform: &Platform, call: &Call<'_>) -> Result<Answer, ApiError> {
    let issued = issue(platform, call)?;
    Ok(answer(Some(&issued.token), &issued))
}

/// These endpoints are for self-built apps.
fn issue(platform: &Platform, call: &Call<'_>) -> Result<IssuedToken, ApiError> {
    if call.app.marketplace {
        return Err(ApiError::app(10_014, "app unauthorized"));
    }
    Ok(platform.issue_token(&call.app.app_id, Audience::SelfBuilt, call.now_ms))
}

fn answer(app_access_token: Option<&str>, issued: &IssuedToken) -> Answer {
    let body = TokenAnswer {
        code: 0,
        msg: "ok",
        app_access_token,
        tenant_access_token: &issued.token,
        expire: issued.expire,
    };
    Answer::json(StatusCode::OK, 0, &body)
}
