//! How a login names its app: `client_id`, and the secret where the caller is not a browser.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header;
use serde_json::{Map, Value};

use crate::answer::{ApiError, ErrorFormat};
use crate::apps::App;
use crate::logins::error::OauthError;
use crate::platform::Platform;
use crate::request::Request;

/// The fields of a token request, in JSON or as a form.
pub(crate) struct Fields(HashMap<String, String>);

impl Fields {
    pub(crate) fn read(request: &Request) -> Result<Self, OauthError> {
        if request.is_form() {
            let form = request.form();
            let pairs = form.pairs();
            return Ok(Self(
                pairs
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .collect(),
            ));
        }
        let body: Map<String, Value> = request.json().map_err(|_| OauthError::Malformed)?;
        let mut fields = HashMap::new();
        for (name, value) in body {
            match value {
                Value::Null => {}
                Value::String(value) => {
                    fields.insert(name, value);
                }
                Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                    return Err(OauthError::Malformed);
                }
            }
        }
        Ok(Self(fields))
    }

    /// An empty field counts as absent (RFC 6749, 3.2).
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let value = self.0.get(name)?;
        (!value.is_empty()).then_some(value)
    }

    pub(crate) fn required(&self, name: &'static str) -> Result<&str, OauthError> {
        self.get(name).ok_or(OauthError::Parameter(name))
    }
}

/// The app of a token request, authenticated by its current or previous secret.
pub(crate) fn authenticate(platform: &Platform, request: &Request) -> Result<Arc<App>, ApiError> {
    authenticated_app(platform, request).map_err(|error| error.api_error(ErrorFormat::Oauth))
}

/// The app that a browser names in `client_id`, not authenticated.
pub(crate) fn claimed_app(platform: &Platform, request: &Request) -> Result<Arc<App>, ApiError> {
    let app = parameter(request, "client_id")
        .ok_or(OauthError::Parameter("client_id"))
        .and_then(|client_id| enabled_app(platform, &client_id));
    app.map_err(|error| error.api_error(ErrorFormat::Page))
}

/// A parameter of the authorize page: from the form if it has it, else from the query. Empty counts as absent.
pub(crate) fn parameter(request: &Request, name: &str) -> Option<String> {
    let in_form = request
        .is_form()
        .then(|| request.form())
        .and_then(|form| form.first(name).map(str::to_owned));
    in_form
        .or_else(|| request.query.first(name).map(str::to_owned))
        .filter(|value| !value.is_empty())
}

/// The app that a login request names, not authenticated.
pub(crate) fn claimed_id(request: &Request) -> Option<String> {
    if let Some((client_id, _)) = basic(request) {
        return Some(client_id);
    }
    if let Some(client_id) = request.query.first("client_id") {
        return Some(client_id.to_owned());
    }
    Some(Fields::read(request).ok()?.get("client_id")?.to_owned())
}

fn authenticated_app(platform: &Platform, request: &Request) -> Result<Arc<App>, OauthError> {
    let fields = Fields::read(request)?;
    let (client_id, secret) = match (basic(request), fields.get("client_secret")) {
        (Some(_), Some(_)) => return Err(OauthError::TwoCredentials),
        (Some(both), None) => both,
        (None, secret) => {
            let client_id = fields.required("client_id")?;
            let secret = secret.ok_or(OauthError::Parameter("client_secret"))?;
            (client_id.to_owned(), secret.to_owned())
        }
    };
    let app = enabled_app(platform, &client_id)?;
    match app.accepts(&secret) {
        true => Ok(app),
        false => Err(OauthError::BadSecret),
    }
}

fn enabled_app(platform: &Platform, client_id: &str) -> Result<Arc<App>, OauthError> {
    let app = platform.apps.get(client_id).ok_or(OauthError::NoSuchApp)?;
    match app.enabled {
        true => Ok(app),
        false => Err(OauthError::AppDisabled),
    }
}

/// Id and secret from `Authorization: Basic` (RFC 6749, 2.3.1).
fn basic(request: &Request) -> Option<(String, String)> {
    let value = request.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let decoded = STANDARD.decode(value.strip_prefix("Basic ")?).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let (client_id, secret) = text.split_once(':')?;
    Some((client_id.to_owned(), secret.to_owned()))
}
