//! The authorize page and its form ("Obtain OAuth code" in the platform's reference). A bad request is answered with a page,
//! never with a redirect, since where it leads is not to be trusted.

use http::StatusCode;
use url::Url;

use super::{client, user};
use crate::answer::{Answer, Refusal, Wording};
use crate::apps::{self, App};
use crate::endpoint::Call;
use crate::logins::codes::{Challenge, Consented};
use crate::logins::error::OauthError;
use crate::logins::scopes::Scopes;
use crate::pages::{self, Asked};
use crate::platform::Platform;

/// "At most 50 scopes".
const SCOPES_MAX: usize = 50;

/// What a login is asked with.
pub(crate) struct Wanted {
    pub(crate) redirect_uri: String,
    pub(crate) scopes: Scopes,
    pub(crate) challenge: Option<Challenge>,
}

impl Wanted {
    /// Whether the app may ask for this.
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

/// The page.
pub(crate) fn show(_: &Platform, call: &Call<'_>) -> Result<Answer, Refusal> {
    let wanted = wanted(call).map_err(|error| error.refusal(Wording::Page))?;
    let scopes: Vec<_> = wanted.scopes.iter().map(String::as_str).collect();
    let page = pages::consent(&Asked {
        app_id: &call.app.app_id,
        scopes: &scopes,
    });
    Ok(Answer::html(StatusCode::OK, 0, page))
}

/// The form: 302 back to the app, with `code` or with `error=access_denied`.
pub(crate) fn decide(platform: &Platform, call: &Call<'_>) -> Result<Answer, Refusal> {
    decision(platform, call)
        .map(|location| Answer::redirect(location.into()))
        .map_err(|error| error.refusal(Wording::Page))
}

/// Somebody consents: the code for the app.
pub(crate) fn consent(
    platform: &Platform,
    app: &App,
    n: u32,
    wanted: Wanted,
    now_ms: u64,
) -> Result<String, OauthError> {
    user(platform, app, n)?;
    let consented = Consented {
        app_id: app.app_id.clone(),
        n,
        scopes: platform.logins.consent(&app.app_id, n, wanted.scopes),
        redirect_uri: wanted.redirect_uri,
        challenge: wanted.challenge,
        at_ms: now_ms,
    };
    Ok(platform.codes.issue(consented, &platform.values))
}

fn decision(platform: &Platform, call: &Call<'_>) -> Result<Url, OauthError> {
    let wanted = wanted(call)?;
    let mut location =
        Url::parse(&wanted.redirect_uri).map_err(|_| OauthError::RedirectNotRegistered)?;
    let decision = client::parameter(call.request, "decision");
    let (name, value) = match decision.as_deref() {
        Some("approve") => {
            let user = client::parameter(call.request, "user").unwrap_or_else(|| "1".to_owned());
            let n = user.parse().map_err(|_| OauthError::NoSuchUser)?;
            let code = consent(platform, &call.app, n, wanted, call.now_ms)?;
            ("code", code)
        }
        Some("refuse") => ("error", "access_denied".to_owned()),
        Some(_) | None => return Err(OauthError::Parameter("decision")),
    };
    // The query that is there stays, and a fragment stays behind it.
    let mut query = location.query_pairs_mut();
    query.append_pair(name, &value);
    if let Some(state) = client::parameter(call.request, "state") {
        query.append_pair("state", &state);
    }
    drop(query);
    Ok(location)
}

/// What the parameters say, once it is certain that the app may ask for it.
fn wanted(call: &Call<'_>) -> Result<Wanted, OauthError> {
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
    let wanted = Wanted {
        redirect_uri: parameter("redirect_uri").ok_or(OauthError::Parameter("redirect_uri"))?,
        scopes: parameter("scope")
            .unwrap_or_default()
            .split_ascii_whitespace()
            .map(str::to_owned)
            .collect(),
        challenge,
    };
    wanted.check(&call.app)?;
    Ok(wanted)
}
