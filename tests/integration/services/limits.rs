//! Calls of the platform within its limits, and how many there were.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use lark_service::deadline::Deadline;
use lark_service::error::Error;
use lark_service::error::FailureKind;
use lark_service::ids::AppId;
use lark_service::lark::contacts::{UserId, UserIdKind};
use lark_service::lark::{Installation, Sender, contacts};
use lark_service::meter::{By, Calls};
use lark_service_tests::world::{APP, Process, World, soon};
use lark_simulator::{Fault, FaultAction, Settings};

const MINUTE: &str = "LARK_SERVICE_LARK_LIMIT_PER_MINUTE";
const SECOND: &str = "LARK_SERVICE_LARK_LIMIT_PER_SECOND";

fn app_id() -> AppId {
    AppId::parse(APP).unwrap()
}

/// A refusal of the frequency limit that asks to wait for `seconds`.
fn too_often(seconds: u64) -> FaultAction {
    FaultAction::Answer {
        status: 429,
        code: 99_991_400,
        msg: "request trigger frequency limit".to_owned(),
        body: None,
        headers: BTreeMap::from([("x-ogw-ratelimit-reset".to_owned(), seconds.to_string())]),
    }
}

/// Simulated time runs here, because waits are real.
#[tokio::test]
async fn three_times_the_limit_is_called_in_turn_by_all_processes_together() {
    const CALLS: usize = 150;
    let world = World::begin().await;
    world.control().unfreeze();
    let settings = Settings {
        rate_limits: true,
        ..world.control().settings()
    };
    world.control().set_settings(settings).unwrap();
    let limits = [(SECOND, "0"), (MINUTE, "100000")];
    let processes = [world.process_with(&limits), world.process_with(&limits)];
    let token = processes[0].token().await.unwrap();
    let app = processes[0]
        .0
        .apps
        .enabled(&app_id(), soon())
        .await
        .unwrap();
    let id = lark_simulator::open_id(APP, 1);
    let id = UserId::parse(UserIdKind::OpenId, &id).unwrap();
    let calls = processes.iter().cycle().take(CALLS).map(|process| async {
        let sender = Sender {
            installation: Installation::without_tenant(app.domain, &app.app_id),
            token: Some(&token.value),
            key_id: None,
        };
        let lark = &process.0.lark;
        lark.send(sender, &contacts::get_user(&id), soon()).await
    });
    let outcomes = join_all(calls).await;
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    // On a busy machine some calls may miss the slack; those were repeated.
    let repeated = world.user_requests() - CALLS as u64;
    assert!(repeated <= 5, "{repeated}");
}

#[tokio::test]
async fn a_call_that_would_wait_too_long_is_refused_and_never_reaches_the_platform() {
    let world = World::begin().await;
    let process = world.process_with(&[(MINUTE, "1")]);
    process.user(1).await.unwrap();
    let Err(Error::RateLimited {
        retry_after,
        failure: Some(failure),
    }) = process.user(2).await
    else {
        panic!("no refusal");
    };
    assert_eq!(
        (failure.kind, failure.code, failure.is_unsent),
        (FailureKind::RateLimited, None, true)
    );
    assert!(failure.msg.starts_with("not sent"), "{failure}");
    assert!(retry_after > Duration::from_secs(50) && retry_after < Duration::from_secs(61));
    assert_eq!(world.user_requests(), 1);
}

#[tokio::test]
async fn what_the_platform_refuses_for_a_second_is_asked_again_after_it() {
    let world = World::begin().await;
    world.control().unfreeze();
    let fault = Fault {
        count: Some(1),
        ..Fault::new("contact.user.get", too_often(1))
    };
    world.control().add_fault(fault).unwrap();
    let began_ms = world.control().now_ms();
    world.process().user(1).await.unwrap();
    assert!(world.control().now_ms() >= began_ms + 1_000);
    assert_eq!(world.user_requests(), 2);
}

#[tokio::test]
async fn what_the_platform_refuses_for_long_is_asked_by_nobody() {
    let world = World::begin().await;
    let fault = Fault {
        count: Some(1),
        ..Fault::new("contact.user.get", too_often(52))
    };
    world.control().add_fault(fault).unwrap();
    let refused = world.process().user(1).await.unwrap_err();
    assert_eq!(refused.lark().unwrap().code, Some(99_991_400));
    let other = world.process();
    let held_back = other.user(1).await.unwrap_err();
    assert!(held_back.lark().unwrap().is_unsent);
    assert_eq!(world.user_requests(), 1);
    world.advance(Duration::from_secs(52));
    other.user(1).await.unwrap();
}

async fn usage(process: &Process) -> Calls {
    let meter = &process.0.meter;
    meter
        .usage(&app_id(), By::Api, &meter.month(), soon())
        .await
        .unwrap()
}

#[tokio::test]
async fn calls_are_counted_and_put_on_record_by_the_warm_up() {
    let world = World::begin().await;
    let process = world.process();
    for number in [1, 2, 2] {
        process.user(number).await.unwrap();
    }
    let calls = Calls::from([
        ("tenant_access_token".to_owned(), 1),
        ("contact_user_get".to_owned(), 2),
    ]);
    assert_eq!(usage(&process).await, calls);
    process.0.warmer().run(&[], soon()).await.unwrap();
    // The warm-up's own calls are counted, and the next warm-up stores them.
    let all = usage(&process).await;
    assert!(all["contact_user_find_by_department"] > 100);
    world.cache.stop();
    assert_eq!(usage(&world.process()).await, calls);
}

#[tokio::test]
async fn what_was_not_sent_is_not_counted_and_what_the_store_does_not_take_stays() {
    let world = World::begin().await;
    let process = world.process_with(&[(MINUTE, "1")]);
    process.user(1).await.unwrap();
    process.user(2).await.unwrap_err();
    let calls = usage(&process).await;
    assert_eq!(calls["contact_user_get"], 1);
    world.store.stop();
    process
        .0
        .meter
        .persist(&app_id(), soon())
        .await
        .unwrap_err();
    world.store.start();
    assert_eq!(usage(&process).await, calls);
    assert_eq!(usage(&world.process()).await, calls);
}

#[tokio::test]
async fn a_call_that_hangs_ends_with_the_invocation_and_not_with_its_own_time() {
    let world = World::begin().await;
    let process = world.process();
    let token = process.token().await.unwrap();
    let fault = Fault::new("contact.user.get", FaultAction::Hang);
    world.control().add_fault(fault).unwrap();
    let app = process.0.apps.enabled(&app_id(), soon()).await.unwrap();
    let sender = Sender {
        key_id: None,
        installation: Installation::without_tenant(app.domain, &app.app_id),
        token: Some(&token.value),
    };
    let id = lark_simulator::open_id(APP, 1);
    let id = UserId::parse(UserIdKind::OpenId, &id).unwrap();
    // The time for a call is ten seconds.
    let left = Duration::from_millis(400);
    let began = Instant::now();
    let request = contacts::get_user(&id);
    let failure = process.0.lark.send(sender, &request, Deadline::after(left));
    let failure = failure.await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Timeout, "{failure}");
    assert!(began.elapsed() < Duration::from_secs(5));
    assert!(world.user_requests() > 0);
}
