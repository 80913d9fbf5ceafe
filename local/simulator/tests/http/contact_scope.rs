use lark_simulator::{AppPatch, Simulator, department_id, open_department_id, open_id, user_id};
use serde_json::json;

use crate::client::{USERS, app_id, get, pages, start, tenant_token};
use crate::departments::{DEPARTMENTS, department, members, move_to, names};

async fn grant(simulator: &Simulator, departments: &[u32], users: &[u32]) {
    let patch = AppPatch {
        contact_departments: Some(Some(departments.iter().copied().collect())),
        contact_users: Some(users.iter().copied().collect()),
        ..AppPatch::default()
    };
    simulator.control().update_app(&app_id(), patch).unwrap();
}

#[tokio::test]
async fn an_app_sees_the_departments_it_was_granted_and_those_below() {
    let simulator = start().await;
    let token = tenant_token(&simulator).await;
    grant(&simulator, &[1, 25], &[]).await;
    for visible in [1, 11, 20, 25] {
        department(&simulator, &token, visible).await;
        assert!(!members(&simulator, &token, visible, 50).await.is_empty());
    }
    for hidden in [0, 2, 10, 26] {
        let id = open_department_id(hidden);
        for path in [
            format!("{DEPARTMENTS}/{id}"),
            format!("{DEPARTMENTS}/{id}/children"),
            format!("{DEPARTMENTS}/parent?department_id={id}"),
            format!("{USERS}/find_by_department?department_id={id}"),
        ] {
            assert_eq!(
                get(&simulator, &path, &token).await.code(),
                (403, 40_004),
                "{path}"
            );
        }
    }
    let above = async |n: u32| {
        let list = format!(
            "{DEPARTMENTS}/parent?department_id={}",
            open_department_id(n)
        );
        names(&pages(&simulator, &token, &list).await, "name")
    };
    assert_eq!(above(11).await, ["Department 1"]);
    assert!(above(25).await.is_empty());
    let batch = format!(
        "{DEPARTMENTS}/batch?department_ids={}&department_ids={}",
        open_department_id(11),
        open_department_id(2)
    );
    let answer = get(&simulator, &batch, &token).await;
    assert_eq!(
        names(answer.body["data"]["items"].as_array().unwrap(), "name"),
        ["Department 11"]
    );
}

#[tokio::test]
async fn users_outside_the_contact_scope_are_not_visible() {
    let simulator = start().await;
    let token = tenant_token(&simulator).await;
    grant(&simulator, &[1], &[30]).await;
    let status = async |n: u32| {
        let path = format!("{USERS}/{}", open_id(&app_id(), n));
        get(&simulator, &path, &token).await.code()
    };
    for visible in [1, 11, 101, 30] {
        assert_eq!(status(visible).await, (200, 0));
    }
    for hidden in [2, 130] {
        assert_eq!(status(hidden).await, (400, 41_050));
    }
    let ids = [2, 11, 30, 31].map(|n| format!("user_ids={}", open_id(&app_id(), n)));
    let batch = get(
        &simulator,
        &format!("{USERS}/batch?{}", ids.join("&")),
        &token,
    )
    .await;
    let items = batch.body["data"]["items"].as_array().unwrap();
    assert_eq!(names(items, "employee_no"), ["E000011", "E000030"]);
    simulator.control().update_user(2, move_to(11)).unwrap();
    assert_eq!(status(2).await, (200, 0));
    assert!(
        members(&simulator, &token, 11, 50)
            .await
            .contains(&"E000002".to_owned())
    );
}

#[tokio::test]
async fn the_contact_scope_is_listed_with_the_requested_id_types() {
    let simulator = start().await;
    let token = tenant_token(&simulator).await;
    let scopes = async |query: &str| {
        let path = format!("/open-apis/contact/v3/scopes?{query}");
        get(&simulator, &path, &token).await.body["data"].take()
    };
    let top: Vec<_> = (1..=10).map(open_department_id).collect();
    let all = json!({ "department_ids": top, "user_ids": [], "group_ids": [], "has_more": false });
    assert_eq!(scopes("").await, all);

    grant(&simulator, &[3, 15], &[7, 4, 99_999]).await;
    let query = "department_id_type=department_id&user_id_type=user_id&page_size=3";
    let mut first = scopes(query).await;
    let page_token = first["page_token"].take();
    assert_eq!(
        first,
        json!({
            "department_ids": [department_id(3), department_id(15)], "user_ids": [user_id(4)],
            "group_ids": [], "has_more": true, "page_token": null,
        })
    );
    let second = scopes(&format!(
        "{query}&page_token={}",
        page_token.as_str().unwrap()
    ))
    .await;
    assert_eq!(
        second,
        json!({ "department_ids": [], "user_ids": [user_id(7)], "group_ids": [], "has_more": false })
    );
}
