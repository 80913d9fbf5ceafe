//! The holder of an API key, and how the authorizer tells functions who that is.

use std::collections::{BTreeSet, HashMap};

use super::{AllowedApps, AllowedTenants, RateLimit, Scope};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::ids::{AppId, TenantKey};

/// Chooses the app.
const APP_ID_HEADER: &str = "header X-Lark-App-Id";

/// A valid API key and what it allows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Caller {
    /// The key's public part.
    pub key_id: String,
    /// What it allows.
    pub scopes: BTreeSet<Scope>,
    /// For which apps.
    pub apps: AllowedApps,
    /// In which tenants of marketplace apps.
    pub tenants: AllowedTenants,
    /// Its rate limit; `None`: no limit of its own.
    pub rate_limit: Option<RateLimit>,
    /// When it ends; `None`: never.
    pub expires_at: Option<Timestamp>,
    /// The version of the record that says so.
    pub version: u64,
    /// When the store was asked for that record.
    pub confirmed_at: Timestamp,
    /// Whether it wants callbacks.
    pub has_callback: bool,
}

impl Caller {
    /// The names of the entries in the authorizer's context. A key without a limit or an end lacks that entry,
    /// and so does one for every tenant, or without callbacks.
    pub const CONTEXT_KEYS: [&'static str; 9] = [
        "key_id",
        "scopes",
        "apps",
        "tenants",
        "rate_limit",
        "expires_at",
        "version",
        "confirmed_at",
        "callback",
    ];

    /// The caller that the authorizer's context describes; `text` looks up one of [`Caller::CONTEXT_KEYS`]. `None` if an
    /// entry that every caller has is missing, or the end is no moment. A context without version or confirmation is one of
    /// an authorizer that did not tell them, and so old that it has to be confirmed.
    pub fn from_context<'t>(text: impl Fn(&str) -> Option<&'t str>) -> Option<Self> {
        let moment = |text: &str| text.parse().ok().map(Timestamp::from_millis);
        let expires_at = match text("expires_at") {
            Some(at) => Some(moment(at)?),
            None => None,
        };
        let scopes = text("scopes")?.split_ascii_whitespace();
        Some(Self {
            key_id: text("key_id")?.to_owned(),
            scopes: scopes.filter_map(|scope| scope.parse().ok()).collect(),
            apps: AllowedApps::parse(text("apps")?),
            tenants: text("tenants").map_or(AllowedTenants::All, AllowedTenants::parse),
            rate_limit: text("rate_limit").and_then(RateLimit::parse),
            expires_at,
            version: text("version").and_then(|it| it.parse().ok()).unwrap_or(0),
            confirmed_at: text("confirmed_at")
                .and_then(moment)
                .unwrap_or(Timestamp::from_millis(0)),
            has_callback: text("callback").is_some(),
        })
    }

    /// The context that [`Caller::from_context`] reads.
    #[must_use]
    pub fn to_context(&self) -> HashMap<&'static str, String> {
        let [
            key_id,
            scopes,
            apps,
            tenants,
            rate_limit,
            expires_at,
            version,
            confirmed_at,
            callback,
        ] = Self::CONTEXT_KEYS;
        let millis = |at: Timestamp| at.as_millis().to_string();
        let limit = self.rate_limit.map(|limit| (rate_limit, limit.to_string()));
        let tenants = match &self.tenants {
            AllowedTenants::All => None,
            AllowedTenants::Only(_) => Some((tenants, self.tenants.to_string())),
        };
        let end = self.expires_at.map(|at| (expires_at, millis(at)));
        let names: Vec<_> = self.scopes.iter().copied().map(Scope::as_str).collect();
        let always = [
            (key_id, self.key_id.clone()),
            (scopes, names.join(" ")),
            (apps, self.apps.to_string()),
            (version, self.version.to_string()),
            (confirmed_at, millis(self.confirmed_at)),
        ];
        let callback = self.has_callback.then(|| (callback, "1".to_owned()));
        let sometimes = [tenants, limit, end, callback];
        always
            .into_iter()
            .chain(sometimes.into_iter().flatten())
            .collect()
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
        self.allows(&app_id)?;
        Ok(app_id)
    }

    /// Checks that the key may act for the app.
    ///
    /// # Errors
    /// [`Error::PermissionDenied`] naming the app.
    pub fn allows(&self, app_id: &AppId) -> Result<()> {
        if self.apps.contains(app_id) {
            return Ok(());
        }
        Err(Error::PermissionDenied(format!(
            "the API key may not act for the app {app_id}"
        )))
    }
}

impl Caller {
    /// Checks that the key may act for a marketplace app in `tenant`, or as the app itself. A key that is limited to tenants gets
    /// nothing that is not a tenant's: with the app's own token every tenant's can be fetched.
    ///
    /// # Errors
    /// [`Error::PermissionDenied`] naming the tenant.
    pub fn allows_tenant(&self, tenant: Option<&TenantKey>) -> Result<()> {
        match (&self.tenants, tenant) {
            (AllowedTenants::All, _) => Ok(()),
            (AllowedTenants::Only(_), None) => Err(Error::PermissionDenied(
                "the API key may act only in some tenants of the app, not for the app itself"
                    .to_owned(),
            )),
            (AllowedTenants::Only(tenants), Some(tenant)) if tenants.contains(tenant) => Ok(()),
            (AllowedTenants::Only(_), Some(tenant)) => Err(Error::PermissionDenied(format!(
                "the API key may not act in the tenant {tenant}"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(apps: &str) -> Caller {
        Caller {
            key_id: "k".into(),
            scopes: BTreeSet::from([Scope::UsersRead]),
            apps: AllowedApps::parse(apps),
            tenants: AllowedTenants::All,
            rate_limit: None,
            expires_at: None,
            version: 1,
            confirmed_at: Timestamp::from_millis(0),
            has_callback: false,
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
    fn scopes_are_required_by_name() {
        assert!(caller("*").require(Scope::UsersRead).is_ok());
        assert_eq!(
            caller("*").require(Scope::Admin).unwrap_err().to_string(),
            "the API key lacks the scope admin"
        );
    }

    #[test]
    fn a_caller_reads_back_from_its_context() {
        for (tenants, limit, end) in [
            ("*", None, None),
            (
                "t1 t2",
                RateLimit::parse("600/60"),
                Some(Timestamp::from_millis(-1)),
            ),
            ("", None, None),
        ] {
            let caller = Caller {
                tenants: AllowedTenants::parse(tenants),
                rate_limit: limit,
                expires_at: end,
                version: u64::MAX,
                confirmed_at: Timestamp::from_millis(1_700_000_000_123),
                has_callback: end.is_some(),
                ..caller("cli_a cli_b")
            };
            let context = caller.to_context();
            let read = Caller::from_context(|name| context.get(name).map(String::as_str));
            assert_eq!(read, Some(caller));
        }
    }

    #[test]
    fn a_context_says_who_what_and_until_when_or_counts_for_nobody() {
        let whole = caller("*").to_context();
        let read = |name: &'static str, value: Option<&'static str>| {
            let text = |asked: &str| match value {
                _ if asked != name => whole.get(asked).map(String::as_str),
                value => value,
            };
            Caller::from_context(text)
        };
        for name in ["key_id", "scopes", "apps"] {
            assert_eq!(read(name, None), None, "{name}");
        }
        assert_eq!(read("expires_at", Some("soon")), None);
        assert_eq!(read("version", None).unwrap().version, 0);
        let confirmed = read("confirmed_at", Some("x")).unwrap().confirmed_at;
        assert_eq!(confirmed, Timestamp::from_millis(0));
    }
}
