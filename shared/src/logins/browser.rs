//! The binding of a login to a browser: a state that passes through the platform, and a cookie that does not. Pure.

use std::time::Duration;

use url::Url;

use super::UNKNOWN_STATE;
use crate::error::{Error, Result};
use crate::ids::is_identifier;

/// The length of an attempt's id.
const ID_BYTES: usize = 16;

/// The id and the secret in a returned state.
pub(super) fn state_parts(state: Option<&str>) -> Result<(&str, &str)> {
    let parts = state.and_then(|state| state.split_once('.'));
    parts
        .filter(|(id, secret)| {
            id.len() == ID_BYTES && is_identifier(id, ID_BYTES) && is_identifier(secret, 64)
        })
        .ok_or(Error::LoginInvalid(UNKNOWN_STATE))
}

/// A name for each attempt, so that logins in two tabs do not interfere. Over HTTPS the prefix keeps neighbouring hosts from
/// setting it (RFC 6265bis).
pub(super) fn cookie_name(public_url: &Url, id: &str) -> String {
    let prefix = if is_https(public_url) { "__Host-" } else { "" };
    format!("{prefix}lark-login-{id}")
}

pub(super) fn set_cookie(public_url: &Url, id: &str, value: &str, life: Duration) -> String {
    let secure = if is_https(public_url) { "; Secure" } else { "" };
    format!(
        "{}={value}; Path=/; Max-Age={}; HttpOnly; SameSite=Lax{secure}",
        cookie_name(public_url, id),
        life.as_secs()
    )
}

fn is_https(url: &Url) -> bool {
    url.scheme() == "https"
}
