//! A caller who makes up tenants of a marketplace app: it costs the platform one call each, leaves nothing for good, and harms
//! nobody else.

use std::time::Duration;

use lark_service::ids::{AppId, TenantKey};
use lark_service::store::Table;
use lark_service::tokens::TokenKey;
use lark_service_tests::requests::TestRequest;
use lark_service_tests::world::{Process, World, soon};
use lark_simulator::{App, AppPatch};
use serde_json::{Value, json};

use crate::keys::{Key, Site};

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
    let budget = [("LARK_SERVICE_NOT_FOUND_PER_MINUTE", "1000000")];
    let process = world.process_with(&budget);
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

/// What the holder of `key` gets from `target` of the marketplace app for `tenant`.
async fn got(site: &Site, key: &Key, target: &str, tenant: Option<&str>) -> String {
    let request = TestRequest::new("GET", target).header("x-lark-app-id", MARKET);
    let request = match tenant {
        Some(tenant) => request.header("x-lark-tenant-key", tenant),
        None => request,
    };
    request.through(&site.gateway, &key.token).await.outcome()
}

#[tokio::test]
async fn a_key_that_is_limited_to_tenants_gets_nothing_else_of_a_marketplace_app() {
    let (world, _) = world().await;
    let site = Site::over(world, &[]).await;
    let scopes = ["tokens:read", "user_tokens:read", "users:read"];
    let limited = json!({"scopes": scopes, "apps": ["*"], "tenants": ["real"]});
    let limited = site.key(limited).await;
    let free = site.key_with(&scopes).await;
    let routes = [
        "/v1/tokens/tenant",
        "/v1/users/ou_1",
        "/v1/departments/0",
        "/v1/chats",
    ];
    for target in routes {
        let refused = got(&site, &limited, target, Some("other")).await;
        assert_eq!(refused, "403 permission_denied", "{target}");
        let refused = got(&site, &limited, target, None).await;
        assert_eq!(refused, "403 permission_denied", "{target}");
        for key in [&limited, &free] {
            let answer = got(&site, key, target, Some("real")).await;
            assert_ne!(answer, "403 permission_denied", "{target}");
        }
        let answer = got(&site, &free, target, Some("other")).await;
        assert_ne!(answer, "403 permission_denied", "{target}");
    }
    // With the app's own token, every tenant's can be fetched; whose a user is, nobody says.
    for target in ["/v1/tokens/app", "/v1/tokens/user?open_id=ou_1"] {
        let refused = got(&site, &limited, target, None).await;
        assert_eq!(refused, "403 permission_denied", "{target}");
        assert_ne!(
            got(&site, &free, target, None).await,
            "403 permission_denied"
        );
    }
    // An internal app has one tenant, and its key names the app.
    let internal = site
        .ask(&limited.token, "GET", "/v1/tokens/tenant", &Value::Null)
        .await;
    assert_eq!(internal.status, 200);
    let more = json!({"tenants": ["real", "other"]});
    site.change(&limited, more).await;
    let answer = got(&site, &limited, "/v1/tokens/tenant", Some("other")).await;
    assert_ne!(answer, "403 permission_denied");
    site.change(&limited, json!({"tenants": ["third"]})).await;
    let refused = got(&site, &limited, "/v1/tokens/tenant", Some("real")).await;
    assert_eq!(refused, "403 permission_denied");
}

#[tokio::test]
async fn who_administers_an_app_is_limited_to_none_of_its_tenants() {
    let site = Site::begin().await;
    for (method, target, body) in [
        (
            "POST",
            "/v1/api-keys",
            json!({"scopes": ["admin"], "apps": ["*"], "tenants": ["t"]}),
        ),
        (
            "POST",
            "/v1/api-keys",
            json!({"scopes": ["users:read"], "apps": ["*"], "tenants": []}),
        ),
        (
            "POST",
            "/v1/api-keys",
            json!({"scopes": ["users:read"], "apps": ["*"], "tenants": ["a b"]}),
        ),
    ] {
        let answer = site.owner(method, target, &body).await;
        assert_eq!(answer.outcome(), "400 invalid_argument", "{body}");
        let field = answer.body["errors"][0]["field"].as_str().unwrap();
        assert!(field.starts_with("tenants"), "{field}");
    }
    let key = json!({"scopes": ["users:read"], "apps": ["*"], "tenants": ["t"]});
    let key = site.key(key).await;
    let path = format!("/v1/api-keys/{}", key.id);
    let answer = site
        .owner("PATCH", &path, &json!({"scopes": ["admin"]}))
        .await;
    assert_eq!(answer.outcome(), "400 invalid_argument");
}

#[tokio::test]
async fn made_up_tenants_are_charged_to_the_key_that_makes_them_up() {
    let (world, _) = world().await;
    let site = Site::over(world, &[]).await;
    let key = json!({"scopes": ["tokens:read"], "apps": ["*"], "rate_limit": null});
    let (key, other) = (site.key(key.clone()).await, site.key(key).await);
    let path = "/v1/tokens/tenant";
    assert_eq!(got(&site, &key, path, Some("real")).await, "200");
    let before = site.world.requests(TOKEN);
    let mut refused = 0;
    for number in 0..200 {
        let tenant = format!("invented{number}");
        match got(&site, &key, path, Some(&tenant)).await.as_str() {
            "403 tenant_refused" => {}
            "429 rate_limited" => refused += 1,
            other => panic!("{other}"),
        }
    }
    assert_eq!(site.world.requests(TOKEN) - before, 60);
    assert_eq!(refused, 140);
    assert_eq!(got(&site, &key, path, Some("real")).await, "200");
    assert_eq!(
        got(&site, &other, path, Some("invented")).await,
        "403 tenant_refused"
    );
    // When the pauses are over, the same tenants cost the same again.
    site.world.advance(Duration::from_secs(1_800));
    let before = site.world.requests(TOKEN);
    for number in 0..200 {
        got(&site, &key, path, Some(&format!("invented{number}"))).await;
    }
    assert!(site.world.requests(TOKEN) - before <= 60);
}
