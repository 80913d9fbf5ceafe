//! Batches of users, and the warm-up of the cache.

use std::time::Duration;

use lark_service_tests::requests::{TestRequest, TestResponse};
use lark_service_tests::world::{APP, Process};
use lark_simulator::{Fault, FaultAction, email, mobile, open_id, union_id, user_id};
use serde_json::{Value, json};

use super::apps::world;
use super::directory::{get, named, requests};

const BATCH: &str = "/v1/users/batch";

async fn batch(process: &Process, body: &Value) -> TestResponse {
    let ask = TestRequest::new("POST", BATCH).header("x-lark-app-id", APP);
    ask.body(body).send(process).await
}

/// What was asked for, in the order of the answer.
fn requested(list: &Value) -> Vec<Value> {
    let list = list.as_array().unwrap();
    list.iter().map(|it| it["requested"].clone()).collect()
}

#[tokio::test]
async fn a_batch_answers_each_entry_in_the_order_of_the_request() {
    let (_world, process) = world().await;
    let unknown = format!("ou_{}", "0".repeat(32));
    let twice = open_id(APP, 3);
    let body = json!({
        "mobiles": [mobile(9)],
        "emails": [email(8), "nobody@example.com", email(8).to_uppercase()],
        "ids": [user_id(5), user_id(4)], "id_type": "user_id",
        "union_ids": [union_id(6)],
        "open_ids": [twice, unknown, twice],
    });
    for name in ["cold", "warm"] {
        let answer = batch(&process, &body).await;
        assert_eq!(answer.status, 200, "{name}: {:?}", answer.body);
        let expected = [
            json!({"user_id": user_id(5)}),
            json!({"user_id": user_id(4)}),
            json!({"open_id": twice}),
            json!({"open_id": twice}),
            json!({"union_id": union_id(6)}),
            json!({"email": email(8)}),
            json!({"email": email(8).to_uppercase()}),
            json!({"mobile": mobile(9)}),
        ];
        assert_eq!(requested(&answer.body["users"]), expected, "{name}");
        for (index, number) in [5, 4, 3, 3, 6, 8, 8, 9].into_iter().enumerate() {
            let found = &answer.body["users"][index];
            assert_eq!(found["user"]["open_id"], open_id(APP, number), "{name}");
            assert_eq!(found.get("stale"), None, "{name}");
        }
        let not_found = json!([
            {"requested": {"open_id": unknown}, "reason": "left_out"},
            {"requested": {"email": "nobody@example.com"}, "reason": "unmatched"},
        ]);
        assert_eq!(answer.body["not_found"], not_found, "{name}");
        assert_eq!(answer.body["failed"], json!([]), "{name}");
    }
}

#[tokio::test]
async fn a_batch_of_a_thousand_fits_and_comes_from_few_calls() {
    let (world, process) = world().await;
    let ids: Vec<_> = (1..=1_000).map(|n| open_id(APP, n)).collect();
    let answer = batch(&process, &json!({"ids": ids})).await;
    let expected: Vec<_> = ids.iter().map(|id| json!({"open_id": id})).collect();
    assert_eq!(requested(&answer.body["users"]), expected);
    assert_eq!(world.requests("contact.user.batch"), 20);
    let again = batch(&process, &json!({"open_ids": ids})).await;
    assert_eq!(again.body, answer.body);
    assert_eq!(world.requests("contact.user.batch"), 20);
}

#[tokio::test]
async fn a_batch_that_is_wrong_names_each_entry_up_to_twenty() {
    let (world, process) = world().await;
    let good = open_id(APP, 1);
    let many = |count: usize| vec![good.clone(); count];
    let cases = [
        (json!({}), vec!["body"]),
        (json!({"ids": [], "emails": []}), vec!["body"]),
        (json!({"ids": many(1_001)}), vec!["body"]),
        (
            json!({"ids": many(600), "emails": vec!["a@b.c"; 401]}),
            vec!["body"],
        ),
        (json!({"ids": [good], "id_type": "email"}), vec!["id_type"]),
        (json!({"ids": [good], "names": ["x"]}), vec!["names"]),
        (json!({"ids": [good, 7]}), vec!["ids[1]"]),
        (json!({"ids": null}), vec!["ids"]),
        (
            json!({"ids": [good, "x", good, "ou_/"], "emails": ["nobody"], "mobiles": ["1", "13800000001"]}),
            vec!["ids[1]", "ids[3]", "emails[0]", "mobiles[0]"],
        ),
        (
            json!({"user_ids": ["a/b"], "union_ids": [good]}),
            vec!["user_ids[0]", "union_ids[0]"],
        ),
    ];
    for (body, fields) in cases {
        assert_eq!(named(&batch(&process, &body).await), fields);
    }
    let wrong = json!({"open_ids": vec!["x"; 15], "emails": vec!["x"; 15]});
    let answer = batch(&process, &wrong).await;
    let fields = named(&answer);
    assert_eq!(
        (fields.len(), fields[14], fields[19]),
        (20, "open_ids[14]", "emails[4]")
    );
    let unknown = TestRequest::new("POST", &format!("{BATCH}?id_type=user_id"));
    let answer = unknown.body(&json!({"ids": ["x"]})).send(&process).await;
    assert_eq!(named(&answer), ["id_type"]);
    assert_eq!(requests(&world), 0);
}

#[tokio::test]
async fn what_fails_in_a_batch_fails_alone_and_stale_profiles_are_marked() {
    let (world, process) = world().await;
    let (known, other) = (open_id(APP, 1), open_id(APP, 2));
    batch(&process, &json!({"ids": [known]})).await;
    world.advance(Duration::from_secs(3 * 3_600));
    let outage = FaultAction::answer(503, 1);
    for endpoint in ["contact.user.get", "contact.user.batch"] {
        world
            .control()
            .add_fault(Fault::new(endpoint, outage.clone()))
            .unwrap();
    }
    let answer = batch(&process, &json!({"ids": [other, known]})).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    let users = &answer.body["users"];
    assert_eq!(requested(users), [json!({"open_id": known})]);
    assert_eq!(users[0]["stale"], true);
    let failed = &answer.body["failed"];
    assert_eq!(requested(failed), [json!({"open_id": other})]);
    assert_eq!(failed[0]["code"], "lark_unavailable");
    assert_eq!(failed[0]["retryable"], true);
    assert!(failed[0]["detail"].is_string() && failed[0]["retry_after"].is_number());
    let single = get(&process, &format!("/v1/users/{known}")).await;
    assert_eq!(single.status, 200);
    let status = single.header("cache-status");
    assert!(status.contains("; ttl=-"), "{status}");
}

#[tokio::test]
async fn the_warm_up_is_for_all_apps_or_for_those_named() {
    let (world, process) = world().await;
    let run = async |event: Value| process.invoke("warm-cache", event).await;
    let counts =
        |report: &Value| ["apps", "tokens", "failed"].map(|field| report[field].as_u64().unwrap());
    let report = run(json!({})).await.unwrap();
    assert_eq!(counts(&report), [1, 1, 0], "{report}");
    let report = run(json!({"app_ids": [APP]})).await.unwrap();
    let [apps, _, failed] = counts(&report);
    assert_eq!((apps, failed), (1, 0), "{report}");
    let asked = requests(&world);
    let refused = run(json!({"app_ids": [APP, "no app"]})).await.unwrap_err();
    assert!(refused.to_string().contains("letters, digits"), "{refused}");
    assert_eq!(requests(&world), asked);
    run(json!({"apps": [APP]})).await.unwrap_err();
    assert_eq!(requests(&world), asked);
}
