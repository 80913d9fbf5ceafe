//! What goes in and out.

use std::collections::BTreeSet;

use lark_service::api_keys::{
    AllowedApps, AllowedTenants, ApiKey, ApiKeyChange, ApiKeyDescription, ApiKeyInfo,
    GivenRateLimit, NewApiKey, RateLimit, Scope,
};
use lark_service::callbacks::SigningSecret;
use lark_service::clock::Timestamp;
use lark_service::error::{Error, Result};
use lark_service::ids::{AppId, TenantKey};
use lark_service::page::Page;
use lark_service::schema::Name;
use secrecy::ExposeSecret;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

/// A new API key.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewApiKey)]
pub(crate) struct CreateBody {
    #[serde(default)]
    #[schema(value_type = Name, default = "")]
    name: String,
    #[schema(value_type = Vec<Scope>, min_items = 1)]
    scopes: Vec<String>,
    #[schema(value_type = AllowedApps)]
    apps: Vec<String>,
    #[serde(default)]
    #[schema(value_type = AllowedTenants, default = json!(["*"]))]
    tenants: Option<Vec<String>>,
    /// 1,000 in 60 seconds if left out; null for none.
    #[serde(default = "GivenRateLimit::by_default")]
    #[schema(value_type = Option<RateLimit>)]
    rate_limit: Option<GivenRateLimit>,
    /// When the key ends, in the future; left out or null for never.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    /// Where the ends of its messages are posted: an https address of the internet; left out or null for nowhere.
    #[schema(max_length = 2048)]
    callback_url: Option<String>,
}

impl CreateBody {
    /// The address of callbacks.
    pub(crate) fn callback_url(&self) -> Option<&str> {
        self.callback_url.as_deref()
    }

    pub(crate) fn read(self) -> Result<NewApiKey> {
        Ok(NewApiKey {
            key: ApiKey::generate()?,
            name: self.name,
            scopes: scopes(&self.scopes)?,
            apps: apps(&self.apps)?,
            tenants: tenants(self.tenants.as_deref())?,
            rate_limit: self.rate_limit.map(rate_limit).transpose()?,
            expires_at: self.expires_at.as_deref().map(moment).transpose()?,
        })
    }
}

/// What to change of an API key: what is absent stays; `null` takes a limit or an end away, and is wrong elsewhere.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ApiKeyChange)]
pub(crate) struct ChangeBody {
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Name)]
    name: Option<String>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Vec<Scope>, min_items = 1)]
    scopes: Option<Vec<String>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = AllowedApps)]
    apps: Option<Vec<String>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = AllowedTenants)]
    tenants: Option<Vec<String>>,
    /// Null for none.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<RateLimit>)]
    rate_limit: Option<Option<GivenRateLimit>>,
    /// In the future; null for never.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Option<String>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = StatusBody, inline)]
    status: Option<StatusBody>,
    /// Where the ends of its messages are posted: an https address of the internet; null for nowhere. Each time it is given, the
    /// same or another one, there is a new secret; those before it sign for a day more.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, max_length = 2048)]
    callback_url: Option<Option<String>>,
}

/// What an operator may make of a key.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum StatusBody {
    Active,
    Disabled,
}

impl ChangeBody {
    /// The address of callbacks; `Some(None)` for none.
    pub(crate) fn callback_url(&self) -> Option<Option<&str>> {
        self.callback_url.as_ref().map(Option::as_deref)
    }

    /// Without the callbacks, whose secret is to be made.
    pub(crate) fn read(self) -> Result<ApiKeyChange> {
        if self.is_empty() {
            return Err(Error::invalid(
                "body",
                "must have at least one of name, scopes, apps, tenants, rate_limit, expires_at, status and callback_url",
            ));
        }
        let rate_limit = self
            .rate_limit
            .map(|limit| limit.map(rate_limit).transpose());
        let expires_at = self
            .expires_at
            .map(|at| at.as_deref().map(moment).transpose());
        Ok(ApiKeyChange {
            name: self.name,
            scopes: self.scopes.as_deref().map(scopes).transpose()?,
            apps: self.apps.as_deref().map(apps).transpose()?,
            tenants: match &self.tenants {
                Some(given) => Some(tenants(Some(given))?),
                None => None,
            },
            rate_limit: rate_limit.transpose()?,
            expires_at: expires_at.transpose()?,
            is_enabled: self
                .status
                .map(|status| matches!(status, StatusBody::Active)),
            callback: None,
        })
    }

    const fn is_empty(&self) -> bool {
        matches!(
            self,
            Self {
                name: None,
                scopes: None,
                apps: None,
                tenants: None,
                rate_limit: None,
                expires_at: None,
                status: None,
                callback_url: None,
            }
        )
    }
}

fn rate_limit(given: GivenRateLimit) -> Result<RateLimit> {
    given
        .check()
        .map_err(|right| Error::invalid("rate_limit", right))
}

fn scopes(given: &[String]) -> Result<BTreeSet<Scope>> {
    let scopes = given.iter().enumerate().map(|(index, scope)| {
        scope
            .parse()
            .map_err(|error| Error::invalid(format!("scopes[{index}]"), format!("{error}")))
    });
    scopes.collect()
}

fn apps(given: &[String]) -> Result<AllowedApps> {
    if given == ["*"] {
        return Ok(AllowedApps::All);
    }
    let apps = given.iter().enumerate().map(|(index, app)| {
        AppId::parse(app).ok_or_else(|| {
            Error::invalid(
                format!("apps[{index}]"),
                "must be an app id; for every app, give [\"*\"] alone",
            )
        })
    });
    Ok(AllowedApps::Only(apps.collect::<Result<_>>()?))
}

/// Left out: every tenant.
fn tenants(given: Option<&[String]>) -> Result<AllowedTenants> {
    let given = match given {
        None => return Ok(AllowedTenants::All),
        Some([every]) if every == "*" => return Ok(AllowedTenants::All),
        Some(given) => given,
    };
    let tenants = given.iter().enumerate().map(|(index, tenant)| {
        TenantKey::parse(tenant).ok_or_else(|| {
            Error::invalid(
                format!("tenants[{index}]"),
                "must be a tenant key; for every tenant, give [\"*\"] alone",
            )
        })
    });
    Ok(AllowedTenants::Only(tenants.collect::<Result<_>>()?))
}

fn moment(text: &str) -> Result<Timestamp> {
    Timestamp::parse(text).ok_or_else(|| {
        Error::invalid(
            "expires_at",
            "must be a moment such as 2027-01-31T08:00:00Z",
        )
    })
}

/// Tells an explicit `null` from an absent field: it must be a `T` like any other value.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// A key right after it was made, the one time that it is shown.
#[derive(Serialize, ToSchema)]
#[schema(as = ApiKeyWithSecret)]
pub(crate) struct NewKeyAnswer<'k> {
    #[serde(flatten)]
    info: ApiKeyDescription<'k>,
    /// The key itself.
    #[schema(pattern = "^lsk_[A-Za-z0-9]{12}_[A-Za-z0-9_-]{43}$")]
    key: String,
    /// What signs its callbacks, if it has any.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^whsec_[A-Za-z0-9+/=]{44}$")]
    callback_secret: Option<String>,
}

impl<'k> NewKeyAnswer<'k> {
    pub(crate) fn of(info: &'k ApiKeyInfo, key: &ApiKey, secret: Option<&SigningSecret>) -> Self {
        Self {
            info: ApiKeyDescription::of(info),
            key: key.reveal().expose_secret().to_owned(),
            callback_secret: secret.map(revealed),
        }
    }
}

/// A key after a change; if its callbacks were registered, with what signs them, the one time that it is shown.
#[derive(Serialize, ToSchema)]
#[schema(as = ChangedApiKey)]
pub(crate) struct ChangedKeyAnswer<'k> {
    #[serde(flatten)]
    info: ApiKeyDescription<'k>,
    /// What signs its callbacks, if `callback_url` was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^whsec_[A-Za-z0-9+/=]{44}$")]
    callback_secret: Option<String>,
}

impl<'k> ChangedKeyAnswer<'k> {
    pub(crate) fn of(info: &'k ApiKeyInfo, secret: Option<&SigningSecret>) -> Self {
        Self {
            info: ApiKeyDescription::of(info),
            callback_secret: secret.map(revealed),
        }
    }
}

fn revealed(secret: &SigningSecret) -> String {
    secret.reveal().expose_secret().to_owned()
}

/// A page of keys.
pub(crate) fn key_page(
    keys: &[ApiKeyInfo],
    next_page_token: Option<String>,
) -> Page<ApiKeyDescription<'_>> {
    Page {
        items: keys.iter().map(ApiKeyDescription::of).collect(),
        next_page_token,
    }
}
