//! An API key as operators see it, through the API and on the command line.

use serde::Serialize;
use utoipa::ToSchema;

use super::callback::CallbackDisabled;
use super::{AllowedApps, AllowedTenants, ApiKeyInfo, KeyState, RateLimit, Role, Scope};
use crate::clock::Timestamp;
use crate::ids::{AppId, TenantKey};
use crate::schema::Name;

/// A key, without its secret.
#[derive(Serialize, ToSchema)]
#[expect(
    missing_docs,
    reason = "their types say it, once, in the API's document too"
)]
#[schema(as = ApiKey)]
pub struct ApiKeyDescription<'k> {
    /// The key's public part: what stands between the first two `_`.
    pub key_id: &'k str,
    #[schema(value_type = Name)]
    pub name: &'k str,
    #[schema(value_type = Vec<Scope>)]
    pub scopes: Vec<&'static str>,
    #[schema(value_type = AllowedApps)]
    pub apps: Vec<&'k str>,
    #[schema(value_type = AllowedTenants)]
    pub tenants: Vec<&'k str>,
    /// What it administers; null: nothing.
    #[schema(required)]
    pub role: Option<Role>,
    #[schema(required)]
    pub rate_limit: Option<RateLimit>,
    pub status: KeyState,
    /// When it ends; null: never.
    #[schema(required, format = DateTime)]
    pub expires_at: Option<String>,
    /// When it was used last, to ten minutes; null: never.
    #[schema(required, format = DateTime)]
    pub last_used_at: Option<String>,
    #[schema(format = DateTime)]
    pub created_at: String,
    /// Where its callbacks go; null: nowhere.
    #[schema(required, format = "uri")]
    pub callback_url: Option<&'k str>,
    /// That they go there no more, until `callback_url` is set again; null: they do.
    #[schema(required)]
    pub callback_disabled: Option<CallbackDisabledDescription<'k>>,
    /// Grows with each change.
    pub version: u64,
}

/// Since when and why callbacks are sent no more.
#[derive(Serialize, ToSchema)]
#[schema(as = CallbackDisabled)]
pub struct CallbackDisabledDescription<'k> {
    #[schema(format = DateTime)]
    at: String,
    reason: &'k str,
}

impl<'k> CallbackDisabledDescription<'k> {
    fn of(disabled: &'k CallbackDisabled) -> Self {
        Self {
            at: disabled.at.to_string(),
            reason: &disabled.reason,
        }
    }
}

impl<'k> ApiKeyDescription<'k> {
    /// The description of `key`.
    #[must_use]
    pub fn of(key: &'k ApiKeyInfo) -> Self {
        let text = |at: Timestamp| at.to_string();
        Self {
            key_id: &key.key_id,
            name: &key.name,
            scopes: key.scopes.iter().map(|scope| scope.as_str()).collect(),
            apps: match &key.apps {
                AllowedApps::All => vec!["*"],
                AllowedApps::Only(apps) => apps.iter().map(AppId::as_str).collect(),
            },
            tenants: match &key.tenants {
                AllowedTenants::All => vec!["*"],
                AllowedTenants::Only(tenants) => tenants.iter().map(TenantKey::as_str).collect(),
            },
            role: Role::of(&key.scopes, &key.apps),
            rate_limit: key.rate_limit,
            status: key.state,
            expires_at: key.expires_at.map(text),
            last_used_at: key.last_used_at.map(text),
            created_at: text(key.created_at),
            callback_url: key.callback_url.as_deref(),
            callback_disabled: key
                .callback_disabled
                .as_ref()
                .map(CallbackDisabledDescription::of),
            version: key.version,
        }
    }
}
