//! Checks a login request: its scopes, and where to go afterwards. Pure.

use url::Url;

use crate::apps::{LoginApp, MAX_LOGIN_SCOPES, is_login_scope};
use crate::error::{Error, Result};
use crate::tokens::OFFLINE_ACCESS;

/// The parameters that tell a redirect target how the login ended.
const TOLD: [&str; 3] = ["login", "open_id", "code"];

/// The scopes to request: `offline_access`, without which the login would end with its first token, and those of `asked` that the
/// app allows.
pub(super) fn scope(app: &LoginApp, asked: Option<&str>) -> Result<String> {
    let mut scopes: Vec<_> = asked.unwrap_or_default().split_ascii_whitespace().collect();
    scopes.push(OFFLINE_ACCESS);
    scopes.sort_unstable();
    scopes.dedup();
    if scopes.len() > MAX_LOGIN_SCOPES + 1 || !scopes.iter().all(|scope| is_login_scope(scope)) {
        return Err(Error::invalid(
            "scope",
            "must be up to 49 scopes such as contact:user.base:readonly, separated by spaces",
        ));
    }
    let is_allowed = |scope: &str| {
        scope == OFFLINE_ACCESS || app.login_scopes.iter().any(|allowed| allowed == scope)
    };
    match scopes.iter().find(|scope| !is_allowed(scope)) {
        None => Ok(scopes.join(" ")),
        Some(scope) => Err(Error::invalid(
            "scope",
            format!("must name only the app's login_scopes and offline_access: {scope} is neither"),
        )),
    }
}

/// `target`, if it is one of the app's redirect targets or below one.
pub(super) fn allowed_target(app: &LoginApp, target: &str) -> Result<Url> {
    let wrong = || {
        Error::invalid(
            "redirect_to",
            "must be one of the app's redirect_targets, or an address below one",
        )
    };
    let url = Url::parse(target).map_err(|_| wrong())?;
    let is_plain = url.username().is_empty() && url.password().is_none() && is_unambiguous(&url);
    // Ours are added later; with duplicate names, a failed login could be read as a successful one.
    if url
        .query_pairs()
        .any(|(name, _)| TOLD.iter().any(|told| name.eq_ignore_ascii_case(told)))
        || url.fragment().is_some_and(tells)
    {
        return Err(Error::invalid(
            "redirect_to",
            "must not have a parameter login, open_id or code",
        ));
    }
    let is_allowed = app
        .redirect_targets
        .iter()
        .filter_map(|allowed| Url::parse(allowed).ok())
        .any(|allowed| is_below(&url, &allowed));
    if is_plain && is_allowed {
        Ok(url)
    } else {
        Err(wrong())
    }
}

/// Whether every server reads `url` in the same way: some take `;` for a separator of parameters, and some decode control characters.
fn is_unambiguous(url: &Url) -> bool {
    let text = url.as_str().as_bytes();
    let is_control = |hex: &[u8]| {
        let code = std::str::from_utf8(hex).ok();
        let code = code.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        code.is_none_or(|code| code.is_ascii_control())
    };
    let mut escapes = text.split(|byte| *byte == b'%').skip(1);
    !text.contains(&b';') && !escapes.any(|rest| rest.get(..2).is_none_or(is_control))
}

/// Whether a page that reads its parameters from the `fragment` would find ours there.
fn tells(fragment: &str) -> bool {
    let fragment = fragment.to_ascii_lowercase();
    TOLD.iter()
        .any(|told| fragment.contains(&format!("{told}=")))
}

/// Whether `url` has the origin of `allowed` and its path, or one below it.
pub(super) fn is_below(url: &Url, allowed: &Url) -> bool {
    let base = allowed.path().trim_end_matches('/');
    let rest = url.path().strip_prefix(base);
    url.scheme() == allowed.scheme()
        && url.host_str() == allowed.host_str()
        && url.port_or_known_default() == allowed.port_or_known_default()
        && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        && (base.is_empty() || !rest.is_some_and(may_climb))
}

/// Whether a server that decodes or normalises the path in its own way could leave the folder: by `..%2f` or `..;/`. What
/// browsers treat as `..` is resolved already.
fn may_climb(path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    ["..", "%2e", "%2f", "%5c", "%25"]
        .iter()
        .any(|part| path.contains(part))
}
