//! The scheduled run: which tokens wait for it, and which do not.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use lark_service::deadline::Deadline;
use lark_service::ids::{AppId, TenantKey};
use lark_service::tokens::TokenKey;
use lark_service_tests::world::{APP, World, soon};
use lark_simulator::{App, AppPatch, Fault, FaultAction, seeded_app_id, seeded_app_secret};

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
