//! Access tokens: fetched once for all callers, cached in three tiers, renewed before they expire.
//!
//! L1 is the process ([`TokenService`] remembers), L2 the shared cache, L3 the store, which is the authority. In every tier,
//! only a higher version replaces a state, so no old state comes back. One process at a time fetches a token: it holds a lease
//! in the store, taken by a conditional write on the version. User logins have their own rules, because a refresh token works
//! once: see [`Login`].

use std::fmt;
use std::sync::Arc;

use secrecy::SecretString;

use crate::apps::AppContext;
use crate::clock::Timestamp;
use crate::ids::{AppId, OpenId, TenantKey};
use crate::schema::{describe, one_of};
use crate::seal::Fingerprint;
use crate::store::Key;

mod codec;
mod info;
mod issuer;
mod logins;
mod queue;
mod refresher;
mod renewal;
pub mod schedule;
mod sealed;
mod service;
mod state;
mod tiers;
mod upkeep;

pub use codec::SHARDS;
pub use info::{FailureInfo, LoginInfo, TokenInfo};
pub use logins::{Login, OFFLINE_ACCESS, Pair, RefreshToken};
pub use refresher::{Refresher, RunReport};
pub(crate) use sealed::{leased_until, sealed_attributes};
pub use service::{TokenService, Trust};
pub use state::{Lease, TokenFailure, TokenState, Verdict};

/// The kinds of the platform's tokens.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum TokenKind {
    /// `tenant_access_token`: acts as the app in a tenant.
    Tenant,
    /// `app_access_token`: acts as the app itself.
    App,
    /// `user_access_token`: acts as a user who logged in.
    User,
}

describe!(
    TokenKind,
    "TokenKind",
    one_of(
        "`tenant`: the tenant access token, acts as the app in its tenant. `app`: the app access token, acts as the app \
         itself. `user`: the user access token, acts as a user who logged in to the app.",
        TokenKind::ALL.map(TokenKind::as_str),
    )
);

impl TokenKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Tenant, Self::App, Self::User];

    /// The kind in paths, records and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::App => "app",
            Self::User => "user",
        }
    }

    /// The kind that `text` names.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// The store's partition of the app's tokens of this kind: one for each kind, because most functions need only some.
    #[must_use]
    pub fn partition(self, app_id: &AppId) -> String {
        format!("{}#{app_id}", self.as_str())
    }
}

/// The key of a token: its app, kind and subject.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct TokenKey {
    /// The app.
    pub app_id: AppId,
    /// The kind.
    pub kind: TokenKind,
    /// The subject: the tenant key of a marketplace app's tenant, the open_id of a user; empty for an internal app's own
    /// tenant and for the app itself.
    pub subject: String,
}

impl TokenKey {
    /// The token that acts as the app in `tenant`; `None`: in its own tenant.
    #[must_use]
    pub fn tenant(app_id: AppId, tenant: Option<&TenantKey>) -> Self {
        Self {
            app_id,
            kind: TokenKind::Tenant,
            subject: tenant.map(ToString::to_string).unwrap_or_default(),
        }
    }

    /// The token that acts as the app itself.
    #[must_use]
    pub const fn app(app_id: AppId) -> Self {
        Self {
            app_id,
            kind: TokenKind::App,
            subject: String::new(),
        }
    }

    /// The token that acts as the user.
    #[must_use]
    pub fn user(app_id: AppId, open_id: &OpenId) -> Self {
        Self {
            app_id,
            kind: TokenKind::User,
            subject: open_id.to_string(),
        }
    }

    /// The token with which `context` calls the platform.
    #[must_use]
    pub fn of_context(context: &AppContext) -> Self {
        Self::tenant(context.app().app_id.clone(), context.tenant())
    }

    fn sort(&self) -> String {
        format!("{}#{}", self.kind.as_str(), self.subject)
    }

    /// Its key in the store.
    #[must_use]
    pub fn store_key(&self) -> Key {
        Key::new(self.kind.partition(&self.app_id), self.sort())
    }

    /// The token key that the store key `key` was made from.
    #[must_use]
    pub fn from_store_key(key: &Key) -> Option<Self> {
        let (kind, subject) = key.sort.split_once('#')?;
        let (of_kind, app_id) = key.partition.split_once('#')?;
        let kind = TokenKind::parse(kind).filter(|_| kind == of_kind)?;
        Some(Self {
            app_id: AppId::parse(app_id)?,
            kind,
            subject: subject.to_owned(),
        })
    }

    /// Its key in the shared cache.
    fn cache_key(&self) -> String {
        format!("lark:token:{}:{}", self.app_id, self.sort())
    }

    /// The key of its fetch lease in the shared cache.
    fn lease_key(&self) -> String {
        format!("lark:token-lease:{}:{}", self.app_id, self.sort())
    }

    /// The context that its sealed value is bound to.
    fn seal_context(&self) -> String {
        format!("tokens/{}/{}", self.app_id, self.sort())
    }
}

/// An access token.
#[derive(Clone)]
pub struct Token {
    /// The token itself.
    pub value: SecretString,
    /// The fingerprint of the app secret that it was issued for.
    pub fingerprint: Fingerprint,
    /// When it was requested.
    pub issued_at: Timestamp,
    /// When it expires, from the platform's answer.
    pub expires_at: Timestamp,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// A shared token, to avoid copies.
pub type SharedToken = Arc<Token>;
