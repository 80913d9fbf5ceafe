use lark_simulator::{AppPatch, Settings, Simulator, chat_id, email, open_department_id, open_id};
use serde_json::{Value, json};

use crate::client::{USERS, app_id, call, get, post, start, tenant_token};

async fn grant(simulator: &Simulator, scopes: Value) {
    let path = format!("/_sim/apps/{}", app_id());
    let body = json!({ "granted_scopes": scopes }).to_string();
    assert_eq!(call(simulator, "PATCH", &path, "", &body).await.status, 200);
}

#[tokio::test]
async fn a_missing_scope_is_an_error_with_the_scopes_that_suffice() {
    let simulator = start().await;
    let token = tenant_token(&simulator).await;
    grant(&simulator, json!([])).await;
    let path = format!("{USERS}/batch_get_id");
    let answer = post(&simulator, &path, &token, &json!({ "emails": [email(1)] })).await;
    assert_eq!(answer.code(), (400, 99_991_672));
    let mut error = answer.body["error"].clone();
    assert_eq!(error["log_id"].take(), answer.header("x-tt-logid"));
    assert!(
        error["helps"].take()[0]["url"]
            .as_str()
            .unwrap()
            .contains(&app_id())
    );
    assert_eq!(
        error,
        json!({ "log_id": null, "helps": null, "permission_violations": [
            { "type": "action_scope_required", "subject": "contact:user.id:readonly" },
        ] })
    );
    assert_eq!(
        answer.body["msg"],
        "Access denied. One of the following scopes is required: [contact:user.id:readonly]."
    );
}

#[tokio::test]
async fn each_api_family_accepts_any_one_of_its_scopes() {
    let simulator = start().await;
    let token = tenant_token(&simulator).await;
    let department = open_department_id(1);
    let paths = [
        format!("{USERS}/{}", open_id(&app_id(), 1)),
        format!("{USERS}/find_by_department?department_id={department}"),
        format!("/open-apis/contact/v3/departments/{department}"),
        "/open-apis/contact/v3/scopes".to_owned(),
        "/open-apis/im/v1/chats".to_owned(),
        format!("/open-apis/im/v1/chats/{}/members", chat_id(1)),
    ];
    for (scope, open) in [
        (
            "contact:contact.base:readonly",
            [true, true, true, true, false, false],
        ),
        (
            "contact:user.base:readonly",
            [true, true, false, false, false, false],
        ),
        (
            "contact:department.base:readonly",
            [false, false, true, false, false, false],
        ),
        ("im:chat:readonly", [false, false, false, false, true, true]),
        (
            "im:chat.members:read",
            [false, false, false, false, false, true],
        ),
        ("docx:document", [false; 6]),
    ] {
        grant(&simulator, json!([scope])).await;
        for (path, open) in paths.iter().zip(open) {
            let expected = if open { (200, 0) } else { (400, 99_991_672) };
            assert_eq!(
                get(&simulator, path, &token).await.code(),
                expected,
                "{scope} {path}"
            );
        }
    }
    grant(&simulator, Value::Null).await;
    for path in &paths {
        assert_eq!(get(&simulator, path, &token).await.code(), (200, 0));
    }
}

#[tokio::test]
async fn a_missing_scope_takes_no_budget_and_its_status_is_a_setting() {
    let simulator = start().await;
    let token = tenant_token(&simulator).await;
    let settings = Settings {
        rate_limits: true,
        scope_error_status: 403,
        ..Settings::default()
    };
    simulator.control().set_settings(settings).unwrap();
    let path = format!("{USERS}/{}", open_id(&app_id(), 1));
    grant(&simulator, json!([])).await;
    for _ in 0..60 {
        assert_eq!(
            get(&simulator, &path, &token).await.code(),
            (403, 99_991_672)
        );
    }
    let patch = AppPatch {
        granted_scopes: Some(None),
        ..AppPatch::default()
    };
    simulator.control().update_app(&app_id(), patch).unwrap();
    assert_eq!(get(&simulator, &path, &token).await.code(), (200, 0));
}
