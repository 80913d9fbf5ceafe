//! What an API key grants: scopes, apps, tenants and a rate limit.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use utoipa::openapi::Ref;
use utoipa::openapi::schema::{AnyOfBuilder, ArrayBuilder};

use crate::ids::{AppId, TenantKey};
use crate::schema::{constant, describe, one_of};

/// What an API key allows.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Scope {
    /// Read access tokens of apps and tenants.
    TokensRead,
    /// Read access tokens of users, and log them out.
    UserTokensRead,
    /// Read users, departments and chats.
    UsersRead,
    /// Send, change and recall messages.
    MessagesSend,
    /// Manage apps and API keys.
    Admin,
    /// Call every other Lark API through the gateway.
    Gateway,
}

describe!(
    Scope,
    "Scope",
    one_of(
        "What a key may do. `tokens:read`: read access tokens of apps and tenants. `user_tokens:read`: read access tokens of users \
         who logged in, and log them out. `users:read`: read users, departments and chats. `messages:send`: send messages, and \
         see what became of them. `admin`: manage apps and API keys. `gateway` is for routes to come.",
        Scope::ALL.map(Scope::as_str),
    )
);

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 6] = [
        Self::TokensRead,
        Self::UserTokensRead,
        Self::UsersRead,
        Self::MessagesSend,
        Self::Admin,
        Self::Gateway,
    ];

    /// The scope as it is written in an API key.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TokensRead => "tokens:read",
            Self::UserTokensRead => "user_tokens:read",
            Self::UsersRead => "users:read",
            Self::MessagesSend => "messages:send",
            Self::Admin => "admin",
            Self::Gateway => "gateway",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no scope.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "`{0}` is not a scope; scopes are tokens:read, user_tokens:read, users:read, messages:send, admin and gateway"
)]
pub struct UnknownScope(String);

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.as_str() == text)
            .ok_or_else(|| UnknownScope(text.to_owned()))
    }
}

/// What an API key may act for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Allowed<Id> {
    /// Everything there is.
    All,
    /// Only these.
    Only(BTreeSet<Id>),
}

/// The apps that an API key may act for.
pub type AllowedApps = Allowed<AppId>;

/// The tenants of marketplace apps that an API key may act in.
pub type AllowedTenants = Allowed<TenantKey>;

describe!(AllowedApps, "AllowedApps", {
    let every = ArrayBuilder::new().max_items(Some(1)).items(constant("*"));
    let some = ArrayBuilder::new().items(Ref::from_schema_name("AppId"));
    AnyOfBuilder::new()
        .description(Some(
            "The apps that a key may act for: their ids, or `[\"*\"]` for every app.",
        ))
        .item(every.min_items(Some(1)))
        .item(some.min_items(Some(1)))
});

describe!(AllowedTenants, "AllowedTenants", {
    let every = ArrayBuilder::new().max_items(Some(1)).items(constant("*"));
    let some = ArrayBuilder::new().items(Ref::from_schema_name("TenantKey"));
    AnyOfBuilder::new()
        .description(Some(
            "The tenants of marketplace apps that a key may act in: their keys, or `[\"*\"]` for every tenant. A limited key gets \
             nothing of a marketplace app that is not one tenant's.",
        ))
        .item(every.min_items(Some(1)))
        .item(some.min_items(Some(1)))
});

impl AllowedApps {
    /// `*`, or app ids separated by spaces: the form in the authorizer's context.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        Self::parse_with(text, AppId::parse)
    }
}

impl AllowedTenants {
    /// `*`, or tenant keys separated by spaces: the form in the authorizer's context.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        Self::parse_with(text, TenantKey::parse)
    }
}

impl<Id: Ord> Allowed<Id> {
    fn parse_with(text: &str, parse: impl Fn(&str) -> Option<Id>) -> Self {
        if text == "*" {
            return Self::All;
        }
        Self::Only(text.split_ascii_whitespace().filter_map(parse).collect())
    }

    /// Whether `id` is among them.
    #[must_use]
    pub fn contains(&self, id: &Id) -> bool {
        match self {
            Self::All => true,
            Self::Only(ids) => ids.contains(id),
        }
    }

    /// Whether all of `others` are among them.
    #[must_use]
    pub fn covers(&self, others: &Self) -> bool {
        match (self, others) {
            (Self::All, _) => true,
            (Self::Only(_), Self::All) => false,
            (Self::Only(ids), Self::Only(others)) => others.is_subset(ids),
        }
    }

    /// The one, if there is just one.
    #[must_use]
    pub fn sole(&self) -> Option<&Id> {
        match self {
            Self::All => None,
            Self::Only(ids) if ids.len() == 1 => ids.first(),
            Self::Only(_) => None,
        }
    }
}

impl<Id: fmt::Display> fmt::Display for Allowed<Id> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("*"),
            Self::Only(ids) => {
                for (index, id) in ids.iter().enumerate() {
                    write!(f, "{}{id}", if index == 0 { "" } else { " " })?;
                }
                Ok(())
            }
        }
    }
}

/// What somebody with the scope `admin` administers.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(
    as = ApiKeyRole,
    description = "What a key with the scope `admin` administers. `owner`, for every app: all apps and keys, and it may give away every \
                   scope. `app_admin`: its apps, and the keys for no others, within its own scopes. Neither gives away more requests \
                   or a later end than it has."
)]
pub enum Role {
    /// Every app and key.
    Owner,
    /// The apps that it may act for, and the keys for no others.
    AppAdmin,
}

impl Role {
    /// The role of a key with these scopes for these apps; `None` for one that administers nothing.
    #[must_use]
    pub fn of(scopes: &BTreeSet<Scope>, apps: &AllowedApps) -> Option<Self> {
        scopes.contains(&Scope::Admin).then_some(match apps {
            AllowedApps::All => Self::Owner,
            AllowedApps::Only(_) => Self::AppAdmin,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apps_cover_their_subsets() {
        let apps = AllowedApps::parse;
        assert!(apps("*").covers(&apps("*")) && apps("*").covers(&apps("cli_a")));
        assert!(apps("cli_a cli_b").covers(&apps("cli_b")));
        assert!(!apps("cli_a").covers(&apps("cli_a cli_b")));
        assert!(!apps("cli_a").covers(&apps("*")));
    }

    #[test]
    fn an_administrator_of_every_app_is_an_owner() {
        let role = |scope, apps| Role::of(&BTreeSet::from([scope]), &AllowedApps::parse(apps));
        assert_eq!(role(Scope::Admin, "*"), Some(Role::Owner));
        assert_eq!(role(Scope::Admin, "cli_a"), Some(Role::AppAdmin));
        assert_eq!(role(Scope::Gateway, "*"), None);
    }

    #[test]
    fn every_scope_reads_back_as_itself() {
        assert!(
            Scope::ALL
                .into_iter()
                .all(|scope| scope.as_str().parse() == Ok(scope))
        );
        assert!("users:write".parse::<Scope>().is_err());
    }

    #[test]
    fn allowed_apps_read_back_as_themselves() {
        for text in ["*", "cli_a", "cli_a cli_b"] {
            assert_eq!(AllowedApps::parse(text).to_string(), text);
            assert_eq!(AllowedTenants::parse(text).to_string(), text);
        }
    }
}
