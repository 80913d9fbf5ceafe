use lark_simulator::{
    App, AppPatch, Options, UserPatch, department_id, email, mobile, open_department_id, open_id,
    seeded_app_id, union_id, user_id,
};
use serde_json::{Value, json};

use crate::client::{USERS, app_id, call, get, post, start, start_with, tenant_token};

#[tokio::test]
async fn each_id_type_finds_the_same_full_user() {
    let simulator = start().await;
    let token = tenant_token(&simulator).await;
    let lookups = [
        ("open_id", open_id(&app_id(), 42)),
        ("union_id", union_id(42)),
        ("user_id", user_id(42)),
    ];
    let mut leaders = Vec::new();
    for (id_type, id) in lookups {
        let path = format!("{USERS}/{id}?user_id_type={id_type}");
        let answer = get(&simulator, &path, &token).await;
        assert_eq!(answer.code(), (200, 0));
        let user = &answer.body["data"]["user"];
        assert_eq!(user["email"], email(42));
        assert_eq!(user["mobile"], mobile(42));
        assert_eq!(user["open_id"], open_id(&app_id(), 42));
        assert_eq!(user["department_ids"], json!([open_department_id(42)]));
        leaders.push(user["leader_user_id"].clone());
    }
    let leader = 4; // The head of the department above 42's own, which 42 leads.
    let expected = [
        open_id(&app_id(), leader),
        union_id(leader),
        user_id(leader),
    ];
    assert_eq!(leaders, expected);
}

#[tokio::test]
async fn the_user_object_has_the_documented_fields_and_types() {
    let simulator = start().await;
    let token = tenant_token(&simulator).await;
    let path = format!(
        "{USERS}/{}?department_id_type=department_id",
        open_id(&app_id(), 1234)
    );
    let answer = get(&simulator, &path, &token).await;
    let mut user = answer.body["data"]["user"].clone();
    for text in [
        "name",
        "en_name",
        "job_title",
        "city",
        "work_station",
        "leader_user_id",
    ] {
        assert!(user[text].take().is_string(), "{text}");
    }
    let avatar = user["avatar"].take();
    for size in ["avatar_72", "avatar_240", "avatar_640", "avatar_origin"] {
        assert!(avatar[size].as_str().unwrap().starts_with("https://"));
    }
    assert_eq!(
        user,
        json!({
            "union_id": union_id(1234), "user_id": user_id(1234), "open_id": open_id(&app_id(), 1234),
            "name": null, "en_name": null, "nickname": "", "email": "user01234@example.com",
            "mobile": "+8613800001234", "mobile_visible": true, "gender": 1, "avatar": null,
            "status": {
                "is_frozen": false, "is_resigned": false, "is_activated": true,
                "is_exited": false, "is_unjoin": false,
            },
            "department_ids": [department_id(34)], "leader_user_id": null, "city": null,
            "country": "CN", "work_station": null, "join_time": 1_582_279_200,
            "is_tenant_manager": false, "employee_no": "E001234", "employee_type": 1,
            "orders": [{
                "department_id": department_id(34), "user_order": 0, "department_order": 0,
                "is_primary_dept": true,
            }],
            "enterprise_email": "", "job_title": null, "geo": "cn", "job_level_id": "",
            "job_family_id": "",
        })
    );
}

#[tokio::test]
async fn ids_that_do_not_exist_have_a_code_for_each_type() {
    let options = Options {
        seeded_apps: 2,
        ..Options::default()
    };
    let simulator = start_with(options).await;
    let token = tenant_token(&simulator).await;
    let cases = [
        ("open_id", open_id(&app_id(), 10_001), 99_992_351),
        ("open_id", "ou_malformed".to_owned(), 99_992_351),
        ("open_id", open_id("cli_unknown", 1), 99_992_351),
        ("open_id", open_id(&seeded_app_id(2), 1), 99_992_361),
        ("union_id", union_id(0), 99_992_363),
        ("user_id", user_id(10_001), 99_992_360),
        (
            "user_id",
            "a b/c".replace('/', "%2F").replace(' ', "+"),
            99_992_360,
        ),
        ("email", email(1), 99_992_402),
    ];
    for (id_type, id, code) in cases {
        let path = format!("{USERS}/{id}?user_id_type={id_type}");
        let answer = get(&simulator, &path, &token).await;
        assert_eq!(answer.code(), (400, code), "{id_type} {id}");
    }
    let path = format!("{USERS}/x?department_id_type=name");
    let answer = get(&simulator, &path, &token).await;
    let violation = &answer.body["error"]["field_violations"][0];
    assert_eq!(violation["field"], "department_id_type");
    assert_eq!(violation["value"], "name");
}

fn batch_path(ids: &[String], key: &str) -> String {
    let pairs: Vec<_> = ids.iter().map(|id| format!("{key}={id}")).collect();
    format!("{USERS}/batch?{}", pairs.join("&"))
}

fn numbers(items: &Value) -> Vec<&str> {
    let items = items.as_array().unwrap();
    items
        .iter()
        .map(|item| item["employee_no"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn a_batch_leaves_out_what_it_does_not_find() {
    let simulator = start().await;
    let token = tenant_token(&simulator).await;
    let ids = [
        open_id(&app_id(), 3),
        open_id(&app_id(), 99_999),
        "ou_malformed".to_owned(),
        open_id(&app_id(), 1),
        open_id(&app_id(), 3),
    ];
    for key in ["user_ids", "user_ids[]", "user_ids%5B%5D"] {
        let answer = get(&simulator, &batch_path(&ids, key), &token).await;
        let items = &answer.body["data"]["items"];
        assert_eq!(numbers(items), ["E000003", "E000001"], "{key}");
        assert!(items[0]["avatar_key"].is_string() && items[0]["is_frozen"] == false);
    }
    let answer = get(&simulator, &batch_path(&ids[1..3], "user_ids"), &token).await;
    assert_eq!(answer.body["data"], json!({ "items": [] }));
}

#[tokio::test]
async fn a_batch_holds_one_to_fifty_ids() {
    let simulator = start().await;
    let token = tenant_token(&simulator).await;
    let ids: Vec<_> = (1..=51).map(|n| open_id(&app_id(), n)).collect();
    let full = get(&simulator, &batch_path(&ids[..50], "user_ids"), &token).await;
    assert_eq!(full.body["data"]["items"].as_array().unwrap().len(), 50);
    for refused in [&ids[..], &[]] {
        let answer = get(&simulator, &batch_path(refused, "user_ids"), &token).await;
        assert_eq!(answer.code(), (400, 99_992_402));
        assert_eq!(
            answer.body["error"]["field_violations"][0]["field"],
            "user_ids"
        );
    }
}

#[tokio::test]
async fn known_addresses_have_ids_and_unknown_ones_none() {
    let simulator = start().await;
    let token = tenant_token(&simulator).await;
    let body = json!({
        "emails": ["USER00042@example.com", "nobody@example.com"],
        "mobiles": ["+8613800000007", "13800000007", "+15550000000"],
    });
    let path = format!("{USERS}/batch_get_id?user_id_type=user_id");
    let answer = post(&simulator, &path, &token, &body).await;
    let status = json!({
        "is_frozen": false, "is_resigned": false, "is_activated": true,
        "is_exited": false, "is_unjoin": false,
    });
    assert_eq!(
        answer.body["data"]["user_list"],
        json!([
            { "user_id": user_id(42), "email": "USER00042@example.com", "status": status },
            { "email": "nobody@example.com" },
            { "user_id": user_id(7), "mobile": "+8613800000007", "status": status },
            { "user_id": user_id(7), "mobile": "13800000007", "status": status },
            { "mobile": "+15550000000" },
        ])
    );
}

#[tokio::test]
async fn ten_users_have_names_whatever_the_contact_scope() {
    let simulator = start().await;
    let token = tenant_token(&simulator).await;
    let patch = AppPatch {
        contact_departments: Some(Some([1].into())),
        ..AppPatch::default()
    };
    simulator.control().update_app(&app_id(), patch).unwrap();
    let path = format!("{USERS}/basic_batch?user_id_type=user_id");
    let ids: Vec<_> = [2, 10_001, 1].map(user_id).into();
    let answer = post(&simulator, &path, &token, &json!({ "user_ids": ids })).await;
    assert_eq!(
        answer.body["data"]["users"],
        json!([
            { "user_id": user_id(2), "name": "张伟",
              "i18n_name": { "zh_cn": "张伟", "en_us": "Wei Zhang", "ja_jp": "" } },
            { "user_id": user_id(1), "name": "李伟",
              "i18n_name": { "zh_cn": "李伟", "en_us": "Wei Li", "ja_jp": "" } },
        ])
    );
    for refused in [vec![], vec![user_id(1); 11]] {
        let answer = post(&simulator, &path, &token, &json!({ "user_ids": refused })).await;
        assert_eq!(answer.code(), (400, 99_992_402));
    }
}

#[tokio::test]
async fn users_who_have_left_are_found_only_on_request() {
    let simulator = start().await;
    let token = tenant_token(&simulator).await;
    let leaver = UserPatch {
        is_resigned: Some(true),
        ..UserPatch::default()
    };
    simulator.control().update_user(9, leaver).unwrap();
    let path = format!("{USERS}/batch_get_id");
    let body = json!({ "emails": [email(9)] });
    let answer = post(&simulator, &path, &token, &body).await;
    assert_eq!(
        answer.body["data"]["user_list"],
        json!([{ "email": email(9) }])
    );
    let body = json!({ "emails": [email(9)], "include_resigned": true });
    let answer = post(&simulator, &path, &token, &body).await;
    let found = &answer.body["data"]["user_list"][0];
    assert_eq!(found["user_id"], open_id(&app_id(), 9));
    assert_eq!(found["status"]["is_resigned"], true);
}

#[tokio::test]
async fn a_bad_look_up_names_its_field() {
    let simulator = start().await;
    let token = tenant_token(&simulator).await;
    let path = format!("{USERS}/batch_get_id");
    let too_many = json!({ "mobiles": vec!["+15550000000"; 51] }).to_string();
    let cases = [
        ("{", 9499, None),
        (r#"{"emails":"a@example.com"}"#, 99_992_402, Some("emails")),
        (r#"{"emails":["a",1]}"#, 99_992_402, Some("emails[1]")),
        (&too_many, 99_992_402, Some("mobiles")),
    ];
    for (body, code, field) in cases {
        let answer = call(&simulator, "POST", &path, &token, body).await;
        assert_eq!(answer.code(), (400, code), "{body}");
        let named = &answer.body["error"]["field_violations"][0]["field"];
        assert_eq!(named.as_str(), field);
    }
}

#[tokio::test]
async fn an_app_sees_only_its_own_scope() {
    let simulator = start().await;
    let token = tenant_token(&simulator).await;
    let patch = AppPatch {
        hidden_users: Some([5].into()),
        hidden_user_fields: Some(["email".to_owned(), "mobile".to_owned()].into()),
        ..AppPatch::default()
    };
    simulator.control().update_app(&app_id(), patch).unwrap();
    let (hidden, visible) = (open_id(&app_id(), 5), open_id(&app_id(), 6));

    let answer = get(&simulator, &format!("{USERS}/{hidden}"), &token).await;
    assert_eq!(answer.code(), (400, 41_050));
    let answer = get(
        &simulator,
        &batch_path(&[hidden, visible], "user_ids"),
        &token,
    )
    .await;
    let items = &answer.body["data"]["items"];
    assert_eq!(numbers(items), ["E000006"]);
    assert!(items[0].get("email").is_none() && items[0].get("mobile").is_none());
    let body = json!({ "emails": [email(5)] });
    let answer = post(&simulator, &format!("{USERS}/batch_get_id"), &token, &body).await;
    assert_eq!(
        answer.body["data"]["user_list"],
        json!([{ "email": email(5) }])
    );
}

#[tokio::test]
async fn a_hundred_thousand_apps_start_at_once_and_know_their_users() {
    let simulator = start_with(Options {
        seeded_apps: 100_000,
        apps: vec![App::new("cli_mine", "mine")],
        ..Options::default()
    })
    .await;
    let body = json!({ "app_id": "cli_sim100000", "app_secret": "secret-cli_sim100000" });
    let answer = post(&simulator, crate::client::TENANT_TOKEN, "", &body).await;
    let token = answer.body["tenant_access_token"].as_str().unwrap();
    let id = open_id("cli_sim100000", 10_000);
    let answer = get(&simulator, &format!("{USERS}/{id}"), token).await;
    assert_eq!(answer.body["data"]["user"]["email"], email(10_000));
}
