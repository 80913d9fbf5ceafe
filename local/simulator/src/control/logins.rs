//! Logins, without a browser.

use super::Control;
use crate::invalid::Invalid;
use crate::logins::codes::Challenge;
use crate::logins::error::OauthError;
use crate::oauth::authorize::{self, AuthorizationRequest};

/// What an app asks a user for in a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consent {
    /// Separated by spaces, at most 50; with `offline_access` the login gets a refresh token.
    pub scope: String,
    /// Where the authorize page would send the code; [`App::redirect_uris`](crate::App::redirect_uris) lists what is
    /// allowed.
    pub redirect_uri: String,
    /// The PKCE challenge; `None` for a login without PKCE.
    pub challenge: Option<Challenge>,
}

impl Control {
    /// User `n` of the directory approves. Returns the code that the app would get at its redirect URI, valid for five
    /// simulated minutes and one exchange. This shows no page and counts no call.
    ///
    /// # Errors
    /// The field is `app_id`, `n`, `redirect_uri` or `scope`; the problem has the description and the code of the error
    /// page.
    pub fn login(&self, app_id: &str, n: u32, consent: Consent) -> Result<String, Invalid> {
        let app = self.0.app(app_id)?;
        if !app.enabled {
            return Err(invalid("app_id", OauthError::AppDisabled));
        }
        let scopes = consent.scope.split_ascii_whitespace().map(str::to_owned);
        let request = AuthorizationRequest {
            redirect_uri: consent.redirect_uri,
            scopes: scopes.collect(),
            challenge: consent.challenge,
        };
        request.check(&app).map_err(|error| {
            let is_uri = error == OauthError::RedirectNotRegistered;
            invalid(if is_uri { "redirect_uri" } else { "scope" }, error)
        })?;
        authorize::consent(&self.0, &app, n, request, self.now_ms()).map_err(|error| {
            let is_app = error == OauthError::NotInstalled;
            invalid(if is_app { "app_id" } else { "n" }, error)
        })
    }

    /// Ends every login of user `n` to the app and returns their number. Their refresh tokens fail with 20064, their
    /// access tokens are invalid.
    pub fn revoke_login(&self, app_id: &str, n: u32) -> usize {
        self.0.logins.revoke(app_id, n)
    }
}

fn invalid(field: &str, error: OauthError) -> Invalid {
    Invalid::new(field, format!("{} ({})", error.description(), error.code()))
}
