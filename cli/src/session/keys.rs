//! API keys, by either way.

use lark_service::api_keys::{
    AllowedApps, AllowedTenants, ApiKey, ApiKeyChange, ApiKeyDescription, Authority, NewApiKey,
    RateLimit, Scope,
};
use lark_service::callbacks::SigningSecret;
use lark_service::idempotency::Seed;
use lark_service::ids::{AppId, TenantKey};
use lark_service::wiring::Services;
use reqwest::{Method, Url};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::{PAGE, Page, Session, actor, make_data_keys, remote_page, soon, value, with};
use crate::failure::Failure;
use crate::remote::Repeat;
use crate::values::End;

/// A key that is to be made.
pub(crate) struct KeyWish {
    pub(crate) name: String,
    pub(crate) scopes: Vec<Scope>,
    pub(crate) apps: AllowedApps,
    pub(crate) tenants: AllowedTenants,
    pub(crate) rate_limit: Option<RateLimit>,
    pub(crate) expires: Option<End>,
    pub(crate) callback_url: Option<String>,
}

impl Session {
    /// Makes a key; `key` of the answer is the whole key.
    pub(crate) async fn create_key(&self, wish: KeyWish) -> Result<Value, Failure> {
        let KeyWish {
            name,
            scopes,
            apps,
            tenants,
            rate_limit,
            expires,
            callback_url,
        } = wish;
        match self {
            Self::Http(remote) => {
                let now = lark_service::clock::Clock::now(&lark_service::clock::SystemClock);
                let scopes: Vec<_> = scopes.iter().map(|scope| scope.as_str()).collect();
                let apps = match &apps {
                    AllowedApps::All => vec!["*"],
                    AllowedApps::Only(ids) => ids.iter().map(AppId::as_str).collect(),
                };
                let tenants = match &tenants {
                    AllowedTenants::All => vec!["*"],
                    AllowedTenants::Only(ids) => ids.iter().map(TenantKey::as_str).collect(),
                };
                let body = json!({
                    "name": name,
                    "scopes": scopes,
                    "apps": apps,
                    "tenants": tenants,
                    "rate_limit": rate_limit,
                    "expires_at": expires.map(|end| end.moment(now).to_string()),
                    "callback_url": callback_url,
                });
                let post = remote.call(Method::POST, &["api-keys"]).body(body);
                post.send(Repeat::IfNotSent).await
            }
            Self::Store(services) => {
                make_data_keys(services).await?;
                let url = callback_url.map(|url| services.callbacks.address(&url));
                let url = url.transpose()?;
                let now = services.clock.now();
                let new = NewApiKey {
                    key: ApiKey::generate()?,
                    name,
                    scopes: scopes.into_iter().collect(),
                    apps,
                    tenants,
                    rate_limit,
                    expires_at: expires.map(|end| end.moment(now)),
                };
                services.api_keys.add(&new, &authority(), soon()).await?;
                let id = new.key.id();
                let info = Self::made(services, id, url.as_ref()).await?;
                Ok(with(info, "key", new.key.reveal().expose_secret()))
            }
        }
    }

    /// A key that was just made, with callbacks to `url`.
    async fn made(services: &Services, key_id: &str, url: Option<&Url>) -> Result<Value, Failure> {
        if let Some(url) = url {
            return register(services, key_id, url).await;
        }
        let info = services.api_keys.show(key_id, soon()).await?;
        value(&ApiKeyDescription::of(&info))
    }

    /// Has the callbacks of a key go to `url`, or nowhere; `callback_secret` of the answer signs them.
    pub(crate) async fn set_callback(
        &self,
        key_id: &str,
        url: Option<&str>,
    ) -> Result<Value, Failure> {
        match (self, url) {
            (Self::Http(remote), url) => {
                let patch = remote.call(Method::PATCH, &["api-keys", key_id]);
                let patch = patch.body(json!({ "callback_url": url }));
                patch.send(Repeat::IfNotSent).await
            }
            (Self::Store(services), Some(url)) => {
                let url = services.callbacks.address(url)?;
                register(services, key_id, &url).await
            }
            (Self::Store(services), None) => {
                let change = ApiKeyChange {
                    callback: Some(None),
                    ..ApiKeyChange::default()
                };
                let keys = &services.api_keys;
                let info = keys.change(key_id, &change, &authority(), soon()).await?;
                value(&ApiKeyDescription::of(&info))
            }
        }
    }

    /// A page of keys.
    pub(crate) async fn keys(&self, after: Option<&str>) -> Result<Page, Failure> {
        match self {
            Self::Http(remote) => remote_page(remote, &["api-keys"], after, &[]).await,
            Self::Store(services) => {
                let page = services.api_keys.list(after, PAGE, soon()).await?;
                Page::of(page, |key| value(&ApiKeyDescription::of(key)))
            }
        }
    }

    /// A key without its secret.
    pub(crate) async fn key(&self, key_id: &str) -> Result<Value, Failure> {
        match self {
            Self::Http(remote) => remote.get(&["api-keys", key_id], &[]).await,
            Self::Store(services) => {
                let info = services.api_keys.show(key_id, soon()).await?;
                value(&ApiKeyDescription::of(&info))
            }
        }
    }

    /// A page of a key's changes.
    pub(crate) async fn key_changes(
        &self,
        key_id: &str,
        after: Option<&str>,
    ) -> Result<Page, Failure> {
        match self {
            Self::Http(remote) => {
                remote_page(remote, &["api-keys", key_id, "changes"], after, &[]).await
            }
            Self::Store(services) => {
                let page = services
                    .api_keys
                    .changes(key_id, after, PAGE, soon())
                    .await?;
                Page::of(page, value)
            }
        }
    }

    /// Revokes a key.
    pub(crate) async fn revoke_key(&self, key_id: &str) -> Result<(), Failure> {
        match self {
            Self::Http(remote) => {
                let delete = remote.call(Method::DELETE, &["api-keys", key_id]);
                delete.send(Repeat::Safe).await?;
            }
            Self::Store(services) => {
                let authority = authority();
                services.api_keys.revoke(key_id, &authority, soon()).await?;
            }
        }
        Ok(())
    }
}

async fn register(services: &Services, key_id: &str, url: &Url) -> Result<Value, Failure> {
    let secret = SigningSecret::from_seed(&Seed::generate()?);
    let (callbacks, authority) = (&services.callbacks, authority());
    let registered = callbacks.register(key_id, url, &secret, &authority, soon());
    let info = value(&ApiKeyDescription::of(&registered.await?))?;
    Ok(with(
        info,
        "callback_secret",
        secret.reveal().expose_secret(),
    ))
}

fn authority() -> Authority {
    Authority::Operator(actor())
}
