//! The rotation of a secret under load.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use lark_service_tests::requests::TestRequest;
use lark_service_tests::world::{APP, Process, World};
use lark_simulator::AppPatch;
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
