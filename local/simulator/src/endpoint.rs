//! What an API family says about each of its endpoints, and what its handlers get.

use std::sync::Arc;

use http::Method;

use crate::answer::{Answer, Refusal, Wording};
use crate::apps::{App, TENANT_KEY};
use crate::platform::Platform;
use crate::rate_limit::Tier;
use crate::request::Request;

/// One row. Rows with fixed segments come before rows with `{parameters}` in the same place.
pub(crate) struct Endpoint {
    /// How counters and faults call it.
    pub(crate) name: &'static str,
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) access: Access,
    /// The app needs one of these; none for an empty list.
    pub(crate) scopes: &'static [&'static str],
    pub(crate) tier: Tier,
    pub(crate) handler: fn(&Platform, &Call<'_>) -> Result<Answer, Refusal>,
}

/// Who may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// `app_id` and `app_secret` in the body, no token.
    AppSecret,
    /// `app_access_token` in the body, no token in the header.
    AppToken,
    /// A tenant_access_token in the header.
    TenantToken,
    /// A user_access_token in the header.
    UserToken,
    /// `client_id` and `client_secret` in the body, or in the header of HTTP's Basic authentication.
    Client,
    /// A browser that says `client_id` in the query.
    Browser,
}

impl Access {
    /// In which shape a call is refused.
    pub(crate) fn wording(self) -> Wording {
        match self {
            Self::AppSecret | Self::AppToken | Self::TenantToken | Self::UserToken => {
                Wording::Platform
            }
            Self::Client => Wording::Oauth,
            Self::Browser => Wording::Page,
        }
    }
}

/// A request that has passed the gateway.
pub(crate) struct Call<'a> {
    pub(crate) request: &'a Request,
    pub(crate) parameters: &'a [(&'static str, String)],
    pub(crate) app: Arc<App>,
    /// Of a marketplace app's tenant token only.
    pub(crate) tenant: Option<Arc<str>>,
    pub(crate) now_ms: u64,
}

impl Call<'_> {
    /// A path parameter of the endpoint's own row.
    pub(crate) fn parameter(&self, name: &str) -> &str {
        self.parameters
            .iter()
            .find(|(key, _)| *key == name)
            .map_or("", |(_, value)| value)
    }

    /// The tenant that the call is about.
    pub(crate) fn tenant_key(&self) -> &str {
        self.tenant.as_deref().unwrap_or(TENANT_KEY)
    }
}
