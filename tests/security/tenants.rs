//! A caller who makes up tenants of a marketplace app: it costs the platform one call each, leaves nothing for good, and harms
//! nobody else.

use std::time::Duration;

use lark_service::ids::{AppId, TenantKey};
use lark_service::store::Table;
use lark_service::tokens::TokenKey;
use lark_service_tests::requests::TestRequest;
use lark_service_tests::world::{Process, World, soon};
use lark_simulator::{App, AppPatch};

const MARKET: &str = "cli_market";
const TOKEN: &str = "auth.tenant_access_token";
/// How many tenants are made up.
const MADE_UP: u64 = 120;

async fn world() -> (World, Process) {
    let world = World::begin().await;
    let app = App {
        marketplace: true,
        tenants: ["real".to_owned()].into(),
        ..App::new(MARKET, "market-secret")
    };
    world.control().add_app(app).unwrap();
    world
        .seed(r#"{"apps":[{"app_id":"cli_market","secret":"market-secret","kind":"marketplace"}]}"#)
        .await;
    let process = world.process();
    let ticket = world.control().app_ticket(MARKET).unwrap().into();
    let app_id = AppId::parse(MARKET).unwrap();
    let apps = &process.0.apps;
    apps.keep_ticket(&app_id, &ticket, soon()).await.unwrap();
    (world, process)
}

async fn ask(process: &Process, tenant: &str) -> String {
    let request = TestRequest::new("GET", "/v1/tokens/tenant").header("x-lark-app-id", MARKET);
    let request = request.header("x-lark-tenant-key", tenant);
    request.send(process).await.outcome()
}

fn key_of(tenant: &str) -> TokenKey {
    let app_id = AppId::parse(MARKET).unwrap();
    TokenKey::tenant(app_id, TenantKey::parse(tenant).as_ref())
}

#[tokio::test]
async fn made_up_tenants_cost_a_call_each_and_leave_nothing() {
    let (world, process) = world().await;
    assert_eq!(ask(&process, "real").await, "200");
    for number in 0..MADE_UP {
        let tenant = format!("madeup{number}");
        // The second answer comes from what is known by then.
        for _ in 0..2 {
            assert_eq!(ask(&process, &tenant).await, "403 tenant_refused");
        }
    }
    let asked = world.requests(TOKEN);
    assert_eq!(asked, 1 + MADE_UP);
    let refresher = process.0.refresher();
    // A token of two hours is renewed 25 to 20 minutes before its end.
    for _ in 0..101 {
        world.advance(Duration::from_secs(60));
        let report = refresher.run(soon()).await.unwrap();
        assert_eq!(report.failed, 0, "{report:?}");
    }
    // The real one was renewed, and nobody else asked for.
    assert_eq!(world.requests(TOKEN), asked + 1);
    assert_eq!(ask(&process, "real").await, "200");
    for number in 0..MADE_UP {
        let key = key_of(&format!("madeup{number}")).store_key();
        let record = process.0.storage.get(Table::Tokens, &key, soon()).await;
        assert!(record.unwrap().is_none(), "{key}");
    }
}

#[tokio::test]
async fn a_tenant_that_had_a_token_and_lost_the_app_is_still_asked_for() {
    let (world, process) = world().await;
    assert_eq!(ask(&process, "real").await, "200");
    let uninstalled = AppPatch {
        tenants: Some([].into()),
        ..AppPatch::default()
    };
    world.control().update_app(MARKET, uninstalled).unwrap();
    world.advance(Duration::from_secs(7_200));
    process.0.refresher().run(soon()).await.unwrap();
    let key = key_of("real").store_key();
    let record = process.0.storage.get(Table::Tokens, &key, soon()).await;
    let record = record.unwrap().expect("a tenant that may come back");
    assert!(record.due.is_some());
}
