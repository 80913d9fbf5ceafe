//! The table of endpoints: the rows of every API family.

use crate::auth;
use crate::contact;
use crate::endpoint::Endpoint;
use crate::im;
use crate::marketplace;
use crate::oauth;
use crate::request::Request;

/// The result of a method and a path.
pub(crate) enum Route {
    Found(&'static Endpoint, Vec<(&'static str, String)>),
    /// The path exists with another method.
    WrongMethod,
    Unknown,
}

/// The name in the counters for calls of unknown paths.
pub(crate) const UNKNOWN: &str = "unknown";

/// All names of endpoints in counters and faults.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    all().map(|endpoint| endpoint.name).chain([UNKNOWN])
}

/// Every endpoint.
pub(crate) fn all() -> impl Iterator<Item = &'static Endpoint> {
    [
        auth::ENDPOINTS,
        marketplace::ENDPOINTS,
        oauth::ENDPOINTS,
        contact::ENDPOINTS,
        im::ENDPOINTS,
        im::messages::ENDPOINTS,
        im::reactions::ENDPOINTS,
        im::media::ENDPOINTS,
        im::batch::ENDPOINTS,
    ]
    .into_iter()
    .flatten()
}

/// The endpoint that a request is for.
pub(crate) fn find(request: &Request) -> Route {
    let mut route = Route::Unknown;
    for endpoint in all() {
        if let Some(parameters) = request.match_path(endpoint.path) {
            if endpoint.method == request.method {
                return Route::Found(endpoint, parameters);
            }
            route = Route::WrongMethod;
        }
    }
    route
}
