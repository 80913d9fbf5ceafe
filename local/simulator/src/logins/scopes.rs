//! The scopes of a login.

use std::collections::BTreeSet;

/// Names of permissions, such as `offline_access`.
pub(crate) type Scopes = BTreeSet<String>;

/// The scope that lets an app refresh.
pub(crate) const OFFLINE_ACCESS: &str = "offline_access";

/// As it is written in queries and answers.
pub(crate) fn join(scopes: &Scopes) -> String {
    scopes
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(" ")
}
