//! From the template's routes to functions and their authorizers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lambda_http::http::Method;

use crate::authorizer::Authorizer;
use crate::error::HostError;
use crate::functions::{self, Handler, HttpHandler};
use crate::template::{Function, Route, Template};

/// A function behind a route.
pub(crate) struct Target {
    pub(crate) handler: HttpHandler,
    pub(crate) timeout: Duration,
    /// The largest body of a request.
    pub(crate) max_body_bytes: usize,
    pub(crate) authorizer: Option<Arc<Authorizer>>,
}

/// Every route of `template` with its target. Routes share authorizers and their cached decisions.
///
/// # Errors
/// [`HostError::Functions`] when a route or its authorizer cannot be served.
pub(crate) fn all(template: &Template) -> Result<Vec<(Option<Method>, String, Target)>, HostError> {
    let mut authorizers = BTreeMap::new();
    let mut routes = Vec::new();
    for function in &template.functions {
        for route in &function.routes {
            let target = Target::new(template, function, route, &mut authorizers)?;
            routes.push((route.method.clone(), route.path.clone(), target));
        }
    }
    Ok(routes)
}

impl Target {
    fn new(
        template: &Template,
        function: &Function,
        route: &Route,
        authorizers: &mut BTreeMap<String, Arc<Authorizer>>,
    ) -> Result<Self, HostError> {
        let found = functions::function(&function.name);
        let Some((Handler::Http(handler), max_body_bytes)) =
            found.map(|it| (it.handler, it.max_body_bytes))
        else {
            return Err(HostError::Functions(format!(
                "the template's route {route} leads to {}, which does not answer HTTP requests",
                function.name
            )));
        };
        let authorizer = match &route.authorizer {
            None => None,
            Some(authorizer) => {
                let name = &authorizer.function;
                if !authorizers.contains_key(name) {
                    let made = Arc::new(authorizer_of(template, name, authorizer.ttl)?);
                    authorizers.insert(name.clone(), made);
                }
                authorizers.get(name).cloned()
            }
        };
        Ok(Self {
            handler,
            timeout: function.timeout,
            max_body_bytes,
            authorizer,
        })
    }
}

fn authorizer_of(template: &Template, name: &str, ttl: Duration) -> Result<Authorizer, HostError> {
    let function = template.functions.iter().find(|f| f.name == name);
    match (functions::handler(name), function) {
        (Some(Handler::Authorizer(handler)), Some(function)) => {
            Ok(Authorizer::new(handler, function.timeout, ttl))
        }
        (Some(_) | None, Some(_) | None) => Err(HostError::Functions(format!(
            "the template's authorizer {name} is not an authorizer"
        ))),
    }
}
