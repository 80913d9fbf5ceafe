//! The platform's push of a marketplace app's ticket, end to end: simulator, host, function, store, token.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::world::{Answer, World, answer};

const APP: &str = "cli_market00001";
const INVOKE: &str = "/2015-03-31/functions/store-app-ticket/invocations";

async fn token(world: &World, tenant: &str) -> Answer {
    let request = world.request(Method::GET, "/v1/tokens/tenant");
    let request = request
        .header("x-lark-app-id", APP)
        .header("x-lark-tenant-key", tenant);
    answer(request).await
}

#[tokio::test]
async fn the_simulators_push_brings_the_ticket_and_each_tenant_a_token() {
    let world = World::start().await;
    let first = token(&world, "tenant_demo_a").await;
    assert_eq!(first.body["code"], "app_ticket_missing", "{first:?}");
    let control = world.host.simulator().unwrap().control();
    let pushed = async {
        while control.counters().ticket_pushes == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), pushed)
        .await
        .expect("the platform was asked and pushes");
    // The push was answered, so the ticket is stored; it also ends the app's one-second pause after the first attempt.
    let served = async {
        loop {
            let other = token(&world, "tenant_demo_b").await;
            if other.status == StatusCode::OK {
                return other;
            }
        }
    };
    let served = tokio::time::timeout(Duration::from_secs(10), served).await;
    assert_eq!(served.expect("a token").body["tenant_key"], "tenant_demo_b");
    world.host.shutdown().await;
}

#[tokio::test]
async fn a_function_without_a_route_answers_as_lambda_does() {
    let world = World::start().await;
    let event = json!({"event": {"type": "app_ticket", "app_id": APP, "app_ticket": "t"}});
    let kept = answer(
        world
            .anonymous(Method::POST, INVOKE)
            .body(event.to_string()),
    )
    .await;
    assert_eq!(
        (kept.status, &kept.body["app_id"]),
        (StatusCode::OK, &json!(APP)),
        "{kept:?}"
    );
    let wrong = json!({"event": {"type": "message", "app_id": APP, "app_ticket": "t"}});
    let failed = answer(
        world
            .anonymous(Method::POST, INVOKE)
            .body(wrong.to_string()),
    )
    .await;
    assert_eq!(failed.headers["x-amz-function-error"], "Unhandled");
    assert!(failed.body["errorMessage"].is_string(), "{failed:?}");
    let bad = answer(world.anonymous(Method::POST, INVOKE).body("{")).await;
    assert_eq!(bad.status, StatusCode::BAD_REQUEST);
    let other = INVOKE.replace("store-app-ticket", "get-user");
    let routed = answer(world.anonymous(Method::POST, &other).body("{}")).await;
    assert_eq!(
        routed.body["code"], "route_not_found",
        "functions with routes have those alone"
    );
    world.host.shutdown().await;
}
