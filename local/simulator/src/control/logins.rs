//! Logins, without a browser.

use super::Control;
use crate::invalid::Invalid;
use crate::logins::codes::Challenge;
use crate::logins::error::OauthError;
use crate::oauth::authorize::{self, Wanted};

/// What a login asks a user for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consent {
    /// Space separated, at most 50; with `offline_access` there will be a refresh token.
    pub scope: String,
    /// Where the code would be sent; [`App::redirect_uris`](crate::App::redirect_uris) decides.
    pub redirect_uri: String,
    /// PKCE; `None` for a login without.
    pub challenge: Option<Challenge>,
}

impl Control {
    /// User `n` of the directory approves: the code that the app would find in its redirect URI, good for five simulated
    /// minutes and one exchange. No page is asked for and no call is counted.
    ///
    /// # Errors
    /// Names `app_id`, `n`, `redirect_uri` or `scope`, with the description and the code of the error page.
    pub fn login(&self, app_id: &str, n: u32, consent: Consent) -> Result<String, Invalid> {
        let app = self.0.app(app_id)?;
        if !app.enabled {
            return Err(invalid("app_id", OauthError::AppDisabled));
        }
        let scopes = consent.scope.split_ascii_whitespace().map(str::to_owned);
        let wanted = Wanted {
            redirect_uri: consent.redirect_uri,
            scopes: scopes.collect(),
            challenge: consent.challenge,
        };
        wanted.check(&app).map_err(|error| {
            let is_uri = error == OauthError::RedirectNotRegistered;
            invalid(if is_uri { "redirect_uri" } else { "scope" }, error)
        })?;
        authorize::consent(&self.0, &app, n, wanted, self.now_ms()).map_err(|error| {
            let is_app = error == OauthError::NotInstalled;
            invalid(if is_app { "app_id" } else { "n" }, error)
        })
    }

    /// Ends every login of user `n` to the app, and tells how many there were: their refresh tokens are answered with
    /// 20064, their access tokens are invalid.
    pub fn revoke_login(&self, app_id: &str, n: u32) -> usize {
        self.0.logins.revoke(app_id, n)
    }
}

fn invalid(field: &str, error: OauthError) -> Invalid {
    Invalid::new(field, format!("{} ({})", error.description(), error.code()))
}
