//! The warm-up: what it fills, and that it goes on where it stopped.

use std::time::Duration;

use lark_service::deadline::Deadline;
use lark_service::directory::tiers::Tier;
use lark_service_tests::directory::late;
use lark_service_tests::world::World;
use lark_simulator::AppPatch;

const LIST: &str = "contact.user.find_by_department";

#[tokio::test]
async fn after_a_warm_up_nobody_waits_for_lark() {
    let world = World::begin().await;
    let report = world.process().0.warmer().run(&[], late()).await.unwrap();
    assert_eq!((report.apps, report.tokens, report.failed), (1, 1, 0));
    assert_eq!((report.directory_users, report.departments), (10_000, 101));
    assert!(!report.is_unfinished);
    // Two pages for each of a hundred departments of a hundred, one for the root.
    assert_eq!(world.requests(LIST), 201);
    let process = world.process();
    for number in [1, 77, 5_000, 10_000] {
        assert_eq!(
            process.user(number).await.unwrap().freshness.tier,
            Tier::Valkey
        );
        let address = lark_simulator::email(number);
        process.user_with_email(&address).await.unwrap();
    }
    assert_eq!((world.user_requests(), world.token_requests()), (0, 1));
    assert_eq!(world.requests("contact.user.batch_get_id"), 0);
}

#[tokio::test]
async fn a_run_that_ends_with_its_time_is_gone_on_with_by_the_next() {
    let world = World::begin().await;
    let warmer = world.process().0.warmer();
    let settings = lark_simulator::Settings {
        delay_ms: 20,
        ..world.control().settings()
    };
    world.control().set_settings(settings).unwrap();
    // The warm-up reserves five seconds to store its position.
    let short = Deadline::after(Duration::from_millis(5_800));
    let first = warmer.run(&[], short).await.unwrap();
    assert!(first.is_unfinished && first.departments < 100, "{first:?}");
    let read = world.requests(LIST);
    let second = world.process().0.warmer().run(&[], late()).await.unwrap();
    assert_eq!((second.is_unfinished, second.filters), (false, 1));
    assert_eq!(first.departments + second.departments, 101);
    // The page on which time ran out may have been fetched twice.
    assert!((201..=202).contains(&world.requests(LIST)), "{read}");
}

#[tokio::test]
async fn where_the_directory_is_not_to_be_read_the_popular_users_are_warmed() {
    let world = World::begin().await;
    let scope = AppPatch {
        contact_departments: Some(Some((1..=99).collect())),
        ..AppPatch::default()
    };
    world
        .control()
        .update_app(lark_service_tests::world::APP, scope)
        .unwrap();
    let process = world.process();
    for round in 0..400_u32 {
        process.user(round % 20 + 1).await.unwrap();
    }
    world.advance(Duration::from_secs(3_600 * 3));
    // The next counted look-up reports it.
    for _ in 0..40 {
        process.user(1).await.unwrap();
    }
    let report = world.process().0.warmer().run(&[], late()).await.unwrap();
    assert!(report.popular_users >= 15, "{report:?}");
    assert_eq!((report.directory_users, report.filters), (0, 0));
    let before = world.user_requests();
    let other = world.process();
    for number in 1..=20 {
        other.user(number).await.unwrap();
    }
    assert!(world.user_requests() - before <= 20 - report.popular_users);
}

#[tokio::test]
async fn an_app_that_fails_does_not_keep_the_others_cold() {
    let world = World::begin().await;
    world.seed_demo().await;
    world
        .control()
        .disable_app(lark_service_tests::world::DEMO_APP)
        .unwrap();
    let report = world.process().0.warmer().run(&[], late()).await.unwrap();
    assert_eq!((report.apps, report.tokens, report.failed), (2, 1, 1));
    assert_eq!(report.filters, 1);
}
