//! A service that does not always answer: what is repeated, and what is not.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::ran;
use crate::Ran;

const KEY: &str = "lsk_demo0000key0_demo000000000000000000000000000000000000000";

/// What a service says to one request after the other; an empty text closes the connection.
fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    )
}

/// Runs a command against a service that gives these answers, and returns the requests that it got.
async fn against(answers: &[String], arguments: &[&str], input: &str) -> (Ran, Vec<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let variables = [
        ("LARK_SERVICE_URL", url),
        ("LARK_SERVICE_API_KEY", KEY.to_owned()),
    ];
    let mut requests = Vec::new();
    let serving = async {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let request = read(&mut stream).await;
            let answer = answers.get(requests.len()).or(answers.last());
            requests.push(request);
            let _ = stream.write_all(answer.unwrap().as_bytes()).await;
        }
    };
    let ran = tokio::select! {
        ran = ran(arguments, &variables, input) => ran,
        () = serving => unreachable!("it serves for ever"),
    };
    (ran, requests)
}

async fn read(stream: &mut tokio::net::TcpStream) -> String {
    let mut text = String::new();
    let mut buffer = [0; 4_096];
    loop {
        let count = stream.read(&mut buffer).await.unwrap_or(0);
        text.push_str(&String::from_utf8_lossy(&buffer[..count]));
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = header(head, "content-length").and_then(|it| it.parse().ok());
        if count == 0 || body.len() >= length.unwrap_or(0) {
            return text;
        }
    }
}

fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    let found = lines.find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value)
}

const LIST: &str = r#"{"items":[],"next_page_token":null}"#;
const DOWN: &str = r#"{"code":"store_unavailable","detail":"the store is unavailable","retryable":true,"request_id":"r-1"}"#;
const JOB: &str = r#"{"job_id":"mj_1","state":"delivered","to":{},"attempts":[]}"#;

#[tokio::test]
async fn what_is_safe_is_repeated_after_a_failure_that_passes() {
    let down = || answer("503 Service Unavailable", "", DOWN);
    let answers = [down(), String::new(), answer("200 OK", "", LIST)];
    let (listed, requests) = against(&answers, &["app", "list", "--json"], "").await;
    assert_eq!(listed.code, 0, "{listed:?}");
    assert_eq!(requests.len(), 3);
    // A message: each request with the same name.
    let answers = [String::new(), down(), answer("200 OK", "", JOB)];
    let send = ["message", "send", "--to-open-id", "ou_a", "--text", "hi"];
    let (sent, requests) = against(&answers, &send, "").await;
    assert_eq!(sent.code, 0, "{sent:?}");
    let names: Vec<_> = requests
        .iter()
        .map(|request| header(request, "idempotency-key"))
        .collect();
    assert_eq!(names.len(), 3);
    assert!(names[0].is_some() && names.iter().all(|name| *name == names[0]));
}

#[tokio::test]
async fn what_may_have_happened_is_not_repeated() {
    for lost in [
        String::new(),
        answer("503 Service Unavailable", "", DOWN),
        answer("504 Gateway Timeout", "", "<html>"),
    ] {
        let add = ["app", "add", "--app-id", "cli_a", "--json"];
        let (ran, requests) = against(&[lost], &add, "s3cret").await;
        assert_eq!((ran.code, requests.len()), (5, 1), "{ran:?}");
        assert!(!ran.stderr.contains("s3cret") && !ran.stderr.contains(KEY));
    }
}

#[tokio::test]
async fn a_service_that_stays_down_is_given_up_with_its_request_id() {
    let answers = [answer("503 Service Unavailable", "", DOWN)];
    let (ran, requests) = against(&answers, &["app", "list"], "").await;
    assert_eq!((ran.code, requests.len()), (5, 4), "{ran:?}");
    assert_eq!(
        ran.stderr,
        "lark-service: the store is unavailable (request r-1)\n"
    );
}

#[tokio::test]
async fn a_wait_that_is_asked_for_is_waited_within_bounds() {
    let limited = r#"{"code":"rate_limited","detail":"too many","retryable":true}"#;
    let wait = |seconds: &str| {
        let wait = format!("retry-after: {seconds}\r\n");
        answer("429 Too Many Requests", &wait, limited)
    };
    // It certainly did nothing, so even what is not safe is repeated.
    let created = answer("200 OK", "", r#"{"app_id":"cli_a"}"#);
    let begun = Instant::now();
    let add = ["app", "add", "--app-id", "cli_a"];
    let (added, requests) = against(&[wait("1"), created], &add, "s").await;
    assert_eq!((added.code, requests.len()), (0, 2), "{added:?}");
    assert!(begun.elapsed() >= Duration::from_secs(1));
    // Nobody waits for an hour.
    let (ran, requests) = against(&[wait("3600")], &["app", "list"], "").await;
    assert_eq!((ran.code, requests.len()), (5, 1), "{ran:?}");
}

#[tokio::test]
async fn what_is_no_answer_of_the_service_is_told_as_such() {
    let rows = [
        (answer("200 OK", "", "<html>"), 1, "unexpected_answer"),
        (answer("200 OK", "", "{}"), 1, "unexpected_answer"),
        (
            answer("302 Found", "location: http://127.0.0.1:1/\r\n", ""),
            1,
            "unexpected_answer",
        ),
        (
            answer("403 Forbidden", "", r#"{"message":"Forbidden"}"#),
            1,
            "permission_denied",
        ),
        (
            answer("404 Not Found", "", r#"{"message":"Not Found"}"#),
            1,
            "route_not_found",
        ),
        (
            answer("200 OK", "", r#"{"items":[],"next_page_token":"a"}"#),
            1,
            "unexpected_answer",
        ),
    ];
    for (given, code, expected) in rows {
        let (ran, _) = against(std::slice::from_ref(&given), &["app", "list", "--json"], "").await;
        assert_eq!(ran.code, code, "{given}: {ran:?}");
        let said = ran.stderr;
        assert!(said.contains(expected), "{given}: {said}");
    }
}
