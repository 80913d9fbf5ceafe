//! Marketplace apps: tickets that the platform sends, and a token for each tenant.

use std::time::Duration;

use lark_service_tests::requests::TestRequest;
use lark_service_tests::world::{Process, World};
use lark_simulator::App;
use serde_json::json;

const MARKET_APP: &str = "cli_market00001";

async fn world() -> (World, Process) {
    let world = World::begin().await;
    let app = App {
        marketplace: true,
        tenants: ["tenant_a", "tenant_b"].map(str::to_owned).into(),
        ..App::new(MARKET_APP, "market-secret")
    };
    world.control().add_app(app).unwrap();
    world
        .seed(&format!(
            r#"{{"apps":[{{"app_id":"{MARKET_APP}","secret":"market-secret","kind":"marketplace"}}]}}"#
        ))
        .await;
    let process = world.process();
    (world, process)
}

/// What the platform pushes.
async fn push(process: &Process, ticket: &str) -> Result<(), lambda_runtime::Error> {
    let event = json!({
        "ts": "1700000002.000000", "uuid": "uu-1", "token": "verification-token", "type": "event_callback",
        "event": {"type": "app_ticket", "app_id": MARKET_APP, "app_ticket": ticket},
    });
    process.invoke("store-app-ticket", event).await.map(drop)
}

fn token(kind: &str) -> TestRequest {
    TestRequest::new("GET", &format!("/v1/tokens/{kind}")).header("x-lark-app-id", MARKET_APP)
}

fn requests(world: &World, endpoint: &str) -> u64 {
    let counters = world.control().counters();
    counters.endpoints.get(endpoint).map_or(0, |it| it.requests)
}

#[tokio::test]
async fn a_missing_ticket_is_asked_for_once_and_its_arrival_ends_the_wait() {
    let (world, process) = world().await;
    for _ in 0..5 {
        let answer = token("tenant")
            .header("x-lark-tenant-key", "tenant_a")
            .send(&process)
            .await;
        assert_eq!(
            (answer.status, answer.code()),
            (503, "app_ticket_missing"),
            "{}",
            answer.body
        );
        assert!(!answer.header("retry-after").is_empty());
        world.advance(Duration::from_secs(5));
    }
    assert_eq!(requests(&world, "auth.app_ticket.resend"), 1);
    push(&process, &world.control().app_ticket(MARKET_APP).unwrap())
        .await
        .unwrap();
    let answer = token("tenant")
        .header("x-lark-tenant-key", "tenant_a")
        .send(&world.process())
        .await;
    assert_eq!(
        (answer.status, &answer.body["tenant_key"]),
        (200, &json!("tenant_a")),
        "{}",
        answer.body
    );
}

#[tokio::test]
async fn each_tenant_has_its_own_token_and_they_share_the_apps() {
    let (world, process) = world().await;
    push(&process, &world.control().app_ticket(MARKET_APP).unwrap())
        .await
        .unwrap();
    let mut tokens = Vec::new();
    for tenant in ["tenant_a", "tenant_b", "tenant_a"] {
        let answer = token("tenant")
            .header("x-lark-tenant-key", tenant)
            .send(&process)
            .await;
        tokens.push(answer.body["token"].as_str().unwrap().to_owned());
    }
    assert_eq!(tokens[0], tokens[2]);
    assert_ne!(tokens[0], tokens[1]);
    assert_eq!(requests(&world, "auth.app_access_token"), 1);
    assert_eq!(requests(&world, "auth.tenant_access_token"), 2);
    let app = token("app").send(&process).await;
    assert_eq!(app.status, 200);
    let unknown = token("tenant")
        .header("x-lark-tenant-key", "tenant_c")
        .send(&process)
        .await;
    assert_eq!(
        (unknown.status, unknown.code()),
        (403, "tenant_refused"),
        "{}",
        unknown.body
    );
}

#[tokio::test]
async fn an_old_ticket_is_replaced_without_anybody_noticing() {
    let (world, process) = world().await;
    push(&process, &world.control().app_ticket(MARKET_APP).unwrap())
        .await
        .unwrap();
    let ask = |process: Process| async move {
        let ask = token("tenant").header("x-lark-tenant-key", "tenant_a");
        ask.send(&process).await.status
    };
    assert_eq!(ask(process.clone()).await, 200);
    // Two tickets later ours is refused; the valid token bridges the time until the next one comes.
    world.control().rotate_app_ticket(MARKET_APP).unwrap();
    world.control().rotate_app_ticket(MARKET_APP).unwrap();
    world.advance(Duration::from_secs(7_050));
    assert_eq!(ask(world.process()).await, 200);
    assert_eq!(
        requests(&world, "auth.app_ticket.resend"),
        1,
        "asked for at the first refusal"
    );
    push(&process, &world.control().app_ticket(MARKET_APP).unwrap())
        .await
        .unwrap();
    world.advance(Duration::from_secs(3_600));
    assert_eq!(ask(world.process()).await, 200);
}

#[tokio::test]
async fn the_scheduled_run_keeps_every_tenants_token_fresh() {
    let (world, process) = world().await;
    push(&process, &world.control().app_ticket(MARKET_APP).unwrap())
        .await
        .unwrap();
    for tenant in ["tenant_a", "tenant_b"] {
        token("tenant")
            .header("x-lark-tenant-key", tenant)
            .send(&process)
            .await;
    }
    let refresher = process.0.refresher();
    let deadline = lark_service_tests::world::soon;
    for _ in 0..12 {
        world.advance(Duration::from_secs(600));
        refresher.run(deadline()).await.unwrap();
    }
    let before = requests(&world, "auth.tenant_access_token");
    for tenant in ["tenant_a", "tenant_b"] {
        let answer = token("tenant")
            .header("x-lark-tenant-key", tenant)
            .send(&world.process())
            .await;
        assert_eq!(answer.status, 200);
    }
    assert_eq!(
        requests(&world, "auth.tenant_access_token"),
        before,
        "nobody waited for one"
    );
}

#[tokio::test]
async fn tenants_are_named_for_marketplace_apps_and_only_for_them() {
    let (world, process) = world().await;
    let answer = token("tenant").send(&process).await;
    assert_eq!(
        answer.body["errors"][0]["field"],
        "header X-Lark-Tenant-Key"
    );
    let answer = TestRequest::new("GET", "/v1/tokens/tenant")
        .header("x-lark-app-id", lark_service_tests::world::APP)
        .header("x-lark-tenant-key", "tenant_a")
        .send(&process)
        .await;
    assert_eq!(
        answer.body["errors"][0]["field"],
        "header X-Lark-Tenant-Key"
    );
    let answer = token("tenant")
        .header("x-lark-tenant-key", "no tenant")
        .send(&process)
        .await;
    assert_eq!(answer.code(), "invalid_argument");
    assert_eq!(requests(&world, "auth.app_ticket.resend"), 0);
}

#[tokio::test]
async fn what_is_no_ticket_of_a_marketplace_app_is_not_kept() {
    let (_world, process) = world().await;
    assert!(push(&process, "").await.is_err());
    let event = json!({"event": {"type": "app_ticket", "app_id": lark_service_tests::world::APP, "app_ticket": "t"}});
    let error = process.invoke("store-app-ticket", event).await;
    assert!(error.unwrap_err().to_string().contains("marketplace"));
}
