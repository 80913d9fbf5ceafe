//! What an API module declares for each endpoint, and what its handlers get.

use std::sync::Arc;

use http::Method;

use crate::answer::{Answer, ApiError, ErrorFormat};
use crate::apps::{App, TENANT_KEY};
use crate::platform::Platform;
use crate::rate_limit::Tier;
use crate::request::Request;

/// An endpoint. Those with fixed segments come before those with `{parameters}` in the same place.
pub(crate) struct Endpoint {
    /// Its name in counters and faults.
    pub(crate) name: &'static str,
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) auth: AuthMethod,
    /// The app needs one of these scopes; none if the list is empty.
    pub(crate) scopes: &'static [&'static str],
    pub(crate) tier: Tier,
    pub(crate) handler: fn(&Platform, &Call<'_>) -> Result<Answer, ApiError>,
}

/// How a caller authenticates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AuthMethod {
    /// `app_id` and `app_secret` in the body, no token.
    AppSecret,
    /// `app_access_token` in the body, no token in the header.
    AppToken,
    /// A tenant_access_token in the header.
    TenantToken,
    /// A user_access_token in the header.
    UserToken,
    /// `client_id` and `client_secret` in the body, or in an `Authorization: Basic` header.
    Client,
    /// `client_id` in the query or form of a browser, not authenticated.
    Browser,
}

impl AuthMethod {
    /// The format of this endpoint's errors.
    pub(crate) fn error_format(self) -> ErrorFormat {
        match self {
            Self::AppSecret | Self::AppToken | Self::TenantToken | Self::UserToken => {
                ErrorFormat::Platform
            }
            Self::Client => ErrorFormat::Oauth,
            Self::Browser => ErrorFormat::Page,
        }
    }
}

/// A request that has passed authentication, scopes and limits.
pub(crate) struct Call<'a> {
    pub(crate) request: &'a Request,
    pub(crate) parameters: &'a [(&'static str, String)],
    pub(crate) app: Arc<App>,
    /// Only for a marketplace app's tenant token.
    pub(crate) tenant: Option<Arc<str>>,
    pub(crate) now_ms: u64,
}

impl Call<'_> {
    /// A parameter of the endpoint's path.
    pub(crate) fn parameter(&self, name: &str) -> &str {
        self.parameters
            .iter()
            .find(|(key, _)| *key == name)
            .map_or("", |(_, value)| value)
    }

    /// The tenant of the call.
    pub(crate) fn tenant_key(&self) -> &str {
        self.tenant.as_deref().unwrap_or(TENANT_KEY)
    }
}
