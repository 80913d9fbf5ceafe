//! What operators do: apps and API keys, who may do it, and what everybody else notices of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use lambda_runtime::{Context, LambdaEvent};
use lark_service::http::Scope;
use lark_service_tests::requests::{Answered, Ask};
use lark_service_tests::world::{APP, Process, World};
use lark_simulator::AppPatch;
use serde_json::{Value, json};

const NEW_APP: &str = "cli_new0000001";

async fn world() -> (World, Process) {
    let world = World::begin().await;
    let process = world.process();
    (world, process)
}

async fn ask(process: &Process, method: &'static str, target: &str, body: Value) -> Answered {
    let ask = Ask::new(method, target);
    let ask = if body.is_null() { ask } else { ask.body(&body) };
    ask.of(process).await
}

/// Whether the authorizer lets the holder of `key` in.
async fn is_let_in(process: &Process, key: &str) -> bool {
    let question = authorize::Question::about(&format!("Bearer {key}"));
    let event = LambdaEvent::new(question, Context::default());
    let decision = authorize::handle(&process.0.api_keys, event).await;
    decision.unwrap().is_authorized()
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
            let answer = Ask::new("GET", target)
                .header("x-lark-app-id", APP)
                .of(process)
                .await;
            assert_eq!(answer.status, 200, "{target}: {:?}", answer.body);
        }
    }
    let path = format!("/v1/apps/{APP}");
    for _ in 0..2 {
        ask(&operator, "PATCH", &path, json!({"status": "disabled"})).await;
        for process in &processes {
            for target in targets {
                let answer = Ask::new("GET", target)
                    .header("x-lark-app-id", APP)
                    .of(process)
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
            let answer = Ask::new("GET", "/v1/tokens/tenant")
                .header("x-lark-app-id", APP)
                .of(process)
                .await;
            assert_eq!(answer.status, 200);
        }
    }
    // With the shared cache away a process notices within five seconds.
    world.cache.stop();
    ask(&operator, "PATCH", &path, json!({"status": "disabled"})).await;
    world.advance(Duration::from_secs(5));
    for process in &processes {
        let answer = Ask::new("GET", "/v1/tokens/tenant")
            .header("x-lark-app-id", APP)
            .of(process)
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
    let answer = Ask::new("GET", &format!("/v1/tokens/user?open_id={open_id}"))
        .header("x-lark-app-id", APP)
        .of(&world.process())
        .await;
    assert_eq!(
        (answer.code(), &answer.body["reason"]),
        ("reauthorization_required", &json!("not_logged_in"))
    );
}

/// Calls without pause from several processes, while `rotate` is at work; how many there were and how many failed.
async fn load(world: &World, rotate: impl AsyncFnOnce()) -> (u64, u64) {
    let (calls, failures) = (AtomicU64::new(0), AtomicU64::new(0));
    let is_over = Arc::new(AtomicBool::new(false));
    let processes: Vec<_> = (0..3).map(|_| world.process()).collect();
    let caller = async |process: &Process, number: u32| {
        let user = format!("/v1/users/{}", lark_simulator::open_id(APP, number));
        while !is_over.load(Ordering::SeqCst) {
            for target in ["/v1/tokens/tenant", user.as_str()] {
                let answer = Ask::new("GET", target)
                    .header("x-lark-app-id", APP)
                    .of(process)
                    .await;
                calls.fetch_add(1, Ordering::SeqCst);
                if answer.status != 200 {
                    failures.fetch_add(1, Ordering::SeqCst);
                }
            }
            tokio::task::yield_now().await;
        }
    };
    let callers = processes
        .iter()
        .flat_map(|process| (1..4).map(move |number| (process, number)))
        .map(|(process, number)| caller(process, number));
    let work = async {
        rotate().await;
        is_over.store(true, Ordering::SeqCst);
    };
    tokio::join!(join_all(callers), work);
    (calls.into_inner(), failures.into_inner())
}

/// Lets some calls happen, in which every token is renewed.
async fn renewals(world: &World) {
    for _ in 0..4 {
        world.advance(Duration::from_secs(2_000));
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
        tokio::time::timeout(Duration::from_secs(10), world.process().token())
            .await
            .unwrap()
            .unwrap();
    }
}

#[tokio::test]
async fn a_secret_rotates_under_load_whoever_hears_of_it_first() {
    for is_service_first in [true, false] {
        let (world, operator) = world().await;
        let path = format!("/v1/apps/{APP}");
        let (calls, failures) = load(&world, async || {
            renewals(&world).await;
            let here = json!({"secret": "a-new-secret"});
            if is_service_first {
                // The platform does not know the new one yet: the one before must do.
                assert_eq!(ask(&operator, "PATCH", &path, here).await.status, 200);
                renewals(&world).await;
                let there = AppPatch {
                    secret: Some("a-new-secret".to_owned()),
                    previous_secret: Some(None),
                    ..AppPatch::default()
                };
                world.control().update_app(APP, there).unwrap();
            } else {
                world.control().rotate_secret(APP, "a-new-secret").unwrap();
                renewals(&world).await;
                assert_eq!(ask(&operator, "PATCH", &path, here).await.status, 200);
                let only_new = AppPatch {
                    previous_secret: Some(None),
                    ..AppPatch::default()
                };
                world.control().update_app(APP, only_new).unwrap();
            }
            renewals(&world).await;
            let dropped = json!({"previous_secret_seconds": 0});
            assert_eq!(ask(&operator, "PATCH", &path, dropped).await.status, 200);
            renewals(&world).await;
        })
        .await;
        assert!(calls > 200, "{calls}");
        assert_eq!(
            failures, 0,
            "of {calls}, the service first: {is_service_first}"
        );
    }
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
async fn a_key_gives_no_more_than_its_maker_has() {
    let (_world, process) = world().await;
    let by_some =
        |method, target: &str, body: &Value| Ask::new(method, target).by("admin", APP).body(body);
    let all = json!({"scopes": ["users:read"], "apps": ["*"]});
    let other = json!({"scopes": ["users:read"], "apps": [APP, "cli_other"]});
    for body in [&all, &other] {
        let answer = by_some("POST", "/v1/api-keys", body).of(&process).await;
        assert_eq!(answer.code(), "permission_denied");
    }
    let own = json!({"scopes": ["users:read"], "apps": [APP]});
    let created = by_some("POST", "/v1/api-keys", &own).of(&process).await;
    assert_eq!(created.status, 201);
    let path = format!("/v1/api-keys/{}", created.body["key_id"].as_str().unwrap());
    let more = by_some("PATCH", &path, &json!({"apps": ["*"]}))
        .of(&process)
        .await;
    assert_eq!(more.code(), "permission_denied");
    // A key for other apps is not there for them, not even to be revoked.
    let foreign = ask(&process, "POST", "/v1/api-keys", all).await;
    let foreign = format!("/v1/api-keys/{}", foreign.body["key_id"].as_str().unwrap());
    for method in ["GET", "PATCH", "DELETE"] {
        let answer = by_some(method, &foreign, &json!({"name": "x"}))
            .of(&process)
            .await;
        assert_eq!(answer.code(), "api_key_not_found", "{method}");
    }
    let list = Ask::new("GET", "/v1/api-keys")
        .by("admin", APP)
        .of(&process)
        .await;
    assert_eq!(list.body["items"].as_array().unwrap().len(), 1);
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
        let ask = Ask::new("GET", "/v1/tokens/tenant").header("x-lark-app-id", APP);
        let answer = ask.limited("5/60").of(process).await;
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
    let ask = Ask::new("GET", "/v1/tokens/tenant").header("x-lark-app-id", APP);
    assert_eq!(ask.limited("5/60").of(&process).await.status, 200);
}

/// Every function that wants a key, with the scope that it wants and whether it is about one app.
const MATRIX: &[(&str, &str, Scope, bool)] = &[
    ("GET", "/v1/tokens/tenant", Scope::TokensRead, true),
    ("GET", "/v1/tokens/app", Scope::TokensRead, true),
    (
        "GET",
        "/v1/tokens/user?open_id=ou_1",
        Scope::TokensRead,
        true,
    ),
    ("DELETE", "/v1/oauth/users/ou_1", Scope::TokensRead, true),
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
                    "/v1/api-keys" => json!({"scopes": ["users:read"], "apps": ["cli_asked"]}),
                    _ => json!({"name": "x"}),
                };
                let ask = Ask::new(method, &target)
                    .by(&names.join(" "), apps)
                    .body(&body);
                let answer = ask.header("x-lark-app-id", "cli_asked").of(&process).await;
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
        let nobody = Ask::new(method, &target.replace("{app}", "cli_asked")).by_nobody();
        let nobody = nobody
            .header("x-lark-app-id", "cli_asked")
            .of(&process)
            .await;
        assert_eq!(nobody.status, 401, "{method} {target}");
    }
    assert_eq!(asked, MATRIX.len() * 12 * 5);
}
