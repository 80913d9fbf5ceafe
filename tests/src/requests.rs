//! Requests to the HTTP API, and invocations of single functions: both go through the local host's gateway, in this process.

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::LazyLock;

use http_body_util::BodyExt;
use lambda_http::http::{self, HeaderMap, HeaderName, HeaderValue};
use lambda_http::{Body, Response};
use lark_local_host::{Gateway, Template};
use lark_service::api_keys::{AllowedApps, AllowedTenants, ApiKey, Authority, NewApiKey, Scope};
use lark_service::changes::Actor;
use lark_service::clock::{Clock, SystemClock, Timestamp};
use lark_service::store::{Expect, Key, Table, Value as Attribute};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::world::{Process, soon};

/// The template that is deployed: its routes are the routes of every test.
pub(crate) static TEMPLATE: LazyLock<Template> = LazyLock::new(|| {
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
/// test says what it has told the functions just now. Administration asks the store, so it has such a key.
#[derive(Clone, Debug)]
pub struct TestRequest {
    method: &'static str,
    target: String,
    headers: HeaderMap,
    body: Option<String>,
    /// A body that is no text.
    bytes: Option<Vec<u8>>,
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
        let scopes = Scope::ALL.map(Scope::as_str);
        Self {
            method,
            target: target.to_owned(),
            headers: headers([("host", "api.example")]),
            body: None,
            bytes: None,
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

    /// From the holder of this key, which the store must have.
    #[must_use]
    pub fn key(mut self, token: &str) -> Self {
        if let (Some(caller), Some(key)) = (&mut self.caller, ApiKey::parse(token)) {
            caller.insert("key_id".to_owned(), json!(key.id()));
        }
        self.header("authorization", &format!("Bearer {token}"))
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

    /// With a body of this content type.
    #[must_use]
    pub fn bytes(mut self, content_type: &str, body: Vec<u8>) -> Self {
        self.bytes = Some(body);
        self.header("content-type", content_type)
    }

    /// It as the event of a function process that serves `route`, such as `GET /v1/users/{id}`, in API Gateway's format.
    #[must_use]
    pub fn event(&self, route: &str) -> Value {
        let (path, query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        let pairs: HashMap<_, _> = url::form_urlencoded::parse(query.as_bytes()).collect();
        let of_route = route
            .split_once(' ')
            .map_or("", |(_, path)| path)
            .split('/');
        let parameters = of_route.zip(path.split('/')).filter_map(|(name, value)| {
            let name = name.strip_prefix('{')?.strip_suffix('}')?;
            Some((name, value))
        });
        let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
        let headers = self.headers.iter();
        let headers = headers.map(|(name, value)| (name.as_str(), text(value)));
        json!({
            "version": "2.0",
            "routeKey": route,
            "rawPath": path,
            "rawQueryString": query,
            "cookies": self.headers.get_all("cookie").iter().map(text).collect::<Vec<_>>(),
            "headers": headers.filter(|(name, _)| *name != "cookie").collect::<HashMap<_, _>>(),
            "queryStringParameters": pairs,
            "pathParameters": parameters.collect::<HashMap<_, _>>(),
            "body": self.body,
            "isBase64Encoded": false,
            "requestContext": {
                "accountId": "123456789012",
                "apiId": "a1b2c3d4e5",
                "authorizer": self.caller.clone().map(|it| json!({"lambda": told(it, SystemClock.now())})),
                "domainName": "api.example",
                "http": {
                    "method": self.method,
                    "path": path,
                    "protocol": "HTTP/1.1",
                    "sourceIp": "192.0.2.10",
                    "userAgent": "test",
                },
                "requestId": format!("test{:016x}", fastrand::u64(..)),
                "routeKey": route,
                "stage": "$default",
                "time": "22/Nov/2026:08:00:00 +0000",
                "timeEpoch": 1_795_334_400_000_u64,
            },
        })
    }

    /// Sends it through `gateway`, whose authorizer checks `key` or remembers what it said of it.
    pub async fn through(self, gateway: &Gateway, key: &str) -> TestResponse {
        let with_key = self.header("authorization", &format!("Bearer {key}"));
        TestResponse::read(gateway.answer(with_key.into_http()).await).await
    }

    /// Sends it to `process`.
    pub async fn send(mut self, process: &Process) -> TestResponse {
        let is_administration = ["/v1/apps", "/v1/api-keys"]
            .iter()
            .any(|path| self.target.starts_with(path));
        if is_administration && let Some(caller) = &self.caller {
            let token = real_key(process, caller).await;
            self = self.key(&token);
        }
        let caller = self.caller.take();
        let caller = caller.map(|caller| told(caller, process.0.clock.now()));
        let response = process.gateway().answer_as(caller, self.into_http()).await;
        TestResponse::read(response).await
    }

    fn into_http(self) -> http::Request<Body> {
        let body = match self.bytes {
            Some(bytes) => Body::Binary(bytes),
            None => self.body.map_or(Body::Empty, Body::Text),
        };
        let mut request = http::Request::new(body);
        *request.method_mut() = self.method.parse().expect("a method");
        *request.uri_mut() = self.target.parse().expect("a path with its query");
        *request.headers_mut() = self.headers;
        request
    }
}

impl TestResponse {
    /// The response in what a function process answered, in API Gateway's format.
    #[must_use]
    pub fn of_answer(answer: &Value) -> Self {
        let given = answer["headers"].as_object().into_iter().flatten();
        let given = given.map(|(name, value)| (name.as_str(), value.as_str().unwrap_or_default()));
        Self {
            status: answer["statusCode"]
                .as_u64()
                .and_then(|status| u16::try_from(status).ok())
                .unwrap_or_default(),
            headers: headers(given),
            body: json_or_text(answer["body"].as_str().unwrap_or_default()),
        }
    }

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

    /// The status and the error code: `200`, `503 store_unavailable`.
    #[must_use]
    pub fn outcome(&self) -> String {
        format!("{} {}", self.status, self.code())
            .trim_end()
            .to_owned()
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

/// `caller` as the authorizer told of them at `now`.
fn told(mut caller: HashMap<String, Value>, now: Timestamp) -> HashMap<String, Value> {
    caller.insert("version".to_owned(), json!("1"));
    let at = now.as_millis().to_string();
    caller.insert("confirmed_at".to_owned(), json!(at));
    caller
}

/// A key that the store has as it is said of `caller`, right or wrong. It is not on the list of keys.
async fn real_key(process: &Process, caller: &HashMap<String, Value>) -> String {
    let text = |name: &str| caller.get(name).and_then(Value::as_str).unwrap_or_default();
    let said = [text("scopes"), text("apps"), text("rate_limit")];
    let mut hasher = DefaultHasher::new();
    said.hash(&mut hasher);
    let id = match said {
        [scopes, "*", ""] if scopes.split(' ').count() == Scope::ALL.len() => KEY_ID.to_owned(),
        _ => format!("test{:08x}", hasher.finish() >> 32),
    };
    let token = format!("lsk_{id}_{:0>43}", "test");
    let (services, key) = (&process.0, Key::new(&id, "key"));
    let _alone = MAKING_A_KEY.lock().await;
    let found = services.storage.get(Table::ApiKeys, &key, soon()).await;
    if !matches!(found, Ok(None)) {
        return token;
    }
    let new = NewApiKey {
        key: ApiKey::parse(&token).expect("a key"),
        name: String::new(),
        scopes: BTreeSet::from([Scope::Admin]),
        apps: AllowedApps::All,
        tenants: AllowedTenants::All,
        rate_limit: None,
        expires_at: None,
    };
    let operator = Authority::Operator(Actor::seed());
    let added = services.api_keys.add(&new, &operator, soon()).await;
    added.expect("a working store");
    let storage = &services.storage;
    let record = storage.get(Table::ApiKeys, &key, soon()).await;
    let mut record = record.expect("a working store").expect("it was added");
    for (name, value) in ["scopes", "apps", "rate_limit"].into_iter().zip(said) {
        record = record.with(name, Attribute::Text(value.to_owned()));
    }
    let put = storage.put(Table::ApiKeys, &record, Expect::Anything, soon());
    put.await.expect("a working store");
    let listed = Key::new("listed", format!("id#{id}"));
    let unlisted = storage.delete(Table::ApiKeys, &listed, Expect::Anything, soon());
    unlisted.await.expect("a working store");
    token
}

/// Held by who makes a key: several processes of a test may need the same one.
static MAKING_A_KEY: Mutex<()> = Mutex::const_new(());

/// The id of the key that may do everything.
const KEY_ID: &str = "test0key0001";

/// What the authorizer tells functions of a key.
fn caller(scopes: &str, apps: &str) -> HashMap<String, Value> {
    [("key_id", KEY_ID), ("scopes", scopes), ("apps", apps)]
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
