use std::collections::BTreeSet;

use lark_simulator::{Simulator, UserPatch, department_id, open_department_id, open_id, user_id};
use serde_json::{Value, json};

use crate::client::{USERS, app_id, get, pages, start, tenant_token};

pub(crate) const DEPARTMENTS: &str = "/open-apis/contact/v3/departments";

pub(crate) async fn department(simulator: &Simulator, token: &str, n: u32) -> Value {
    let path = format!("{DEPARTMENTS}/{}", open_department_id(n));
    let mut answer = get(simulator, &path, token).await;
    assert_eq!(answer.code(), (200, 0));
    answer.body["data"]["department"].take()
}

async fn counts(simulator: &Simulator, token: &str, numbers: &[u32]) -> Vec<i64> {
    let mut counts = Vec::new();
    for n in numbers {
        let department = department(simulator, token, *n).await;
        counts.push(department["member_count"].as_i64().unwrap());
    }
    counts
}

pub(crate) fn names(items: &[Value], field: &str) -> Vec<String> {
    let name = |item: &Value| item[field].as_str().unwrap().to_owned();
    items.iter().map(name).collect()
}

/// Every member of a department, page by page.
pub(crate) async fn members(
    simulator: &Simulator,
    token: &str,
    n: u32,
    page_size: usize,
) -> Vec<String> {
    let list = format!(
        "{USERS}/find_by_department?department_id={}&page_size={page_size}",
        open_department_id(n)
    );
    names(&pages(simulator, token, &list).await, "employee_no")
}

fn employees(numbers: impl Iterator<Item = u32>) -> Vec<String> {
    numbers.map(|n| format!("E{n:06}")).collect()
}

pub(crate) fn move_to(department: u32) -> UserPatch {
    UserPatch {
        department: Some(department),
        ..UserPatch::default()
    }
}

#[tokio::test]
async fn a_department_has_the_documented_fields_and_types() {
    let simulator = start().await;
    let token = tenant_token(&simulator).await;
    let path = format!(
        "{DEPARTMENTS}/{}?department_id_type=department_id&user_id_type=user_id",
        department_id(11)
    );
    let answer = get(&simulator, &path, &token).await;
    assert_eq!(
        answer.body["data"]["department"],
        json!({
            "name": "Department 11",
            "i18n_name": { "zh_cn": "部门 11", "en_us": "Department 11", "ja_jp": "" },
            "parent_department_id": department_id(1), "department_id": department_id(11),
            "open_department_id": open_department_id(11), "leader_user_id": user_id(11),
            "order": "11", "unit_ids": [], "member_count": 100, "primary_member_count": 100,
            "status": { "is_deleted": false },
            "leaders": [{ "leaderType": 1, "leaderID": user_id(11) }],
            "group_chat_employee_types": [1], "department_hrbps": [],
        })
    );
    let root = department(&simulator, &token, 0).await;
    assert_eq!(
        (&root["member_count"], &root["name"]),
        (&json!(10_000), &json!("Example Company"))
    );
    assert_eq!(
        (
            &root["open_department_id"],
            root.get("parent_department_id")
        ),
        (&json!("0"), None)
    );
    assert_eq!(
        department(&simulator, &token, 1).await["parent_department_id"],
        "0"
    );
}

#[tokio::test]
async fn departments_are_listed_below_and_above_each_other() {
    let simulator = start().await;
    let token = tenant_token(&simulator).await;
    let children = async |query: &str| {
        let list = format!("{DEPARTMENTS}/{query}");
        names(
            &pages(&simulator, &token, &list).await,
            "open_department_id",
        )
    };
    let ids = |numbers: &mut dyn Iterator<Item = u32>| -> Vec<_> {
        numbers.map(open_department_id).collect()
    };
    assert_eq!(children("0/children").await, ids(&mut (1..=10)));
    let all = children("0/children?fetch_child=true&page_size=50").await;
    assert_eq!(all, ids(&mut (1..=100)));
    let two = open_department_id(2);
    let below = children(&format!("{two}/children?fetch_child=true&page_size=3")).await;
    assert_eq!(below, ids(&mut (21..=30)));
    assert!(
        children(&format!("{}/children", open_department_id(10)))
            .await
            .is_empty()
    );

    let parent =
        async |n: u32| children(&format!("parent?department_id={}", open_department_id(n))).await;
    assert_eq!(parent(25).await, [two]);
    assert!(parent(2).await.is_empty());
}

#[tokio::test]
async fn a_batch_of_departments_leaves_out_what_it_does_not_find() {
    let simulator = start().await;
    let token = tenant_token(&simulator).await;
    let ids = [
        open_department_id(3),
        "od-unknown".to_owned(),
        open_department_id(101),
        open_department_id(3),
        "0".to_owned(),
    ];
    let pairs: Vec<_> = ids
        .iter()
        .map(|id| format!("department_ids={id}"))
        .collect();
    let answer = get(
        &simulator,
        &format!("{DEPARTMENTS}/batch?{}", pairs.join("&")),
        &token,
    )
    .await;
    let items = answer.body["data"]["items"].as_array().unwrap();
    assert_eq!(names(items, "name"), ["Department 3", "Example Company"]);

    let none = get(&simulator, &format!("{DEPARTMENTS}/batch"), &token).await;
    assert_eq!(none.code(), (400, 99_992_402));
    let many = vec!["department_ids=0"; 51].join("&");
    let many = get(&simulator, &format!("{DEPARTMENTS}/batch?{many}"), &token).await;
    assert_eq!(many.code(), (400, 40_011));
}

#[tokio::test]
async fn bad_departments_and_pages_have_their_codes() {
    let simulator = start().await;
    let token = tenant_token(&simulator).await;
    let two = open_department_id(2);
    let find = format!("../users/find_by_department?department_id={two}");
    let cases = [
        ("od-unknown", 99_992_357),
        (&open_department_id(101), 99_992_357),
        (&department_id(2), 99_992_357),
        ("dept0101?department_id_type=department_id", 99_992_380),
        ("0/children?page_size=51", 40_011),
        ("0/children?page_size=0", 40_011),
        ("0/children?page_size=ten", 40_011),
        ("0/children?page_token=AAAA", 40_012),
        ("0/children?fetch_child=maybe", 99_992_402),
        ("parent", 99_992_402),
        ("parent?department_id=od-unknown", 99_992_357),
        (&format!("{find}&page_size=51"), 40_011),
        (&format!("{find}&page_token=x"), 40_012),
        ("../users/find_by_department", 99_992_402),
        ("../scopes?page_size=101", 40_011),
        ("../scopes?page_token=x", 40_012),
    ];
    for (path, code) in cases {
        let path = format!("{DEPARTMENTS}/{path}").replace("departments/../", "");
        let answer = get(&simulator, &path, &token).await;
        assert_eq!(answer.code(), (400, code), "{path}");
    }
    let first = get(
        &simulator,
        &format!("{USERS}/find_by_department?department_id={two}"),
        &token,
    )
    .await;
    let page_token = first.body["data"]["page_token"].as_str().unwrap();
    let other = format!("{DEPARTMENTS}/0/children?page_token={page_token}");
    assert_eq!(get(&simulator, &other, &token).await.code(), (400, 40_012));
}

#[tokio::test]
async fn every_user_is_in_one_department_on_some_page() {
    let simulator = start().await;
    let token = tenant_token(&simulator).await;
    assert_eq!(
        members(&simulator, &token, 7, 33).await,
        employees((7..=10_000).step_by(100))
    );
    assert!(members(&simulator, &token, 0, 50).await.is_empty());
    let mut everybody = BTreeSet::new();
    for n in 1..=100 {
        everybody.extend(members(&simulator, &token, n, 50).await);
    }
    assert_eq!(everybody.len(), 10_000);
    let path = format!(
        "{USERS}/find_by_department?department_id={}",
        open_department_id(7)
    );
    let page = get(&simulator, &path, &token).await;
    let items = page.body["data"]["items"].as_array().unwrap();
    assert_eq!(
        (items.len(), &items[0]["open_id"]),
        (10, &json!(open_id(&app_id(), 7)))
    );
    assert!(items[0]["avatar_key"].is_string());
}

#[tokio::test]
async fn lists_and_counts_follow_users_who_join_move_and_leave() {
    let simulator = start().await;
    let token = tenant_token(&simulator).await;
    let control = simulator.control();
    let watched = [0, 1, 11, 2];
    assert_eq!(
        counts(&simulator, &token, &watched).await,
        [10_000, 1_100, 100, 1_100]
    );

    let n = control.create_user(move_to(11)).unwrap();
    assert_eq!(
        counts(&simulator, &token, &watched).await,
        [10_001, 1_101, 101, 1_100]
    );
    control.update_user(n, move_to(2)).unwrap();
    control.update_user(111, move_to(2)).unwrap();
    assert_eq!(
        counts(&simulator, &token, &watched).await,
        [10_001, 1_099, 99, 1_102]
    );
    let mut of_two: Vec<_> = (2..=10_000).step_by(100).chain([111, n]).collect();
    of_two.sort_unstable();
    let listed = members(&simulator, &token, 2, 7).await;
    assert_eq!(listed, employees(of_two.into_iter()));

    control.delete_user(n).unwrap();
    control.delete_user(102).unwrap();
    let leaver = UserPatch {
        is_resigned: Some(true),
        ..UserPatch::default()
    };
    control.update_user(202, leaver).unwrap();
    assert_eq!(
        counts(&simulator, &token, &watched).await,
        [9_998, 1_099, 99, 1_099]
    );
    let left = employees([102, 202, n].into_iter());
    let listed = members(&simulator, &token, 2, 50).await;
    assert!(listed.len() == 99 && left.iter().all(|gone| !listed.contains(gone)));
    let back = UserPatch {
        is_resigned: Some(false),
        ..UserPatch::default()
    };
    control.update_user(202, back).unwrap();
    assert_eq!(counts(&simulator, &token, &[2]).await, [1_100]);
}

#[tokio::test]
async fn a_list_continues_after_a_user_who_has_left() {
    let simulator = start().await;
    let token = tenant_token(&simulator).await;
    let list = format!(
        "{USERS}/find_by_department?department_id={}&page_size=2",
        open_department_id(5)
    );
    let first = get(&simulator, &list, &token).await;
    let page_token = first.body["data"]["page_token"].as_str().unwrap();
    for n in [105, 205] {
        simulator.control().delete_user(n).unwrap();
    }
    let second = get(
        &simulator,
        &format!("{list}&page_token={page_token}"),
        &token,
    )
    .await;
    let items = second.body["data"]["items"].as_array().unwrap();
    assert_eq!(names(items, "employee_no"), ["E000305", "E000405"]);
}
