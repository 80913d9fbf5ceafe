//! An API key as operators see and change it, and as a record of the store. Pure.

use std::collections::{BTreeSet, HashMap};

use super::callback::{self, CallbackDisabled, CallbackSetting};
use super::{ApiKey, USED_PREFIX};
use crate::api_keys::{Allowed, AllowedApps, AllowedTenants, Caller, RateLimit, Scope};
use crate::changes::{self, Actor};
use crate::clock::Timestamp;
use crate::error::{Error, FieldError, Result};
use crate::store::{Record, Value};

/// The longest name.
const MAX_NAME_BYTES: usize = 256;
/// The most apps, and tenants, that a key may name.
const MAX_NAMED: usize = 100;

/// A new key, as an operator describes it.
#[derive(Clone, Debug)]
pub struct NewApiKey {
    /// The key.
    pub key: ApiKey,
    /// Its display name.
    pub name: String,
    /// What it allows.
    pub scopes: BTreeSet<Scope>,
    /// For which apps.
    pub apps: AllowedApps,
    /// In which tenants of marketplace apps.
    pub tenants: AllowedTenants,
    /// Its rate limit; `None`: no limit of its own.
    pub rate_limit: Option<RateLimit>,
    /// When it expires; `None`: never.
    pub expires_at: Option<Timestamp>,
}

/// A change to a key. Fields that are `None` stay as they are.
#[derive(Clone, Debug, Default)]
pub struct ApiKeyChange {
    /// Its display name.
    pub name: Option<String>,
    /// What it allows.
    pub scopes: Option<BTreeSet<Scope>>,
    /// For which apps.
    pub apps: Option<AllowedApps>,
    /// In which tenants of marketplace apps.
    pub tenants: Option<AllowedTenants>,
    /// `Some(None)`: no limit of its own.
    pub rate_limit: Option<Option<RateLimit>>,
    /// `Some(None)`: never.
    pub expires_at: Option<Option<Timestamp>>,
    /// Whether it may be used.
    pub is_enabled: Option<bool>,
    /// `Some(None)`: no callbacks.
    pub callback: Option<Option<CallbackSetting>>,
}

/// Whether a key may be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(
    as = ApiKeyStatus,
    description = "`disabled` can be undone, `revoked` cannot. `expired`: its `expires_at` has passed."
)]
pub enum KeyState {
    /// It may be used.
    Active,
    /// It may not be used until it is enabled again.
    Disabled,
    /// It may never be used again.
    Revoked,
    /// It has expired.
    Expired,
}

/// An API key as operators see it: everything but its secret.
#[derive(Clone, Debug)]
pub struct ApiKeyInfo {
    /// Its public part.
    pub key_id: String,
    /// Its display name.
    pub name: String,
    /// What it allows.
    pub scopes: BTreeSet<Scope>,
    /// For which apps.
    pub apps: AllowedApps,
    /// In which tenants of marketplace apps.
    pub tenants: AllowedTenants,
    /// Its rate limit.
    pub rate_limit: Option<RateLimit>,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to within ten minutes; `None`: never.
    pub last_used_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Grows with each change.
    pub version: u64,
    /// Whether it may be used now.
    pub state: KeyState,
    /// Where its callbacks go.
    pub callback_url: Option<String>,
    /// That they go there no more.
    pub callback_disabled: Option<CallbackDisabled>,
}

impl KeyState {
    /// The state at `now`, from the stored status and the expiry.
    fn of(status: &str, expires_at: Option<Timestamp>, now: Timestamp) -> Self {
        match status {
            "active" if expires_at.is_some_and(|at| at <= now) => Self::Expired,
            "active" => Self::Active,
            "disabled" => Self::Disabled,
            _ => Self::Revoked,
        }
    }
}

/// The key in `record`, with its state at `now`; `None` if there is none.
pub(super) fn info(record: &Record, now: Timestamp) -> Option<ApiKeyInfo> {
    let expires_at = record.number("ends_at").map(Timestamp::from_millis);
    Some(ApiKeyInfo {
        key_id: record.key.partition.clone(),
        name: record.text("name").unwrap_or_default().to_owned(),
        scopes: record
            .text("scopes")?
            .split_ascii_whitespace()
            .filter_map(|scope| scope.parse().ok())
            .collect(),
        apps: AllowedApps::parse(record.text("apps")?),
        tenants: record
            .text("tenants")
            .map_or(AllowedTenants::All, AllowedTenants::parse),
        rate_limit: record.text("rate_limit").and_then(RateLimit::parse),
        expires_at,
        last_used_at: None,
        created_at: Timestamp::from_millis(record.number("created_at")?),
        version: record.version,
        state: KeyState::of(record.text("status")?, expires_at, now),
        callback_url: callback::url(record).map(str::to_owned),
        callback_disabled: None,
    })
}

/// The holder of the key in `record`, for which the store was asked at `confirmed_at`; `None` if it may not be used at `now`.
pub(super) fn caller(record: &Record, confirmed_at: Timestamp, now: Timestamp) -> Option<Caller> {
    let key = info(record, now)?;
    (key.state == KeyState::Active).then_some(Caller {
        key_id: key.key_id,
        scopes: key.scopes,
        apps: key.apps,
        tenants: key.tenants,
        rate_limit: key.rate_limit,
        expires_at: key.expires_at,
        version: key.version,
        confirmed_at,
        has_callback: key.callback_url.is_some(),
    })
}

/// The keys among `records`, each with its last use and what else stands beside it.
pub(super) fn infos(records: &[Record], now: Timestamp) -> Vec<ApiKeyInfo> {
    let used: HashMap<_, _> = records
        .iter()
        .filter_map(|record| {
            let key_id = record.key.partition.strip_prefix(USED_PREFIX)?;
            Some((key_id, record.number("used_at")?))
        })
        .collect();
    let disabled: HashMap<_, _> = records
        .iter()
        .filter_map(|record| {
            let partition = &record.key.partition;
            Some((partition.strip_prefix(callback::DISABLED_PREFIX)?, record))
        })
        .collect();
    let keys = records.iter().filter_map(|record| {
        let key = info(record, now)?;
        let (key_id, used_at) = (key.key_id.as_str(), used.get(key.key_id.as_str()));
        Some(ApiKeyInfo {
            last_used_at: used_at.copied().map(Timestamp::from_millis),
            callback_disabled: callback::disabled(record, disabled.get(key_id).copied()),
            ..key
        })
    });
    keys.collect()
}

/// `record` after `change`.
pub(super) fn changed(
    mut record: Record,
    change: &ApiKeyChange,
    actor: &Actor,
    now: Timestamp,
) -> Result<Option<Record>> {
    let current =
        info(&record, now).ok_or_else(|| Error::ApiKeyNotFound(record.key.partition.clone()))?;
    if current.state == KeyState::Revoked {
        return Err(Error::invalid(
            "key_id",
            "is of a revoked key: make a new one",
        ));
    }
    let after = Asked {
        name: change.name.as_ref().unwrap_or(&current.name),
        scopes: change.scopes.as_ref().unwrap_or(&current.scopes),
        apps: change.apps.as_ref().unwrap_or(&current.apps),
        tenants: change.tenants.as_ref().unwrap_or(&current.tenants),
        expires_at: change.expires_at.flatten(),
    };
    after.check(now)?;
    let (mut fields, mut action) = (Vec::new(), "changed");
    if let Some(name) = &change.name {
        record = record.with("name", Value::Text(name.clone()));
        fields.push("name");
    }
    if let Some(scopes) = &change.scopes {
        record = record.with("scopes", Value::Text(joined(scopes)));
        fields.push("scopes");
    }
    if let Some(apps) = &change.apps {
        record = record.with("apps", Value::Text(apps.to_string()));
        fields.push("apps");
    }
    if let Some(tenants) = &change.tenants {
        record = with_tenants(record, tenants);
        fields.push("tenants");
    }
    if let Some(limit) = change.rate_limit {
        record = with_limit(record, limit);
        fields.push("rate_limit");
    }
    if let Some(expires_at) = change.expires_at {
        record = with_end(record, expires_at);
        fields.push("expires_at");
    }
    if let Some(setting) = &change.callback {
        record = callback::with(record, setting.as_ref());
        fields.push("callback_url");
    }
    if let Some(is_enabled) = change.is_enabled {
        let status = if is_enabled { "active" } else { "disabled" };
        record = record.with("status", Value::Text(status.to_owned()));
        fields.push("status");
        action = if is_enabled { "enabled" } else { "disabled" };
    }
    Ok(Some(changes::stamped(record, actor, action, &fields, now)))
}

pub(super) fn with_limit(mut record: Record, limit: Option<RateLimit>) -> Record {
    record.attributes.remove("rate_limit");
    match limit {
        Some(limit) => record.with("rate_limit", Value::Text(limit.to_string())),
        None => record,
    }
}

/// A key for every tenant has no such attribute, like the keys from before there was one.
pub(super) fn with_tenants(mut record: Record, tenants: &AllowedTenants) -> Record {
    record.attributes.remove("tenants");
    match tenants {
        AllowedTenants::All => record,
        AllowedTenants::Only(_) => record.with("tenants", Value::Text(tenants.to_string())),
    }
}

pub(super) fn with_end(mut record: Record, expires_at: Option<Timestamp>) -> Record {
    record.attributes.remove("ends_at");
    match expires_at {
        Some(at) => record.with("ends_at", Value::Number(at.as_millis())),
        None => record,
    }
}

/// What a key is asked to be.
pub(super) struct Asked<'a> {
    pub(super) name: &'a str,
    pub(super) scopes: &'a BTreeSet<Scope>,
    pub(super) apps: &'a AllowedApps,
    pub(super) tenants: &'a AllowedTenants,
    pub(super) expires_at: Option<Timestamp>,
}

impl<'a> Asked<'a> {
    pub(super) const fn of(new: &'a NewApiKey) -> Self {
        Self {
            name: new.name.as_str(),
            scopes: &new.scopes,
            apps: &new.apps,
            tenants: &new.tenants,
            expires_at: new.expires_at,
        }
    }

    /// Passes if a key can be that at `now`.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] naming each field that is wrong.
    pub(super) fn check(&self, now: Timestamp) -> Result<()> {
        let is_text = self.name.len() <= MAX_NAME_BYTES && !self.name.chars().any(char::is_control);
        let is_admin = self.scopes.contains(&Scope::Admin);
        let is_limited = matches!(self.tenants, AllowedTenants::Only(_));
        let checks = [
            (
                "name",
                is_text,
                "must be up to 256 bytes of text on one line",
            ),
            (
                "scopes",
                !self.scopes.is_empty(),
                "must name at least one scope",
            ),
            (
                "apps",
                is_named(self.apps),
                "must name 1 to 100 apps, or be [\"*\"] for all",
            ),
            (
                "tenants",
                is_named(self.tenants),
                "must name 1 to 100 tenants, or be [\"*\"] for all",
            ),
            (
                "tenants",
                !(is_admin && is_limited),
                "must be [\"*\"] for a key with the scope admin: an app is the same in all its tenants",
            ),
            (
                "expires_at",
                self.expires_at.is_none_or(|at| at > now),
                "must be in the future",
            ),
        ];
        let problems = checks.into_iter().filter(|(_, is_right, _)| !is_right);
        let problems: Vec<_> = problems
            .map(|(field, _, message)| FieldError {
                field: field.to_owned(),
                message: message.to_owned(),
            })
            .collect();
        if problems.is_empty() {
            Ok(())
        } else {
            Err(Error::InvalidArgument(problems))
        }
    }
}

/// The authorizer passes them along with each request.
fn is_named<Id>(ids: &Allowed<Id>) -> bool {
    match ids {
        Allowed::All => true,
        Allowed::Only(ids) => (1..=MAX_NAMED).contains(&ids.len()),
    }
}

pub(super) fn joined(scopes: &BTreeSet<Scope>) -> String {
    let scopes: Vec<_> = scopes.iter().map(|scope| scope.as_str()).collect();
    scopes.join(" ")
}
