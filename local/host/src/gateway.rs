//! What API Gateway does: finds the route, asks the authorizer, calls the function, passes its answer on.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Body as HttpBody;
use lambda_http::http::header::{ALLOW, CONTENT_TYPE, WWW_AUTHENTICATE};
use lambda_http::http::request::Parts;
use lambda_http::http::{self, HeaderValue, Method};
use lambda_http::{Body, Request, RequestExt, Response};
use lark_service::error::{Error, Result};
use lark_service::http::{REQUEST_ID, serve};
use lark_service::wiring::Services;
use metrics_exporter_prometheus::PrometheusHandle;

use crate::decode;
use crate::error::HostError;
use crate::functions::{self, Handler, InvokedHandler};
use crate::invocation::{Invocations, request_context, request_id};
use crate::routes::{Found, Routes};
use crate::targets::{self, Target};
use crate::template::Template;

/// API Gateway's limit for a request's body.
const MAX_BODY_BYTES: usize = 10 * 1024 * 1024;
/// API Gateway waits no longer for a function, nor we for a body.
const PATIENCE: Duration = Duration::from_secs(30);
/// The name under which the gateway's own answers are logged and counted.
const GATEWAY: &str = "gateway";

/// Everything that answers requests.
pub(crate) struct Gateway {
    routes: Routes<Target>,
    services: Services,
    invocations: Invocations,
    timeouts: HashMap<String, Duration>,
    metrics: PrometheusHandle,
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
    pub(crate) fn new(
        template: &Template,
        services: Services,
        metrics: PrometheusHandle,
    ) -> std::result::Result<Self, HostError> {
        Ok(Self {
            routes: Routes::new(targets::all(template)?)?,
            services,
            invocations: Invocations::default(),
            timeouts: template
                .functions
                .iter()
                .map(|function| (function.name.clone(), function.timeout))
                .collect(),
            metrics,
        })
    }

    /// The services behind the functions.
    pub(crate) const fn services(&self) -> &Services {
        &self.services
    }

    /// Gathers what was recorded since the last call, which the recorder holds one by one until then.
    pub(crate) fn gather_metrics(&self) {
        self.metrics.run_upkeep();
    }

    /// The answer to `request`.
    pub(crate) async fn answer<B>(&self, request: http::Request<B>) -> Response<Full<Bytes>>
    where
        B: HttpBody<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
    {
        let (parts, body) = request.into_parts();
        let ids = RequestIds::of(&parts);
        match self.routes.find(&parts.method, parts.uri.path()) {
            Found::Route(target, parameters) => {
                match self.call(target, parameters, &ids, parts, body).await {
                    Ok(response) => outgoing(response),
                    Err(error) => self.refuse(ids, error).await,
                }
            }
            Found::OtherMethods(allow) => {
                let mut response = self.refuse(ids, Error::RouteNotFound).await;
                response.headers_mut().insert(ALLOW, allow);
                response
            }
            Found::Nothing if parts.method == Method::GET && parts.uri.path() == "/metrics" => {
                self.metrics()
            }
            Found::Nothing => match invoked_function(&parts) {
                Some((name, handler)) => {
                    match self.invoke(&name, handler, ids.own.clone(), body).await {
                        Ok(answer) => answer,
                        Err(error) => self.refuse(ids, error).await,
                    }
                }
                None => self.refuse(ids, Error::RouteNotFound).await,
            },
        }
    }

    /// Invokes a function without a route, as Lambda's own API does. Only this machine can ask: the host listens on
    /// loopback.
    async fn invoke<B>(
        &self,
        name: &str,
        handler: InvokedHandler,
        request_id: String,
        body: B,
    ) -> Result<Response<Full<Bytes>>>
    where
        B: HttpBody<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
    {
        let timeout = self.timeouts.get(name).copied().unwrap_or(PATIENCE);
        let payload = match read(body).await? {
            Body::Text(text) => serde_json::from_str(&text)
                .map_err(|_| Error::invalid("body", "must be the function's event as JSON"))?,
            Body::Binary(_) | Body::Empty | _ => serde_json::Value::Null,
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
        let mut response = Response::new(Full::from(text));
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

    /// The function's answer. When its time is over without one, its work ends, as it would on Lambda.
    async fn call<B>(
        &self,
        target: &Target,
        parameters: HashMap<String, Vec<String>>,
        ids: &RequestIds,
        mut parts: Parts,
        body: B,
    ) -> Result<Response<Body>>
    where
        B: HttpBody<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
    {
        let (services, invocations) = (&self.services, &self.invocations);
        let caller = match &target.authorizer {
            None => None,
            Some(authorizer) => {
                let admitted = authorizer.admit(&parts.headers, &ids.own, services, invocations);
                Some(admitted.await?)
            }
        };
        let body = read(body).await?;
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
    async fn refuse(&self, ids: RequestIds, error: Error) -> Response<Full<Bytes>> {
        let mut request = Request::default();
        if let Some(given) = ids.given {
            request.headers_mut().insert(REQUEST_ID, given);
        }
        let request = request.with_lambda_context(self.invocations.context(ids.own, PATIENCE));
        let is_unauthenticated = matches!(error, Error::Unauthenticated(_));
        let mut response = outgoing(serve(GATEWAY, &request, async |_| Err(error)).await);
        if is_unauthenticated {
            let scheme = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(WWW_AUTHENTICATE, scheme);
        }
        response
    }

    fn metrics(&self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::from(self.metrics.render()));
        let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        response
    }
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

/// The body as Lambda hands it over: text if it is text.
async fn read<B>(body: B) -> Result<Body>
where
    B: HttpBody<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
{
    if body.is_end_stream() {
        return Ok(Body::Empty);
    }
    let whole = tokio::time::timeout(PATIENCE, Limited::new(body, MAX_BODY_BYTES).collect());
    let bytes = match whole.await {
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            return Err(Error::PayloadTooLarge(MAX_BODY_BYTES));
        }
        Ok(Err(_)) => return Err(Error::invalid("body", "ended too early")),
        Err(_) => return Err(Error::DeadlineExceeded),
    };
    if bytes.is_empty() {
        return Ok(Body::Empty);
    }
    Ok(String::from_utf8(bytes.into())
        .map_or_else(|not_text| Body::Binary(not_text.into_bytes()), Body::Text))
}

fn outgoing(response: Response<Body>) -> Response<Full<Bytes>> {
    response.map(|body| match body {
        Body::Text(text) => Full::from(text),
        Body::Binary(bytes) => Full::from(bytes),
        Body::Empty | _ => Full::default(),
    })
}
