//! What answers say to browsers and to caches on the way, and that they do not grow with their requests.

use lark_service_tests::requests::TestRequest;
use lark_service_tests::world::{APP, World};
use serde_json::json;

/// Longer than anything that somebody means.
const LONG: usize = 60_000;

#[tokio::test]
async fn personal_data_is_kept_by_the_caller_alone_and_as_long_as_it_is_fresh() {
    let world = World::begin().await;
    let process = world.process_with(&[("LARK_SERVICE_USER_TTL_SECONDS", "100")]);
    let user = lark_simulator::open_id(APP, 3);
    let asked = async || {
        let target = format!("/v1/users/{user}");
        let request = TestRequest::new("GET", &target).header("x-lark-app-id", APP);
        request.send(&process).await
    };
    let number = |text: &str| -> u64 { text.parse().unwrap() };
    let first = asked().await;
    let kept = first
        .header("cache-control")
        .strip_prefix("private, max-age=");
    let kept = number(kept.expect("it may be kept"));
    assert!((90..=110).contains(&kept), "{kept}");
    assert_eq!(
        first.header("vary"),
        "authorization, x-lark-app-id, x-lark-tenant-key"
    );
    world.advance(std::time::Duration::from_secs(40));
    let later = asked().await;
    assert_eq!(later.header("age"), "40");
    assert_eq!(later.header("cache-control"), first.header("cache-control"));
    for target in [
        &format!("/v1/users?email={}", lark_simulator::email(3)),
        "/v1/departments/0",
        "/v1/departments/0/users",
        "/v1/chats",
    ] {
        let request = TestRequest::new("GET", target).header("x-lark-app-id", APP);
        let answer = request.send(&process).await;
        assert_eq!(answer.status, 200, "{target}");
        assert!(
            answer
                .header("cache-control")
                .starts_with("private, max-age="),
            "{target}"
        );
    }
}

#[tokio::test]
async fn everything_else_is_kept_by_nobody() {
    let world = World::begin().await;
    let process = world.process();
    for (method, target) in [
        ("GET", "/health"),
        ("GET", "/health/ready"),
        ("GET", "/v1/tokens/tenant"),
        ("GET", "/v1/apps"),
        ("GET", "/v1/api-keys"),
        ("GET", "/v1/users/ou_nobody"),
        ("GET", "/v1/nothing"),
        ("GET", "/v1/oauth/authorize"),
        ("GET", "/v1/oauth/callback"),
        ("DELETE", "/v1/oauth/users/ou_1"),
        ("POST", "/v1/users/batch"),
    ] {
        let ids = json!({"open_ids": [lark_simulator::open_id(APP, 3)]});
        let request = TestRequest::new(method, target);
        let request = if method == "POST" {
            request.body(&ids)
        } else {
            request
        };
        let answer = request.send(&process).await;
        assert_eq!(
            answer.header("cache-control"),
            "no-store",
            "{target}: {}",
            answer.status
        );
        assert_eq!(
            answer.header("x-content-type-options"),
            "nosniff",
            "{target}"
        );
    }
}

#[tokio::test]
async fn only_what_came_over_tls_is_told_to_stay_there() {
    let world = World::begin().await;
    let process = world.process();
    for (protocol, expected) in [
        ("https", "max-age=31536000"),
        ("http", ""),
        ("", ""),
        ("https, http", ""),
    ] {
        let request = TestRequest::new("GET", "/health").header("x-forwarded-proto", protocol);
        let answer = request.send(&process).await;
        assert_eq!(
            answer.header("strict-transport-security"),
            expected,
            "{protocol}"
        );
    }
}

fn long_addresses(long: &str, many: &str) -> Vec<(&'static str, TestRequest)> {
    vec![
        (
            "many parameters",
            TestRequest::new("GET", &format!("/v1/users/ou_1?{many}")),
        ),
        (
            "a long parameter",
            TestRequest::new("GET", &format!("/v1/users/ou_1?{long}=1")),
        ),
        (
            "a long id",
            TestRequest::new("GET", &format!("/v1/users/ou_{long}")),
        ),
        (
            "a long path",
            TestRequest::new("GET", &format!("/v1/{long}")),
        ),
        (
            "a long key id",
            TestRequest::new("GET", &format!("/v1/api-keys/{long}")),
        ),
        (
            "a long kind",
            TestRequest::new("GET", &format!("/v1/tokens/{long}")),
        ),
        (
            "a long page token",
            TestRequest::new("GET", &format!("/v1/chats?page_token={long}")),
        ),
        (
            "a long scope of a login",
            TestRequest::new(
                "GET",
                &format!("/v1/oauth/authorize?app_id={APP}&scope={long}"),
            ),
        ),
        (
            "a long app",
            TestRequest::new("GET", "/v1/chats").header("x-lark-app-id", long),
        ),
        (
            "a long tenant",
            TestRequest::new("GET", "/v1/chats").header("x-lark-tenant-key", long),
        ),
        (
            "a long request id",
            TestRequest::new("GET", "/health").header("x-request-id", long),
        ),
    ]
}

fn long_bodies(long: &str) -> Vec<(&'static str, TestRequest)> {
    vec![
        (
            "a long field",
            TestRequest::new("POST", "/v1/apps").body(&json!({ (long): 1 })),
        ),
        (
            "many fields",
            TestRequest::new("POST", "/v1/users/batch").body(&json!({"open_ids": vec![long; 20]})),
        ),
        (
            "many wrong scopes",
            TestRequest::new("POST", "/v1/api-keys")
                .body(&json!({"scopes": vec![long; 20], "apps": ["*"]})),
        ),
        (
            "long targets",
            TestRequest::new("PATCH", &format!("/v1/apps/{APP}"))
                .body(&json!({"redirect_targets": vec![long; 30]})),
        ),
    ]
}

#[tokio::test]
async fn no_answer_grows_with_its_request() {
    let world = World::begin().await;
    let process = world.process();
    let long = "x".repeat(LONG);
    let many = (0..3_000).map(|number| format!("parameter{number}=1"));
    let many = many.collect::<Vec<_>>().join("&");
    let requests = long_addresses(&long, &many)
        .into_iter()
        .chain(long_bodies(&long));
    for (what, request) in requests {
        let answer = request.send(&process).await;
        let headers = answer
            .headers
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len());
        let length = answer.body.to_string().len() + headers.sum::<usize>();
        assert!(
            length < 10_000,
            "{what}: {length} bytes: {}",
            answer.outcome()
        );
    }
}
