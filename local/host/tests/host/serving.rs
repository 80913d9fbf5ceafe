use std::time::Duration;

use lark_local_host::{Host, Options};
use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::world::{Answer, World, answer, client, options, user};

const TOKEN: &str = "auth.tenant_access_token.internal";
const USER: &str = "contact.user.get";

#[tokio::test]
async fn the_second_look_up_comes_from_the_cache() {
    let world = World::start().await;
    let first = world.get(&user(42)).await;
    assert_eq!(first.status, StatusCode::OK, "{first:?}");
    assert_eq!(first.body["email"], "user00042@example.com");
    let status = |answer: &Answer| answer.headers["cache-status"].to_str().unwrap().to_owned();
    assert!(status(&first).contains("fwd=miss"), "{first:?}");
    let second = world.get(&user(42)).await;
    assert!(status(&second).contains("; hit;"), "{second:?}");
    assert_eq!(second.body, first.body);
    assert_eq!((world.calls(TOKEN), world.calls(USER)), (1, 1));
    world.host.shutdown().await;
}

fn check_problem(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status.as_u16(), status, "{answer:?}");
    let headers = &answer.headers;
    assert_eq!(headers["content-type"], "application/problem+json");
    assert_eq!(answer.body["code"], code);
    assert_eq!(answer.body["status"], status);
    let request_id = headers["x-request-id"].to_str().unwrap();
    assert_eq!(answer.body["request_id"], request_id);
}

#[tokio::test]
async fn a_request_without_a_key_or_with_a_bad_one_does_not_get_in() {
    let world = World::start().await;
    let without = answer(world.anonymous(Method::GET, &user(1))).await;
    check_problem(&without, 401, "unauthenticated");
    assert_eq!(without.headers["www-authenticate"], "Bearer");
    for bad in [
        "lsk_nonsense",
        "lsk_aaaaaaaaaaaa_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    ] {
        let denied = answer(world.anonymous(Method::GET, &user(1)).bearer_auth(bad)).await;
        check_problem(&denied, 403, "permission_denied");
    }
    let basic = world
        .anonymous(Method::GET, &user(1))
        .basic_auth("a", Some("b"));
    check_problem(&answer(basic).await, 403, "permission_denied");
    world.host.shutdown().await;
}

#[tokio::test]
async fn what_has_no_route_is_not_found() {
    let world = World::start().await;
    for path in ["/", "/v1/user", "/v1/users/", "/v1/users/a/b", "/_host"] {
        check_problem(&world.get(path).await, 404, "route_not_found");
    }
    let deleted = answer(world.request(Method::DELETE, &user(1))).await;
    check_problem(&deleted, 404, "route_not_found");
    assert_eq!(deleted.headers["allow"], "GET");
    let head = answer(world.request(Method::HEAD, "/health")).await;
    assert_eq!(head.status, StatusCode::NOT_FOUND);
    world.host.shutdown().await;
}

#[tokio::test]
async fn a_wrong_argument_is_named() {
    let world = World::start().await;
    let answer = world.get(&format!("{}?id_type=email", user(1))).await;
    check_problem(&answer, 400, "invalid_argument");
    assert_eq!(answer.body["errors"][0]["field"], "id_type");
    let unknown = world.get(&format!("{}?colour=%62lue", user(1))).await;
    assert_eq!(unknown.body["errors"][0]["field"], "colour");
    let slash = world.get("/v1/users/ou%2F1").await;
    check_problem(&slash, 400, "invalid_argument");
    world.host.shutdown().await;
}

#[tokio::test]
async fn a_well_formed_request_id_comes_back_on_every_answer() {
    let world = World::start().await;
    for (path, status) in [(user(1), 200), ("/nowhere".to_owned(), 404)] {
        let request = world.request(Method::GET, &path);
        let answer = answer(request.header("x-request-id", "build-42")).await;
        assert_eq!(answer.status.as_u16(), status);
        assert_eq!(answer.headers["x-request-id"], "build-42");
    }
    let made = world.get(&user(1)).await;
    assert_eq!(made.headers["x-request-id"].len(), 36);
    world.host.shutdown().await;
}

#[tokio::test]
async fn a_body_above_the_limit_is_refused() {
    let world = World::start().await;
    let request = world.request(Method::GET, &user(1));
    let answer = answer(request.body(vec![b'x'; 10 * 1024 * 1024 + 1])).await;
    check_problem(&answer, 413, "payload_too_large");
    world.host.shutdown().await;
}

#[tokio::test]
async fn health_and_metrics_are_public() {
    let world = World::start().await;
    let alive = answer(world.anonymous(Method::GET, "/health")).await;
    assert_eq!(alive.body["status"], "alive");
    let ready = answer(world.anonymous(Method::GET, "/health/ready")).await;
    assert_eq!(ready.body["status"], "ready");
    let stranger = world.anonymous(Method::GET, &user(1)).bearer_auth("lsk_x");
    check_problem(&answer(stranger).await, 403, "permission_denied");
    let metrics = answer(world.anonymous(Method::GET, "/metrics")).await;
    let text = metrics.body.as_str().unwrap();
    let refused = "lark_service_authorization_total{result=\"malformed\"}";
    assert!(text.contains(refused), "a refused key is counted");
    let line =
        "lark_service_http_request_duration_seconds_count{function=\"health\",status=\"200\"}";
    assert!(text.contains(line), "{text}");
    world.host.shutdown().await;
}

#[tokio::test]
async fn a_scheduled_function_runs() {
    let world = World::start().await;
    let report = world.host.run_scheduled("refresh-tokens").await;
    let report = report.unwrap().unwrap();
    // The marketplace app's token is due too, and requests its ticket.
    assert_eq!(
        (&report["due"], &report["refreshed"]),
        (&json!(2), &json!(1))
    );
    assert_eq!(world.calls(TOKEN), 1);
    assert_eq!(world.calls("auth.app_ticket.resend"), 1);
    assert!(world.host.run_scheduled("get-user").await.is_none());
    let token = world.get("/v1/tokens/tenant").await;
    assert_eq!(token.status, StatusCode::OK);
    assert_eq!(world.calls(TOKEN), 1);
    world.host.shutdown().await;
}

#[tokio::test]
async fn the_warm_up_runs_by_schedule_and_by_invocation() {
    let world = World::start().await;
    let report = world.host.run_scheduled("warm-cache").await;
    let report = report.unwrap().unwrap();
    // The marketplace app has no tenant to warm up for.
    assert_eq!(
        (&report["tokens"], &report["failed"]),
        (&json!(1), &json!(0))
    );
    let path = "/2015-03-31/functions/warm-cache/invocations";
    let event = json!({"app_ids": ["cli_demo000001"]});
    let request = world.anonymous(Method::POST, path).body(event.to_string());
    let report = answer(request).await;
    assert_eq!(
        (report.status, &report.body["apps"]),
        (StatusCode::OK, &json!(1))
    );
    let wrong = world
        .anonymous(Method::POST, path)
        .body(r#"{"app_id": "x"}"#);
    let refused = answer(wrong).await;
    assert_eq!(refused.headers["x-amz-function-error"], "Unhandled");
    world.host.shutdown().await;
}

#[tokio::test]
async fn a_path_of_one_method_is_a_parameter_for_the_others() {
    let world = World::start().await;
    let many = world.request(Method::POST, "/v1/users/batch");
    let many = answer(many.body(r#"{"user_ids": ["batch"]}"#)).await;
    assert_eq!(many.status, StatusCode::OK);
    assert_eq!(many.body["not_found"][0]["requested"]["user_id"], "batch");
    let one = world.get("/v1/users/batch").await;
    check_problem(&one, 400, "invalid_argument");
    assert_eq!(one.body["errors"][0]["field"], "id");
    world.host.shutdown().await;
}

/// A page of another origin, or of a name that leads here, reaches neither the host nor the simulator.
#[tokio::test]
async fn only_this_machine_is_answered() {
    let world = World::start().await;
    let simulator = world.host.simulator().unwrap().base_url();
    let port = world.host.addr().port();
    let own = format!("127.0.0.1:{port}");
    let invoke = "/2015-03-31/functions/refresh-tokens/invocations";
    for (name, value, expected) in [
        ("host", "evil.example", 403),
        ("host", "127.0.0.1.evil.example", 403),
        ("origin", "https://evil.example", 403),
        ("origin", "null", 403),
        ("host", own.as_str(), 200),
        ("host", "localhost", 200),
        ("origin", "http://localhost:3000", 200),
    ] {
        for (method, path) in [(Method::GET, "/health"), (Method::POST, invoke)] {
            let request = world.anonymous(method, path).header(name, value);
            let answer = answer(request).await;
            assert_eq!(answer.status.as_u16(), expected, "{path} {name}: {value}");
        }
        let control = client().get(format!("{simulator}/_sim/counters"));
        let answer = answer(control.header(name, value)).await;
        let is_refused = answer.status == StatusCode::FORBIDDEN;
        assert_eq!(is_refused, expected == 403, "{name}: {value}: {answer:?}");
    }
    world.host.shutdown().await;
}

#[tokio::test]
async fn a_half_open_head_and_an_idle_connection_are_closed() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        head_timeout: Duration::from_millis(20),
        ..options(folder.path())
    };
    let host = Host::start(options, |_| None).await.unwrap();
    let whole = "GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    for (request, is_answered) in [(&whole[..25], false), (whole, true)] {
        let mut stream = TcpStream::connect(host.addr()).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let closed = stream.read_to_string(&mut answer);
        let closed = tokio::time::timeout(Duration::from_secs(10), closed).await;
        closed.expect("closed, not left open").unwrap();
        assert_eq!(answer.starts_with("HTTP/1.1 200"), is_answered, "{answer}");
    }
    host.shutdown().await;
}
