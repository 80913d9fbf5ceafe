//! Every function on its sample event: status, headers, body, and what reached the platform.

use std::path::Path;

use lambda_http::http::StatusCode;
use lambda_http::{Body, Request, Response};
use lambda_runtime::{Context, LambdaEvent};
use lark_service_tests::world::{Process, World};
use secrecy::ExposeSecret;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn event_text(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../events")
        .join(format!("{name}.json"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn event<T: DeserializeOwned>(name: &str) -> LambdaEvent<T> {
    LambdaEvent::new(
        serde_json::from_str(&event_text(name)).unwrap(),
        Context::default(),
    )
}

/// The sample event `name`, changed by `change`.
fn request(name: &str, change: impl FnOnce(&mut Value)) -> Request {
    let mut event: Value = serde_json::from_str(&event_text(name)).unwrap();
    change(&mut event);
    lambda_http::request::from_str(&event.to_string()).unwrap()
}

async fn user(process: &Process, request: Request) -> Response<Body> {
    let Ok(response) = get_user::handle(&process.0.admission, &process.0.users, request).await;
    response
}

async fn token(process: &Process, request: Request) -> Response<Body> {
    let Ok(response) = get_token::handle(&process.0.admission, &process.0.tokens, request).await;
    response
}

fn body(response: &Response<Body>) -> Value {
    serde_json::from_slice(response.body()).unwrap()
}

fn header<'r>(response: &'r Response<Body>, name: &str) -> &'r str {
    response
        .headers()
        .get(name)
        .map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn get_user_answers_with_the_profile_and_where_it_came_from() {
    let world = World::begin().await;
    world.seed_demo().await;
    let process = world.process();
    let first = user(&process, request("get-user", |_| {})).await;
    let second = user(&process, request("get-user", |_| {})).await;
    assert_eq!(first.status(), StatusCode::OK);
    assert_eq!(first.body(), second.body());
    assert!(body(&first)["open_id"].as_str().unwrap().starts_with("ou_"));
    assert!(header(&first, "cache-status").starts_with("lark-service; fwd=miss; stored"));
    assert!(header(&second, "cache-status").ends_with("detail=memory"));
    assert_eq!(header(&second, "age"), "0");
    assert_eq!((world.user_requests(), world.token_requests()), (1, 1));
}

#[tokio::test]
async fn the_directory_answers_its_sample_events() {
    let world = World::begin().await;
    world.seed_demo().await;
    let process = world.process();
    let services = &process.0;
    let (admission, users) = (&services.admission, &services.users);
    let (departments, chats) = (&services.departments, &services.chats);
    for (name, status) in [
        ("find-user", 200),
        ("find-user-mobile", 200),
        ("find-user-invalid", 400),
        ("batch-get-users", 200),
        ("batch-get-users-invalid", 400),
        ("get-department", 200),
        ("list-department-users", 200),
        ("list-chats", 200),
        ("list-chats-by-name", 200),
        ("get-chat", 200),
        ("list-chat-members", 200),
    ] {
        let sent = request(name, |_| {});
        let Ok(response) = match name {
            name if name.starts_with("find-user") => {
                find_user::handle(admission, users, sent).await
            }
            name if name.starts_with("batch") => {
                batch_get_users::handle(admission, users, sent).await
            }
            "get-department" => get_department::handle(admission, departments, sent).await,
            "list-department-users" => {
                list_department_users::handle(admission, departments, sent).await
            }
            "get-chat" => get_chat::handle(admission, chats, sent).await,
            "list-chat-members" => list_chat_members::handle(admission, chats, sent).await,
            _ => list_chats::handle(admission, chats, sent).await,
        };
        assert_eq!(response.status(), status, "{name}: {:?}", response.body());
        let answer = body(&response);
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
        request("get-user", move |event| {
            *event.pointer_mut(path).unwrap() = value
        })
    };
    let cases = [
        (request("get-user-invalid", |_| {}), "id_type"),
        (wrong("/pathParameters/id", json!("not an id")), "id"),
        (wrong("/rawQueryString", json!("idtype=open_id")), "idtype"),
        (
            wrong("/headers/x-lark-app-id", json!("not an app")),
            "header X-Lark-App-Id",
        ),
    ];
    for (request, field) in cases {
        let response = user(&process, request).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{field}");
        assert_eq!(
            header(&response, "content-type"),
            "application/problem+json"
        );
        assert_eq!(body(&response)["errors"][0]["field"], field);
        assert_eq!(
            body(&response)["request_id"],
            header(&response, "x-request-id")
        );
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
        request("get-user", move |event| {
            event.pointer_mut(caller).unwrap()[entry] = json!(value)
        })
    };
    let forbidden = [
        with("scopes", "tokens:read"),
        with("apps", "cli_other"),
        with("apps", ""),
    ];
    for request in forbidden {
        let response = user(&process, request).await;
        assert_eq!(
            (response.status(), body(&response)["code"].as_str()),
            (StatusCode::FORBIDDEN, Some("permission_denied"))
        );
    }
    let nobody = request("get-user", |event| {
        event["requestContext"]["authorizer"] = Value::Null
    });
    assert_eq!(
        user(&process, nobody).await.status(),
        StatusCode::UNAUTHORIZED
    );
    let unknown = request("get-user", |event| {
        event["headers"]["x-lark-app-id"] = json!("cli_unknown")
    });
    assert_eq!(
        body(&user(&process, unknown).await)["code"],
        "app_not_found"
    );
    assert_eq!(world.user_requests(), 0);
}

#[tokio::test]
async fn get_token_answers_with_the_token_and_its_end() {
    let world = World::begin().await;
    world.seed_demo().await;
    let process = world.process();
    for (name, kind) in [("get-token", "tenant"), ("get-token-app", "app")] {
        let response = token(&process, request(name, |_| {})).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(header(&response, "cache-control"), "no-store");
        let body = body(&response);
        assert_eq!(
            (body["kind"].as_str(), body["token_type"].as_str()),
            (Some(kind), Some("Bearer"))
        );
        assert_eq!(body["expires_at"], "2026-01-31T10:00:00Z");
    }
    let user_kind = request("get-token", |event| {
        event["pathParameters"]["kind"] = json!("root")
    });
    assert_eq!(
        body(&token(&process, user_kind).await)["errors"][0]["field"],
        "kind"
    );
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
    let response = user(&world.process(), request("get-user", |_| {})).await;
    let body = body(&response);
    assert_eq!(
        (response.status(), body["code"].as_str()),
        (StatusCode::TOO_MANY_REQUESTS, Some("rate_limited"))
    );
    assert_eq!(
        (body["lark"]["code"].as_i64(), body["retryable"].as_bool()),
        (Some(99_991_400), Some(true))
    );
    assert!(!body["lark"]["log_id"].as_str().unwrap().is_empty());
    assert_eq!(
        header(&response, "retry-after"),
        body["retry_after"].to_string()
    );
}

#[tokio::test]
async fn authorize_lets_a_right_key_in_and_nothing_else() {
    let world = World::begin().await;
    world.seed_demo().await;
    let api_keys = world.process().0.api_keys;
    let decision = authorize::handle(&api_keys, event("authorize"))
        .await
        .unwrap();
    let expected = json!({
        "isAuthorized": true,
        "context": {"key_id": "demo0000key0", "scopes": "tokens:read users:read", "apps": "*"},
    });
    assert_eq!(serde_json::to_value(&decision).unwrap(), expected);
    let right = lark_service_tests::world::DEMO_KEY;
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
        let question = LambdaEvent::new(authorize::Question::about(header), Context::default());
        assert!(
            !authorize::handle(&api_keys, question)
                .await
                .unwrap()
                .is_authorized(),
            "{header}"
        );
    }
}

#[tokio::test]
async fn authorize_admits_nobody_while_the_store_is_away() {
    let world = World::begin().await;
    world.seed_demo().await;
    world.store.stop();
    assert!(
        authorize::handle(&world.process().0.api_keys, event("authorize"))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn refresh_tokens_says_what_it_did() {
    let world = World::begin().await;
    world.seed_demo().await;
    let refresher = world.process().0.refresher();
    let report = refresh_tokens::handle(&refresher, event("refresh-tokens"))
        .await
        .unwrap();
    assert_eq!(
        (report.due, report.refreshed, report.is_partial),
        (2, 2, false)
    );
}

#[tokio::test]
async fn health_is_alive_without_dependencies_and_ready_only_with_the_store() {
    let world = World::begin().await;
    let process = world.process();
    let ask = async |name| {
        let Ok(response) = health::handle(
            &process.0.storage,
            process.0.cache.as_ref(),
            request(name, |_| {}),
        )
        .await;
        (
            response.status().as_u16(),
            body(&response)["status"].as_str().unwrap().to_owned(),
        )
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
    let answer = body(&token(&process, request("get-token", |_| {})).await);
    let known = process.token_of("cli_demo000001").await.unwrap();
    assert_eq!(answer["token"], known.value.expose_secret());
}
