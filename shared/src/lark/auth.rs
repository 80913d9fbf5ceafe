//! Tokens of apps: the platform's `auth/v3` family, for internal and for marketplace apps.
//!
//! With 30 minutes or more left the platform answers with the same token, else with a new one, and both work until they
//! expire. `expire` is the time that is left, in seconds. So every call here is safe to repeat.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::Request;
use super::apis::{
    APP_ACCESS_TOKEN, APP_TICKET_RESEND, Api, MARKETPLACE_APP_ACCESS_TOKEN,
    MARKETPLACE_TENANT_ACCESS_TOKEN, TENANT_ACCESS_TOKEN,
};
use crate::error::{FailureKind, LarkFailure};
use crate::ids::{AppId, TenantKey};

/// A token as the platform issued it.
#[derive(Clone, Debug)]
pub struct IssuedToken {
    /// The token.
    pub value: SecretString,
    /// How long it lives from the moment of the answer; up to two hours.
    pub expires_in: Duration,
}

/// The credentials of an app.
#[derive(Clone, Copy, Debug)]
pub struct AppCredentials<'c> {
    /// The app.
    pub app_id: &'c AppId,
    /// Its secret.
    pub secret: &'c SecretString,
}

/// A token request: which token, and with what credentials.
#[derive(Clone, Copy, Debug)]
pub enum Issue<'i> {
    /// The tenant access token of an internal app ("Get custom app's tenant_access_token").
    InternalTenant(AppCredentials<'i>),
    /// The app access token of an internal app ("Get custom app's app_access_token").
    InternalApp(AppCredentials<'i>),
    /// The app access token of a marketplace app ("Get store app's app_access_token"), which requires the ticket that the
    /// platform sent last.
    MarketplaceApp(AppCredentials<'i>, &'i SecretString),
    /// The token of a marketplace app for a tenant ("Get store app's tenant_access_token").
    MarketplaceTenant {
        /// The app's own token.
        app_access_token: &'i SecretString,
        /// The tenant, which must have installed the app.
        tenant_key: &'i TenantKey,
    },
}

#[derive(Serialize)]
struct Body<'c> {
    #[serde(skip_serializing_if = "Option::is_none")]
    app_id: Option<&'c str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    app_secret: Option<&'c str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    app_ticket: Option<&'c str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    app_access_token: Option<&'c str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant_key: Option<&'c str>,
}

#[derive(Deserialize)]
struct TokenAnswer {
    tenant_access_token: Option<SecretString>,
    app_access_token: Option<SecretString>,
    expire: u64,
}

#[derive(Deserialize)]
struct Done {}

/// Requests the token that `issue` names.
///
/// Refused with `AppRefused` for a wrong id, secret, ticket or app access token, with `TenantRefused` for a tenant that did not
/// install the app.
#[must_use]
pub fn issue(issue: &Issue<'_>) -> Request<IssuedToken> {
    let (api, path): (Api, &[&str]) = match issue {
        Issue::InternalTenant(_) => (TENANT_ACCESS_TOKEN, &["tenant_access_token", "internal"]),
        Issue::InternalApp(_) => (APP_ACCESS_TOKEN, &["app_access_token", "internal"]),
        Issue::MarketplaceApp(..) => (MARKETPLACE_APP_ACCESS_TOKEN, &["app_access_token"]),
        Issue::MarketplaceTenant { .. } => {
            (MARKETPLACE_TENANT_ACCESS_TOKEN, &["tenant_access_token"])
        }
    };
    let is_for_tenant = match issue {
        Issue::InternalTenant(_) | Issue::MarketplaceTenant { .. } => true,
        Issue::InternalApp(_) | Issue::MarketplaceApp(..) => false,
    };
    post(api, path, &issue.body())
        .reading_json()
        .map(move |answer: TokenAnswer| {
            let value = if is_for_tenant {
                answer.tenant_access_token
            } else {
                answer.app_access_token
            };
            issued(value, answer.expire)
        })
}

/// Asks the platform to send the ticket of a marketplace app again ("Resend app_ticket").
///
/// Refused with `AppRefused` for a wrong id or secret, or an app that is not a marketplace app.
#[must_use]
pub fn resend_app_ticket(credentials: AppCredentials<'_>) -> Request<()> {
    post(
        APP_TICKET_RESEND,
        &["app_ticket", "resend"],
        &credentials.body(),
    )
    .reading_json()
    .map(|Done {}| Ok(()))
}

fn post(api: Api, path: &[&str], body: &Body<'_>) -> Request {
    let path = [&["open-apis", "auth", "v3"], path].concat();
    Request::post(api, &path).repeatable().json(body)
}

impl<'c> AppCredentials<'c> {
    fn body(self) -> Body<'c> {
        Body {
            app_id: Some(self.app_id.as_str()),
            app_secret: Some(self.secret.expose_secret()),
            app_ticket: None,
            app_access_token: None,
            tenant_key: None,
        }
    }
}

impl<'i> Issue<'i> {
    fn body(&self) -> Body<'i> {
        match *self {
            Self::InternalTenant(credentials) | Self::InternalApp(credentials) => {
                credentials.body()
            }
            Self::MarketplaceApp(credentials, ticket) => Body {
                app_ticket: Some(ticket.expose_secret()),
                ..credentials.body()
            },
            Self::MarketplaceTenant {
                app_access_token,
                tenant_key,
            } => Body {
                app_id: None,
                app_secret: None,
                app_ticket: None,
                app_access_token: Some(app_access_token.expose_secret()),
                tenant_key: Some(tenant_key.as_str()),
            },
        }
    }
}

/// Only what was validated becomes a token.
fn issued(value: Option<SecretString>, expire: u64) -> Result<IssuedToken, LarkFailure> {
    let value = value.filter(|value| !value.expose_secret().is_empty());
    match value {
        Some(value) if expire > 0 => Ok(IssuedToken {
            value,
            expires_in: Duration::from_secs(expire),
        }),
        Some(_) | None => Err(LarkFailure::without_answer(
            FailureKind::Rejected,
            "Lark's answer has no token or no time left on it",
        )),
    }
}
