//! Look-ups of ids that do not exist: how many of them reach Lark.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use lark_service::error::ErrorCode;
use lark_service::lark::contacts::UserIdKind;
use lark_service_tests::directory::late;
use lark_service_tests::world::{APP, Process, World};
use lark_simulator::UserPatch;

/// Calls that reach the platform, without those for tokens.
fn calls(world: &World) -> u64 {
    let counters = world.control().counters();
    let endpoints = counters.endpoints.iter();
    let directory = endpoints.filter(|(name, _)| name.starts_with("contact."));
    directory.map(|(_, endpoint)| endpoint.requests).sum()
}

async fn look_up_strangers(process: &Process, numbers: std::ops::Range<u32>) {
    let strangers = stream::iter(numbers).for_each_concurrent(200, async |number| {
        let id = lark_simulator::user_id(number);
        let error = process.user_by(UserIdKind::UserId, &id).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::UserNotFound);
    });
    strangers.await;
}

#[tokio::test]
async fn of_ten_thousand_strangers_few_reach_lark_and_a_new_user_is_found_at_once() {
    let world = World::begin().await;
    let report = world.process().0.warmer().run(&[], late()).await.unwrap();
    assert_eq!((report.filters, report.directory_users), (1, 10_000));
    let process = world.process();
    let before = calls(&world);
    look_up_strangers(&process, 20_000..30_000).await;
    let reached = calls(&world) - before;
    println!(
        "FIGURE guard: {reached} of 10,000 look-ups of unknown ids reached the platform, counts of the directory included"
    );
    assert!(reached <= 150, "{reached}");

    // In the middle of the flood, when the allowance is used up.
    let number = world.control().create_user(UserPatch::default()).unwrap();
    let id = lark_simulator::user_id(number);
    process.user_by(UserIdKind::UserId, &id).await.unwrap();
    let number = world.control().create_user(UserPatch::default()).unwrap();
    world.process().user(number).await.unwrap();
}

#[tokio::test]
async fn without_a_filter_each_stranger_reaches_lark_once_until_the_absence_ends() {
    let world = World::begin().await;
    let process = world.process();
    for _ in 0..3 {
        look_up_strangers(&process, 20_000..20_500).await;
        look_up_strangers(&world.process(), 20_000..20_500).await;
    }
    assert_eq!(world.user_requests(), 500);
    let number = world.control().create_user(UserPatch::default()).unwrap();
    process.user(number).await.unwrap();
    world.advance(Duration::from_secs(61));
    look_up_strangers(&process, 20_000..20_500).await;
    assert_eq!(world.user_requests(), 1_001);
}

#[tokio::test]
async fn an_app_that_does_not_see_everybody_has_no_filter() {
    let world = World::begin().await;
    let scope = lark_simulator::AppPatch {
        contact_departments: Some(Some([1].into())),
        ..lark_simulator::AppPatch::default()
    };
    world.control().update_app(APP, scope).unwrap();
    let report = world.process().0.warmer().run(&[], late()).await.unwrap();
    assert_eq!((report.filters, report.failed), (0, 0));
    let process = world.process();
    look_up_strangers(&process, 20_000..20_100).await;
    assert_eq!(world.user_requests(), 100);
}
