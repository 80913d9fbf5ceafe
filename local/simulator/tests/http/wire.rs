use std::time::Duration;

use lark_simulator::{Options, Simulator, open_id};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{
    TENANT_TOKEN, USERS, app_id, call, credentials, get, start, start_with, tenant_token,
};

async fn raw(simulator: &Simulator, request: &str) -> String {
    let mut stream = TcpStream::connect(simulator.addr()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn header_names_are_in_title_case_on_the_wire() {
    let simulator = start().await;
    let request = "GET /open-apis/x HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
    let answer = raw(&simulator, request).await;
    let head = answer.split("\r\n\r\n").next().unwrap();
    for line in [
        "HTTP/1.1 404 Not Found",
        "Content-Type: application/json; charset=utf-8",
        "X-Tt-Logid: 2026010100000000000000000000000000",
        "Date: Thu, 01 Jan 2026 00:00:00 GMT",
    ] {
        assert!(head.lines().any(|sent| sent == line), "{line} in {head}");
    }
}

#[tokio::test]
async fn one_connection_serves_many_calls() {
    let simulator = start().await;
    let request = "GET /open-apis/x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    let last = "GET /open-apis/x HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
    let answer = raw(&simulator, &format!("{request}{request}{last}")).await;
    assert_eq!(answer.matches("HTTP/1.1 404").count(), 3);
}

#[tokio::test]
async fn a_chunked_body_without_a_type_is_read() {
    let simulator = start().await;
    let body = credentials().to_string();
    let request = format!(
        "POST {TENANT_TOKEN}/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\
         Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    );
    assert!(
        raw(&simulator, &request)
            .await
            .contains("\"tenant_access_token\":\"t-g1")
    );
}

#[tokio::test]
async fn trailing_slashes_and_bodies_on_get_do_not_matter() {
    let simulator = start().await;
    let token = tenant_token(&simulator).await;
    for end in ["", "/", "/?user_id_type=open_id"] {
        let path = format!("{USERS}/{}{end}", open_id(&app_id(), 1));
        let answer = call(&simulator, "GET", &path, &token, "{}").await;
        assert_eq!(answer.code(), (200, 0), "{end}");
    }
}

#[tokio::test]
async fn every_failure_is_json() {
    let simulator = start_with(Options {
        max_body_bytes: 100,
        ..Options::default()
    })
    .await;
    let big = "x".repeat(101);
    let cases = [
        ("GET", "/", "", (404, 99_991_201)),
        ("GET", "/open-apis/im/v9/nothing", "", (404, 99_991_201)),
        ("GET", TENANT_TOKEN, "", (405, 99_991_301)),
        ("POST", TENANT_TOKEN, &big, (413, 9499)),
    ];
    for (method, path, body, expected) in cases {
        let answer = call(&simulator, method, path, "", body).await;
        assert_eq!(answer.code(), expected, "{method} {path}");
        assert_eq!(
            answer.header("content-type"),
            "application/json; charset=utf-8"
        );
        assert_eq!(answer.body["error"]["log_id"], answer.header("x-tt-logid"));
    }
}

#[tokio::test]
async fn only_loopback_is_served() {
    let options = Options {
        listen: "0.0.0.0:0".parse().unwrap(),
        ..Options::default()
    };
    assert!(Simulator::start(options).await.is_err());
}

#[tokio::test]
async fn dropping_the_simulator_closes_open_connections() {
    let simulator = start().await;
    let mut idle = TcpStream::connect(simulator.addr()).await.unwrap();
    get(&simulator, "/_sim/clock", "").await;
    drop(simulator);
    let end = tokio::time::timeout(Duration::from_secs(5), idle.read_u8()).await;
    assert!(end.expect("closed, not left open").is_err());
}

#[tokio::test]
async fn a_half_open_head_and_an_idle_connection_are_closed() {
    let simulator = start_with(Options {
        head_timeout: Duration::from_millis(20),
        ..Options::default()
    })
    .await;
    let whole = "GET /_sim/clock HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    for (request, is_answered) in [(&whole[..30], false), (whole, true)] {
        let closed = tokio::time::timeout(Duration::from_secs(10), raw(&simulator, request));
        let answer = closed.await.expect("closed, not left open");
        assert_eq!(answer.starts_with("HTTP/1.1 200"), is_answered, "{answer}");
    }
}

#[tokio::test]
async fn shutting_down_does_not_wait_for_idle_connections() {
    let simulator = start().await;
    let mut idle = TcpStream::connect(simulator.addr()).await.unwrap();
    get(&simulator, "/_sim/clock", "").await;
    simulator.shutdown().await;
    assert!(idle.read_u8().await.is_err());
}
