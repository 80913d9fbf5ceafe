//! From method and path to a route of the template.

use std::collections::{HashMap, HashSet};

use lambda_http::http::HeaderValue;
use lambda_http::http::Method;
use matchit::Router;

use crate::decode;
use crate::error::HostError;

/// Routes by method, then by path: a path of one method does not exist for the others, as on API Gateway.
pub(crate) struct Routes<R>(Vec<(Option<Method>, Router<R>)>);

/// The route for a request's method and path.
pub(crate) enum Found<'r, R> {
    /// A route, and the decoded parameters of its path, each with one value.
    Route(&'r R, HashMap<String, Vec<String>>),
    /// The path has routes, for these methods only.
    OtherMethods(HeaderValue),
    /// There is no such path.
    Nothing,
}

impl<R> Routes<R> {
    /// The table of `routes`: method (`None` for any), path in the template's form, and their target.
    ///
    /// # Errors
    /// [`HostError::Functions`] naming a path that is invalid or conflicts with another.
    pub(crate) fn new(
        routes: impl IntoIterator<Item = (Option<Method>, String, R)>,
    ) -> Result<Self, HostError> {
        let mut known = HashSet::new();
        let mut routers: Vec<(Option<Method>, Router<R>)> = Vec::new();
        for (method, path, route) in routes {
            if !known.insert((method.clone(), path.clone())) {
                return Err(HostError::Functions(format!(
                    "the template has the route {path} twice for the same method"
                )));
            }
            let place = routers.iter().position(|(of, _)| *of == method);
            let place = place.unwrap_or_else(|| {
                routers.push((method, Router::new()));
                routers.len() - 1
            });
            let inserted = routers[place].1.insert(pattern(&path), route);
            inserted.map_err(|error| {
                HostError::Functions(format!(
                    "the template's route {path} cannot be served: {error}"
                ))
            })?;
        }
        // An exact method takes precedence over ANY.
        routers.sort_by_key(|(method, _)| method.is_none());
        Ok(Self(routers))
    }

    /// The route for a request.
    pub(crate) fn find(&self, method: &Method, path: &str) -> Found<'_, R> {
        let fits = |known: &Option<Method>| known.as_ref().is_none_or(|known| known == method);
        let mut fitting = self.0.iter().filter(|(known, _)| fits(known));
        if let Some(matched) = fitting.find_map(|(_, router)| router.at(path).ok()) {
            let parameters = matched.params.iter();
            let decoded =
                parameters.map(|(name, raw)| (name.to_owned(), vec![decode::path_value(raw)]));
            return Found::Route(matched.value, decoded.collect());
        }
        // Of several matching paths, the one with the fewest parameters wins.
        let meant = |router: &Router<R>| Some(router.at(path).ok()?.params.len());
        let fewest = self.0.iter().filter_map(|(_, router)| meant(router)).min();
        let others = self.0.iter().filter(|(_, router)| meant(router) == fewest);
        let others: Vec<_> = others
            .filter_map(|(known, _)| known.as_ref().map(Method::as_str))
            .collect();
        if fewest.is_none() {
            return Found::Nothing;
        }
        let allow = HeaderValue::try_from(others.join(", "));
        Found::OtherMethods(allow.unwrap_or(HeaderValue::from_static("")))
    }
}

/// API Gateway's `{proxy+}` in the router's syntax.
fn pattern(path: &str) -> String {
    match path.rsplit_once('{') {
        Some((before, last)) if last.ends_with("+}") => {
            format!("{before}{{*{}}}", last.trim_end_matches("+}"))
        }
        Some(_) | None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes() -> Routes<&'static str> {
        let route = |method, path: &str, name| (method, path.to_owned(), name);
        Routes::new([
            route(Some(Method::GET), "/v1/users/{id}", "user"),
            route(Some(Method::POST), "/v1/users/batch", "batch"),
            route(None, "/v1/messages/{id}", "any message"),
            route(Some(Method::GET), "/v1/messages/{id}", "message"),
            route(
                Some(Method::GET),
                "/v1/messages/{message_id}/replies",
                "replies",
            ),
            route(None, "/open-apis/{proxy+}", "proxy"),
        ])
        .unwrap()
    }

    fn check(method: &Method, path: &str, expected: &str) {
        let routes = routes();
        let found = match routes.find(method, path) {
            Found::Route(name, parameters) => parameters
                .iter()
                .fold((*name).to_owned(), |all, (name, value)| {
                    format!("{all} {name}={}", value.concat())
                }),
            Found::OtherMethods(allow) => format!("only {}", allow.to_str().unwrap()),
            Found::Nothing => "nothing".to_owned(),
        };
        assert_eq!(found, expected, "{method} {path}");
    }

    #[test]
    fn the_most_specific_route_answers() {
        check(&Method::GET, "/v1/users/ou_1", "user id=ou_1");
        check(&Method::POST, "/v1/users/batch", "batch");
        // A user may have that id.
        check(&Method::GET, "/v1/users/batch", "user id=batch");
        check(&Method::GET, "/v1/messages/om_1", "message id=om_1");
        check(&Method::DELETE, "/v1/messages/om_1", "any message id=om_1");
        check(
            &Method::GET,
            "/v1/messages/om_1/replies",
            "replies message_id=om_1",
        );
        check(&Method::PUT, "/open-apis/im/v1/x", "proxy proxy=im/v1/x");
    }

    #[test]
    fn a_parameter_is_one_segment_and_decoded() {
        check(&Method::GET, "/v1/users/a%2Fb", "user id=a/b");
        check(&Method::GET, "/v1/users/a/b", "nothing");
    }

    #[test]
    fn other_methods_and_other_paths_lead_nowhere() {
        check(&Method::HEAD, "/v1/users/ou_1", "only GET");
        check(&Method::PUT, "/v1/users/batch", "only POST");
        check(&Method::GET, "/v1/users", "nothing");
        check(&Method::GET, "/v1/users/", "nothing");
        check(&Method::GET, "/", "nothing");
    }

    #[test]
    fn the_same_route_twice_is_refused() {
        let route = || (Some(Method::GET), "/a".to_owned(), ());
        let error = Routes::new([route(), route()]).err().unwrap();
        assert!(error.to_string().contains("/a twice"), "{error}");
    }
}
