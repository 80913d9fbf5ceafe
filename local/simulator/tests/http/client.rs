//! An HTTP client that returns everything: status, headers, body.

use std::net::SocketAddr;

use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use lark_simulator::{ClockMode, Options, Simulator, seeded_app_id, seeded_app_secret};
use serde_json::{Value, json};
use tokio::net::TcpStream;

/// 2026-01-01 in UTC.
pub(crate) const START_MS: u64 = 1_767_225_600_000;

pub(crate) const TENANT_TOKEN: &str = "/open-apis/auth/v3/tenant_access_token/internal";
pub(crate) const USERS: &str = "/open-apis/contact/v3/users";

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn code(&self) -> (u16, i64) {
        (self.status, self.body["code"].as_i64().unwrap_or(i64::MIN))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

/// Starts a simulator with a stopped clock, so that every answer is predictable.
pub(crate) async fn start() -> Simulator {
    start_with(Options::default()).await
}

pub(crate) async fn start_with(options: Options) -> Simulator {
    let clock = ClockMode::Frozen(START_MS);
    let options = Options { clock, ..options };
    Simulator::start(options).await.expect("a free port")
}

pub(crate) fn app_id() -> String {
    seeded_app_id(1)
}

pub(crate) fn credentials() -> Value {
    json!({ "app_id": app_id(), "app_secret": seeded_app_secret(&app_id()) })
}

pub(crate) async fn get(simulator: &Simulator, path: &str, token: &str) -> Answer {
    call(simulator, "GET", path, token, "").await
}

pub(crate) async fn post(simulator: &Simulator, path: &str, token: &str, body: &Value) -> Answer {
    call(simulator, "POST", path, token, &body.to_string()).await
}

/// The token of the first seeded app.
pub(crate) async fn tenant_token(simulator: &Simulator) -> String {
    let answer = post(simulator, TENANT_TOKEN, "", &credentials()).await;
    let token = answer.body["tenant_access_token"].as_str();
    token.expect("a token").to_owned()
}

/// The items of every page of a list.
pub(crate) async fn pages(simulator: &Simulator, token: &str, list: &str) -> Vec<Value> {
    let (mut items, mut page_token) = (Vec::new(), String::new());
    loop {
        let separator = if list.contains('?') { '&' } else { '?' };
        let path = format!("{list}{separator}page_token={page_token}");
        let mut answer = get(simulator, &path, token).await;
        assert_eq!(answer.code(), (200, 0), "{path}");
        let mut data = answer.body["data"].take();
        items.append(data["items"].as_array_mut().expect("a list"));
        assert_eq!(data["has_more"] == true, data.get("page_token").is_some());
        match data["page_token"].as_str() {
            Some(next) => page_token = next.to_owned(),
            None => return items,
        }
    }
}

/// Sends no `Authorization` if the token is empty.
pub(crate) async fn call(
    simulator: &Simulator,
    method: &str,
    path: &str,
    token: &str,
    body: &str,
) -> Answer {
    try_call(simulator, method, path, token, body)
        .await
        .expect("an answer")
}

pub(crate) async fn try_call(
    simulator: &Simulator,
    method: &str,
    path: &str,
    token: &str,
    body: &str,
) -> Result<Answer, hyper::Error> {
    call_at(simulator.addr(), method, path, token, body).await
}

pub(crate) async fn call_at(
    addr: SocketAddr,
    method: &str,
    path: &str,
    token: &str,
    body: &str,
) -> Result<Answer, hyper::Error> {
    let mut request = http::Request::builder().method(method).uri(path);
    if !token.is_empty() {
        request = request.header("Authorization", format!("Bearer {token}"));
    }
    exchange(addr, request.body(body.to_owned()).unwrap()).await
}

/// Adds `Host`.
pub(crate) async fn exchange(
    addr: SocketAddr,
    mut request: http::Request<String>,
) -> Result<Answer, hyper::Error> {
    let stream = TcpStream::connect(addr).await.expect("a port");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let host = http::HeaderValue::from_static("127.0.0.1");
    request.headers_mut().insert("Host", host);
    let request = request.map(|body| Full::new(bytes::Bytes::from(body)));
    let exchange = async {
        let response = sender.send_request(request).await?;
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await?.to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Ok(Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: serde_json::from_slice(&bytes).unwrap_or(Value::String(text)),
        })
    };
    tokio::pin!(exchange);
    tokio::select! {
        answer = &mut exchange => answer,
        _ = connection => exchange.await,
    }
}
