//! The directory over HTTP: bodies, their order, headers, and requests that are refused before any call of the platform.

use std::collections::BTreeSet;
use std::time::Duration;

use lark_service_tests::requests::{TestRequest, TestResponse};
use lark_service_tests::world::{APP, Process, World};
use lark_simulator::{chat_id, department_id, email, mobile, open_department_id, open_id};
use serde_json::json;

use super::apps::world;

pub(super) async fn get(process: &Process, target: &str) -> TestResponse {
    let ask = TestRequest::new("GET", target).header("x-lark-app-id", APP);
    ask.send(process).await
}

pub(super) fn requests(world: &World) -> u64 {
    world.control().counters().total.requests
}

/// The fields that a refusal names.
pub(super) fn named(answer: &TestResponse) -> Vec<&str> {
    assert_eq!(
        (answer.status, answer.code()),
        (400, "invalid_argument"),
        "{:?}",
        answer.body
    );
    let errors = answer.body["errors"].as_array().unwrap();
    let fields = errors.iter().map(|error| error["field"].as_str().unwrap());
    fields.collect()
}

/// What a refusal says of each field.
fn messages(answer: &TestResponse) -> impl Iterator<Item = &str> {
    let errors = answer.body["errors"].as_array().unwrap().iter();
    errors.map(|error| error["message"].as_str().unwrap())
}

#[tokio::test]
async fn every_endpoint_answers_with_its_age_and_where_it_came_from() {
    let (world, process) = world().await;
    let (department, chat) = (open_department_id(7), chat_id(7));
    let targets = [
        format!("/v1/users?email={}", email(7)),
        format!("/v1/users?mobile=%2B{}", &mobile(8)[1..]),
        format!("/v1/departments/{department}"),
        format!("/v1/departments/{department}/users?page_size=3"),
        "/v1/chats?page_size=3".to_owned(),
        "/v1/chats?name=project+7&page_size=3".to_owned(),
        format!("/v1/chats/{chat}"),
        format!("/v1/chats/{chat}/members?page_size=3"),
    ];
    for target in targets {
        let first = get(&process, &target).await;
        assert_eq!(first.status, 200, "{target}: {:?}", first.body);
        let status = first.header("cache-status");
        assert!(
            status.starts_with("lark-service; fwd=miss; stored; ttl="),
            "{target}: {status}"
        );
        let asked = requests(&world);
        world.advance(Duration::from_secs(1));
        let second = get(&process, &target).await;
        assert_eq!((second.status, &second.body), (200, &first.body));
        assert_eq!(second.header("age"), "1", "{target}");
        let status = second.header("cache-status");
        assert!(status.ends_with("; detail=memory"), "{target}: {status}");
        assert_eq!(requests(&world), asked, "{target}");
    }
}

#[tokio::test]
async fn a_user_is_found_by_either_address_however_it_is_written() {
    let (_world, process) = world().await;
    let plain = get(&process, &format!("/v1/users/{}", open_id(APP, 7))).await;
    let number = &mobile(7)[1..];
    for target in [
        format!("/v1/users?email={}", email(7).to_uppercase()),
        format!("/v1/users?mobile=%2B{number}"),
        // A `+` that is not escaped arrives as a space.
        format!("/v1/users?mobile=+{number}"),
        format!("/v1/users?mobile={}", number.trim_start_matches("86")),
    ] {
        let found = get(&process, &target).await;
        assert_eq!((found.status, &found.body), (200, &plain.body), "{target}");
    }
}

#[tokio::test]
async fn what_is_wrong_is_named_before_anything_is_asked() {
    let (world, process) = world().await;
    let (department, chat) = (open_department_id(7), chat_id(7));
    let cases: Vec<(String, &[&str])> = vec![
        ("/v1/users".to_owned(), &["email"]),
        ("/v1/users?email=nobody".to_owned(), &["email"]),
        ("/v1/users?mobile=12a".to_owned(), &["mobile"]),
        (
            "/v1/users?email=a@b.c&mobile=13800000007".to_owned(),
            &["mobile"],
        ),
        ("/v1/users?email=a@b.c&email=a@b.d".to_owned(), &["email"]),
        ("/v1/users?id_type=open_id".to_owned(), &["id_type"]),
        ("/v1/departments/D096".to_owned(), &["id"]),
        (
            format!("/v1/departments/{department}?id_type=department_id"),
            &["id"],
        ),
        (
            format!("/v1/departments/{department}?id_type=open_id"),
            &["id_type"],
        ),
        (
            format!("/v1/departments/{department}?page_size=1"),
            &["page_size"],
        ),
        (
            format!("/v1/departments/{department}/users?page_size=51"),
            &["page_size"],
        ),
        (
            format!("/v1/departments/{department}/users?page_size=0&page_token="),
            &["page_size", "page_token"],
        ),
        ("/v1/chats?page_size=101".to_owned(), &["page_size"]),
        ("/v1/chats?name=".to_owned(), &["name"]),
        (format!("/v1/chats?name={}", "x".repeat(65)), &["name"]),
        ("/v1/chats/7".to_owned(), &["id"]),
        (format!("/v1/chats/{chat}?page_size=1"), &["page_size"]),
        (
            format!("/v1/chats/{chat}/members?page_size=x"),
            &["page_size"],
        ),
        (format!("/v1/chats/{chat}/members?name=x"), &["name"]),
    ];
    // What admits the key and the app, and nothing else.
    let admission = ["lark:app:", "lark:limit:api_key:", "lark:key:"];
    world.cache.forget_keys();
    for (target, fields) in cases {
        let answer = get(&process, &target).await;
        assert_eq!(named(&answer), fields, "{target}");
        let says_it = messages(&answer).all(|message| {
            let right = ["must ", "is required", "known: ", "no query parameter is"];
            right.iter().any(|right| message.contains(right))
        });
        assert!(says_it, "{target}: {}", answer.body);
    }
    for key in world.cache.keys() {
        let admits = admission.iter().any(|prefix| key.starts_with(prefix));
        assert!(admits, "{key} was asked for");
    }
    assert_eq!(requests(&world), 0);
}

#[tokio::test]
async fn what_does_not_exist_is_not_found() {
    let (world, process) = world().await;
    let unknown = format!("od-{}", "0".repeat(32));
    let cases = [
        (
            "/v1/users?email=nobody@example.com".to_owned(),
            "user_not_found",
        ),
        (
            "/v1/users?mobile=%2B8613899999999".to_owned(),
            "user_not_found",
        ),
        (format!("/v1/departments/{unknown}"), "department_not_found"),
        (
            format!("/v1/departments/{unknown}/users"),
            "department_not_found",
        ),
        (
            "/v1/departments/dept9999?id_type=department_id".to_owned(),
            "department_not_found",
        ),
        (format!("/v1/chats/oc_{}", "0".repeat(32)), "chat_not_found"),
        (
            format!("/v1/chats/oc_{}/members", "0".repeat(32)),
            "chat_not_found",
        ),
    ];
    for (target, code) in &cases {
        let answer = get(&process, target).await;
        assert_eq!((answer.status, answer.code()), (404, *code), "{target}");
    }
    let asked = requests(&world);
    for (target, code) in &cases {
        assert_eq!(get(&process, target).await.code(), *code, "{target}");
    }
    assert_eq!(requests(&world), asked, "an absence is remembered");
}

#[tokio::test]
async fn a_caller_needs_the_scope_and_the_app() {
    let (world, process) = world().await;
    let (department, chat) = (open_department_id(7), chat_id(7));
    for target in [
        format!("/v1/users?email={}", email(7)),
        format!("/v1/departments/{department}"),
        format!("/v1/departments/{department}/users"),
        "/v1/chats".to_owned(),
        format!("/v1/chats/{chat}"),
        format!("/v1/chats/{chat}/members"),
    ] {
        let ask = || TestRequest::new("GET", &target).header("x-lark-app-id", APP);
        let refused = [
            ask().by("tokens:read admin", "*").send(&process).await,
            ask().by("users:read", "cli_other").send(&process).await,
        ];
        for answer in refused {
            assert_eq!(answer.code(), "permission_denied", "{target}");
        }
        assert_eq!(ask().without_key().send(&process).await.status, 401);
    }
    let ask = || TestRequest::new("POST", "/v1/users/batch").header("x-lark-app-id", APP);
    let body = json!({"emails": [email(7)]});
    let answer = ask().by("admin", "*").body(&body).send(&process).await;
    assert_eq!(answer.code(), "permission_denied");
    assert_eq!(requests(&world), 0);
}

/// The field of every item of all pages, and how many pages there were.
async fn pages(process: &Process, target: &str, field: &str) -> (Vec<String>, usize) {
    let (mut all, mut count, mut token) = (Vec::new(), 0, String::new());
    loop {
        let page = get(process, &format!("{target}{token}")).await;
        assert_eq!(page.status, 200, "{:?}", page.body);
        count += 1;
        let items = page.body["items"].as_array().unwrap();
        all.extend(
            items
                .iter()
                .map(|item| item[field].as_str().unwrap().to_owned()),
        );
        match page.body["next_page_token"].as_str() {
            Some(next) => {
                let next = next
                    .replace('%', "%25")
                    .replace('+', "%2B")
                    .replace('=', "%3D");
                token = format!("&page_token={next}");
            }
            None => return (all, count),
        }
    }
}

#[tokio::test]
async fn the_pages_of_a_list_lead_to_its_end() {
    let (_world, process) = world().await;
    // Every hundredth of the 10,000 users is in the department.
    let expected: BTreeSet<_> = (0..100).map(|n| open_id(APP, 7 + 100 * n)).collect();
    for (id, kind) in [
        (open_department_id(7), "open_department_id"),
        (department_id(7), "department_id"),
    ] {
        let target = format!("/v1/departments/{id}/users?id_type={kind}&page_size=40");
        let (users, count) = pages(&process, &target, "open_id").await;
        assert_eq!((users.len(), count), (100, 3), "{kind}");
        assert_eq!(BTreeSet::from_iter(users), expected, "{kind}");
    }
    let (chats, _) = pages(&process, "/v1/chats?page_size=60", "chat_id").await;
    // The bots are not in every fiftieth of the 200.
    assert_eq!(BTreeSet::from_iter(chats).len(), 196);
    let (chats, _) = pages(&process, "/v1/chats?name=PROJECT+19&page_size=5", "name").await;
    assert_eq!(chats[..2], ["Project 19", "Project 190"]);
    assert_eq!(chats.len(), 11);
}

#[tokio::test]
async fn a_page_token_of_another_list_is_the_callers_mistake() {
    let (_world, process) = world().await;
    let target = format!(
        "/v1/departments/{}/users?page_token=made-up",
        open_department_id(7)
    );
    assert_eq!(named(&get(&process, &target).await), ["page_token"]);
    let answer = get(&process, "/v1/chats?page_token=made-up").await;
    assert_eq!(named(&answer), ["page_token"]);
}
