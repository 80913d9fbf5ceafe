//! Who calls: app id and secret at the token endpoints, an access token nearly everywhere else.
//!
//! Codes: "Server-side error codes" in the platform's guide. The HTTP statuses are settings, because the documentation
//! gives none and both 200 and 400 were seen.

use std::sync::Arc;

use serde::Deserialize;

use crate::answer::Refusal;
use crate::apps::App;
use crate::audience::Audience;
use crate::endpoint::Access;
use crate::oauth::{client, user_info};
use crate::platform::Platform;
use crate::rate_limit::Account;
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
        Access::AppToken => by_app_token(platform, request, now_ms),
        Access::TenantToken => by_token(platform, request, now_ms),
        Access::UserToken => user_info::caller(platform, request, now_ms),
        Access::Client => client::authenticate(platform, request),
        Access::Browser => client::named(platform, request),
    }
}

/// The app a request says it comes from, proven or not.
pub(crate) fn claimed_app_id(
    platform: &Platform,
    request: &Request,
    now_ms: u64,
) -> Option<Arc<str>> {
    if let Some(token) = request.bearer() {
        let holder = platform.tokens.holder(token, now_ms);
        return match holder {
            Some(holder) => Some(holder.app_id),
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
        } => Some(platform.tokens.holder(&token, now_ms)?.app_id),
        Claim { .. } => None,
    }
}

/// On whose account a call goes, if it names an app that there is.
pub(crate) fn account(platform: &Platform, request: &Request, now_ms: u64) -> Option<Account> {
    let app_id = claimed_app_id(platform, request, now_ms)?;
    platform.apps.get(&app_id)?;
    let tenant = tenant(platform, request, now_ms);
    Some(Account { app_id, tenant })
}

/// The tenant that a marketplace app's token is for.
pub(crate) fn tenant(platform: &Platform, request: &Request, now_ms: u64) -> Option<Arc<str>> {
    match platform.tokens.holder(request.bearer()?, now_ms)?.audience {
        Audience::Tenant(tenant) => Some(tenant),
        Audience::Own | Audience::App => None,
    }
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

/// 10012 for a token that is not the valid one of an app, as for a bad ticket.
fn by_app_token(platform: &Platform, request: &Request, now_ms: u64) -> Result<Arc<App>, Refusal> {
    #[derive(Deserialize)]
    struct Body {
        app_access_token: String,
    }
    let body: Body = request
        .json()
        .map_err(|_| Refusal::app(10_003, "invalid param"))?;
    let app = platform
        .tokens
        .holder(&body.app_access_token, now_ms)
        .filter(|holder| !matches!(holder.audience, Audience::Tenant(_)))
        .and_then(|holder| platform.apps.get(&holder.app_id))
        .ok_or_else(|| Refusal::app(10_012, "app_access_token is invalid"))?;
    match app.enabled {
        true => Ok(app),
        false => Err(Refusal::app(10_014, "app unauthorized")),
    }
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
        // The app_access_token of a marketplace app, `a-…`, among them.
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
    let holder = platform.tokens.holder(token, now_ms).ok_or_else(invalid)?;
    let app = platform.apps.get(&holder.app_id).ok_or_else(invalid)?;
    if !app.enabled {
        return Err(Refusal::token(99_991_662, "app is not in use"));
    }
    match &holder.audience {
        Audience::Tenant(tenant) if !app.tenants.contains(&**tenant) => {
            Err(Refusal::token(99_991_673, "app is not installed"))
        }
        Audience::Own | Audience::App | Audience::Tenant(_) => Ok(app),
    }
}
