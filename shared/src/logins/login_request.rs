//! Checks a login request: its scopes, and where to go afterwards. Pure.

use url::Url;

use crate::apps::App;
use crate::error::{Error, FieldError, Result};
use crate::tokens::OFFLINE_ACCESS;

/// The most scopes that the platform lets a login ask for ("Obtain OAuth code").
const MAX_SCOPES: usize = 50;
/// The parameters that tell a redirect target how the login ended.
const TOLD: [&str; 3] = ["login", "open_id", "code"];

/// The scopes to request. Without `offline_access` the login would end with its first token.
pub(super) fn scope(asked: Option<&str>) -> Result<String> {
    let mut scopes: Vec<_> = asked.unwrap_or_default().split_ascii_whitespace().collect();
    scopes.push(OFFLINE_ACCESS);
    scopes.sort_unstable();
    scopes.dedup();
    let is_scope = |scope: &&str| {
        scope.len() <= 128
            && scope
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b":._-".contains(&byte))
    };
    if scopes.len() > MAX_SCOPES || !scopes.iter().all(is_scope) {
        return Err(Error::InvalidArgument(vec![FieldError {
            field: "scope".to_owned(),
            message:
                "must be up to 49 scopes such as contact:user.base:readonly, separated by spaces"
                    .to_owned(),
        }]));
    }
    Ok(scopes.join(" "))
}

/// `target`, if it is one of the app's redirect targets or below one.
pub(super) fn allowed_target(app: &App, target: &str) -> Result<Url> {
    let wrong = || {
        Error::invalid(
            "redirect_to",
            "must be one of the app's redirect_targets, or an address below one",
        )
    };
    let url = Url::parse(target).map_err(|_| wrong())?;
    let is_plain = url.username().is_empty() && url.password().is_none();
    // Ours are added later; with duplicate names, a failed login could be read as a successful one.
    if url
        .query_pairs()
        .any(|(name, _)| TOLD.contains(&name.as_ref()))
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
