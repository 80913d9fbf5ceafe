//! Who calls: by app id and secret at the token endpoints, by an access token nearly everywhere else.
//!
//! Codes: "Server-side error codes" in the platform's guide. The HTTP statuses are settings: the documentation gives
//! none, and the platform was seen to answer both 200 and 400.

use std::sync::Arc;

use serde::Deserialize;

use crate::answer::ApiError;
use crate::apps::App;
use crate::audience::Audience;
use crate::endpoint::AuthMethod;
use crate::oauth::{client, user_info};
use crate::platform::Platform;
use crate::rate_limit::Caller;
use crate::request::Request;

#[derive(Deserialize)]
struct Credentials {
    app_id: String,
    app_secret: String,
}

/// Returns the calling app.
pub(crate) fn authenticate(
    platform: &Platform,
    auth: AuthMethod,
    request: &Request,
    now_ms: u64,
) -> Result<Arc<App>, ApiError> {
    match auth {
        AuthMethod::AppSecret => by_secret(platform, request),
        AuthMethod::AppToken => by_app_token(platform, request, now_ms),
        AuthMethod::TenantToken => by_token(platform, request, now_ms),
        AuthMethod::UserToken => user_info::authenticate(platform, request, now_ms),
        AuthMethod::Client => client::authenticate(platform, request),
        AuthMethod::Browser => client::claimed_app(platform, request),
    }
}

/// The app that a request names, authenticated or not.
pub(crate) fn claimed_app_id(
    platform: &Platform,
    request: &Request,
    now_ms: u64,
) -> Option<Arc<str>> {
    if let Some(token) = request.bearer() {
        let owner = platform.tokens.owner(token, now_ms);
        return match owner {
            Some(owner) => Some(owner.app_id),
            None => platform.logins.session(token, now_ms).map(|it| it.app_id),
        };
    }
    #[derive(Deserialize)]
    struct Claim {
        app_id: Option<String>,
        app_access_token: Option<String>,
    }
    if let Some(app_id) = client::claimed_id(request) {
        return Some(app_id.into());
    }
    match request.json().ok()? {
        Claim {
            app_id: Some(app_id),
            ..
        } => Some(app_id.into()),
        Claim {
            app_access_token: Some(token),
            ..
        } => Some(platform.tokens.owner(&token, now_ms)?.app_id),
        Claim { .. } => None,
    }
}

/// The caller that a request names, if that app exists.
pub(crate) fn claimed_caller(
    platform: &Platform,
    request: &Request,
    now_ms: u64,
) -> Option<Caller> {
    let app_id = claimed_app_id(platform, request, now_ms)?;
    platform.apps.get(&app_id)?;
    let tenant = tenant(platform, request, now_ms);
    Some(Caller { app_id, tenant })
}

/// The tenant of a marketplace app's token.
pub(crate) fn tenant(platform: &Platform, request: &Request, now_ms: u64) -> Option<Arc<str>> {
    match platform.tokens.owner(request.bearer()?, now_ms)?.audience {
        Audience::Tenant(tenant) => Some(tenant),
        Audience::SelfBuilt | Audience::App => None,
    }
}

fn by_secret(platform: &Platform, request: &Request) -> Result<Arc<App>, ApiError> {
    let credentials: Credentials = request
        .json()
        .map_err(|_| ApiError::app(10_003, "invalid param"))?;
    let app = platform
        .apps
        .get(&credentials.app_id)
        .ok_or_else(|| ApiError::app(10_003, "invalid param"))?;
    if !app.accepts(&credentials.app_secret) {
        return Err(ApiError::app(10_014, "app secret invalid"));
    }
    if !app.enabled {
        return Err(ApiError::app(10_014, "app unauthorized"));
    }
    Ok(app)
}

/// 10012 if the token is not a valid one of the app, as for an invalid ticket.
fn by_app_token(platform: &Platform, request: &Request, now_ms: u64) -> Result<Arc<App>, ApiError> {
    #[derive(Deserialize)]
    struct Body {
        app_access_token: String,
    }
    let body: Body = request
        .json()
        .map_err(|_| ApiError::app(10_003, "invalid param"))?;
    let app = platform
        .tokens
        .owner(&body.app_access_token, now_ms)
        .filter(|owner| !matches!(owner.audience, Audience::Tenant(_)))
        .and_then(|owner| platform.apps.get(&owner.app_id))
        .ok_or_else(|| ApiError::app(10_012, "app_access_token is invalid"))?;
    match app.enabled {
        true => Ok(app),
        false => Err(ApiError::app(10_014, "app unauthorized")),
    }
}

fn by_token(platform: &Platform, request: &Request, now_ms: u64) -> Result<Arc<App>, ApiError> {
    let token = request.bearer().ok_or_else(|| {
        ApiError::token(
            99_991_661,
            "Missing access token for authorization. Please make a request with token attached.",
        )
    })?;
    let is_user_token = token.starts_with("u-") || token.starts_with("eyJ");
    if !token.starts_with("t-") && !is_user_token {
        // The app_access_token of a marketplace app, `a-…`, is one of these.
        let msg = "Invalid access token format: it must start with t- or u-.";
        return Err(ApiError::token(99_991_671, msg));
    }
    let invalid = || {
        let code = if is_user_token {
            99_991_668
        } else {
            99_991_663
        };
        ApiError::token(
            code,
            "Invalid access token for authorization. Please make a request with token attached.",
        )
    };
    let owner = platform.tokens.owner(token, now_ms).ok_or_else(invalid)?;
    let app = platform.apps.get(&owner.app_id).ok_or_else(invalid)?;
    if !app.enabled {
        return Err(ApiError::token(99_991_662, "app is not in use"));
    }
    match &owner.audience {
        Audience::Tenant(tenant) if !app.tenants.contains(&**tenant) => {
            Err(ApiError::token(99_991_673, "app is not installed"))
        }
        Audience::SelfBuilt | Audience::App | Audience::Tenant(_) => Ok(app),
    }
}
