//! Requests to the HTTP API, and invocations of single functions: both go through the local host's gateway, in this process.

use std::collections::HashMap;
use std::path::Path;
use std::sync::LazyLock;

use http_body_util::BodyExt;
use lambda_http::http::{self, HeaderMap, HeaderName, HeaderValue};
use lambda_http::{Body, Response};
use lark_local_host::{Gateway, Template};
use serde_json::{Value, json};

use crate::world::Process;

/// The template that is deployed: its routes are the routes of every test.
static TEMPLATE: LazyLock<Template> = LazyLock::new(|| {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml");
    Template::read(&path).expect("a template")
});

impl Process {
    /// A gateway over this process. Its authorizer remembers no decision yet.
    #[must_use]
    pub fn gateway(&self) -> Gateway {
        Gateway::new(&TEMPLATE, self.0.clone()).expect("the local host serves the template")
    }

    /// Invokes the function `name` with `event`, as Lambda does.
    ///
    /// # Errors
    /// The function's own.
    pub async fn invoke(&self, name: &str, event: Value) -> Result<Value, lambda_runtime::Error> {
        self.gateway().invoke(name, event).await
    }

    /// Invokes the function `name`, which answers HTTP requests, with `event`, as API Gateway does.
    pub async fn invoke_http(&self, name: &str, event: &Value) -> TestResponse {
        let response = self.gateway().invoke_http(name, event).await;
        TestResponse::read(response.expect("an HTTP function answers even its errors")).await
    }
}

/// A request to the HTTP API, by default from a key that may do everything for every app. The authorizer is not asked: the
/// test says what it would tell the functions.
#[derive(Clone, Debug)]
pub struct TestRequest {
    method: &'static str,
    target: String,
    headers: HeaderMap,
    body: Option<String>,
    caller: Option<HashMap<String, Value>>,
}

/// A response of the HTTP API.
#[derive(Debug)]
pub struct TestResponse {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body; text, which may be empty, when it is no JSON.
    pub body: Value,
}

impl TestRequest {
    /// `method` and `target`, a path with its query.
    #[must_use]
    pub fn new(method: &'static str, target: &str) -> Self {
        let scopes = lark_service::api_keys::Scope::ALL.map(lark_service::api_keys::Scope::as_str);
        Self {
            method,
            target: target.to_owned(),
            headers: headers([("host", "api.example")]),
            body: None,
            caller: Some(caller(&scopes.join(" "), "*")),
        }
    }

    /// From a key with these scopes for these apps.
    #[must_use]
    pub fn by(mut self, scopes: &str, apps: &str) -> Self {
        self.caller = Some(caller(scopes, apps));
        self
    }

    /// From a key with this rate limit.
    #[must_use]
    pub fn limited(mut self, limit: &str) -> Self {
        if let Some(caller) = &mut self.caller {
            caller.insert("rate_limit".to_owned(), json!(limit));
        }
        self
    }

    /// Without a key.
    #[must_use]
    pub fn without_key(mut self) -> Self {
        self.caller = None;
        self
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.extend(headers([(name, value)]));
        self
    }

    /// With a JSON body.
    #[must_use]
    pub fn body(mut self, body: &Value) -> Self {
        self.body = Some(body.to_string());
        self
    }

    /// Sends it to `process`.
    pub async fn send(self, process: &Process) -> TestResponse {
        let body = self.body.map_or(Body::Empty, Body::Text);
        let mut request = http::Request::new(body);
        *request.method_mut() = self.method.parse().expect("a method");
        *request.uri_mut() = self.target.parse().expect("a path with its query");
        *request.headers_mut() = self.headers;
        let response = process.gateway().answer_as(self.caller, request).await;
        TestResponse::read(response).await
    }
}

impl TestResponse {
    async fn read(response: Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("a body in memory").to_bytes();
        Self {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: json_or_text(&String::from_utf8_lossy(&bytes)),
        }
    }

    /// The error code, if it is an error.
    #[must_use]
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    /// The header `name`; empty when there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }
}

/// What API Gateway asks the authorizer about a request with this header `Authorization`.
#[must_use]
pub fn authorizer_event(authorization: &str) -> Value {
    json!({
        "version": "2.0",
        "type": "REQUEST",
        "identitySource": [authorization],
        "headers": {"authorization": authorization},
    })
}

/// What the authorizer tells functions of a key.
fn caller(scopes: &str, apps: &str) -> HashMap<String, Value> {
    [
        ("key_id", "test0key0001"),
        ("scopes", scopes),
        ("apps", apps),
    ]
    .map(|(name, value)| (name.to_owned(), json!(value)))
    .into()
}

fn headers<'n, V: AsRef<str>>(pairs: impl IntoIterator<Item = (&'n str, V)>) -> HeaderMap {
    let pairs = pairs.into_iter().map(|(name, value)| {
        let name: HeaderName = name.parse().expect("a header's name");
        let value = HeaderValue::from_str(value.as_ref()).expect("a header's value");
        (name, value)
    });
    pairs.collect()
}

fn json_or_text(body: &str) -> Value {
    serde_json::from_str(body).unwrap_or_else(|_| Value::String(body.to_owned()))
}
