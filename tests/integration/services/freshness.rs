//! How long cached data is fresh, who renews it, and what is served meanwhile.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use lark_service::directory::tiers::Tier;
use lark_service::error::ErrorCode;
use lark_service_tests::world::World;
use lark_simulator::{Fault, FaultAction, UserPatch};

const USER: &str = "contact.user.get";
/// Every profile is stale by then, and none is too old to be served during its renewal.
const SOFT: Duration = Duration::from_secs(3_600 * 11 / 10 + 1);
/// Every profile is too old by then to be served before its renewal.
const HARD: Duration = Duration::from_secs(3_600 * 11 / 10 * 3 / 2 + 1);

fn named(name: &str) -> UserPatch {
    UserPatch {
        name: Some(name.to_owned()),
        ..UserPatch::default()
    }
}

fn slow(delay_ms: u64) -> Fault {
    Fault {
        delay_ms,
        ..Fault::new(USER, FaultAction::Continue)
    }
}

#[tokio::test]
async fn a_stale_profile_is_served_while_a_slow_platform_brings_the_new_one() {
    let world = World::begin().await;
    let process = world.process();
    process.user(7).await.unwrap();
    world.control().update_user(7, named("Renamed")).unwrap();
    world.control().add_fault(slow(2_000)).unwrap();
    world.advance(SOFT);
    let began = Instant::now();
    let stale = process.user(7).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(2));
    assert!(stale.freshness.is_stale() && !stale.body.contains("Renamed"));
    // The call continues without its caller; the others who wait get its result.
    let fresh = loop {
        let found = process.user(7).await.unwrap();
        if !found.freshness.is_stale() {
            break found;
        }
    };
    assert!(fresh.body.contains("Renamed"));
    assert_eq!(world.user_requests(), 2);
}

#[tokio::test]
async fn many_callers_in_many_processes_renew_a_stale_profile_once() {
    let world = World::begin().await;
    let processes: Vec<_> = (0..8).map(|_| world.process()).collect();
    for process in &processes {
        process.user(7).await.unwrap();
    }
    world.advance(SOFT);
    let callers = processes
        .iter()
        .flat_map(|it| (0..50).map(move |_| it.user(7)));
    let found = join_all(callers).await;
    assert!(found.iter().all(Result::is_ok));
    // On a busy machine everybody may have the stale profile before the call arrives.
    let renewed = world.control().arrived(USER, 2);
    let renewed = tokio::time::timeout(Duration::from_secs(10), renewed).await;
    renewed.expect("one of them asks");
    assert_eq!(world.user_requests(), 2);
}

#[tokio::test]
async fn many_processes_without_anything_to_serve_wait_for_the_one_that_asks() {
    let world = World::begin().await;
    world.control().add_fault(slow(200)).unwrap();
    let processes: Vec<_> = (0..8).map(|_| world.process()).collect();
    for round in 1..=2 {
        let callers = processes
            .iter()
            .flat_map(|it| (0..50).map(move |_| it.user(7)));
        let found = join_all(callers).await;
        assert!(
            found
                .iter()
                .all(|found| found.as_ref().is_ok_and(|it| !it.freshness.is_stale()))
        );
        assert_eq!(world.user_requests(), round);
        world.advance(HARD);
    }
}

#[tokio::test]
async fn who_asks_first_may_give_up_without_failing_the_others() {
    let world = World::begin().await;
    world.control().add_fault(slow(150)).unwrap();
    let process = world.process();
    let first = tokio::time::timeout(Duration::from_millis(20), process.user(7));
    let (first, second) = tokio::join!(first, process.user(7));
    assert!(first.is_err());
    assert_eq!(second.unwrap().freshness.tier, Tier::Lark);
    assert_eq!(world.user_requests(), 1);
}

#[tokio::test]
async fn an_hour_without_the_platform_is_served_from_what_is_known() {
    let mut world = World::begin().await;
    let processes: Vec<_> = (0..3).map(|_| world.process()).collect();
    for number in 1..=20 {
        processes[number as usize % 3].user(number).await.unwrap();
    }
    world.simulator.pause().await;
    let mut stale = 0;
    for _minute in 0..120 {
        world.advance(Duration::from_secs(60));
        for number in 1..=20 {
            let found = processes[number as usize % 2].user(number).await.unwrap();
            stale += u64::from(found.freshness.is_stale());
        }
    }
    assert!(stale > 20 * 50, "{stale}");
    let unknown = processes[0].user(21).await.unwrap_err();
    assert_eq!(unknown.code(), ErrorCode::LarkUnavailable);
    world.simulator.resume().await.unwrap();
    // The token ran out meanwhile, and attempts to renew it pause.
    world.advance(Duration::from_secs(300));
    let found = processes[0].user(7).await.unwrap();
    assert_eq!(
        (found.freshness.tier, found.freshness.is_stale()),
        (Tier::Lark, false)
    );
}

#[tokio::test]
async fn an_address_that_moves_to_somebody_else_leads_to_them() {
    let world = World::begin().await;
    let process = world.process();
    let address = lark_simulator::email(7);
    let before = process.user_with_email(&address).await.unwrap();
    assert!(before.body.contains(&lark_simulator::user_id(7)));
    let moved = |email: &str| UserPatch {
        email: Some(email.to_owned()),
        ..UserPatch::default()
    };
    world
        .control()
        .update_user(7, moved("left@example.com"))
        .unwrap();
    world.control().update_user(8, moved(&address)).unwrap();
    world.advance(HARD);
    // After renewal under their own ids, neither mentions the old owner.
    process.user(7).await.unwrap();
    let after = process.user_with_email(&address).await.unwrap();
    assert!(after.body.contains(&lark_simulator::user_id(8)));
    let again = world.process().user_with_email(&address).await.unwrap();
    assert_eq!(again.freshness.tier, Tier::Valkey);
}

#[tokio::test]
async fn who_has_left_is_gone_when_the_profile_is_renewed() {
    let world = World::begin().await;
    let process = world.process();
    process.user(7).await.unwrap();
    world.control().delete_user(7).unwrap();
    world.advance(SOFT);
    let gone = process.user(7).await.unwrap_err();
    assert_eq!(gone.code(), ErrorCode::UserNotFound);
    // Not in the store either.
    world.advance(Duration::from_secs(61));
    let gone = world.process().user(7).await.unwrap_err();
    assert_eq!(gone.code(), ErrorCode::UserNotFound);
    assert_eq!(world.user_requests(), 3);
}

/// Not from the store either, which keeps what it has for outages.
#[tokio::test]
async fn who_has_left_does_not_come_back_while_the_platform_is_away() {
    let mut world = World::begin().await;
    let process = world.process();
    process.user(7).await.unwrap();
    world.control().delete_user(7).unwrap();
    world.advance(SOFT);
    let gone = process.user(7).await.unwrap_err();
    assert_eq!(gone.code(), ErrorCode::UserNotFound);
    world.advance(Duration::from_secs(61));
    world.simulator.pause().await;
    let unknown = world.process().user(7).await.unwrap_err();
    assert_eq!(unknown.code(), ErrorCode::LarkUnavailable);
}
