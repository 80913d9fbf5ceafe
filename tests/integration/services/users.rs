//! Users: looked up once, cached in three tiers, absences too, served stale when Lark fails.

use std::time::Duration;

use futures_util::future::join_all;
use lark_service::directory::tiers::Tier;
use lark_service::error::ErrorCode;
use lark_service::lark::contacts::UserIdKind;
use lark_service_tests::world::World;
use lark_simulator::{Fault, FaultAction};

const USER: &str = "contact.user.get";

#[tokio::test]
async fn the_second_look_up_is_answered_by_the_nearest_tier_that_knows() {
    let world = World::begin().await;
    let process = world.process();
    assert_eq!(process.user(7).await.unwrap().freshness.tier, Tier::Lark);
    assert_eq!(process.user(7).await.unwrap().freshness.tier, Tier::Memory);
    assert_eq!(
        world.process().user(7).await.unwrap().freshness.tier,
        Tier::Valkey
    );
    world.cache.stop();
    assert_eq!(
        world.process().user(7).await.unwrap().freshness.tier,
        Tier::Store
    );
    assert_eq!((world.user_requests(), world.token_requests()), (1, 1));
}

#[tokio::test]
async fn a_user_is_found_by_each_of_their_ids() {
    let world = World::begin().await;
    let process = world.process();
    let by_open_id = process.user(42).await.unwrap().body;
    let ids = [
        (UserIdKind::UserId, lark_simulator::user_id(42)),
        (UserIdKind::UnionId, lark_simulator::union_id(42)),
    ];
    for (kind, id) in ids {
        let found = process.user_by(kind, &id).await.unwrap().body;
        let name =
            |body: &str| serde_json::from_str::<serde_json::Value>(body).unwrap()["name"].clone();
        assert_eq!(name(&found), name(&by_open_id));
        assert!(found.contains(&id));
    }
    // One profile, to which all ids and addresses lead.
    let by_email = process.user_with_email(&lark_simulator::email(42)).await;
    let by_mobile = process.user_with_mobile(&lark_simulator::mobile(42)).await;
    assert_eq!(by_email.unwrap().body, by_open_id);
    assert_eq!(by_mobile.unwrap().body, by_open_id);
    assert_eq!(world.user_requests(), 1);
}

#[tokio::test]
async fn a_profile_is_asked_for_again_after_its_time_and_kept_for_outages() {
    let mut world = World::begin().await;
    let process = world.process();
    let first = process.user(7).await.unwrap();
    world.advance(Duration::from_secs(3_600 * 11 / 10 + 1));
    assert_eq!(process.user(7).await.unwrap().freshness.tier, Tier::Lark);
    world.advance(Duration::from_secs(3_600 * 11 / 10 + 1));
    world.simulator.pause().await;
    let stale = process.user(7).await.unwrap();
    assert_eq!(
        (stale.freshness.tier, &stale.body),
        (Tier::Memory, &first.body)
    );
    assert!(stale.freshness.is_stale());
    // A new process finds it in the store, however stale it is.
    world.advance(Duration::from_secs(3_600));
    let stale = world.process().user(7).await.unwrap();
    assert_eq!(
        (stale.freshness.tier, stale.body),
        (Tier::Store, first.body)
    );
    world.advance(Duration::from_secs(24 * 3_600));
    assert_eq!(
        process.user(7).await.unwrap_err().code(),
        ErrorCode::LarkUnavailable
    );
}

#[tokio::test]
async fn an_absence_is_believed_for_a_minute_in_every_process() {
    let world = World::begin().await;
    let nobody = lark_simulator::user_id(99_999);
    for _ in 0..10 {
        let error = world
            .process()
            .user_by(UserIdKind::UserId, &nobody)
            .await
            .unwrap_err();
        assert_eq!(error.code(), ErrorCode::UserNotFound);
    }
    assert_eq!(world.user_requests(), 1);
    world.advance(Duration::from_secs(61));
    world
        .process()
        .user_by(UserIdKind::UserId, &nobody)
        .await
        .unwrap_err();
    assert_eq!(world.user_requests(), 2);
}

#[tokio::test]
async fn no_permission_is_not_an_absence() {
    let world = World::begin().await;
    let refusal = Fault {
        count: Some(1),
        ..Fault::new(USER, FaultAction::answer(403, 41_050))
    };
    world.control().add_fault(refusal).unwrap();
    let process = world.process();
    assert_eq!(
        process.user(7).await.unwrap_err().code(),
        ErrorCode::LarkForbidden
    );
    process.user(7).await.unwrap();
}

#[tokio::test]
async fn many_callers_for_one_cold_user_cost_one_call() {
    let world = World::begin().await;
    let process = world.process();
    let found = join_all((0..100).map(|_| process.user(7))).await;
    assert!(found.iter().all(Result::is_ok));
    assert_eq!(world.user_requests(), 1);
}

#[tokio::test]
async fn a_brief_failure_of_the_platform_is_not_seen() {
    let world = World::begin().await;
    world
        .control()
        .add_fault(Fault {
            count: Some(2),
            ..Fault::new(USER, FaultAction::answer(502, 1))
        })
        .unwrap();
    world.process().user(7).await.unwrap();
    assert_eq!(world.user_requests(), 3);
}

#[tokio::test]
async fn an_unregistered_app_is_named() {
    let world = World::begin().await;
    let error = world.process().token_of("cli_nobody").await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::AppNotFound);
    assert!(error.to_string().contains("cli_nobody"));
}

#[tokio::test]
async fn an_id_of_another_app_is_nobody_here_and_remembered_as_such() {
    let world = World::begin().await;
    let process = world.process();
    let foreign = lark_simulator::open_id("cli_demo000001", 7);
    for _ in 0..3 {
        let error = process
            .user_by(UserIdKind::OpenId, &foreign)
            .await
            .unwrap_err();
        assert_eq!(error.code(), ErrorCode::UserNotFound);
    }
    assert_eq!(world.user_requests(), 1);
}
