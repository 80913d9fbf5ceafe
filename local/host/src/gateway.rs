//! What API Gateway does: finds the route, calls the authorizer, calls the function, returns its answer.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Body as HttpBody;
use lambda_http::http::header::{ALLOW, CONTENT_TYPE, WWW_AUTHENTICATE};
use lambda_http::http::request::Parts;
use lambda_http::http::{self, HeaderValue, Method};
use lambda_http::{Body, Request, RequestExt, Response};
use lambda_runtime::LambdaEvent;
use lark_service::error::{Error, Result};
use lark_service::http::{REQUEST_ID, serve};
use lark_service::staging::folder::FolderStaging;
use lark_service::wiring::Services;
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::Value;

use crate::bodies::Bodies;
use crate::decode;
use crate::error::HostError;
use crate::functions::{self, Handler, InvokedHandler};
use crate::invocation::{CallerFields, Invocations, request_context, request_id};
use crate::routes::{Found, Routes};
use crate::staged::{self, StagedUploads};
use crate::targets::{self, Target};
use crate::template::Template;

/// How long API Gateway waits for a function.
const PATIENCE: Duration = Duration::from_secs(30);
/// The name under which the gateway's own answers are logged and counted.
const GATEWAY: &str = "gateway";

/// The template's routes on top of the services: answers requests in this process, without a port.
pub struct Gateway {
    routes: Routes<Target>,
    services: Services,
    invocations: Invocations,
    timeouts: HashMap<String, Duration>,
    bodies: Bodies,
    /// What is put at `PUT /staged/…`, the host's own route.
    uploads: Option<StagedUploads>,
    /// Rendered at `GET /metrics`, the host's own route.
    metrics: Option<PrometheusHandle>,
}

/// The source of the caller that functions see.
enum CallerSource {
    /// The route's authorizer.
    Authorizer,
    /// The code that passes the request; `None` is a caller without an API key.
    Given(Option<Arc<CallerFields>>),
}

/// The ids of one request: the caller's own, well-formed or not, and API Gateway's.
struct RequestIds {
    given: Option<HeaderValue>,
    own: String,
}

impl RequestIds {
    fn of(parts: &Parts) -> Self {
        Self {
            given: parts.headers.get(REQUEST_ID).cloned(),
            own: request_id(),
        }
    }
}

impl Gateway {
    /// A gateway with the routes of `template`.
    ///
    /// # Errors
    /// [`HostError::Functions`] when a route or its authorizer cannot be served.
    pub fn new(template: &Template, services: Services) -> std::result::Result<Self, HostError> {
        Ok(Self {
            routes: Routes::new(targets::all(template)?)?,
            services,
            invocations: Invocations::default(),
            timeouts: template
                .functions
                .iter()
                .map(|function| (function.name.clone(), function.timeout))
                .collect(),
            bodies: Bodies::default(),
            uploads: None,
            metrics: None,
        })
    }

    /// The gateway that also answers `GET /metrics`.
    pub(crate) fn with_metrics(mut self, metrics: PrometheusHandle) -> Self {
        self.metrics = Some(metrics);
        self
    }

    /// The gateway that also takes what is put into `uploads`.
    #[must_use]
    pub fn with_uploads(mut self, uploads: FolderStaging) -> Self {
        self.uploads = Some(StagedUploads::new(uploads));
        self
    }

    /// The services behind the functions.
    pub(crate) const fn services(&self) -> &Services {
        &self.services
    }

    /// Aggregates the values recorded since the last call; until then the recorder holds each one.
    pub(crate) fn gather_metrics(&self) {
        if let Some(metrics) = &self.metrics {
            metrics.run_upkeep();
        }
    }

    /// The answer to `request`; the route's authorizer checks its header `Authorization`.
    pub async fn answer<B>(&self, request: http::Request<B>) -> Response<Body>
    where
        B: HttpBody<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
    {
        self.respond(request, CallerSource::Authorizer).await
    }

    /// The name under which browsers reach this host through a tunnel, if they do.
    pub(crate) fn own_name(&self) -> Option<&str> {
        self.services.config.public_url.as_ref()?.host_str()
    }

    /// The answer to `request` for somebody who may not ask here at all.
    pub(crate) async fn turn_away<B>(
        &self,
        request: http::Request<B>,
        why: &str,
    ) -> Response<Body> {
        let (parts, _) = request.into_parts();
        let error = Error::PermissionDenied(why.to_owned());
        self.refuse(RequestIds::of(&parts), error).await
    }

    /// The answer to `request` without calling an authorizer: functions behind one see `caller`, or none.
    pub async fn answer_as<B>(
        &self,
        caller: Option<CallerFields>,
        request: http::Request<B>,
    ) -> Response<Body>
    where
        B: HttpBody<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
    {
        let caller = CallerSource::Given(caller.map(Arc::new));
        self.respond(request, caller).await
    }

    /// Invokes the function `name` with `event` and returns its result, both as JSON: a function that a schedule or another
    /// caller in the account starts, or an authorizer.
    ///
    /// # Errors
    /// The function's own; a text when no such function takes such an event, or it times out.
    pub async fn invoke(
        &self,
        name: &str,
        event: Value,
    ) -> std::result::Result<Value, lambda_runtime::Error> {
        let timeout = self.timeout(name);
        let context = self.invocations.context(request_id(), timeout);
        let services = &self.services;
        let work = async {
            match functions::handler(name) {
                Some(Handler::Invoked(handler)) => handler(services, event, context).await,
                Some(Handler::Authorizer(handler)) => {
                    let question = LambdaEvent::new(serde_json::from_value(event)?, context);
                    Ok(serde_json::to_value(handler(services, question).await?)?)
                }
                Some(Handler::Http(_)) => Err(format!("{name} answers HTTP requests").into()),
                None => Err(format!("there is no function {name}").into()),
            }
        };
        tokio::time::timeout(timeout, work).await?
    }

    /// Invokes the function `name` with `event`, an HTTP request in API Gateway's format. It uses neither routes nor
    /// authorizers: path parameters and caller come from the event.
    ///
    /// # Errors
    /// A text when no such function answers HTTP requests, the event is no request, or the function times out.
    pub async fn invoke_http(
        &self,
        name: &str,
        event: &Value,
    ) -> std::result::Result<Response<Body>, lambda_runtime::Error> {
        let Some(Handler::Http(handler)) = functions::handler(name) else {
            return Err(format!("no function {name} answers HTTP requests").into());
        };
        let timeout = self.timeout(name);
        let context = self.invocations.context(request_id(), timeout);
        let request = lambda_http::request::from_str(&event.to_string())?;
        let work = handler(&self.services, request.with_lambda_context(context));
        Ok(tokio::time::timeout(timeout, work).await?)
    }

    /// The timeout of one invocation of the function `name`.
    fn timeout(&self, name: &str) -> Duration {
        self.timeouts.get(name).copied().unwrap_or(PATIENCE)
    }

    async fn respond<B>(&self, request: http::Request<B>, caller: CallerSource) -> Response<Body>
    where
        B: HttpBody<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
    {
        let (parts, body) = request.into_parts();
        let ids = RequestIds::of(&parts);
        match self.routes.find(&parts.method, parts.uri.path()) {
            Found::Route(target, parameters) => {
                let answer = self.call(target, parameters, caller, &ids, parts, body);
                match answer.await {
                    Ok(response) => response,
                    Err(error) => self.refuse(ids, error).await,
                }
            }
            Found::OtherMethods(allow) => {
                let mut response = self.refuse(ids, Error::RouteNotFound).await;
                response.headers_mut().insert(ALLOW, allow);
                response
            }
            Found::Nothing => self.without_route(ids, parts, body).await,
        }
    }

    /// The host's own routes, beside the template's.
    async fn without_route<B>(&self, ids: RequestIds, parts: Parts, body: B) -> Response<Body>
    where
        B: HttpBody<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
    {
        if let Some(metrics) = &self.metrics
            && parts.method == Method::GET
            && parts.uri.path() == "/metrics"
        {
            return rendered(metrics);
        }
        if let (Some(uploads), Some(place)) = (&self.uploads, staged::place(parts.uri.path()))
            && parts.method == Method::PUT
        {
            return match uploads.put(&place, body).await {
                Ok(answer) => answer,
                Err(error) => self.refuse(ids, error).await,
            };
        }
        let Some((name, handler)) = invoked_function(&parts) else {
            return self.refuse(ids, Error::RouteNotFound).await;
        };
        let answer = self.invoke_over_http(&name, handler, ids.own.clone(), body);
        match answer.await {
            Ok(answer) => answer,
            Err(error) => self.refuse(ids, error).await,
        }
    }

    /// Invokes a function without a route, as Lambda's own API does. Only this machine can call it: the host listens on
    /// loopback.
    async fn invoke_over_http<B>(
        &self,
        name: &str,
        handler: InvokedHandler,
        request_id: String,
        body: B,
    ) -> Result<Response<Body>>
    where
        B: HttpBody<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
    {
        let timeout = self.timeout(name);
        let (body, _memory) = self.bodies.read(body, functions::MAX_BODY_BYTES).await?;
        let payload = match body {
            Body::Text(text) => serde_json::from_str(&text)
                .map_err(|_| Error::invalid("body", "must be the function's event as JSON"))?,
            Body::Binary(_) | Body::Empty | _ => Value::Null,
        };
        let context = self.invocations.context(request_id, timeout);
        let work = handler(&self.services, payload, context);
        let outcome = tokio::time::timeout(timeout, work)
            .await
            .map_err(|_| Error::DeadlineExceeded)?;
        let (text, is_error) = match outcome {
            Ok(answer) => (answer.to_string(), false),
            // As Lambda answers: 200, a header, and the error as the payload.
            Err(error) => {
                let payload = serde_json::json!({ "errorMessage": error.to_string() });
                (payload.to_string(), true)
            }
        };
        let mut response = Response::new(Body::Text(text));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if is_error {
            headers.insert(
                "x-amz-function-error",
                HeaderValue::from_static("Unhandled"),
            );
        }
        Ok(response)
    }

    /// The function's answer. On a timeout its work is cancelled, as on Lambda.
    async fn call<B>(
        &self,
        target: &Target,
        parameters: HashMap<String, Vec<String>>,
        caller: CallerSource,
        ids: &RequestIds,
        mut parts: Parts,
        body: B,
    ) -> Result<Response<Body>>
    where
        B: HttpBody<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
    {
        let (services, invocations) = (&self.services, &self.invocations);
        let caller = match (&target.authorizer, caller) {
            (None, _) => None,
            (Some(authorizer), CallerSource::Authorizer) => {
                let admitted = authorizer.admit(&parts.headers, &ids.own, services, invocations);
                Some(admitted.await?)
            }
            (Some(_), CallerSource::Given(caller)) => caller,
        };
        let (body, _memory) = self.bodies.read(body, target.max_body_bytes).await?;
        let context = request_context(&parts, ids.own.clone(), caller.as_ref());
        let mut extensions = std::mem::take(&mut parts.extensions)
            .with_raw_http_path(parts.uri.path())
            .with_request_context(context)
            .with_lambda_context(invocations.context(ids.own.clone(), target.timeout));
        if !parameters.is_empty() {
            extensions = extensions.with_path_parameters(parameters);
        }
        if let Some(query) = parts.uri.query() {
            extensions = extensions.with_query_string_parameters(decode::query(query));
        }
        parts.extensions = extensions;
        let request = Request::from_parts(parts, body);
        let work = (target.handler)(services, request);
        tokio::time::timeout(target.timeout.min(PATIENCE), work)
            .await
            .map_err(|_| Error::DeadlineExceeded)
    }

    /// An answer of the gateway itself, logged and counted like that of a function.
    async fn refuse(&self, ids: RequestIds, error: Error) -> Response<Body> {
        let mut request = Request::default();
        if let Some(given) = ids.given {
            request.headers_mut().insert(REQUEST_ID, given);
        }
        let request = request.with_lambda_context(self.invocations.context(ids.own, PATIENCE));
        let is_unauthenticated = matches!(error, Error::Unauthenticated(_));
        let mut response = serve(GATEWAY, &request, async |_| Err(error)).await;
        if is_unauthenticated {
            let scheme = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway").finish_non_exhaustive()
    }
}

fn rendered(metrics: &PrometheusHandle) -> Response<Body> {
    let mut response = Response::new(Body::Text(metrics.render()));
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// The function that a request of Lambda's `Invoke` names, if it has no route.
fn invoked_function(parts: &Parts) -> Option<(String, InvokedHandler)> {
    let rest = parts.uri.path().strip_prefix("/2015-03-31/functions/")?;
    let name = rest.strip_suffix("/invocations")?;
    match functions::handler(name)? {
        Handler::Invoked(handler) if parts.method == Method::POST => {
            Some((name.to_owned(), handler))
        }
        Handler::Invoked(_) | Handler::Http(_) | Handler::Authorizer(_) => None,
    }
}
