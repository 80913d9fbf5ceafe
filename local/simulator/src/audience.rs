//! What a tenant or app token is for.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// What a token is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Audience {
    /// Both the tenant and the app token of a self-built app: they are the same token.
    #[default]
    SelfBuilt,
    /// The app_access_token of a marketplace app.
    App,
    /// The tenant_access_token of a marketplace app for the tenant of this key.
    Tenant(Arc<str>),
}

impl Audience {
    pub(crate) fn is_self_built(&self) -> bool {
        matches!(self, Self::SelfBuilt)
    }
}
