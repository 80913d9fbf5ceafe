//! The authorize page and its form ("Obtain OAuth code" in the platform's reference). The answer to a bad request is a
//! page, never a redirect: its target cannot be trusted.

use http::StatusCode;
use url::Url;

use super::{client, eligible_user};
use crate::answer::{Answer, ApiError, ErrorFormat};
use crate::apps::{self, App};
use crate::endpoint::Call;
use crate::logins::codes::{Authorization, Challenge};
use crate::logins::error::OauthError;
use crate::logins::scopes::Scopes;
use crate::pages::{self, ConsentForm};
use crate::platform::Platform;

/// "At most 50 scopes".
const SCOPES_MAX: usize = 50;

/// The parameters of a login that the app chooses.
pub(crate) struct AuthorizationRequest {
    pub(crate) redirect_uri: String,
    pub(crate) scopes: Scopes,
    pub(crate) challenge: Option<Challenge>,
}

impl AuthorizationRequest {
    /// Checks that the app may ask for this.
    pub(crate) fn check(&self, app: &App) -> Result<(), OauthError> {
        let is_registered = match &app.redirect_uris {
            Some(registered) => registered.contains(&self.redirect_uri),
            None => apps::is_local(&self.redirect_uri),
        };
        if !is_registered || Url::parse(&self.redirect_uri).is_err() {
            return Err(OauthError::RedirectNotRegistered);
        }
        if self.scopes.len() > SCOPES_MAX {
            return Err(OauthError::Parameter("scope"));
        }
        match &app.login_scopes {
            Some(applied) if !self.scopes.is_subset(applied) => Err(OauthError::ScopeNotApplied),
            Some(_) | None => Ok(()),
        }
    }
}

/// Shows the page.
pub(crate) fn show(_: &Platform, call: &Call<'_>) -> Result<Answer, ApiError> {
    let request =
        authorization_request(call).map_err(|error| error.api_error(ErrorFormat::Page))?;
    let scopes: Vec<_> = request.scopes.iter().map(String::as_str).collect();
    let page = pages::consent(&ConsentForm {
        app_id: &call.app.app_id,
        scopes: &scopes,
    });
    Ok(Answer::html(StatusCode::OK, 0, page))
}

/// Handles the form: 302 back to the app, with `code` or with `error=access_denied`.
pub(crate) fn decide(platform: &Platform, call: &Call<'_>) -> Result<Answer, ApiError> {
    decision(platform, call)
        .map(|location| Answer::redirect(location.into()))
        .map_err(|error| error.api_error(ErrorFormat::Page))
}

/// Records the consent of user `n` and issues the code for the app.
pub(crate) fn consent(
    platform: &Platform,
    app: &App,
    n: u32,
    request: AuthorizationRequest,
    now_ms: u64,
) -> Result<String, OauthError> {
    eligible_user(platform, app, n)?;
    let authorization = Authorization {
        app_id: app.app_id.clone(),
        n,
        scopes: platform.logins.consent(&app.app_id, n, request.scopes),
        redirect_uri: request.redirect_uri,
        challenge: request.challenge,
        at_ms: now_ms,
    };
    Ok(platform.codes.issue(authorization, &platform.random))
}

fn decision(platform: &Platform, call: &Call<'_>) -> Result<Url, OauthError> {
    let request = authorization_request(call)?;
    let mut location =
        Url::parse(&request.redirect_uri).map_err(|_| OauthError::RedirectNotRegistered)?;
    let decision = client::parameter(call.request, "decision");
    let (name, value) = match decision.as_deref() {
        Some("approve") => {
            let user = client::parameter(call.request, "user").unwrap_or_else(|| "1".to_owned());
            let n = user.parse().map_err(|_| OauthError::NoSuchUser)?;
            let code = consent(platform, &call.app, n, request, call.now_ms)?;
            ("code", code)
        }
        Some("refuse") => ("error", "access_denied".to_owned()),
        Some(_) | None => return Err(OauthError::Parameter("decision")),
    };
    // Keeps the query and the fragment that the redirect URI already has.
    let mut query = location.query_pairs_mut();
    query.append_pair(name, &value);
    if let Some(state) = client::parameter(call.request, "state") {
        query.append_pair("state", &state);
    }
    drop(query);
    Ok(location)
}

/// Reads the parameters and checks them.
fn authorization_request(call: &Call<'_>) -> Result<AuthorizationRequest, OauthError> {
    let parameter = |name| client::parameter(call.request, name);
    if parameter("response_type").as_deref() != Some("code") {
        return Err(OauthError::Parameter("response_type"));
    }
    let prompt = parameter("prompt");
    if prompt.is_some_and(|prompt| prompt != "consent") {
        return Err(OauthError::Parameter("prompt"));
    }
    let challenge = match parameter("code_challenge") {
        Some(challenge) => {
            let method = parameter("code_challenge_method").unwrap_or_else(|| "plain".to_owned());
            let challenge = Challenge::new(&method, &challenge)
                .ok_or(OauthError::Parameter("code_challenge"))?;
            Some(challenge)
        }
        None => None,
    };
    let request = AuthorizationRequest {
        redirect_uri: parameter("redirect_uri").ok_or(OauthError::Parameter("redirect_uri"))?,
        scopes: parameter("scope")
            .unwrap_or_default()
            .split_ascii_whitespace()
            .map(str::to_owned)
            .collect(),
        challenge,
    };
    request.check(&call.app)?;
    Ok(request)
}
