//! The AWS SDKs' HTTP client, built on the [`reqwest::Client`] that everything else uses.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::time::Duration;

use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::ErrorKind;
use bytes::Bytes;

/// Adapts a [`reqwest::Client`] to the SDKs' interface.
#[derive(Clone, Debug)]
pub struct ReqwestClient(reqwest::Client);

impl ReqwestClient {
    /// Sends requests over the connections of `http`.
    #[must_use]
    pub const fn new(http: reqwest::Client) -> Self {
        Self(http)
    }
}

impl HttpClient for ReqwestClient {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(Connector {
            http: self.0.clone(),
            head_timeout: head_timeout(settings),
        })
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        Some(ConnectorMetadata::new("reqwest", None))
    }
}

/// The time-out for the head of the response. `reqwest` does not report when it has connected, so this is the sum of both
/// time-outs; the client's own connect time-out still applies.
fn head_timeout(settings: &HttpConnectorSettings) -> Option<Duration> {
    Some(settings.connect_timeout().unwrap_or_default() + settings.read_timeout()?)
}

#[derive(Debug)]
struct Connector {
    http: reqwest::Client,
    head_timeout: Option<Duration>,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let http = self.http.clone();
        let head_timeout = self.head_timeout;
        HttpConnectorFuture::new(async move {
            let sent = send(http, request);
            match head_timeout {
                None => sent.await,
                Some(timeout) => tokio::time::timeout(timeout, sent)
                    .await
                    .unwrap_or_else(|_| {
                        Err(ConnectorError::timeout(Box::new(NoResponse(timeout))))
                    }),
            }
        })
    }
}

async fn send(http: reqwest::Client, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
    let request = request
        .try_into_http1x()
        .map_err(|error| ConnectorError::user(error.into()))?;
    let request = reqwest::Request::try_from(request.map(request_body)).map_err(connector_error)?;
    let response: http::Response<reqwest::Body> =
        http.execute(request).await.map_err(connector_error)?.into();
    HttpResponse::try_from(response.map(SdkBody::from_body_1_x))
        .map_err(|error| ConnectorError::other(error.into(), None))
}

/// A body in memory is passed as bytes, which lets the pool send it again on another connection.
fn request_body(body: SdkBody) -> reqwest::Body {
    match body.bytes() {
        Some(bytes) => Bytes::copy_from_slice(bytes).into(),
        None => reqwest::Body::wrap(body),
    }
}

/// The SDK repeats after time-outs and broken connections, not after what would fail again.
fn connector_error(error: reqwest::Error) -> ConnectorError {
    if error.is_timeout() || caused_by_io(&error, io::ErrorKind::TimedOut) {
        ConnectorError::timeout(error.into())
    } else if error.is_builder() {
        ConnectorError::user(error.into())
    } else if error.is_connect() || error.is_request() || error.is_body() {
        ConnectorError::io(error.into())
    } else {
        ConnectorError::other(error.into(), Some(ErrorKind::TransientError))
    }
}

fn caused_by_io(error: &reqwest::Error, kind: io::ErrorKind) -> bool {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    causes
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == kind)
}

/// The head of the response did not arrive in time.
#[derive(Debug)]
struct NoResponse(Duration);

impl fmt::Display for NoResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no response within {} ms", self.0.as_millis())
    }
}

impl StdError for NoResponse {}
