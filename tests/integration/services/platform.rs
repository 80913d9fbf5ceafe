//! The door to the platform, for requests of APIs that are in no table.

use bytes::Bytes;
use lambda_http::http::{HeaderValue, Method, header};
use lark_service::error::FailureKind;
use lark_service::ids::AppId;
use lark_service::lark::apis::Api;
use lark_service::lark::{Answer, Installation, Request, Sender};
use lark_service::platform::SendError;
use lark_service_tests::world::{APP, World, soon};
use lark_simulator::{Fault, FaultAction, email};
use secrecy::ExposeSecret;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// The look-up of users by address, as a caller writes it who knows nothing of [`lark_service::lark::contacts`].
fn unlisted() -> Request<Answer> {
    let path = ["open-apis", "contact", "v3", "users", "batch_get_id"];
    let body = serde_json::json!({ "emails": [email(7)] }).to_string();
    Request::new(
        Api::unlisted("contact.batch_get_id".into()),
        Method::POST,
        &path,
    )
    .query("user_id_type", "open_id")
    .bytes(
        HeaderValue::from_static("application/json"),
        Bytes::from(body),
    )
}

#[tokio::test]
async fn a_request_of_an_api_in_no_table_is_answered_as_it_came() {
    let world = World::begin().await;
    let process = world.process();
    let context = process.app_context().await.unwrap();
    let platform = &process.0.platform;
    let answer = platform.send(&context, &unlisted(), soon()).await.unwrap();
    assert_eq!(answer.status, 200);
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    let found = &body["data"]["user_list"][0]["user_id"];
    assert_eq!(*found, lark_simulator::open_id(APP, 7));

    // A refusal is an answer too.
    let path = ["open-apis", "there", "is", "no", "such", "api"];
    let unknown = Request::new(Api::unlisted("unknown".into()), Method::GET, &path);
    let answer = platform.send(&context, &unknown, soon()).await.unwrap();
    assert!(answer.refusal().is_some());
}

#[tokio::test]
async fn its_rejected_token_is_replaced_once() {
    let world = World::begin().await;
    let process = world.process();
    let context = process.app_context().await.unwrap();
    let token = process.token().await.unwrap();
    world.control().revoke_token(token.value.expose_secret());
    let platform = &process.0.platform;
    let answer = platform.send(&context, &unlisted(), soon()).await.unwrap();
    assert!(answer.refusal().is_none());
    assert_eq!(world.token_requests(), 2);
}

#[tokio::test]
async fn a_request_that_is_sent_once_is_not_repeated() {
    let world = World::begin().await;
    let process = world.process();
    let context = process.app_context().await.unwrap();
    let endpoint = "contact.user.batch_get_id";
    let fault = Fault::new(endpoint, FaultAction::answer(503, 1));
    world.control().add_fault(fault).unwrap();
    let outcome = process.0.platform.send(&context, &unlisted(), soon()).await;
    let Err(SendError::Lark(failure)) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(failure.kind, FailureKind::Unavailable);
    assert_eq!(world.requests(endpoint), 1);
}

#[tokio::test]
async fn headers_and_bytes_go_out_as_they_are() {
    let world = World::begin().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let process = world.process_with(&[("LARK_SERVICE_FEISHU_URL", &url)]);
    let app_id = AppId::parse(APP).unwrap();
    let sender = Sender::without_token(Installation::without_tenant(
        lark_service::lark::Domain::Feishu,
        &app_id,
    ));
    let upload = Request::new(
        Api::unlisted("upload".into()),
        Method::PUT,
        &["files", "a b"],
    )
    .header(header::ACCEPT_LANGUAGE, HeaderValue::from_static("zh-CN"))
    .bytes(
        HeaderValue::from_static("application/octet-stream"),
        Bytes::from_static(b"\x00\xff\r\n"),
    );
    let served = async {
        let (mut connection, _) = listener.accept().await.unwrap();
        let (mut received, mut part) = (Vec::new(), [0; 4_096]);
        while !received.ends_with(b"\x00\xff\r\n") {
            let length = connection.read(&mut part).await.unwrap();
            received.extend_from_slice(&part[..length]);
        }
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\nplain words";
        connection.write_all(answer).await.unwrap();
        String::from_utf8_lossy(&received).to_lowercase()
    };
    let (sent, answer) = tokio::join!(served, process.0.lark.send(sender, &upload, soon()));
    assert!(sent.starts_with("put /files/a%20b http/1.1\r\n"), "{sent}");
    assert!(sent.contains("\r\naccept-language: zh-cn\r\n"), "{sent}");
    assert!(
        sent.contains("\r\ncontent-type: application/octet-stream\r\n"),
        "{sent}"
    );
    assert_eq!(answer.unwrap().body, "plain words");
}
