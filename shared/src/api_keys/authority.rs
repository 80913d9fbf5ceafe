//! Who changes API keys, and what they may give away: nobody more than they have.

use std::collections::BTreeSet;

use super::{
    AllowedApps, AllowedTenants, ApiKeyInfo, Caller, KeyState, NewApiKey, RateLimit, Role, Scope,
};
use crate::changes::Actor;
use crate::clock::Timestamp;
use crate::error::{Error, Result};

/// Who changes API keys.
#[derive(Clone, Debug)]
pub enum Authority {
    /// The command line or a seed document: whoever runs them has the store itself.
    Operator(Actor),
    /// The holder of a key, by what its record says.
    Key(Caller),
}

/// What a key gives to its holder.
#[derive(Clone, Copy, Debug)]
pub(super) struct Powers<'k> {
    scopes: &'k BTreeSet<Scope>,
    apps: &'k AllowedApps,
    tenants: &'k AllowedTenants,
    rate_limit: Option<RateLimit>,
    expires_at: Option<Timestamp>,
}

impl<'k> Powers<'k> {
    pub(super) const fn of_new(new: &'k NewApiKey) -> Self {
        Self {
            scopes: &new.scopes,
            apps: &new.apps,
            tenants: &new.tenants,
            rate_limit: new.rate_limit,
            expires_at: new.expires_at,
        }
    }

    const fn of_caller(caller: &'k Caller) -> Self {
        Self {
            scopes: &caller.scopes,
            apps: &caller.apps,
            tenants: &caller.tenants,
            rate_limit: caller.rate_limit,
            expires_at: caller.expires_at,
        }
    }

    const fn of_key(key: &'k ApiKeyInfo) -> Self {
        Self {
            scopes: &key.scopes,
            apps: &key.apps,
            tenants: &key.tenants,
            rate_limit: key.rate_limit,
            expires_at: key.expires_at,
        }
    }

    /// The fields in which these powers are more than `own`. An owner has every scope to give.
    fn more_than(&self, own: &Self) -> Vec<&'static str> {
        // Every field, so that the compiler asks for a new one here.
        let Self {
            scopes,
            apps,
            tenants,
            rate_limit,
            expires_at,
        } = self;
        let is_owner = Role::of(own.scopes, own.apps) == Some(Role::Owner);
        let has_limit = match (own.rate_limit, rate_limit) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(own), Some(given)) => own.covers(given),
        };
        let has_time = match (own.expires_at, expires_at) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(own), Some(given)) => *given <= own,
        };
        let checks = [
            ("scopes", is_owner || scopes.is_subset(own.scopes)),
            ("apps", own.apps.covers(apps)),
            ("tenants", own.tenants.covers(tenants)),
            ("rate_limit", has_limit),
            ("expires_at", has_time),
        ];
        let missing = checks.into_iter().filter(|(_, has)| !has);
        missing.map(|(field, _)| field).collect()
    }
}

impl Authority {
    /// Who is named in the change.
    #[must_use]
    pub fn actor(&self) -> Actor {
        match self {
            Self::Operator(actor) => actor.clone(),
            Self::Key(caller) => Actor::api_key(&caller.key_id),
        }
    }

    /// Whether `key` is there for them: an administrator of apps knows of no key that is for another app as well.
    #[must_use]
    pub fn sees(&self, key: &ApiKeyInfo) -> bool {
        match self {
            Self::Operator(_) => true,
            Self::Key(caller) => caller.apps.covers(&key.apps),
        }
    }

    /// Whether every key is there for them.
    pub(super) const fn sees_all(&self) -> bool {
        match self {
            Self::Operator(_) => true,
            Self::Key(caller) => matches!(caller.apps, AllowedApps::All),
        }
    }

    /// Passes if they have all of these `powers` to give.
    ///
    /// # Errors
    /// [`Error::PermissionDenied`] naming the fields that are too much.
    pub(super) fn may_give(&self, powers: &Powers<'_>) -> Result<()> {
        let Self::Key(caller) = self else {
            return Ok(());
        };
        let more = powers.more_than(&Powers::of_caller(caller));
        if more.is_empty() {
            return Ok(());
        }
        Err(Error::PermissionDenied(format!(
            "the API key may not give away more than it has itself: {}",
            more.join(", ")
        )))
    }

    /// Passes if they may change `key`, whatever the change is.
    ///
    /// # Errors
    /// [`Error::ApiKeyNotFound`] for a key that they do not see, [`Error::PermissionDenied`] for their own.
    pub(super) fn may_change(&self, key: &ApiKeyInfo) -> Result<()> {
        let Self::Key(caller) = self else {
            return Ok(());
        };
        if caller.key_id == key.key_id {
            return Err(Error::PermissionDenied(
                "an API key may not change itself".to_owned(),
            ));
        }
        if self.sees(key) {
            return Ok(());
        }
        Err(Error::ApiKeyNotFound(key.key_id.clone()))
    }

    /// Passes if they may make `after` of `before`: one takes only away, or gives nothing that they do not have.
    ///
    /// # Errors
    /// [`Error::PermissionDenied`] naming the fields that are too much.
    pub(super) fn may_turn(&self, before: &ApiKeyInfo, after: &ApiKeyInfo) -> Result<()> {
        let revives = after.state == KeyState::Active && before.state != KeyState::Active;
        let given = Powers::of_key(after);
        if !revives && given.more_than(&Powers::of_key(before)).is_empty() {
            return Ok(());
        }
        self.may_give(&given)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(scopes: &[Scope], apps: &str) -> ApiKeyInfo {
        ApiKeyInfo {
            key_id: "k00000000000".to_owned(),
            name: String::new(),
            scopes: scopes.iter().copied().collect(),
            apps: AllowedApps::parse(apps),
            tenants: AllowedTenants::All,
            rate_limit: None,
            expires_at: None,
            last_used_at: None,
            created_at: Timestamp::from_millis(0),
            version: 1,
            state: KeyState::Active,
            callback_url: None,
            callback_disabled: None,
        }
    }

    #[test]
    fn an_owner_has_every_scope_to_give_and_an_administrator_of_apps_its_own() {
        let owner = key(&[Scope::Admin], "*");
        let reader = key(&[Scope::TokensRead], "*");
        assert!(
            Powers::of_key(&reader)
                .more_than(&Powers::of_key(&owner))
                .is_empty()
        );
        let admin = key(&[Scope::Admin], "cli_a");
        let more = Powers::of_key(&reader).more_than(&Powers::of_key(&admin));
        assert_eq!(more, ["scopes", "apps"]);
    }
}
