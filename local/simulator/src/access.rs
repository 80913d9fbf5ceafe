//! Who calls: app id and secret at the token endpoints, an access token everywhere else.
//!
//! Codes: "Server-side error codes" in the platform's guide. The HTTP statuses are settings, because the documentation
//! gives none and both 200 and 400 were seen.

use std::sync::Arc;

use serde::Deserialize;

use crate::answer::Refusal;
use crate::apps::App;
use crate::endpoint::Access;
use crate::platform::Platform;
use crate::request::Request;

#[derive(Deserialize)]
struct Credentials {
    app_id: String,
    app_secret: String,
}

/// The calling app.
pub(crate) fn caller(
    platform: &Platform,
    access: Access,
    request: &Request,
    now_ms: u64,
) -> Result<Arc<App>, Refusal> {
    match access {
        Access::AppSecret => by_secret(platform, request),
        Access::TenantToken => by_token(platform, request, now_ms),
    }
}

/// The app a request says it comes from, proven or not.
pub(crate) fn claimed_app_id(
    platform: &Platform,
    request: &Request,
    now_ms: u64,
) -> Option<Arc<str>> {
    match request.bearer() {
        Some(token) => platform.tokens.owner(token, now_ms),
        None => {
            let credentials: Credentials = request.json().ok()?;
            Some(credentials.app_id.into())
        }
    }
}

/// Whether this refusal says that a token was not accepted.
pub(crate) fn rejects_token(code: i64) -> bool {
    matches!(code, 99_991_663 | 99_991_668 | 99_991_671)
}

fn by_secret(platform: &Platform, request: &Request) -> Result<Arc<App>, Refusal> {
    let credentials: Credentials = request
        .json()
        .map_err(|_| Refusal::app(10_003, "invalid param"))?;
    let app = platform
        .apps
        .get(&credentials.app_id)
        .ok_or_else(|| Refusal::app(10_003, "invalid param"))?;
    if !app.accepts(&credentials.app_secret) {
        return Err(Refusal::app(10_014, "app secret invalid"));
    }
    if !app.enabled {
        return Err(Refusal::app(10_014, "app unauthorized"));
    }
    Ok(app)
}

fn by_token(platform: &Platform, request: &Request, now_ms: u64) -> Result<Arc<App>, Refusal> {
    let token = request.bearer().ok_or_else(|| {
        Refusal::token(
            99_991_661,
            "Missing access token for authorization. Please make a request with token attached.",
        )
    })?;
    let is_user_token = token.starts_with("u-") || token.starts_with("eyJ");
    if !token.starts_with("t-") && !is_user_token {
        let msg = "Invalid access token format: it must start with t- or u-.";
        return Err(Refusal::token(99_991_671, msg));
    }
    let invalid = || {
        let code = if is_user_token {
            99_991_668
        } else {
            99_991_663
        };
        Refusal::token(
            code,
            "Invalid access token for authorization. Please make a request with token attached.",
        )
    };
    let app_id = platform.tokens.owner(token, now_ms).ok_or_else(invalid)?;
    let app = platform.apps.get(&app_id).ok_or_else(invalid)?;
    if !app.enabled {
        return Err(Refusal::token(99_991_662, "app is not in use"));
    }
    Ok(app)
}
