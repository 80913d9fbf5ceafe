//! The scheduled run: which tokens wait for it, and which do not.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use lark_service::clock::Timestamp;
use lark_service::deadline::Deadline;
use lark_service::ids::{AppId, TenantKey};
use lark_service::store::intercepted::{InterceptedStore, Operation};
use lark_service::store::{Due, Record, Table};
use lark_service::tokens::TokenKey;
use lark_service_tests::switchable::FailOnce;
use lark_service_tests::world::{APP, World, soon};
use lark_simulator::{
    App, AppPatch, Fault, FaultAction, FaultStage, seeded_app_id, seeded_app_secret,
};

/// Apps for which the platform works.
const HEALTHY: std::ops::RangeInclusive<u32> = 2..=9;
const TOKEN: &str = "auth.tenant_access_token.internal";

async fn seed_healthy(world: &World) {
    let apps = HEALTHY.map(seeded_app_id).map(|app_id| {
        let secret = seeded_app_secret(&app_id);
        world.control().add_app(App::new(&app_id, &secret)).unwrap();
        format!(r#"{{"app_id":"{app_id}","secret":"{secret}"}}"#)
    });
    let apps: Vec<_> = apps.collect();
    world
        .seed(&format!(r#"{{"apps":[{}]}}"#, apps.join(",")))
        .await;
}

#[tokio::test]
async fn an_app_for_which_the_platform_hangs_keeps_no_other_waiting() {
    let world = World::begin().await;
    let process = world.process_with(&[("LARK_SERVICE_REFRESH_CONCURRENCY", "8")]);
    process.token().await.unwrap();
    for user in 1..=30 {
        process.log_in(world.control(), user).await.unwrap();
    }
    world.advance(Duration::from_secs(4 * 24 * 3_600));
    // Due after the thirty logins, each of which hangs.
    seed_healthy(&world).await;
    let hang = Fault {
        app_id: Some(APP.to_owned()),
        ..Fault::new("authen.oauth_token", FaultAction::Hang)
    };
    world.control().add_fault(hang).unwrap();
    let refresher = process.0.refresher();
    let others = async {
        let healthy = 1 + u64::try_from(HEALTHY.count()).unwrap();
        let done = world.control().arrived(TOKEN, healthy);
        let outcome = tokio::time::timeout(Duration::from_secs(20), done).await;
        world.control().clear_faults();
        outcome.expect("the other apps are served while one hangs");
    };
    let (report, ()) = tokio::join!(refresher.run(soon()), others);
    let report = report.unwrap();
    assert!(report.refreshed >= 8 && report.due == 39, "{report:?}");
}

#[tokio::test]
async fn an_app_with_more_than_the_first_pages_hold_does_not_hide_the_others() {
    let world = World::begin().await;
    let process = world.process();
    let app_id = AppId::parse(APP).unwrap();
    stream::iter(0..9_000)
        .map(|number| {
            let tenant = TenantKey::parse(&format!("t{number}"));
            let key = TokenKey::tenant(app_id.clone(), tenant.as_ref());
            let tokens = &process.0.tokens;
            async move { tokens.make_due(&key, soon()).await.unwrap() }
        })
        .buffer_unordered(500)
        .for_each(|()| std::future::ready(()))
        .await;
    world.advance(Duration::from_secs(60));
    seed_healthy(&world).await;
    let hang = Fault {
        app_id: Some(APP.to_owned()),
        ..Fault::new(TOKEN, FaultAction::Hang)
    };
    world.control().add_fault(hang).unwrap();
    // Six seconds, five of which are reserved for work in progress.
    let deadline = Deadline::after(Duration::from_secs(6));
    let report = process.0.refresher().run(deadline).await.unwrap();
    assert!(report.is_partial && report.refreshed == 8, "{report:?}");
}

#[tokio::test]
async fn an_app_whose_credentials_are_refused_is_asked_about_once_a_run() {
    let world = World::begin().await;
    let process = world.process_with(&[("LARK_SERVICE_REFRESH_CONCURRENCY", "1")]);
    for user in 1..=10 {
        process.log_in(world.control(), user).await.unwrap();
    }
    world.advance(Duration::from_secs(4 * 24 * 3_600));
    seed_healthy(&world).await;
    let other_secret = AppPatch {
        secret: Some("another".to_owned()),
        ..AppPatch::default()
    };
    world.control().update_app(APP, other_secret).unwrap();
    let report = process.0.refresher().run(soon()).await.unwrap();
    assert_eq!(report.refreshed, 8, "{report:?}");
    assert_eq!(
        report.failed, 11,
        "ten logins and the app's own token: {report:?}"
    );
    let counters = world.control().counters();
    let asked = counters.endpoints[TOKEN].requests - 8;
    let presented = counters.endpoints["authen.oauth_token"].requests - 10;
    assert_eq!(asked + presented, 1, "one refusal is enough for a run");
    // With the right secret the next run finds every login as it was.
    let right = AppPatch {
        secret: Some(seeded_app_secret(APP)),
        ..AppPatch::default()
    };
    world.control().update_app(APP, right).unwrap();
    world.advance(Duration::from_secs(120));
    let report = process.0.refresher().run(soon()).await.unwrap();
    assert_eq!((report.refreshed, report.failed), (11, 0), "{report:?}");
    assert_eq!(world.control().counters().refresh_rejected, 0);
}

/// An app that is not registered (any more), and whose `count` tokens are due in the shards of the index from this one on.
async fn leave_behind(world: &World, count: u32, shards: std::ops::RangeInclusive<u8>) {
    let app_id = AppId::parse("cli_gone").unwrap();
    let at = Timestamp::from_millis(i64::try_from(world.control().now_ms()).unwrap());
    let shards: Vec<u8> = shards.collect();
    let records = (0..count)
        .zip(shards.iter().cycle())
        .map(|(number, shard)| {
            let tenant = TenantKey::parse(&format!("t{number}"));
            let key = TokenKey::tenant(app_id.clone(), tenant.as_ref());
            let due = Some(Due { shard: *shard, at });
            Record {
                due,
                ..Record::new(key.store_key(), 1)
            }
        });
    let records: Vec<_> = records.collect();
    let store = world.shared_store();
    store.put_many(Table::Tokens, &records).await.unwrap();
}

#[tokio::test]
async fn a_run_begins_as_many_of_one_app_as_it_has_time_for() {
    let world = World::begin().await;
    leave_behind(&world, 4_500, 0..=15).await;
    let report = world.process().0.refresher().run(soon()).await.unwrap();
    assert_eq!((report.retired, report.left), (4_500, 0), "{report:?}");
    assert!(!report.is_partial, "{report:?}");
}

#[tokio::test]
async fn when_the_next_page_of_the_index_fails_what_was_begun_is_finished() {
    let world = World::begin().await;
    let process = world.process();
    let open_id = process.log_in(world.control(), 7).await.unwrap();
    world.advance(Duration::from_secs(4 * 24 * 3_600));
    process.token().await.unwrap();
    seed_healthy(&world).await;
    // A full page, so that another is read once the other apps are done.
    leave_behind(&world, 500, 3..=3).await;
    let late = Fault {
        stage: FaultStage::After,
        delay_ms: 1_000,
        ..Fault::new("authen.oauth_token", FaultAction::Continue)
    };
    world.control().add_fault(late).unwrap();
    let throttled = FailOnce::after(16, Operation::Due, Table::Tokens);
    let store = InterceptedStore::new(world.shared_store(), Arc::new(throttled));
    let few = [("LARK_SERVICE_REFRESH_CONCURRENCY", "2")];
    let runner = world.process_over_with(Arc::new(store), &few);
    let error = runner.0.refresher().run(soon()).await.unwrap_err();
    assert_eq!(error.code().as_str(), "store_unavailable");
    world.control().clear_faults();
    assert_eq!(world.control().counters().refresh_grants, 1);
    // The pair that the platform issued is there.
    world.process().user_token(&open_id).await.unwrap();
    let counters = world.control().counters();
    assert_eq!((counters.refresh_grants, counters.refresh_rejected), (1, 0));
}

#[tokio::test]
async fn with_little_time_left_tokens_are_renewed_and_no_login_is_begun() {
    let world = World::begin().await;
    let process = world.process();
    process.token().await.unwrap();
    process.log_in(world.control(), 7).await.unwrap();
    world.advance(Duration::from_secs(4 * 24 * 3_600));
    let short = Deadline::after(Duration::from_secs(12));
    let report = process.0.refresher().run(short).await.unwrap();
    assert_eq!((report.refreshed, report.left), (1, 1), "{report:?}");
    assert_eq!(world.control().counters().refresh_grants, 0);
    let report = process.0.refresher().run(soon()).await.unwrap();
    assert_eq!((report.refreshed, report.left), (1, 0), "{report:?}");
}

#[tokio::test]
async fn a_tenant_without_the_app_stops_no_other_tenant() {
    let world = World::begin().await;
    let app = App {
        marketplace: true,
        tenants: ["tenant_a", "tenant_b"].map(str::to_owned).into(),
        ..App::new("cli_market", "market-secret")
    };
    world.control().add_app(app).unwrap();
    world
        .seed(r#"{"apps":[{"app_id":"cli_market","secret":"market-secret","kind":"marketplace"}]}"#)
        .await;
    let process = world.process_with(&[("LARK_SERVICE_REFRESH_CONCURRENCY", "1")]);
    let app_id = AppId::parse("cli_market").unwrap();
    let ticket = world.control().app_ticket("cli_market").unwrap();
    let ticket = ticket.into();
    let apps = &process.0.apps;
    apps.keep_ticket(&app_id, &ticket, soon()).await.unwrap();
    process.0.refresher().run(soon()).await.unwrap();
    for tenant in ["mistyped", "tenant_a", "gone", "tenant_b"] {
        let key = TokenKey::tenant(app_id.clone(), TenantKey::parse(tenant).as_ref());
        process.0.tokens.make_due(&key, soon()).await.unwrap();
        world.advance(Duration::from_secs(1));
    }
    let report = process.0.refresher().run(soon()).await.unwrap();
    assert_eq!((report.refreshed, report.failed), (2, 2), "{report:?}");
}
