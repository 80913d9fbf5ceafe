//! What an API key grants: scopes, apps and a rate limit, and the caller who holds them.

use std::collections::BTreeSet;
use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use utoipa::openapi::Ref;
use utoipa::openapi::schema::{AnyOfBuilder, ArrayBuilder};

use crate::error::{Error, Result};
use crate::ids::AppId;
use crate::schema::{constant, describe, one_of};

/// What an API key allows.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Scope {
    /// Read access tokens.
    TokensRead,
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
        "What a key may do. `tokens:read`: read access tokens. `users:read`: read users, departments and chats. `admin`: \
         manage apps and API keys. The others are for routes to come.",
        Scope::ALL.map(Scope::as_str),
    )
);

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 5] = [
        Self::TokensRead,
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
    "`{0}` is not a scope; scopes are tokens:read, users:read, messages:send, admin and gateway"
)]
pub struct UnknownScope(String);

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> std::result::Result<Self, UnknownScope> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.as_str() == text)
            .ok_or_else(|| UnknownScope(text.to_owned()))
    }
}

/// The apps that an API key may act for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AllowedApps {
    /// Every registered app.
    All,
    /// Only these apps.
    Only(BTreeSet<AppId>),
}

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

impl AllowedApps {
    /// `*`, or app ids separated by spaces: the form in the authorizer's context.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        if text == "*" {
            return Self::All;
        }
        Self::Only(
            text.split_ascii_whitespace()
                .filter_map(AppId::parse)
                .collect(),
        )
    }

    /// Whether `app_id` is among them.
    #[must_use]
    pub fn contains(&self, app_id: &AppId) -> bool {
        match self {
            Self::All => true,
            Self::Only(apps) => apps.contains(app_id),
        }
    }

    /// Whether all of `others` are among them.
    #[must_use]
    pub fn covers(&self, others: &Self) -> bool {
        match (self, others) {
            (Self::All, _) => true,
            (Self::Only(_), Self::All) => false,
            (Self::Only(apps), Self::Only(others)) => others.is_subset(apps),
        }
    }

    /// The app, if there is just one.
    #[must_use]
    pub fn sole(&self) -> Option<&AppId> {
        match self {
            Self::All => None,
            Self::Only(apps) if apps.len() == 1 => apps.first(),
            Self::Only(_) => None,
        }
    }
}

impl fmt::Display for AllowedApps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("*"),
            Self::Only(apps) => {
                for (index, app) in apps.iter().enumerate() {
                    write!(f, "{}{app}", if index == 0 { "" } else { " " })?;
                }
                Ok(())
            }
        }
    }
}

/// How many requests a key is good for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// How many requests.
    #[schema(value_type = u32, minimum = 1, maximum = 4_294_967_295_i64)]
    pub limit: NonZeroU32,
    /// In how many seconds.
    #[schema(value_type = u32, minimum = 1, maximum = 86_400)]
    pub window_seconds: NonZeroU32,
}

impl RateLimit {
    /// The longest window: a day.
    pub const MAX_WINDOW_SECONDS: u32 = 86_400;

    /// `limit` requests in `window_seconds`, if both are valid: above zero, and the window at most a day.
    #[must_use]
    pub fn new(limit: u32, window_seconds: u32) -> Option<Self> {
        let window_seconds = NonZeroU32::new(window_seconds)?;
        (window_seconds.get() <= Self::MAX_WINDOW_SECONDS).then_some(Self {
            limit: NonZeroU32::new(limit)?,
            window_seconds,
        })
    }

    /// `600/60`: the form in the authorizer's context.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (limit, window) = text.split_once('/')?;
        Self::new(limit.parse().ok()?, window.parse().ok()?)
    }
}

impl fmt::Display for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.limit, self.window_seconds)
    }
}

/// A valid API key and what it allows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Caller {
    /// The key's public part.
    pub key_id: String,
    /// What it allows.
    pub scopes: BTreeSet<Scope>,
    /// For which apps.
    pub apps: AllowedApps,
    /// Its rate limit; `None`: no limit of its own.
    pub rate_limit: Option<RateLimit>,
}

impl Caller {
    /// The names of the entries in the authorizer's context. A key without a limit lacks the last.
    pub const CONTEXT_KEYS: [&'static str; 4] = ["key_id", "scopes", "apps", "rate_limit"];

    /// The caller that the authorizer's context describes; `text` looks up one of [`Caller::CONTEXT_KEYS`]. `None` if an
    /// entry that every caller has is missing.
    pub fn from_context<'t>(text: impl Fn(&str) -> Option<&'t str>) -> Option<Self> {
        Some(Self {
            key_id: text("key_id")?.to_owned(),
            scopes: text("scopes")?
                .split_ascii_whitespace()
                .filter_map(|scope| scope.parse().ok())
                .collect(),
            apps: AllowedApps::parse(text("apps")?),
            rate_limit: text("rate_limit").and_then(RateLimit::parse),
        })
    }

    /// Checks that the key has `scope`.
    ///
    /// # Errors
    /// [`Error::PermissionDenied`] naming the scope.
    pub fn require(&self, scope: Scope) -> Result<()> {
        if self.scopes.contains(&scope) {
            return Ok(());
        }
        Err(Error::PermissionDenied(format!(
            "the API key lacks the scope {scope}"
        )))
    }

    /// The app to act for: the `requested` one, else the key's only app, else `default`.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] naming the header when no app can be determined or the header is malformed,
    /// [`Error::PermissionDenied`] when the key does not allow the app.
    pub fn choose_app(&self, requested: Option<&str>, default: Option<&AppId>) -> Result<AppId> {
        let app_id = match requested {
            Some(text) => AppId::parse(text).ok_or_else(|| {
                Error::invalid(
                    APP_ID_HEADER,
                    "must be an app id such as cli_a1b2c3: 1 to 64 letters, digits, `_` or `-`",
                )
            })?,
            None => self.apps.sole().or(default).cloned().ok_or_else(|| {
                Error::invalid(
                    APP_ID_HEADER,
                    "is required: the API key may act for several apps and no default app is set",
                )
            })?,
        };
        if self.apps.contains(&app_id) {
            return Ok(app_id);
        }
        Err(Error::PermissionDenied(format!(
            "the API key may not act for the app {app_id}"
        )))
    }
}

/// Chooses the app.
const APP_ID_HEADER: &str = "header X-Lark-App-Id";

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(apps: &str) -> Caller {
        Caller {
            key_id: "k".into(),
            scopes: BTreeSet::from([Scope::UsersRead]),
            apps: AllowedApps::parse(apps),
            rate_limit: None,
        }
    }

    fn chosen(
        apps: &str,
        requested: Option<&str>,
        default: Option<&str>,
    ) -> std::result::Result<String, &'static str> {
        let default = default.and_then(AppId::parse);
        let choice = caller(apps).choose_app(requested, default.as_ref());
        choice
            .map(|app| app.to_string())
            .map_err(|error| error.code().as_str())
    }

    #[test]
    fn the_app_is_the_requested_one_then_the_only_one_then_the_default() {
        assert_eq!(
            chosen("*", Some("cli_b"), Some("cli_a")),
            Ok("cli_b".into())
        );
        assert_eq!(chosen("cli_c", None, Some("cli_a")), Ok("cli_c".into()));
        assert_eq!(chosen("*", None, Some("cli_a")), Ok("cli_a".into()));
        assert_eq!(
            chosen("cli_a cli_c", None, Some("cli_a")),
            Ok("cli_a".into())
        );
    }

    #[test]
    fn an_app_that_cannot_be_told_or_is_not_allowed_is_refused() {
        assert_eq!(chosen("*", None, None), Err("invalid_argument"));
        assert_eq!(
            chosen("*", Some("not an id"), None),
            Err("invalid_argument")
        );
        assert_eq!(
            chosen("cli_c", Some("cli_b"), None),
            Err("permission_denied")
        );
        assert_eq!(
            chosen("cli_b cli_c", None, Some("cli_a")),
            Err("permission_denied")
        );
        assert_eq!(chosen("", Some("cli_a"), None), Err("permission_denied"));
    }

    #[test]
    fn apps_cover_their_subsets() {
        let apps = AllowedApps::parse;
        assert!(apps("*").covers(&apps("*")) && apps("*").covers(&apps("cli_a")));
        assert!(apps("cli_a cli_b").covers(&apps("cli_b")));
        assert!(!apps("cli_a").covers(&apps("cli_a cli_b")));
        assert!(!apps("cli_a").covers(&apps("*")));
    }

    #[test]
    fn a_rate_limit_reads_back_as_itself_and_is_bounded() {
        assert_eq!(RateLimit::parse("600/60").unwrap().to_string(), "600/60");
        for wrong in ["", "600", "0/60", "600/0", "600/86401", "a/b", "-1/60"] {
            assert_eq!(RateLimit::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn scopes_are_required_by_name() {
        assert!(caller("*").require(Scope::UsersRead).is_ok());
        assert_eq!(
            caller("*").require(Scope::Admin).unwrap_err().to_string(),
            "the API key lacks the scope admin"
        );
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
        }
    }
}
