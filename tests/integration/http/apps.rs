//! Apps: what operators change, and how it affects other callers.

use std::sync::Arc;
use std::time::Duration;

use lark_service::store::Table;
use lark_service::store::intercepted::{InterceptedStore, Operation};
use lark_service_tests::requests::{TestRequest, TestResponse};
use lark_service_tests::switchable::FailOnce;
use lark_service_tests::world::{APP, Process, World};
use serde_json::{Value, json};

const NEW_APP: &str = "cli_new0000001";

pub(super) async fn world() -> (World, Process) {
    let world = World::begin().await;
    let process = world.process();
    (world, process)
}

pub(super) async fn ask(
    process: &Process,
    method: &'static str,
    target: &str,
    body: Value,
) -> TestResponse {
    let ask = TestRequest::new(method, target);
    let ask = if body.is_null() { ask } else { ask.body(&body) };
    ask.send(process).await
}

#[tokio::test]
async fn an_app_lives_from_its_creation_to_its_deletion() {
    let (_world, process) = world().await;
    let new = json!({"app_id": NEW_APP, "secret": "s3cret-of-the-app", "name": "Portal", "domain": "lark",
        "redirect_targets": ["https://portal.example/done"]});
    let created = ask(&process, "POST", "/v1/apps", new.clone()).await;
    assert_eq!(created.status, 201, "{:?}", created.body);
    assert_eq!(created.header("location"), format!("/v1/apps/{NEW_APP}"));
    assert_eq!(created.body["secret"], "********");
    assert!(!created.body.to_string().contains("s3cret"));
    assert_eq!(
        ask(&process, "POST", "/v1/apps", new).await.code(),
        "already_exists"
    );

    let path = format!("/v1/apps/{NEW_APP}");
    let shown = ask(&process, "GET", &path, Value::Null).await;
    assert_eq!(
        (shown.status, &shown.body["kind"]),
        (200, &json!("internal"))
    );
    assert_eq!(shown.body["tokens"][0]["kind"], "tenant");
    let changed = ask(&process, "PATCH", &path, json!({"name": "Staff portal"})).await;
    assert_eq!(changed.body["name"], "Staff portal");
    assert_eq!(changed.body["domain"], "lark", "what is absent stays");
    let rotated = ask(&process, "PATCH", &path, json!({"secret": "an0ther"})).await;
    assert_ne!(
        rotated.body["secret_fingerprint"],
        shown.body["secret_fingerprint"]
    );
    assert!(rotated.body["previous_secret_until"].is_string());

    let deleted = ask(&process, "DELETE", &path, Value::Null).await;
    assert_eq!((deleted.status, deleted.body), (204, json!("")));
    assert_eq!(
        ask(&process, "GET", &path, Value::Null).await.code(),
        "app_not_found"
    );
    let list = ask(&process, "GET", "/v1/apps", Value::Null).await;
    assert_eq!(
        list.body["items"].as_array().unwrap().len(),
        1,
        "only the world's own is left"
    );

    let changes = ask(&process, "GET", &format!("{path}/changes"), Value::Null).await;
    let items = changes.body["items"].as_array().unwrap();
    let actions: Vec<_> = items
        .iter()
        .map(|change| change["action"].as_str().unwrap())
        .collect();
    assert_eq!(actions, ["created", "changed", "secret_rotated", "deleted"]);
    assert!(
        items
            .iter()
            .all(|change| change["by"] == "key:test0key0001" && change["at"].is_string())
    );
    assert_eq!(items[1]["fields"], json!(["name"]));
    assert!(!changes.body.to_string().contains("an0ther"));
}

#[tokio::test]
async fn apps_are_listed_page_by_page() {
    let (_world, process) = world().await;
    for number in 0..25 {
        let new = json!({"app_id": format!("cli_{number:03}"), "secret": "s"});
        assert_eq!(ask(&process, "POST", "/v1/apps", new).await.status, 201);
    }
    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let page = ask(
            &process,
            "GET",
            &format!("/v1/apps?page_size=10{token}"),
            Value::Null,
        )
        .await;
        let items = page.body["items"].as_array().unwrap();
        assert!(items.len() <= 10);
        seen.extend(
            items
                .iter()
                .map(|app| app["app_id"].as_str().unwrap().to_owned()),
        );
        match page.body["next_page_token"].as_str() {
            Some(next) => token = format!("&page_token={next}"),
            None => break,
        }
    }
    assert_eq!(seen.len(), 26);
    assert!(seen.is_sorted());
}

#[tokio::test]
async fn wrong_input_names_its_field_and_never_shows_a_secret() {
    let (_world, process) = world().await;
    let cases = [
        (json!({"app_id": "a b", "secret": "hunter2"}), "app_id"),
        (json!({"app_id": NEW_APP, "secret": ""}), "secret"),
        (
            json!({"app_id": NEW_APP, "secret": "hunter2", "domain": "larque"}),
            "domain",
        ),
        (
            json!({"app_id": NEW_APP, "secret": "hunter2", "redirect_targets": ["http://x.example"]}),
            "redirect_targets[0]",
        ),
        (
            json!({"app_id": NEW_APP, "secret": "hunter2", "colour": "hunter2"}),
            "colour",
        ),
        (
            json!({"app_id": NEW_APP, "secret": {"hunter2": 1}}),
            "secret",
        ),
        (json!({"app_id": NEW_APP}), "body"),
        (json!([NEW_APP, "hunter2"]), "body"),
    ];
    for (body, field) in cases {
        let answer = ask(&process, "POST", "/v1/apps", body).await;
        assert_eq!(
            (answer.status, answer.code()),
            (400, "invalid_argument"),
            "{field}"
        );
        assert_eq!(answer.body["errors"][0]["field"], field, "{}", answer.body);
        assert!(
            !answer.body.to_string().contains("hunter2"),
            "{}",
            answer.body
        );
    }
    let empty = ask(&process, "PATCH", &format!("/v1/apps/{APP}"), json!({})).await;
    assert_eq!(empty.code(), "invalid_argument");
    let page = ask(&process, "GET", "/v1/apps?page_size=0", Value::Null).await;
    assert_eq!(page.body["errors"][0]["field"], "page_size");
}

#[tokio::test]
async fn a_disabled_app_is_refused_at_once_whatever_is_cached_where() {
    let (world, operator) = world().await;
    let processes = [world.process(), world.process()];
    let user = format!("/v1/users/{}", lark_simulator::open_id(APP, 3));
    let targets = ["/v1/tokens/tenant", "/v1/tokens/app", user.as_str()];
    for process in &processes {
        for target in targets {
            let answer = TestRequest::new("GET", target)
                .header("x-lark-app-id", APP)
                .send(process)
                .await;
            assert_eq!(answer.status, 200, "{target}: {:?}", answer.body);
        }
    }
    let path = format!("/v1/apps/{APP}");
    for _ in 0..2 {
        ask(&operator, "PATCH", &path, json!({"status": "disabled"})).await;
        for process in &processes {
            for target in targets {
                let answer = TestRequest::new("GET", target)
                    .header("x-lark-app-id", APP)
                    .send(process)
                    .await;
                assert_eq!(
                    (answer.status, answer.code()),
                    (403, "app_disabled"),
                    "{target}"
                );
            }
        }
        ask(&operator, "PATCH", &path, json!({"status": "enabled"})).await;
        for process in &processes {
            let answer = TestRequest::new("GET", "/v1/tokens/tenant")
                .header("x-lark-app-id", APP)
                .send(process)
                .await;
            assert_eq!(answer.status, 200);
        }
    }
    // With the shared cache away a process notices within five seconds.
    world.cache.stop();
    ask(&operator, "PATCH", &path, json!({"status": "disabled"})).await;
    world.advance(Duration::from_secs(5));
    for process in &processes {
        let answer = TestRequest::new("GET", "/v1/tokens/tenant")
            .header("x-lark-app-id", APP)
            .send(process)
            .await;
        assert_eq!(answer.code(), "app_disabled");
    }
}

#[tokio::test]
async fn a_deleted_app_takes_its_tokens_and_logins_with_it() {
    let (world, process) = world().await;
    let open_id = process.log_in(world.control(), 7).await.unwrap();
    ask(&process, "DELETE", &format!("/v1/apps/{APP}"), Value::Null).await;
    let secret = lark_simulator::seeded_app_secret(APP);
    let again = json!({"app_id": APP, "secret": secret});
    assert_eq!(ask(&process, "POST", "/v1/apps", again).await.status, 201);
    let answer = TestRequest::new("GET", &format!("/v1/tokens/user?open_id={open_id}"))
        .header("x-lark-app-id", APP)
        .send(&world.process())
        .await;
    assert_eq!(
        (answer.code(), &answer.body["reason"]),
        ("reauthorization_required", &json!("not_logged_in"))
    );
}

#[tokio::test]
async fn a_deletion_that_failed_half_way_is_repeated_until_nothing_is_left() {
    let (world, process) = world().await;
    let open_id = process.log_in(world.control(), 7).await.unwrap();
    let throttled = FailOnce::after(0, Operation::List, Table::Tokens);
    let store = InterceptedStore::new(world.shared_store(), Arc::new(throttled));
    let operator = world.process_over(Arc::new(store));
    let path = format!("/v1/apps/{APP}");
    let failed = ask(&operator, "DELETE", &path, Value::Null).await;
    assert_eq!((failed.status, failed.code()), (503, "store_unavailable"));
    let repeated = ask(&operator, "DELETE", &path, Value::Null).await;
    assert_eq!(repeated.status, 204, "{}", repeated.body);
    let done = ask(&operator, "DELETE", &path, Value::Null).await;
    assert_eq!((done.status, done.code()), (404, "app_not_found"));
    let secret = lark_simulator::seeded_app_secret(APP);
    let again = json!({"app_id": APP, "secret": secret});
    assert_eq!(ask(&operator, "POST", "/v1/apps", again).await.status, 201);
    world.advance(Duration::from_secs(6));
    let error = process.user_token(&open_id).await.unwrap_err();
    assert_eq!(error.code().as_str(), "reauthorization_required");
}

#[tokio::test]
async fn an_app_that_is_registered_anew_inherits_nothing_of_a_deletion_that_nobody_repeated() {
    let (world, process) = world().await;
    let open_id = process.log_in(world.control(), 7).await.unwrap();
    let throttled = FailOnce::after(0, Operation::List, Table::Tokens);
    let store = InterceptedStore::new(world.shared_store(), Arc::new(throttled));
    let operator = world.process_over(Arc::new(store));
    let path = format!("/v1/apps/{APP}");
    assert_eq!(
        ask(&operator, "DELETE", &path, Value::Null).await.status,
        503
    );
    let secret = lark_simulator::seeded_app_secret(APP);
    let again = json!({"app_id": APP, "secret": secret});
    assert_eq!(ask(&operator, "POST", "/v1/apps", again).await.status, 201);
    for process in [&process, &world.process()] {
        world.advance(Duration::from_secs(6));
        let error = process.user_token(&open_id).await.unwrap_err();
        assert_eq!(error.code().as_str(), "reauthorization_required");
    }
}
