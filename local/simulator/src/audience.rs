//! What a tenant or app token is for.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// What a token is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Audience {
    /// Tenant and app token of a self-built app, which are the same.
    #[default]
    Own,
    /// The app_access_token of a marketplace app.
    App,
    /// The tenant_access_token of a marketplace app for the tenant of this key.
    Tenant(Arc<str>),
}

impl Audience {
    pub(crate) fn is_own(&self) -> bool {
        matches!(self, Self::Own)
    }
}
