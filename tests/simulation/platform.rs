//! The platform as one process reaches it: through a proxy with gates.

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::gate::{Gates, Mode, Point, Stage};

#[derive(Clone)]
struct Proxy {
    gates: Gates,
    platform: String,
    http: reqwest::Client,
}

/// Starts the proxy of a process in front of `platform` and returns its URL.
pub(crate) async fn proxy(gates: Gates, platform: String, http: reqwest::Client) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let proxy = Proxy {
        gates,
        platform,
        http,
    };
    let router = axum::Router::new().fallback(forward).with_state(proxy);
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

/// What is lost is never answered: the client sees a connection that ends.
async fn forward(State(proxy): State<Proxy>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let path = head.uri.path().to_owned();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let begin = Point::Platform(path.clone(), Stage::Begin);
    if proxy.gates.pass(begin).await == Mode::Lose {
        return cut();
    }
    let url = format!("{}{}", proxy.platform, head.uri);
    let request = proxy.http.request(head.method, url).headers(head.headers);
    let answer = request.body(body).send().await.unwrap();
    let status = StatusCode::from_u16(answer.status().as_u16()).unwrap();
    let headers = answer.headers().clone();
    let body = answer.bytes().await.unwrap();
    if proxy.gates.pass(Point::Platform(path, Stage::Answer)).await == Mode::Lose {
        return cut();
    }
    (status, headers, body).into_response()
}

/// An answer that breaks off.
fn cut() -> Response {
    let broken = std::io::Error::other("lost by the schedule");
    let stream = futures_util::stream::once(std::future::ready(Err::<Vec<u8>, _>(broken)));
    Response::new(Body::from_stream(stream))
}
