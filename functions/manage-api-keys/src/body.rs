//! What goes in and out.

use std::collections::BTreeSet;

use lark_service::api_keys::{AllowedApps, RateLimit, Scope};
use lark_service::api_keys::{ApiKey, ApiKeyChange, ApiKeyInfo, KeyState, NewApiKey};
use lark_service::clock::Timestamp;
use lark_service::error::{Error, Result};
use lark_service::ids::AppId;
use secrecy::ExposeSecret;
use serde::{Deserialize, Deserializer, Serialize};

/// How many requests a key is good for.
#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LimitBody {
    limit: u32,
    window_seconds: u32,
}

/// `POST /v1/api-keys`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateBody {
    #[serde(default)]
    name: String,
    scopes: Vec<String>,
    apps: Vec<String>,
    rate_limit: Option<LimitBody>,
    expires_at: Option<String>,
}

impl CreateBody {
    pub(crate) fn read(self) -> Result<NewApiKey> {
        Ok(NewApiKey {
            key: ApiKey::generate()?,
            name: self.name,
            scopes: scopes(&self.scopes)?,
            apps: apps(&self.apps)?,
            rate_limit: self.rate_limit.map(LimitBody::read).transpose()?,
            expires_at: self.expires_at.as_deref().map(moment).transpose()?,
        })
    }
}

/// `PATCH /v1/api-keys/{key_id}`: what is absent stays; `null` takes a limit or an end away, and is wrong elsewhere.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeBody {
    #[serde(default, deserialize_with = "given")]
    name: Option<String>,
    #[serde(default, deserialize_with = "given")]
    scopes: Option<Vec<String>>,
    #[serde(default, deserialize_with = "given")]
    apps: Option<Vec<String>>,
    #[serde(default, deserialize_with = "given")]
    rate_limit: Option<Option<LimitBody>>,
    #[serde(default, deserialize_with = "given")]
    expires_at: Option<Option<String>>,
    #[serde(default, deserialize_with = "given")]
    status: Option<StatusBody>,
}

/// What an operator may make of a key.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StatusBody {
    Active,
    Disabled,
}

impl ChangeBody {
    pub(crate) fn read(self) -> Result<ApiKeyChange> {
        if self.is_empty() {
            return Err(Error::invalid(
                "body",
                "must have at least one of name, scopes, apps, rate_limit, expires_at and status",
            ));
        }
        let rate_limit = self
            .rate_limit
            .map(|limit| limit.map(LimitBody::read).transpose());
        let expires_at = self
            .expires_at
            .map(|at| at.as_deref().map(moment).transpose());
        Ok(ApiKeyChange {
            name: self.name,
            scopes: self.scopes.as_deref().map(scopes).transpose()?,
            apps: self.apps.as_deref().map(apps).transpose()?,
            rate_limit: rate_limit.transpose()?,
            expires_at: expires_at.transpose()?,
            is_enabled: self
                .status
                .map(|status| matches!(status, StatusBody::Active)),
        })
    }

    const fn is_empty(&self) -> bool {
        matches!(
            self,
            Self {
                name: None,
                scopes: None,
                apps: None,
                rate_limit: None,
                expires_at: None,
                status: None,
            }
        )
    }
}

impl LimitBody {
    fn read(self) -> Result<RateLimit> {
        RateLimit::new(self.limit, self.window_seconds).ok_or_else(|| {
            Error::invalid(
                "rate_limit",
                "must have a limit above 0 and window_seconds from 1 to 86400",
            )
        })
    }
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

/// A key, without its secret. Moments are RFC 3339.
#[derive(Serialize)]
pub(crate) struct KeyAnswer<'k> {
    key_id: &'k str,
    name: &'k str,
    scopes: Vec<&'static str>,
    apps: Vec<&'k str>,
    rate_limit: Option<LimitBody>,
    status: KeyState,
    expires_at: Option<String>,
    /// To ten minutes.
    last_used_at: Option<String>,
    created_at: String,
    version: u64,
}

impl<'k> KeyAnswer<'k> {
    pub(crate) fn of(key: &'k ApiKeyInfo) -> Self {
        let text = |at: Timestamp| at.to_string();
        Self {
            key_id: &key.key_id,
            name: &key.name,
            scopes: key.scopes.iter().map(|scope| scope.as_str()).collect(),
            apps: match &key.apps {
                AllowedApps::All => vec!["*"],
                AllowedApps::Only(apps) => apps.iter().map(AppId::as_str).collect(),
            },
            rate_limit: key.rate_limit.map(|limit| LimitBody {
                limit: limit.limit.get(),
                window_seconds: limit.window_seconds.get(),
            }),
            status: key.state,
            expires_at: key.expires_at.map(text),
            last_used_at: key.last_used_at.map(text),
            created_at: text(key.created_at),
            version: key.version,
        }
    }
}

/// A key right after it was made: the one time that it is shown.
#[derive(Serialize)]
pub(crate) struct NewKeyAnswer<'k> {
    #[serde(flatten)]
    info: KeyAnswer<'k>,
    key: String,
}

impl<'k> NewKeyAnswer<'k> {
    pub(crate) fn of(info: &'k ApiKeyInfo, key: &ApiKey) -> Self {
        Self {
            info: KeyAnswer::of(info),
            key: key.reveal().expose_secret().to_owned(),
        }
    }
}

/// A page of keys.
#[derive(Serialize)]
pub(crate) struct KeyList<'k> {
    items: Vec<KeyAnswer<'k>>,
    next_page_token: Option<String>,
}

impl<'k> KeyList<'k> {
    pub(crate) fn of(keys: &'k [ApiKeyInfo], next_page_token: Option<String>) -> Self {
        Self {
            items: keys.iter().map(KeyAnswer::of).collect(),
            next_page_token,
        }
    }
}
