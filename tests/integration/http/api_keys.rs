//! API keys: what they grant, who creates them, when they expire.

use std::time::Duration;

use lark_service::api_keys::Scope;
use lark_service::store::{Record, Table, Value as StoredValue};
use lark_service_tests::requests::{TestRequest, authorizer_event};
use lark_service_tests::world::{APP, Process};
use serde_json::{Value, json};

use super::apps::{ask, world};

/// Whether the authorizer lets the holder of `key` in.
async fn is_let_in(process: &Process, key: &str) -> bool {
    let event = authorizer_event(&format!("Bearer {key}"));
    let decision = process.invoke("authorize", event).await.unwrap();
    decision["isAuthorized"].as_bool().unwrap()
}

#[tokio::test]
async fn a_key_is_made_shown_once_used_and_revoked() {
    let (world, process) = world().await;
    let new = json!({"name": "ticketing", "scopes": ["users:read"], "apps": [APP],
        "rate_limit": {"limit": 5, "window_seconds": 60}, "expires_at": "2026-03-31T00:00:00Z"});
    let created = ask(&process, "POST", "/v1/api-keys", new).await;
    assert_eq!(created.status, 201, "{:?}", created.body);
    let key = created.body["key"].as_str().unwrap().to_owned();
    let id = created.body["key_id"].as_str().unwrap().to_owned();
    let path = format!("/v1/api-keys/{id}");
    let shown = ask(&process, "GET", &path, Value::Null).await;
    assert!(shown.body.get("key").is_none() && shown.body["last_used_at"].is_null());
    assert!(is_let_in(&process, &key).await);
    let shown = ask(&process, "GET", &path, Value::Null).await;
    assert_eq!(shown.body["last_used_at"], "2026-01-31T08:00:00Z");
    assert_eq!(
        shown.body["rate_limit"],
        json!({"limit": 5, "window_seconds": 60})
    );

    let off = ask(&process, "PATCH", &path, json!({"status": "disabled"})).await;
    assert_eq!(off.body["status"], "disabled");
    assert!(!is_let_in(&world.process(), &key).await);
    ask(
        &process,
        "PATCH",
        &path,
        json!({"status": "active", "rate_limit": null}),
    )
    .await;
    assert!(is_let_in(&process, &key).await);
    world.advance(Duration::from_secs(70 * 24 * 3_600));
    assert!(!is_let_in(&process, &key).await, "its time is over");
    let longer = json!({"expires_at": null});
    assert_eq!(
        ask(&process, "PATCH", &path, longer).await.body["expires_at"],
        Value::Null
    );
    assert!(is_let_in(&process, &key).await);

    assert_eq!(
        ask(&process, "DELETE", &path, Value::Null).await.status,
        204
    );
    for process in [&process, &world.process()] {
        assert!(
            !is_let_in(process, &key).await,
            "the authorizer lets nobody in any more"
        );
    }
    let revoked = ask(&process, "GET", &path, Value::Null).await;
    assert_eq!(revoked.body["status"], "revoked");
    let again = ask(&process, "PATCH", &path, json!({"status": "active"})).await;
    assert_eq!(again.code(), "invalid_argument", "for ever");
    let changes = ask(&process, "GET", &format!("{path}/changes"), Value::Null).await;
    let items = changes.body["items"].as_array().unwrap();
    let actions: Vec<_> = items
        .iter()
        .map(|change| change["action"].as_str().unwrap())
        .collect();
    assert_eq!(
        actions,
        ["created", "disabled", "enabled", "changed", "revoked"]
    );
}

#[tokio::test]
async fn a_key_in_use_gets_in_for_a_minute_while_the_store_fails() {
    let (world, process) = world().await;
    let new = json!({"scopes": ["users:read"], "apps": [APP]});
    let created = ask(&process, "POST", "/v1/api-keys", new).await;
    let key = created.body["key"].as_str().unwrap().to_owned();
    assert!(is_let_in(&process, &key).await);
    world.store.stop();
    world.advance(Duration::from_secs(59));
    assert!(is_let_in(&process, &key).await);
    let unknown = authorizer_event(&format!("Bearer {key}"));
    let cold = world.process().invoke("authorize", unknown.clone()).await;
    assert!(cold.is_err(), "another process does not know it: {cold:?}");
    world.advance(Duration::from_secs(1));
    let late = process.invoke("authorize", unknown).await;
    assert!(late.is_err(), "a minute has passed: {late:?}");
    world.store.start();
    assert!(is_let_in(&process, &key).await);
}

#[tokio::test]
async fn a_key_gives_no_more_than_its_maker_has() {
    let (_world, process) = world().await;
    let by_some = |method, target: &str, body: &Value| {
        TestRequest::new(method, target)
            .by("admin users:read", APP)
            .body(body)
    };
    let all = json!({"scopes": ["users:read"], "apps": ["*"]});
    let other = json!({"scopes": ["users:read"], "apps": [APP, "cli_other"]});
    for body in [&all, &other] {
        let answer = by_some("POST", "/v1/api-keys", body).send(&process).await;
        assert_eq!(answer.code(), "permission_denied");
    }
    let own = json!({"scopes": ["users:read"], "apps": [APP]});
    let created = by_some("POST", "/v1/api-keys", &own).send(&process).await;
    assert_eq!(created.status, 201);
    let path = format!("/v1/api-keys/{}", created.body["key_id"].as_str().unwrap());
    let more = by_some("PATCH", &path, &json!({"apps": ["*"]}))
        .send(&process)
        .await;
    assert_eq!(more.code(), "permission_denied");
    // To this caller a key for other apps does not exist, so it cannot revoke it either.
    let foreign = ask(&process, "POST", "/v1/api-keys", all).await;
    let foreign = format!("/v1/api-keys/{}", foreign.body["key_id"].as_str().unwrap());
    for method in ["GET", "PATCH", "DELETE"] {
        let answer = by_some(method, &foreign, &json!({"name": "x"}))
            .send(&process)
            .await;
        assert_eq!(answer.code(), "api_key_not_found", "{method}");
    }
    let list = TestRequest::new("GET", "/v1/api-keys")
        .by("admin users:read", APP)
        .send(&process)
        .await;
    assert_eq!(list.body["items"].as_array().unwrap().len(), 1);
    let many: Vec<_> = (0..101).map(|number| format!("cli_{number}")).collect();
    let many = json!({"scopes": ["users:read"], "apps": many});
    let many = ask(&process, "POST", "/v1/api-keys", many).await;
    assert_eq!(many.body["errors"][0]["field"], "apps");
    let long = format!("/v1/api-keys/{}", "x".repeat(3_000));
    assert_eq!(
        ask(&process, "GET", &long, Value::Null).await.code(),
        "api_key_not_found"
    );
    let wrong = json!({"scopes": ["users:write"], "apps": []});
    let wrong = ask(&process, "POST", "/v1/api-keys", wrong).await;
    assert_eq!(wrong.body["errors"][0]["field"], "scopes[0]");
}

#[tokio::test]
async fn a_rate_limit_counts_for_all_processes_together_and_is_told() {
    let (world, process) = world().await;
    let other = world.process();
    let mut statuses = Vec::new();
    for number in 0..8 {
        let process = if number % 2 == 0 { &process } else { &other };
        let ask = TestRequest::new("GET", "/v1/tokens/tenant").header("x-lark-app-id", APP);
        let answer = ask.limited("5/60").send(process).await;
        assert!(
            answer.header("ratelimit-policy").contains("q=5;w=60"),
            "{:?}",
            answer.headers
        );
        if answer.status == 429 {
            assert_eq!(answer.header("retry-after"), "12", "one in twelve seconds");
        }
        statuses.push(answer.status);
    }
    assert_eq!(statuses, [200, 200, 200, 200, 200, 429, 429, 429]);
    world.advance(Duration::from_secs(12));
    let ask = TestRequest::new("GET", "/v1/tokens/tenant").header("x-lark-app-id", APP);
    assert_eq!(ask.limited("5/60").send(&process).await.status, 200);
}

/// Routes that require a key, each with its scope and whether it is about one app.
const MATRIX: &[(&str, &str, Scope, bool)] = &[
    ("GET", "/v1/tokens/tenant", Scope::TokensRead, true),
    ("GET", "/v1/tokens/app", Scope::TokensRead, true),
    (
        "GET",
        "/v1/tokens/user?open_id=ou_1",
        Scope::UserTokensRead,
        true,
    ),
    (
        "DELETE",
        "/v1/oauth/users/ou_1",
        Scope::UserTokensRead,
        true,
    ),
    ("GET", "/v1/users/ou_1", Scope::UsersRead, true),
    ("GET", "/v1/apps", Scope::Admin, false),
    ("POST", "/v1/apps", Scope::Admin, true),
    ("GET", "/v1/apps/{app}", Scope::Admin, true),
    ("PATCH", "/v1/apps/{app}", Scope::Admin, true),
    ("DELETE", "/v1/apps/{app}", Scope::Admin, true),
    ("GET", "/v1/apps/{app}/changes", Scope::Admin, true),
    ("GET", "/v1/api-keys", Scope::Admin, false),
    ("POST", "/v1/api-keys", Scope::Admin, true),
    ("GET", "/v1/api-keys/unknown", Scope::Admin, false),
    ("PATCH", "/v1/api-keys/unknown", Scope::Admin, false),
    ("DELETE", "/v1/api-keys/unknown", Scope::Admin, false),
    ("GET", "/v1/api-keys/unknown/changes", Scope::Admin, false),
];

/// Scopes × functions × apps: a request goes through exactly if the key has the function's scope and may act for the app.
#[tokio::test]
async fn every_function_wants_its_own_scope_and_an_app_that_the_key_may_act_for() {
    let (_world, process) = world().await;
    let mut scopes: Vec<Vec<Scope>> = Scope::ALL.iter().map(|scope| vec![*scope]).collect();
    scopes.push(Vec::new());
    scopes.push(Scope::ALL.to_vec());
    scopes.extend(Scope::ALL.iter().map(|missing| {
        let others = Scope::ALL.iter().filter(|scope| *scope != missing);
        others.copied().collect()
    }));
    let apps = ["*", "cli_asked", "cli_asked cli_other", "cli_other", ""];
    let mut asked = 0;
    for (method, target, scope, is_about_app) in MATRIX {
        for scopes in &scopes {
            for apps in apps {
                let names: Vec<_> = scopes.iter().map(|scope| scope.as_str()).collect();
                let target = target.replace("{app}", "cli_asked");
                let body = match target.as_str() {
                    "/v1/apps" => json!({"app_id": "cli_asked", "secret": "s"}),
                    "/v1/api-keys" => json!({"scopes": ["admin"], "apps": ["cli_asked"]}),
                    _ => json!({"name": "x"}),
                };
                let ask = TestRequest::new(method, &target)
                    .by(&names.join(" "), apps)
                    .body(&body);
                let answer = ask
                    .header("x-lark-app-id", "cli_asked")
                    .send(&process)
                    .await;
                let has_scope = scopes.contains(scope);
                let has_app =
                    !is_about_app || ["*", "cli_asked", "cli_asked cli_other"].contains(&apps);
                let is_refused = answer.code() == "permission_denied";
                assert_eq!(
                    is_refused,
                    !(has_scope && has_app),
                    "{method} {target} with {names:?} for {apps:?}: {} {}",
                    answer.status,
                    answer.body
                );
                asked += 1;
            }
        }
        let nobody = TestRequest::new(method, &target.replace("{app}", "cli_asked")).without_key();
        let nobody = nobody
            .header("x-lark-app-id", "cli_asked")
            .send(&process)
            .await;
        assert_eq!(nobody.status, 401, "{method} {target}");
    }
    assert_eq!(asked, MATRIX.len() * (2 * Scope::ALL.len() + 2) * 5);
}

/// What of the store could show the text `secret`.
fn shows(record: &Record, secret: &str) -> bool {
    let values = record.attributes.values();
    values.into_iter().any(|value| match value {
        StoredValue::Text(text) => text.contains(secret),
        StoredValue::Bytes(bytes) => bytes
            .windows(secret.len())
            .any(|part| part == secret.as_bytes()),
        StoredValue::Number(_) => false,
    })
}

#[tokio::test]
async fn a_key_is_kept_as_a_hash() {
    let (world, process) = world().await;
    let new = json!({"name": "ticketing", "scopes": ["users:read"], "apps": [APP]});
    let created = ask(&process, "POST", "/v1/api-keys", new).await;
    let key = created.body["key"].as_str().unwrap();
    let id = created.body["key_id"].as_str().unwrap();
    let (_, secret) = key.rsplit_once('_').unwrap();
    is_let_in(&process, key).await;
    let store = world.shared_store();
    let records = store.list(Table::ApiKeys, id, "", None, 100).await.unwrap();
    assert!(!records.records.is_empty());
    for record in &records.records {
        assert!(!shows(record, secret), "{}", record.key);
    }
}

#[tokio::test]
async fn a_change_whose_other_writes_fail_leaves_its_line() {
    let (world, process) = world().await;
    let new = json!({"name": "ticketing", "scopes": ["users:read"], "apps": [APP]});
    let created = ask(&process, "POST", "/v1/api-keys", new).await;
    let path = format!("/v1/api-keys/{}", created.body["key_id"].as_str().unwrap());
    // However many writes get through: whenever the key is changed, a line says so.
    for puts in 0..4 {
        let status = ["disabled", "active"][puts % 2];
        let before = ask(&process, "GET", &path, Value::Null).await;
        let lines = changes(&process, &path).await;
        world.store.stop_after(puts.try_into().unwrap());
        ask(&process, "PATCH", &path, json!({ "status": status })).await;
        world.store.stop_after(i64::MAX);
        world.store.start();
        let after = ask(&process, "GET", &path, Value::Null).await;
        if after.body["status"] != before.body["status"] {
            assert!(changes(&process, &path).await > lines, "{puts} writes");
        }
    }
}

async fn changes(process: &Process, path: &str) -> usize {
    let listed = ask(process, "GET", &format!("{path}/changes"), Value::Null).await;
    listed.body["items"].as_array().unwrap().len()
}
