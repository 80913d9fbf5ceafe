//! Every function on its sample event: status, headers, body, and what reached the platform.

use std::path::Path;

use lark_service_tests::requests::{TestResponse, authorizer_event};
use lark_service_tests::world::{DEMO_KEY, Process, World};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

/// The names in `folder` of the workspace, without endings.
fn names(folder: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(folder);
    let entries = std::fs::read_dir(path).unwrap();
    let names = entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_owned());
    names.map(|name| name.into_string().unwrap()).collect()
}

/// The sample event `name`.
fn sample(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../events")
        .join(format!("{name}.json"));
    let text = std::fs::read_to_string(&path);
    let text = text.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap()
}

/// The sample event `name`, changed by `change`.
fn changed(name: &str, change: impl FnOnce(&mut Value)) -> Value {
    let mut event = sample(name);
    change(&mut event);
    event
}

async fn user(process: &Process, event: Value) -> TestResponse {
    process.invoke_http("get-user", &event).await
}

async fn token(process: &Process, event: Value) -> TestResponse {
    process.invoke_http("get-token", &event).await
}

/// This includes functions that no other test names: a new one is here with its first sample event.
#[tokio::test]
async fn every_sample_request_is_answered_and_an_invalid_one_refused() {
    let world = World::begin().await;
    world.seed_demo().await;
    let process = world.process();
    let functions = names("functions");
    for name in names("events") {
        let event = sample(&name);
        let is_request = event["routeKey"].is_string() && event["type"].is_null();
        if !is_request {
            continue;
        }
        let of_this = functions
            .iter()
            .filter(|function| name.starts_with(*function));
        let function = of_this.max_by_key(|function| function.len()).unwrap();
        let response = process.invoke_http(function, &event).await;
        let (status, body) = (response.status, &response.body);
        assert!(status < 500, "{name}: {status} {body}");
        if name.ends_with("-invalid") {
            assert_eq!(status, 400, "{name}: {body}");
        }
    }
}

#[tokio::test]
async fn get_user_answers_with_the_profile_and_where_it_came_from() {
    let world = World::begin().await;
    world.seed_demo().await;
    let process = world.process();
    let first = user(&process, sample("get-user")).await;
    let second = user(&process, sample("get-user")).await;
    assert_eq!(first.status, 200);
    assert_eq!(first.body, second.body);
    assert!(first.body["open_id"].as_str().unwrap().starts_with("ou_"));
    let status = first.header("cache-status");
    assert!(status.starts_with("lark-service; fwd=miss; stored"));
    assert!(second.header("cache-status").ends_with("detail=memory"));
    assert_eq!(second.header("age"), "0");
    assert_eq!((world.user_requests(), world.token_requests()), (1, 1));
}

#[tokio::test]
async fn the_directory_answers_its_sample_events() {
    let world = World::begin().await;
    world.seed_demo().await;
    let process = world.process();
    for (function, name, status) in [
        ("find-user", "find-user", 200),
        ("find-user", "find-user-mobile", 200),
        ("find-user", "find-user-invalid", 400),
        ("batch-get-users", "batch-get-users", 200),
        ("batch-get-users", "batch-get-users-invalid", 400),
        ("get-department", "get-department", 200),
        ("list-department-users", "list-department-users", 200),
        ("list-chats", "list-chats", 200),
        ("list-chats", "list-chats-by-name", 200),
        ("get-chat", "get-chat", 200),
        ("list-chat-members", "list-chat-members", 200),
    ] {
        let response = process.invoke_http(function, &sample(name)).await;
        let answer = &response.body;
        assert_eq!(response.status, status, "{name}: {answer}");
        if name == "batch-get-users" {
            assert_eq!(answer["users"].as_array().unwrap().len(), 4, "{answer}");
            assert_eq!(answer["not_found"][0]["reason"], "unmatched");
        } else if let Some(items) = answer["items"].as_array() {
            assert_eq!(items.len(), 2, "{name}: {answer}");
        }
    }
}

#[tokio::test]
async fn get_user_names_the_field_that_is_wrong_before_anything_is_asked() {
    let world = World::begin().await;
    world.seed_demo().await;
    let process = world.process();
    let wrong = |path: &'static str, value: Value| {
        changed("get-user", move |event| {
            *event.pointer_mut(path).unwrap() = value
        })
    };
    let cases = [
        (sample("get-user-invalid"), "id_type"),
        (wrong("/pathParameters/id", json!("not an id")), "id"),
        (wrong("/rawQueryString", json!("idtype=open_id")), "idtype"),
        (
            wrong("/headers/x-lark-app-id", json!("not an app")),
            "header X-Lark-App-Id",
        ),
    ];
    for (event, field) in cases {
        let response = user(&process, event).await;
        assert_eq!(response.status, 400, "{field}");
        assert_eq!(response.header("content-type"), "application/problem+json");
        assert_eq!(response.body["errors"][0]["field"], field);
        assert_eq!(response.body["request_id"], response.header("x-request-id"));
    }
    assert_eq!((world.user_requests(), world.token_requests()), (0, 0));
}

#[tokio::test]
async fn a_caller_gets_no_further_than_scopes_and_apps_allow() {
    let world = World::begin().await;
    world.seed_demo().await;
    let process = world.process();
    let caller = "/requestContext/authorizer/lambda";
    let with = |entry: &'static str, value: &'static str| {
        changed("get-user", move |event| {
            event.pointer_mut(caller).unwrap()[entry] = json!(value)
        })
    };
    let forbidden = [
        with("scopes", "tokens:read"),
        with("apps", "cli_other"),
        with("apps", ""),
    ];
    for event in forbidden {
        let response = user(&process, event).await;
        assert_eq!(
            (response.status, response.code()),
            (403, "permission_denied")
        );
    }
    let nobody = changed("get-user", |event| {
        event["requestContext"]["authorizer"] = Value::Null
    });
    assert_eq!(user(&process, nobody).await.status, 401);
    let unknown = changed("get-user", |event| {
        event["headers"]["x-lark-app-id"] = json!("cli_unknown")
    });
    assert_eq!(user(&process, unknown).await.code(), "app_not_found");
    assert_eq!(world.user_requests(), 0);
}

#[tokio::test]
async fn get_token_answers_with_the_token_and_its_end() {
    let world = World::begin().await;
    world.seed_demo().await;
    let process = world.process();
    for (name, kind) in [("get-token", "tenant"), ("get-token-app", "app")] {
        let response = token(&process, sample(name)).await;
        assert_eq!(response.status, 200);
        assert_eq!(response.header("cache-control"), "no-store");
        let body = response.body;
        assert_eq!(
            (body["kind"].as_str(), body["token_type"].as_str()),
            (Some(kind), Some("Bearer"))
        );
        assert_eq!(body["expires_at"], "2026-01-31T10:00:00Z");
    }
    let unknown_kind = changed("get-token", |event| {
        event["pathParameters"]["kind"] = json!("root")
    });
    let refused = token(&process, unknown_kind).await;
    assert_eq!(refused.body["errors"][0]["field"], "kind");
}

#[tokio::test]
async fn a_platform_failure_is_told_with_its_log_id_and_a_wait() {
    let world = World::begin().await;
    world.seed_demo().await;
    let mut limit = lark_simulator::FaultAction::answer(429, 99_991_400);
    if let lark_simulator::FaultAction::Answer { headers, .. } = &mut limit {
        headers.insert("x-ogw-ratelimit-reset".to_owned(), "52".to_owned());
    }
    world
        .control()
        .add_fault(lark_simulator::Fault::new("contact.user.get", limit))
        .unwrap();
    let response = user(&world.process(), sample("get-user")).await;
    let body = &response.body;
    assert_eq!((response.status, response.code()), (429, "rate_limited"));
    assert_eq!(
        (body["lark"]["code"].as_i64(), body["retryable"].as_bool()),
        (Some(99_991_400), Some(true))
    );
    assert!(!body["lark"]["log_id"].as_str().unwrap().is_empty());
    assert_eq!(
        response.header("retry-after"),
        body["retry_after"].to_string()
    );
}

#[tokio::test]
async fn authorize_lets_a_right_key_in_and_nothing_else() {
    let world = World::begin().await;
    world.seed_demo().await;
    let process = world.process();
    let decision = process.invoke("authorize", sample("authorize")).await;
    let expected = json!({
        "isAuthorized": true,
        "context": {"key_id": "demo0000key0", "scopes": "tokens:read user_tokens:read users:read", "apps": "*",
            "rate_limit": "1000/60", "version": "1769846400000", "confirmed_at": "1769846400000"},
    });
    assert_eq!(decision.unwrap(), expected);
    let right = DEMO_KEY;
    let wrong_secret = format!("Bearer {}1", &right[..right.len() - 1]);
    let wrong_id = format!("Bearer {}", right.replace("key0", "key1"));
    for header in [
        "",
        "Bearer",
        "Bearer ",
        &wrong_secret,
        &wrong_id,
        &format!("Basic {right}"),
        right,
    ] {
        let decision = process.invoke("authorize", authorizer_event(header)).await;
        assert_eq!(decision.unwrap()["isAuthorized"], false, "{header}");
    }
}

#[tokio::test]
async fn authorize_admits_nobody_while_the_store_is_away() {
    let world = World::begin().await;
    world.seed_demo().await;
    world.store.stop();
    let process = world.process();
    let decision = process.invoke("authorize", sample("authorize")).await;
    decision.unwrap_err();
}

#[tokio::test]
async fn refresh_tokens_says_what_it_did() {
    let world = World::begin().await;
    world.seed_demo().await;
    let process = world.process();
    let report = process.invoke("refresh-tokens", sample("refresh-tokens"));
    let report = report.await.unwrap();
    assert_eq!(
        (&report["due"], &report["refreshed"]),
        (&json!(2), &json!(2))
    );
    assert_eq!(report["is_partial"], false, "{report}");
}

#[tokio::test]
async fn health_is_alive_without_dependencies_and_ready_only_with_the_store() {
    let world = World::begin().await;
    let process = world.process();
    let ask = async |name| {
        let response = process.invoke_http("health", &sample(name)).await;
        let status = response.body["status"].as_str().unwrap();
        (response.status, status.to_owned())
    };
    assert_eq!(ask("health-ready").await, (200, "ready".to_owned()));
    world.cache.stop();
    assert_eq!(ask("health-ready").await, (200, "degraded".to_owned()));
    world.store.stop();
    assert_eq!(ask("health-ready").await, (503, "unavailable".to_owned()));
    assert_eq!(ask("health").await, (200, "alive".to_owned()));
    assert_eq!(world.control().counters().total.requests, 0);
}

#[tokio::test]
async fn the_token_of_an_answer_is_the_platforms() {
    let world = World::begin().await;
    world.seed_demo().await;
    let process = world.process();
    let answer = token(&process, sample("get-token")).await.body;
    let known = process.token_of("cli_demo000001").await.unwrap();
    assert_eq!(answer["token"], known.value.expose_secret());
}
