//! The scopes of a login.

use std::collections::BTreeSet;

/// Names of permissions, such as `offline_access`.
pub(crate) type Scopes = BTreeSet<String>;

/// With this scope a login gets a refresh token.
pub(crate) const OFFLINE_ACCESS: &str = "offline_access";

/// The form of queries and answers: separated by spaces.
pub(crate) fn join(scopes: &Scopes) -> String {
    scopes
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(" ")
}
