//! The rotation of a secret under load.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use lark_service::apps::Secret;
use lark_service::ids::AppId;
use lark_service_tests::requests::TestRequest;
use lark_service_tests::world::{APP, Process, World, soon};
use lark_simulator::AppPatch;
use secrecy::ExposeSecret;
use serde_json::json;

use super::apps::{ask, world};

/// Calls without pause from several processes while `rotate` runs: how many there were and how many failed.
async fn load(world: &World, rotate: impl AsyncFnOnce()) -> (u64, u64) {
    let (calls, failures) = (AtomicU64::new(0), AtomicU64::new(0));
    let is_over = Arc::new(AtomicBool::new(false));
    let processes: Vec<_> = (0..3).map(|_| world.process()).collect();
    let caller = async |process: &Process, number: u32| {
        let user = format!("/v1/users/{}", lark_simulator::open_id(APP, number));
        while !is_over.load(Ordering::SeqCst) {
            for target in ["/v1/tokens/tenant", user.as_str()] {
                let answer = TestRequest::new("GET", target)
                    .header("x-lark-app-id", APP)
                    .send(process)
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

/// Waits for some calls, during which every token is renewed.
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
                // The platform does not know the new secret yet: the previous one must work.
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

/// The secrets of the app after these changes: the current one and the previous one.
async fn secrets_after(changes: &[serde_json::Value]) -> (String, Option<String>) {
    let (_world, process) = world().await;
    let path = format!("/v1/apps/{APP}");
    for change in changes {
        let answer = ask(&process, "PATCH", &path, change.clone()).await;
        assert_eq!(answer.status, 200, "{changes:?}: {}", answer.body);
    }
    let app_id = AppId::parse(APP).unwrap();
    let app = process.0.apps.read(&app_id, soon()).await.unwrap();
    let text = |secret: &Secret| secret.value.expose_secret().to_owned();
    let previous = app.secrets.previous.as_ref();
    (
        text(&app.secrets.current),
        previous.map(|(secret, _)| text(secret)),
    )
}

#[tokio::test]
async fn a_rotation_may_be_repeated_as_often_as_its_answer_is_lost() {
    let first = lark_simulator::seeded_app_secret(APP);
    let first = first.as_str();
    let to = |secret: &str| json!({ "secret": secret });
    let within =
        |secret: &str, seconds: u32| json!({"secret": secret, "previous_secret_seconds": seconds});
    let rows = [
        (vec![to("s1")], ("s1", Some(first))),
        (vec![to("s1"), to("s1")], ("s1", Some(first))),
        (vec![to("s1"), to("s1"), to("s1")], ("s1", Some(first))),
        (vec![to("s1"), to("s2"), to("s2")], ("s2", Some("s1"))),
        (vec![to("s1"), to(first)], (first, Some("s1"))),
        (vec![to("s1"), to(first), to(first)], (first, Some("s1"))),
        (vec![to(first)], (first, None)),
        (
            vec![within("s1", 60), within("s1", 60)],
            ("s1", Some(first)),
        ),
        (vec![within("s1", 0), within("s1", 0)], ("s1", None)),
        (vec![to("s1"), within("s1", 0)], ("s1", None)),
        (
            vec![to("s1"), json!({"name": "Portal"}), to("s1")],
            ("s1", Some(first)),
        ),
        (
            vec![to("s1"), json!({"secret": "s1", "name": "Portal"})],
            ("s1", Some(first)),
        ),
    ];
    for (changes, (current, previous)) in rows {
        let expected = (current.to_owned(), previous.map(str::to_owned));
        assert_eq!(secrets_after(&changes).await, expected, "{changes:?}");
    }
}

#[tokio::test]
async fn a_repeated_rotation_leaves_one_line_about_it() {
    let (_world, process) = world().await;
    let path = format!("/v1/apps/{APP}");
    for _ in 0..3 {
        ask(&process, "PATCH", &path, json!({"secret": "s1"})).await;
    }
    let changes = format!("{path}/changes");
    let page = ask(&process, "GET", &changes, serde_json::Value::Null).await;
    let actions = page.body["items"].as_array().unwrap().iter();
    let actions: Vec<_> = actions.map(|change| change["action"].clone()).collect();
    assert_eq!(actions, ["created", "secret_rotated"]);
}
