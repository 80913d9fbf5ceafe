//! Logins of users: the platform's OAuth endpoints and `authen/v1/user_info`.
//!
//! Sources: "Obtain OAuth code", "Get user_access_token", "Refresh user_access_token", "Get user information". A refresh token
//! works once: the answer has the next one, and the old one is void from then on, whether the answer arrives or not. So
//! nothing here is sent twice.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use url::Url;

use super::apis::{OAUTH_CODE, OAUTH_REFRESH, USER_INFO};
use super::auth::AppCredentials;
use super::{Host, OAuthVersion, Request};
use crate::error::{FailureKind, LarkFailure};
use crate::ids::{AppId, OpenId, Personal};

/// The answer of a login's token endpoint.
#[derive(Clone, Debug)]
pub struct IssuedLogin {
    /// `user_access_token`.
    pub access_token: SecretString,
    /// How long it lives from the moment of the answer; two hours in the documented sample.
    pub expires_in: Duration,
    /// The next refresh token; only with the scope `offline_access`.
    pub refresh_token: Option<SecretString>,
    /// How long the refresh token lives; seven days in the documented sample.
    pub refresh_expires_in: Option<Duration>,
    /// The scopes that were granted, separated by spaces.
    pub scope: String,
}

/// A grant to exchange for tokens.
#[derive(Clone, Debug)]
pub enum Grant<'g> {
    /// The code that the log-in page gave the browser.
    Code {
        /// The code; works once, within five minutes.
        code: &'g SecretString,
        /// The same as at the log-in page.
        redirect_uri: &'g str,
        /// PKCE (RFC 7636): the verifier of the challenge.
        code_verifier: &'g SecretString,
    },
    /// A refresh token; works once.
    Refresh(&'g SecretString),
}

/// Who logged in.
#[derive(Clone, Debug, Deserialize)]
pub struct Identity {
    /// The user for this app.
    pub open_id: OpenId,
    /// The user for all apps of the developer.
    pub union_id: Option<String>,
    /// Which tenant they belong to.
    pub tenant_key: Option<String>,
    /// Their name.
    pub name: Option<Personal>,
}

/// The parameters of the log-in page.
#[derive(Clone, Debug)]
pub struct AuthorizationRequest<'r> {
    /// The app to log in to.
    pub app_id: &'r AppId,
    /// Where the browser is sent with the code; registered with the platform.
    pub redirect_uri: &'r str,
    /// Separated by spaces, 50 at most.
    pub scope: &'r str,
    /// Returned with the code.
    pub state: &'r str,
    /// PKCE (RFC 7636), method S256.
    pub code_challenge: &'r str,
}

#[derive(Serialize)]
struct TokenRequest<'c> {
    grant_type: &'static str,
    client_id: &'c str,
    client_secret: &'c str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'c str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    redirect_uri: Option<&'c str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code_verifier: Option<&'c str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'c str>,
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: Option<SecretString>,
    #[serde(default)]
    expires_in: u64,
    refresh_token: Option<SecretString>,
    refresh_token_expires_in: Option<u64>,
    #[serde(default)]
    scope: String,
}

#[derive(Deserialize)]
struct IdentityAnswer {
    data: Option<Identity>,
}

/// The address of the platform's login page for `request`, below `accounts_url`.
#[must_use]
pub fn login_page(accounts_url: &Url, request: &AuthorizationRequest<'_>) -> Url {
    let mut url = accounts_url.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments
            .pop_if_empty()
            .extend(["open-apis", "authen", "v1", "authorize"]);
    }
    url.query_pairs_mut()
        .append_pair("client_id", request.app_id.as_str())
        .append_pair("response_type", "code")
        .append_pair("redirect_uri", request.redirect_uri)
        .append_pair("scope", request.scope)
        .append_pair("state", request.state)
        .append_pair("code_challenge", request.code_challenge)
        .append_pair("code_challenge_method", "S256");
    url
}

/// Exchanges `grant` for tokens at the endpoint of `version`. Sent once: see [`LarkFailure::may_have_happened`].
///
/// Refused with `GrantVoid` and `AppRefused`.
#[must_use]
pub fn exchange(
    version: OAuthVersion,
    credentials: AppCredentials<'_>,
    grant: &Grant<'_>,
) -> Request<IssuedLogin> {
    let body = TokenRequest {
        grant_type: "refresh_token",
        client_id: credentials.app_id.as_str(),
        client_secret: credentials.secret.expose_secret(),
        code: None,
        redirect_uri: None,
        code_verifier: None,
        refresh_token: None,
    };
    let (api, body) = match grant {
        Grant::Code {
            code,
            redirect_uri,
            code_verifier,
        } => {
            let body = TokenRequest {
                grant_type: "authorization_code",
                code: Some(code.expose_secret()),
                redirect_uri: Some(redirect_uri),
                code_verifier: Some(code_verifier.expose_secret()),
                ..body
            };
            (OAUTH_CODE, body)
        }
        Grant::Refresh(refresh_token) => {
            let body = TokenRequest {
                refresh_token: Some(refresh_token.expose_secret()),
                ..body
            };
            (OAUTH_REFRESH, body)
        }
    };
    let (host, path): (_, &[&str]) = match version {
        OAuthVersion::V2 => (Host::Open, &["open-apis", "authen", "v2", "oauth", "token"]),
        OAuthVersion::V3 => (Host::Accounts, &["oauth", "v3", "token"]),
    };
    Request::post(api, path)
        .at(host)
        .json(&body)
        .reading_json()
        .map(TokenAnswer::issued)
}

/// The identity of the user whose `user_access_token` goes with the call.
#[must_use]
pub fn user_info() -> Request<Identity> {
    Request::get(USER_INFO, &["open-apis", "authen", "v1", "user_info"])
        .reading_json()
        .map(|answer: IdentityAnswer| {
            let identity = answer.data;
            identity
                .filter(|identity| OpenId::parse(identity.open_id.as_str()).is_some())
                .ok_or_else(|| LarkFailure::lacking("open_id"))
        })
}

impl TokenAnswer {
    /// Only what was validated becomes a login.
    fn issued(self) -> Result<IssuedLogin, LarkFailure> {
        let is_there = |token: &SecretString| !token.expose_secret().is_empty();
        let access_token = self.access_token.filter(is_there);
        let (Some(access_token), true) = (access_token, self.expires_in > 0) else {
            return Err(LarkFailure::without_answer(
                FailureKind::Rejected,
                "Lark's answer has no token or no time left on it",
            ));
        };
        Ok(IssuedLogin {
            access_token,
            expires_in: Duration::from_secs(self.expires_in),
            refresh_token: self.refresh_token.filter(is_there),
            refresh_expires_in: self.refresh_token_expires_in.map(Duration::from_secs),
            scope: self.scope,
        })
    }
}
