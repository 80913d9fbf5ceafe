//! Refreshes of logins: awaited to the end, refused for a while or for good, and pairs that wait in the cache.

use std::collections::BTreeMap;
use std::time::Duration;

use lark_service::cache::Cache;
use lark_service::deadline::Deadline;
use lark_service::error::LoginEnd;
use lark_service::tokens::{TokenKey, Trust};
use lark_service_tests::world::{APP, soon};
use lark_simulator::{Fault, FaultAction, FaultStage};

use super::logins::{LATER, LIFE, app_id, end_of, lost_answer, value, world};

/// The platform does its work, and its answer comes after this many milliseconds.
fn late_answer(delay_ms: u64) -> Fault {
    Fault {
        stage: FaultStage::After,
        count: Some(1),
        delay_ms,
        ..Fault::new("authen.oauth_token", FaultAction::Continue)
    }
}

#[tokio::test]
async fn once_a_refresh_token_was_presented_nobody_is_answered_before_the_outcome_is_stored() {
    let (world, process, open_id) = world().await;
    let old = process.user_token(&open_id).await.unwrap();
    world.advance(LIFE - Duration::from_secs(100));
    // Longer than a caller waits who has an old token to fall back on.
    world.control().add_fault(late_answer(2_200)).unwrap();
    let new = process.user_token(&open_id).await.unwrap();
    assert_ne!(value(&new), value(&old));
    // The process may be frozen now, for ever: the store has the pair.
    world.advance(LATER);
    let other = world.process().user_token(&open_id).await.unwrap();
    assert_eq!(value(&other), value(&new));
    let counters = world.control().counters();
    assert_eq!((counters.refresh_grants, counters.refresh_rejected), (1, 0));
}

#[tokio::test]
async fn no_refresh_token_is_presented_for_a_caller_who_cannot_await_the_outcome() {
    let (world, process, open_id) = world().await;
    world.advance(LIFE);
    let app = process.0.apps.enabled(&app_id(), soon()).await.unwrap();
    let key = TokenKey::user(app_id(), &open_id);
    let hurried = Deadline::after(Duration::from_secs(10));
    let tokens = &process.0.tokens;
    let error = tokens.token(&app, &key, Trust::Local, hurried).await;
    assert_eq!(error.unwrap_err().code().as_str(), "deadline_exceeded");
    assert_eq!(world.control().counters().refresh_grants, 0);
    process.user_token(&open_id).await.unwrap();
}

fn answer(code: i64) -> Fault {
    Fault {
        count: Some(1),
        ..Fault::new(
            "authen.oauth_token",
            FaultAction::Answer {
                status: 400,
                code,
                msg: "no".to_owned(),
                body: None,
                headers: BTreeMap::new(),
            },
        )
    }
}

#[tokio::test]
async fn a_refusal_that_an_administrator_can_take_back_pauses_a_login_and_every_other_ends_it() {
    for code in [20_008, 20_010, 20_066, 20_074] {
        let (world, process, open_id) = world().await;
        world.advance(LIFE);
        world.control().add_fault(answer(code)).unwrap();
        for _ in 0..3 {
            let error = process.user_token(&open_id).await.unwrap_err();
            assert_eq!(error.code().as_str(), "lark_forbidden", "{code}");
        }
        world.advance(LATER);
        process.user_token(&open_id).await.unwrap();
        let counters = world.control().counters();
        assert_eq!(counters.refresh_grants, 1, "{code}: asked once in a pause");
    }
    for (code, end) in [
        (20_026, LoginEnd::Refused),
        (20_037, LoginEnd::Expired),
        (20_064, LoginEnd::Revoked),
        (20_073, LoginEnd::UsedElsewhere),
    ] {
        let (world, process, open_id) = world().await;
        world.advance(LIFE);
        world.control().add_fault(answer(code)).unwrap();
        assert_eq!(end_of(process.user_token(&open_id).await), end, "{code}");
        world.advance(LATER);
        assert_eq!(end_of(process.user_token(&open_id).await), end, "{code}");
    }
}

#[tokio::test]
async fn a_pair_that_waits_in_the_cache_is_no_successor_of_a_later_login() {
    let (world, process, open_id) = world().await;
    world.advance(LIFE);
    world.store.stop_after(1);
    process.user_token(&open_id).await.unwrap_err();
    world.store.start();
    let rescued = format!("lark:login-rescue:{APP}:{open_id}");
    let old = world.cache.get(&rescued).await.unwrap().expect("a pair");
    // The user logs out and in again, and the answer to the next refresh is lost: the login is in doubt, and the old pair is there.
    process
        .0
        .logins
        .end(&app_id(), &open_id, soon())
        .await
        .unwrap();
    process.log_in(world.control(), 7).await.unwrap();
    world.advance(LIFE);
    world.control().add_fault(lost_answer()).unwrap();
    process.user_token(&open_id).await.unwrap_err();
    let day = Duration::from_secs(24 * 3_600);
    world.cache.put(&rescued, &old, day).await.unwrap();
    world.advance(LATER);
    assert_eq!(
        end_of(world.process().user_token(&open_id).await),
        LoginEnd::OutcomeLost
    );
}

#[tokio::test]
async fn a_pair_that_is_stored_waits_nowhere_else() {
    let (world, process, open_id) = world().await;
    world.advance(LIFE);
    process.user_token(&open_id).await.unwrap();
    assert_eq!(world.control().counters().refresh_grants, 1);
    let rescued = format!("lark:login-rescue:{APP}:{open_id}");
    assert_eq!(world.cache.get(&rescued).await.unwrap(), None);
}
