use lark_simulator::{Simulator, open_id, union_id, user_id};
use serde_json::{Value, json};

use crate::client::{
    START_MS, TENANT_TOKEN, USERS, app_id, call, credentials, get, post, start, tenant_token,
};

#[tokio::test]
async fn counters_show_requests_tokens_and_rejections() {
    let simulator = start().await;
    let token = tenant_token(&simulator).await;
    post(&simulator, TENANT_TOKEN, "", &credentials()).await;
    for token in [token.as_str(), "t-dead", "t-dead", "t-gone", ""] {
        get(
            &simulator,
            &format!("{USERS}/{}", open_id(&app_id(), 1)),
            token,
        )
        .await;
    }
    get(&simulator, "/open-apis/nothing", "").await;

    let counters = get(&simulator, "/_sim/counters?apps=true", "").await.body;
    assert_eq!(counters["tokens_issued"], 1);
    assert_eq!(
        counters["endpoints"]["contact.user.get"],
        json!({
            "requests": 5, "ok": 1, "errors": { "99991661": 1, "99991663": 3 }, "faults": 0,
            "rejected_tokens": 3, "distinct_rejected_tokens": 2,
            "in_flight": 0, "peak_in_flight": 1, "rate_limited": 0,
            "peak_in_window": { "1000": 1, "60000": 1 },
        })
    );
    assert_eq!(
        counters["endpoints"]["unknown"]["errors"],
        json!({ "99991201": 1 })
    );
    assert_eq!(counters["total"]["requests"], 8);
    assert_eq!(
        counters["apps"],
        json!({ (app_id()): {
            "requests": 3, "tokens_issued": 1, "code_grants": 0, "refresh_grants": 0,
            "refresh_rejected": 0, "ticket_pushes": 0, "ticket_pushes_failed": 0,
        } })
    );

    post(&simulator, "/_sim/counters/reset", "", &json!({})).await;
    let counters = get(&simulator, "/_sim/counters", "").await.body;
    assert_eq!(counters["total"]["requests"], 0);
    assert_eq!(counters["tokens_issued"], 0);
    assert!(counters.get("apps").is_none());
}

#[tokio::test]
async fn the_clock_can_be_moved_set_and_restarted() {
    let simulator = start().await;
    let frozen_at = |now_ms: u64| json!({ "now_ms": now_ms, "frozen": true });
    let advanced = post(
        &simulator,
        "/_sim/clock/advance",
        "",
        &json!({ "seconds": 1.5 }),
    )
    .await;
    assert_eq!(advanced.body, frozen_at(START_MS + 1500));
    let set = post(
        &simulator,
        "/_sim/clock/set",
        "",
        &json!({ "now_ms": 5000 }),
    )
    .await;
    assert_eq!(set.body, frozen_at(5000));
    assert_eq!(
        get(&simulator, "/_sim/clock", "").await.body,
        frozen_at(5000)
    );
    assert_eq!(set.header("date"), "Thu, 01 Jan 1970 00:00:05 GMT");
    let running = post(
        &simulator,
        "/_sim/clock/set",
        "",
        &json!({ "frozen": false }),
    )
    .await;
    assert_eq!(running.body["frozen"], false);
}

#[tokio::test]
async fn tokens_are_revoked_by_value_or_by_app() {
    let simulator = start().await;
    let path = "/_sim/tokens/revoke";
    for by in ["token", "app_id"] {
        let token = tenant_token(&simulator).await;
        let value = if by == "token" { token } else { app_id() };
        for revoked in [1, 0] {
            let answer = post(&simulator, path, "", &json!({ by: value })).await;
            assert_eq!(answer.body, json!({ "revoked": revoked }), "{by}");
        }
    }
}

#[tokio::test]
async fn apps_are_added_rotated_and_disabled() {
    let simulator = start().await;
    let ask = async |secret: &str| {
        let body = json!({ "app_id": "cli_new", "app_secret": secret });
        post(&simulator, TENANT_TOKEN, "", &body).await.code().1
    };
    let change = async |patch: Value| {
        let body = patch.to_string();
        let answer = call(&simulator, "PATCH", "/_sim/apps/cli_new", "", &body).await;
        assert_eq!(answer.body, json!({ "app_id": "cli_new" }));
    };
    let app = json!({ "app_id": "cli_new", "secret": "one" });
    assert_eq!(post(&simulator, "/_sim/apps", "", &app).await.status, 200);
    assert_eq!(ask("one").await, 0);
    change(json!({ "secret": "two", "previous_secret": "one" })).await;
    assert_eq!((ask("one").await, ask("two").await), (0, 0));
    change(json!({ "previous_secret": null })).await;
    assert_eq!((ask("one").await, ask("two").await), (10_014, 0));
    change(json!({ "enabled": false })).await;
    assert_eq!(ask("two").await, 10_014);
}

#[tokio::test]
async fn users_are_created_changed_and_deleted() {
    let simulator = start().await;
    let token = tenant_token(&simulator).await;
    let path = format!("/_sim/users?app_id={}", app_id());
    let new = json!({ "name": "New", "email": "new@example.com" });
    let created = post(&simulator, &path, "", &new).await;
    let id = open_id(&app_id(), 10_001);
    assert_eq!(
        created.body,
        json!({
            "n": 10_001, "open_id": id, "union_id": union_id(10_001), "user_id": user_id(10_001),
            "email": "new@example.com", "mobile": "+8613800010001",
        })
    );
    let user_path = format!("{USERS}/{id}");
    let user = get(&simulator, &user_path, &token).await;
    assert_eq!(user.body["data"]["user"]["name"], "New");

    let body = r#"{"name":"Newer"}"#;
    call(&simulator, "PATCH", "/_sim/users/10001", "", body).await;
    let user = get(&simulator, &user_path, &token).await;
    assert_eq!(user.body["data"]["user"]["name"], "Newer");

    call(&simulator, "DELETE", "/_sim/users/10001", "", "").await;
    let user = get(&simulator, &user_path, &token).await;
    assert_eq!(user.code(), (400, 99_992_351));
}

/// `target` is a method and a path.
async fn check_refused(simulator: &Simulator, target: &str, body: &str, field: &str) {
    let (method, path) = target.split_once(' ').unwrap();
    let answer = call(simulator, method, path, "", body).await;
    assert_eq!(answer.status, 400, "{target} {body}");
    assert_eq!(answer.body["field"], field, "{target} {body}");
    assert!(answer.body["problem"].is_string());
}

#[tokio::test]
async fn bad_times_tokens_and_settings_are_refused_by_field() {
    let simulator = start().await;
    let before = simulator.control().settings();
    let advance = "POST /_sim/clock/advance";
    check_refused(&simulator, advance, r#"{"seconds":-1}"#, "seconds").await;
    check_refused(&simulator, advance, "{}", "seconds").await;
    check_refused(&simulator, advance, r#"{"seconds":1,"days":1}"#, "days").await;
    check_refused(&simulator, advance, "nonsense", "body").await;
    let set = "POST /_sim/clock/set";
    check_refused(&simulator, set, r#"{"now_ms":"now"}"#, "now_ms").await;
    check_refused(&simulator, set, "{}", "now_ms").await;
    check_refused(&simulator, "POST /_sim/tokens/revoke", "{}", "token").await;
    let lifetime = "POST /_sim/tokens/lifetime";
    check_refused(&simulator, lifetime, r#"{"seconds":0}"#, "seconds").await;
    let settings = "PATCH /_sim/settings";
    check_refused(&simulator, settings, r#"{"delay_ms":-1}"#, "delay_ms").await;
    check_refused(
        &simulator,
        settings,
        r#"{"rate_limits":"on"}"#,
        "rate_limits",
    )
    .await;
    check_refused(&simulator, settings, r#"{"speed":1}"#, "speed").await;
    let no_scale = r#"{"rate_limit_scale":0}"#;
    check_refused(&simulator, settings, no_scale, "rate_limit_scale").await;
    let no_windows = r#"{"rate_limit_windows":"none"}"#;
    check_refused(&simulator, settings, no_windows, "rate_limit_windows").await;
    let bad_status = r#"{"delay_ms":9,"token_error_status":99}"#;
    check_refused(&simulator, settings, bad_status, "token_error_status").await;
    check_refused(&simulator, "GET /_sim/counters?apps=yes", "", "apps").await;
    assert_eq!(simulator.control().settings(), before);
    assert_eq!(simulator.control().now_ms(), START_MS);
}

#[tokio::test]
async fn bad_apps_and_users_are_refused_by_field() {
    let simulator = start().await;
    let apps = "POST /_sim/apps";
    let taken = r#"{"app_id":"cli_sim000001","secret":"x"}"#;
    check_refused(&simulator, apps, taken, "app_id").await;
    check_refused(&simulator, apps, r#"{"app_id":"cli_x"}"#, "secret").await;
    let unknown = "PATCH /_sim/apps/cli_x";
    check_refused(&simulator, unknown, r#"{"enabled":false}"#, "app_id").await;
    let app = "PATCH /_sim/apps/cli_sim000001";
    check_refused(&simulator, app, r#"{"secret":""}"#, "secret").await;
    let no_field = r#"{"hidden_user_fields":["mail"]}"#;
    check_refused(&simulator, app, no_field, "hidden_user_fields").await;
    let no_department = r#"{"contact_departments":[101]}"#;
    check_refused(&simulator, app, no_department, "contact_departments").await;
    let users = "POST /_sim/users";
    let taken = r#"{"email":"user00001@example.com"}"#;
    check_refused(&simulator, users, taken, "email").await;
    check_refused(&simulator, users, r#"{"department":101}"#, "department").await;
    check_refused(&simulator, "PATCH /_sim/users/20000", "{}", "n").await;
    check_refused(&simulator, "DELETE /_sim/users/20000", "", "n").await;
    check_refused(&simulator, "DELETE /_sim/users/first", "", "n").await;
}

#[tokio::test]
async fn a_bad_fault_is_refused_with_its_place_in_the_list() {
    let simulator = start().await;
    let cases = [
        (
            json!({ "action": "hang", "probability": 2 }),
            "faults[1].probability",
        ),
        (
            json!({ "action": "hang", "endpoint": "contact.users" }),
            "faults[1].endpoint",
        ),
        (
            json!({ "action": { "answer": { "status": 99 } } }),
            "faults[1].action.answer.status",
        ),
        (json!({ "action": "explode" }), "faults[1].action"),
        (json!({ "endpoint": "*" }), "faults[1].action"),
    ];
    for (fault, field) in cases {
        let body = json!({ "faults": [{ "action": "reset" }, fault] });
        let answer = post(&simulator, "/_sim/faults", "", &body).await;
        assert_eq!(
            (answer.status, &answer.body["field"]),
            (400, &json!(field)),
            "{fault}"
        );
    }
    assert!(simulator.control().faults().is_empty());
}

#[tokio::test]
async fn unknown_controls_and_methods_are_json_too() {
    let simulator = start().await;
    assert_eq!(get(&simulator, "/_sim/nothing", "").await.status, 404);
    let wrong_method = get(&simulator, "/_sim/clock/advance", "").await;
    assert_eq!(wrong_method.status, 405);
    assert_eq!(wrong_method.body["field"], "method");
}
