use lark_simulator::{
    ChatPatch, Simulator, TENANT_KEY, UserPatch, chat_id, open_id, union_id, user_id,
};
use serde_json::{Value, json};

use crate::client::{Answer, app_id, call, get, pages, post, start, tenant_token};

const CHATS: &str = "/open-apis/im/v1/chats";

async fn chat(simulator: &Simulator, token: &str, n: u32) -> Answer {
    get(simulator, &format!("{CHATS}/{}", chat_id(n)), token).await
}

async fn names(simulator: &Simulator, token: &str, list: &str) -> Vec<String> {
    let items = pages(simulator, token, &format!("{CHATS}{list}")).await;
    let name = |item: &Value| item["name"].as_str().unwrap().to_owned();
    items.iter().map(name).collect()
}

/// The member ids, page by page.
async fn members(simulator: &Simulator, token: &str, n: u32) -> Vec<String> {
    let list = format!(
        "{CHATS}/{}/members?page_size=100&member_id_type=user_id",
        chat_id(n)
    );
    let items = pages(simulator, token, &list).await;
    let id = |item: &Value| item["member_id"].as_str().unwrap().to_owned();
    items.iter().map(id).collect()
}

#[tokio::test]
async fn a_bot_lists_the_chats_it_is_in() {
    let simulator = start().await;
    let token = tenant_token(&simulator).await;
    let expected: Vec<_> = (1..=200)
        .filter(|n| n % 50 != 0)
        .map(|n| format!("Project {n}"))
        .collect();
    assert_eq!(names(&simulator, &token, "").await, expected);
    let mut newest_first = names(
        &simulator,
        &token,
        "?sort_type=ByActiveTimeDesc&page_size=7",
    )
    .await;
    newest_first.reverse();
    assert_eq!(newest_first, expected);

    let page = get(&simulator, &format!("{CHATS}?page_size=1"), &token).await;
    let owner = simulator.control().chat(1).unwrap().members[0];
    assert_eq!(
        page.body["data"]["items"],
        json!([{
            "chat_id": chat_id(1), "name": "Project 1", "description": "The chat of project 1",
            "avatar": format!("https://avatar.example.com/chats/{}.png", chat_id(1)),
            "owner_id": open_id(&app_id(), owner), "owner_id_type": "open_id", "external": false,
            "tenant_key": TENANT_KEY, "chat_status": "normal",
        }])
    );
}

#[tokio::test]
async fn chats_are_found_by_a_part_of_their_name() {
    let simulator = start().await;
    let token = tenant_token(&simulator).await;
    let found = async |query: &str| names(&simulator, &token, &format!("/search?{query}")).await;
    let expected: Vec<_> = (190..200).map(|n| format!("Project {n}")).collect();
    assert_eq!(
        found("query=pROJECT%2019&page_size=3").await,
        [&["Project 19".to_owned()], &expected[..]].concat()
    );
    for nothing in [
        "query=",
        "",
        "query=Project%20300",
        &format!("query={}", "P".repeat(65)),
    ] {
        assert!(found(nothing).await.is_empty(), "{nothing}");
    }
}

#[tokio::test]
async fn a_chat_is_flat_and_without_its_id() {
    let simulator = start().await;
    let token = tenant_token(&simulator).await;
    let info = simulator.control().chat(7).unwrap();
    let path = format!("{CHATS}/{}?user_id_type=union_id", chat_id(7));
    let data = get(&simulator, &path, &token).await.body["data"].take();
    assert_eq!(data["name"], "Project 7");
    assert_eq!(data["user_count"], info.members.len().to_string());
    assert_eq!(
        (&data["bot_count"], &data["chat_mode"]),
        (&json!("1"), &json!("group"))
    );
    assert_eq!(
        (&data["owner_id_type"], &data["owner_id"]),
        (&json!("union_id"), &json!(union_id(info.members[0])))
    );
    assert!(data.get("chat_id").is_none() && data.get("chat").is_none());
}

#[tokio::test]
async fn a_bot_outside_a_chat_sees_few_fields() {
    let simulator = start().await;
    let token = tenant_token(&simulator).await;
    let data = chat(&simulator, &token, 50).await.body["data"].take();
    let mut fields: Vec<_> = data.as_object().unwrap().keys().collect();
    fields.sort();
    assert_eq!(
        fields,
        ["avatar", "bot_count", "chat_status", "name", "user_count"]
    );
    let path = format!("{CHATS}/{}/members", chat_id(50));
    assert_eq!(get(&simulator, &path, &token).await.code(), (400, 232_011));
    for (n, is_in_chat) in [(50, false), (51, true)] {
        let path = format!("{CHATS}/{}/members/is_in_chat", chat_id(n));
        let answer = get(&simulator, &path, &token).await;
        assert_eq!(answer.body["data"], json!({ "is_in_chat": is_in_chat }));
    }
}

#[tokio::test]
async fn the_largest_chat_has_fifty_pages_of_members() {
    let simulator = start().await;
    let token = tenant_token(&simulator).await;
    let expected = simulator.control().chat(1).unwrap().members;
    assert_eq!(expected.len(), 5000);
    let expected: Vec<_> = expected.into_iter().map(user_id).collect();
    assert_eq!(members(&simulator, &token, 1).await, expected);

    let first = get(
        &simulator,
        &format!("{CHATS}/{}/members", chat_id(1)),
        &token,
    )
    .await;
    let data = &first.body["data"];
    assert_eq!(
        (
            &data["member_total"],
            data["items"].as_array().unwrap().len()
        ),
        (&json!(5000), 20)
    );
    let member = &data["items"][0];
    assert_eq!(
        (&member["member_id_type"], &member["tenant_key"]),
        (&json!("open_id"), &json!(TENANT_KEY))
    );
    assert!(member["name"].is_string());
}

#[tokio::test]
async fn bad_chats_and_parameters_have_their_codes() {
    let simulator = start().await;
    let token = tenant_token(&simulator).await;
    let one = chat_id(1);
    let cases = [
        ("/oc_unknown", 232_006),
        (&format!("/{}", chat_id(201)), 232_006),
        (&format!("/{}/members", chat_id(0)), 232_006),
        ("?page_size=101", 232_001),
        ("?page_token=x", 232_001),
        ("?sort_type=ByName", 232_001),
        ("/search?query=a&page_size=0", 232_001),
        (&format!("/{one}/members?page_size=0"), 232_001),
        (&format!("/{one}/members?page_token=x"), 232_001),
        (&format!("/{one}/members?member_id_type=email"), 99_992_402),
        ("?user_id_type=email", 99_992_402),
    ];
    for (path, code) in cases {
        let answer = get(&simulator, &format!("{CHATS}{path}"), &token).await;
        assert_eq!(answer.code(), (400, code), "{path}");
    }
}

#[tokio::test]
async fn chats_are_created_renamed_and_dissolved() {
    let simulator = start().await;
    let token = tenant_token(&simulator).await;
    let new = json!({ "name": "Launch", "add_members": [9, 3] });
    let created = post(&simulator, "/_sim/chats", "", &new).await;
    assert_eq!(
        created.body,
        json!({
            "n": 201, "chat_id": chat_id(201), "name": "Launch", "members": [3, 9],
            "has_bot": true, "is_dissolved": false,
        })
    );
    assert_eq!(
        members(&simulator, &token, 201).await,
        [user_id(3), user_id(9)]
    );
    assert_eq!(
        names(&simulator, &token, "/search?query=launch").await,
        ["Launch"]
    );

    let change = r#"{"name":"Landing","add_members":[4],"remove_members":[3,5]}"#;
    let changed = call(&simulator, "PATCH", "/_sim/chats/201", "", change).await;
    assert_eq!(changed.body["members"], json!([4, 9]));
    assert!(
        names(&simulator, &token, "/search?query=launch")
            .await
            .is_empty()
    );
    assert_eq!(
        chat(&simulator, &token, 201).await.body["data"]["name"],
        "Landing"
    );

    call(&simulator, "DELETE", "/_sim/chats/201", "", "").await;
    for path in ["", "/members", "/members/is_in_chat"] {
        let path = format!("{CHATS}/{}{path}", chat_id(201));
        assert_eq!(get(&simulator, &path, &token).await.code(), (400, 232_009));
    }
    assert_eq!(names(&simulator, &token, "").await.len(), 196);
    let shown = get(&simulator, "/_sim/chats/201", "").await;
    assert_eq!(shown.body["is_dissolved"], true);
}

#[tokio::test]
async fn members_of_seeded_chats_can_be_added_and_removed() {
    let simulator = start().await;
    let token = tenant_token(&simulator).await;
    let control = simulator.control();
    let before = control.chat(8).unwrap().members;
    let patch = ChatPatch {
        add_members: [1, before[1]].into(),
        remove_members: [before[0]].into(),
        ..ChatPatch::default()
    };
    control.update_chat(8, patch).unwrap();
    control.delete_user(before[2]).unwrap();
    let leaver = UserPatch {
        is_resigned: Some(true),
        ..UserPatch::default()
    };
    control.update_user(before[3], leaver).unwrap();
    let mut expected = vec![1, before[1]];
    expected.extend(&before[4..]);
    assert_eq!(control.chat(8).unwrap().members, expected);
    let listed = members(&simulator, &token, 8).await;
    assert_eq!(
        listed,
        expected.into_iter().map(user_id).collect::<Vec<_>>()
    );
    let count = chat(&simulator, &token, 8).await.body["data"]["user_count"].take();
    assert_eq!(count, listed.len().to_string());
}

#[tokio::test]
async fn the_bots_can_be_removed_and_added_again() {
    let simulator = start().await;
    let token = tenant_token(&simulator).await;
    let seen = async || {
        names(&simulator, &token, "/search?query=Project%208")
            .await
            .len()
    };
    let before = seen().await;
    for (has_bot, expected) in [(false, before - 1), (true, before)] {
        let patch = ChatPatch {
            has_bot: Some(has_bot),
            ..ChatPatch::default()
        };
        simulator.control().update_chat(8, patch).unwrap();
        assert_eq!(seen().await, expected);
    }
}

#[tokio::test]
async fn bad_controls_of_chats_are_refused_by_field() {
    let simulator = start().await;
    simulator.control().dissolve_chat(5).unwrap();
    for (method, path, body, field) in [
        ("POST", "", r#"{"add_members":[10001]}"#, "add_members"),
        ("POST", "", r#"{"title":"x"}"#, "title"),
        ("PATCH", "/5", "{}", "n"),
        ("DELETE", "/5", "", "n"),
        ("DELETE", "/201", "", "n"),
        ("GET", "/first", "", "n"),
    ] {
        let answer = call(&simulator, method, &format!("/_sim/chats{path}"), "", body).await;
        assert_eq!(
            (answer.status, &answer.body["field"]),
            (400, &json!(field)),
            "{method} {path}"
        );
    }
}
