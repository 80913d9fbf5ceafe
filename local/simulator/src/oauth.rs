//! Logins of users ("Obtain OAuth code", "Get user_access_token", "Refresh user_access_token" and "Get user
//! information" in the platform's reference). One address serves both as the open platform and as its accounts host.

pub(crate) mod authorize;
pub(crate) mod client;
pub(crate) mod token;
pub(crate) mod user_info;

use http::Method;

use crate::apps::App;
use crate::directory::people::Profile;
use crate::endpoint::{AuthMethod, Endpoint};
use crate::logins::error::OauthError;
use crate::platform::Platform;
use crate::rate_limit::Tier;

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        name: "authen.authorize",
        method: Method::GET,
        path: "/open-apis/authen/v1/authorize",
        auth: AuthMethod::Browser,
        scopes: &[],
        tier: Tier::Four,
        handler: authorize::show,
    },
    // The form of the page; the platform uses another address for it.
    Endpoint {
        name: "authen.authorize",
        method: Method::POST,
        path: "/open-apis/authen/v1/authorize",
        auth: AuthMethod::Browser,
        scopes: &[],
        tier: Tier::Four,
        handler: authorize::decide,
    },
    Endpoint {
        name: "authen.oauth_token",
        method: Method::POST,
        path: "/open-apis/authen/v2/oauth/token",
        auth: AuthMethod::Client,
        scopes: &[],
        tier: Tier::Four,
        handler: token::handle,
    },
    Endpoint {
        name: "oauth.token",
        method: Method::POST,
        path: "/oauth/v3/token",
        auth: AuthMethod::Client,
        scopes: &[],
        tier: Tier::Four,
        handler: token::handle,
    },
    Endpoint {
        name: "authen.user_info",
        method: Method::GET,
        path: "/open-apis/authen/v1/user_info",
        auth: AuthMethod::UserToken,
        scopes: &[],
        tier: Tier::Special,
        handler: user_info::handle,
    },
];

/// The user, if this user may log in to the app.
pub(crate) fn eligible_user(platform: &Platform, app: &App, n: u32) -> Result<Profile, OauthError> {
    let profile = platform
        .directory
        .profile(n.into())
        .ok_or(OauthError::NoSuchUser)?;
    if profile.is_frozen || profile.is_resigned {
        return Err(OauthError::BadUserStatus);
    }
    if app.hidden_users.contains(&n) {
        return Err(OauthError::UserNotAllowed);
    }
    match app.login_tenant() {
        Some(_) => Ok(profile),
        None => Err(OauthError::NotInstalled),
    }
}
