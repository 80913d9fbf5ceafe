//! A caller who makes up ids, addresses, names and page tokens: each costs the platform a call, so each key has a budget of calls
//! that find nothing. Whatever is known is answered all the same, and to every other key.

use std::time::Duration;

use lark_service_tests::directory::late;
use lark_service_tests::requests::TestResponse;
use lark_service_tests::world::{APP, World};
use lark_simulator::{Fault, FaultAction};
use serde_json::{Value, json};

use crate::keys::{Key, Site};

/// What a key may cost in a minute.
const PER_MINUTE: u64 = 60;
/// And in a day.
const PER_DAY: u64 = 1_000;
/// How much is made up.
const MADE_UP: u64 = 200;

/// The request number so and so.
type Way = fn(u64) -> String;

/// Every way to make something up.
const WAYS: &[(&str, Way)] = &[
    ("an open_id", |n| format!("/v1/users/ou_madeup{n}")),
    ("a user_id", |n| {
        format!("/v1/users/madeup{n}?id_type=user_id")
    }),
    ("a union_id", |n| {
        format!("/v1/users/on_madeup{n}?id_type=union_id")
    }),
    ("an address", |n| {
        format!("/v1/users?email=madeup{n}@example.com")
    }),
    ("a number", |n| format!("/v1/users?mobile=%2B86139{n:08}")),
    ("a department", |n| format!("/v1/departments/od-madeup{n}")),
    ("a department's id", |n| {
        format!("/v1/departments/madeup{n}?id_type=department_id")
    }),
    ("its people", |n| {
        format!("/v1/departments/od-madeup{n}/users")
    }),
    ("a page of people", |n| {
        format!("/v1/departments/0/users?page_token=madeup{n}")
    }),
    ("a chat", |n| format!("/v1/chats/oc_madeup{n}")),
    ("its members", |n| format!("/v1/chats/oc_madeup{n}/members")),
    ("a page of chats", |n| {
        format!("/v1/chats?page_token=madeup{n}")
    }),
    ("a chat's name", |n| format!("/v1/chats?name=madeup{n}")),
];

/// How many calls of the platform there were, but for tokens.
fn calls(world: &World) -> u64 {
    let counters = world.control().counters();
    let endpoints = counters.endpoints.iter();
    let others = endpoints.filter(|(name, _)| !name.starts_with("auth."));
    others.map(|(_, endpoint)| endpoint.requests).sum()
}

async fn site() -> (Site, Key) {
    let site = Site::begin().await;
    let key = json!({"scopes": ["users:read"], "apps": ["*"], "rate_limit": null});
    let key = site.key(key).await;
    (site, key)
}

async fn get(site: &Site, key: &Key, target: &str) -> TestResponse {
    site.ask(&key.token, "GET", target, &Value::Null).await
}

#[tokio::test]
async fn what_a_key_makes_up_costs_a_budget_of_its_own() {
    for (what, target) in WAYS {
        let (site, key) = site().await;
        let known = format!("/v1/users/{}", lark_simulator::open_id(APP, 3));
        assert_eq!(get(&site, &key, &known).await.status, 200);
        let before = calls(&site.world);
        let mut refused = 0;
        for number in 0..MADE_UP {
            let answer = get(&site, &key, &target(number)).await;
            if answer.status == 429 {
                refused += 1;
                assert_eq!(answer.code(), "rate_limited", "{what}");
                assert_eq!(answer.header("retry-after"), "1", "{what}");
            }
        }
        let cost = calls(&site.world) - before;
        assert!(cost <= PER_MINUTE, "{what} costs {cost} calls");
        assert_eq!(refused, MADE_UP - cost, "{what}");
        let answer = get(&site, &key, &known).await;
        assert_eq!(answer.status, 200, "{what}: what is known is answered");
        let other = site.key_with(&["users:read"]).await;
        let answer = get(&site, &other, &target(MADE_UP)).await;
        assert_ne!(answer.status, 429, "{what}: another key has its own");
    }
}

#[tokio::test]
async fn whoever_exists_costs_nothing_of_it() {
    let world = World::begin_with(500, 1).await;
    let site = Site::over(world, &[]).await;
    let key = json!({"scopes": ["users:read"], "apps": ["*"], "rate_limit": null});
    let key = site.key(key).await;
    for number in 1..=400 {
        let target = format!("/v1/users/{}", lark_simulator::open_id(APP, number));
        assert_eq!(get(&site, &key, &target).await.status, 200, "{number}");
    }
}

#[tokio::test]
async fn a_batch_of_what_is_made_up_is_told_entry_by_entry() {
    let (site, key) = site().await;
    let existing = lark_simulator::open_id(APP, 3);
    let before = calls(&site.world);
    let (mut number, mut failed) = (0, 0);
    for _ in 0..MADE_UP {
        let mut ids: Vec<_> = (0..20)
            .map(|n| format!("ou_madeup{}", number + n))
            .collect();
        number += 20;
        ids.push(existing.clone());
        let body = json!({ "open_ids": ids });
        let answer = site.ask(&key.token, "POST", "/v1/users/batch", &body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.body["users"][0]["user"]["open_id"], *existing);
        let list = |name: &str| answer.body[name].as_array().unwrap().clone();
        assert_eq!(list("not_found").len() + list("failed").len(), 20);
        for entry in list("failed") {
            assert_eq!(
                (&entry["code"], &entry["retry_after"]),
                (&json!("rate_limited"), &json!(1))
            );
            failed += 1;
        }
    }
    let cost = calls(&site.world) - before;
    assert!(cost <= PER_MINUTE + 1, "{cost} calls");
    assert!(failed > 0);
}

#[tokio::test]
async fn a_batch_that_is_refused_as_a_whole_is_not_split_without_end() {
    let (site, key) = site().await;
    let unknown = FaultAction::answer(400, 99_992_351);
    let fault = Fault::new("contact.user.batch", unknown);
    site.world.control().add_fault(fault).unwrap();
    let before = calls(&site.world);
    // Each would cost 99 calls, down to its single ids.
    for batch in 0..5 {
        let ids: Vec<_> = (0..50).map(|n| format!("ou_madeup{batch}x{n}")).collect();
        let body = json!({ "open_ids": ids });
        let answer = site.ask(&key.token, "POST", "/v1/users/batch", &body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    let cost = calls(&site.world) - before;
    // Two halves of one list are asked for at a time.
    assert!(cost <= PER_MINUTE + 10, "{cost} calls");
}

#[tokio::test]
async fn a_day_has_a_budget_too() {
    let (site, key) = site().await;
    let before = calls(&site.world);
    let minutes = 30;
    for minute in 0..minutes {
        for number in 0..PER_MINUTE {
            let target = format!("/v1/users/ou_madeup{minute}x{number}");
            get(&site, &key, &target).await;
        }
        site.world.advance(Duration::from_secs(60));
    }
    let cost = calls(&site.world) - before;
    // What comes back meanwhile: a day's budget in a day.
    let back = PER_DAY * minutes / (24 * 60) + 1;
    assert!(cost <= PER_DAY + back, "{cost} calls");
    assert!(cost >= PER_DAY, "{cost} calls");
}

#[tokio::test]
async fn the_directory_is_not_counted_for_each_id_that_is_made_up() {
    let world = World::begin_with(100, 1).await;
    let report = world.process().0.warmer().run(&[], late()).await.unwrap();
    assert_eq!(report.filters, 1);
    let site = Site::over(world, &[("LARK_SERVICE_NOT_FOUND_PER_MINUTE", "35")]).await;
    let key = json!({"scopes": ["users:read"], "apps": ["*"], "rate_limit": null});
    let key = site.key(key).await;
    let counted = site.world.requests("contact.department.get");
    for number in 0..300 {
        let answer = get(&site, &key, &format!("/v1/users/ou_madeup{number}")).await;
        assert!([404, 429].contains(&answer.status), "{}", answer.body);
    }
    // The filter lets thirty through; for each of the others that the key has left the directory is counted.
    assert_eq!(site.world.requests("contact.department.get") - counted, 5);
    assert_eq!(site.world.user_requests(), 30);
}

#[tokio::test]
async fn what_is_asked_for_together_is_paid_for_together() {
    let (site, key) = site().await;
    let before = calls(&site.world);
    let round = async |round: u64| {
        let targets: Vec<_> = (0..200)
            .map(|n| format!("/v1/users/ou_madeup{round}x{n}"))
            .collect();
        let asked = targets.iter().map(|target| get(&site, &key, target));
        futures_util::future::join_all(asked).await;
        calls(&site.world) - before
    };
    // All of them may pass before the first answer is there.
    let first = round(0).await;
    assert!(first <= 200, "{first}");
    for number in 1..5 {
        // As much as comes back in this time was used before.
        site.world.advance(Duration::from_secs(20));
        let so_far = round(number).await;
        assert!(
            so_far <= first.max(PER_MINUTE + 20 * number),
            "{so_far} after {number}"
        );
    }
}

#[tokio::test]
async fn what_is_out_of_date_is_answered_in_place_of_a_call() {
    let (site, key) = site().await;
    let known = format!("/v1/users/{}", lark_simulator::open_id(APP, 3));
    let search = "/v1/chats?name=a";
    assert_eq!(get(&site, &key, &known).await.status, 200);
    assert_eq!(get(&site, &key, search).await.status, 200);
    for number in 0..MADE_UP {
        get(&site, &key, &format!("/v1/users/ou_madeup{number}")).await;
    }
    // A search is not charged to what does not exist, nor the other way round.
    assert_eq!(get(&site, &key, "/v1/chats?name=b").await.status, 200);
    site.world.advance(Duration::from_secs(2 * 3_600));
    for number in 0..MADE_UP {
        get(&site, &key, &format!("/v1/users/ou_invented{number}")).await;
        get(&site, &key, &format!("/v1/chats?name=made{number}")).await;
    }
    let before = calls(&site.world);
    for target in [&known, search] {
        let answer = get(&site, &key, target).await;
        assert_eq!(answer.status, 200, "{target}");
        assert_eq!(
            answer.header("cache-control"),
            "private, no-cache",
            "{target}"
        );
    }
    assert_eq!(calls(&site.world), before);
}
