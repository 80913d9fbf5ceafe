//! Tokens: fetched once, renewed in time, dropped when rejected, served through outages.

use std::time::Duration;

use futures_util::future::join_all;
use lark_service::error::ErrorCode;
use lark_service_tests::world::{APP, World, soon};
use lark_simulator::{Fault, FaultAction, FaultStage};
use secrecy::ExposeSecret;

const TOKEN: &str = "auth.tenant_access_token.internal";
const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn many_callers_in_many_processes_cost_one_token_request() {
    let world = World::begin().await;
    let processes: Vec<_> = (0..8).map(|_| world.process()).collect();
    let calls = processes
        .iter()
        .flat_map(|process| (0..50).map(move |_| process.token()));
    let tokens = join_all(calls).await;
    let distinct: std::collections::HashSet<_> = tokens
        .iter()
        .map(|token| token.as_ref().unwrap().value.expose_secret())
        .collect();
    assert_eq!(
        (tokens.len(), distinct.len(), world.token_requests()),
        (400, 1, 1)
    );
}

#[tokio::test]
async fn a_new_process_works_from_the_cache_without_the_store_and_from_the_store_without_the_cache()
{
    let world = World::begin().await;
    let first = world.process().token().await.unwrap();
    world.store.stop();
    let second = world.process().token().await.unwrap();
    world.store.start();
    world.cache.stop();
    let third = world.process().token().await.unwrap();
    for token in [second, third] {
        assert_eq!(token.value.expose_secret(), first.value.expose_secret());
    }
    assert_eq!(world.token_requests(), 1);
}

#[tokio::test]
async fn a_token_is_handed_out_for_7000_seconds_and_renewed_by_the_next_caller_after() {
    let world = World::begin().await;
    let process = world.process();
    let first = process.token().await.unwrap();
    world.advance(Duration::from_secs(6_999));
    assert_eq!(
        process.token().await.unwrap().value.expose_secret(),
        first.value.expose_secret()
    );
    world.advance(Duration::from_secs(1));
    assert_ne!(
        process.token().await.unwrap().value.expose_secret(),
        first.value.expose_secret()
    );
    assert_eq!(world.token_requests(), 2);
}

#[tokio::test]
async fn the_scheduled_run_renews_before_any_caller_would_have_to_wait() {
    let world = World::begin().await;
    let process = world.process();
    let first = process.token().await.unwrap();
    let refresher = process.0.refresher();
    world.advance(94 * MINUTE);
    assert_eq!(
        refresher.run(soon()).await.unwrap().due,
        0,
        "more than 25 minutes are left"
    );
    world.advance(6 * MINUTE);
    let report = refresher.run(soon()).await.unwrap();
    assert_eq!((report.due, report.refreshed, report.failed), (1, 1, 0));
    assert_eq!(refresher.run(soon()).await.unwrap().due, 0);
    // A process that has cached the old token returns it for a moment longer; both tokens work.
    world.advance(Duration::from_secs(5));
    assert_ne!(
        process.token().await.unwrap().value.expose_secret(),
        first.value.expose_secret()
    );
    assert_eq!(world.token_requests(), 2);
}

#[tokio::test]
async fn a_rejected_token_is_used_by_no_process_again() {
    let world = World::begin().await;
    let processes: Vec<_> = (0..4).map(|_| world.process()).collect();
    for (number, process) in (1..).zip(&processes) {
        process.user(number).await.unwrap();
    }
    assert_eq!(world.token_requests(), 1);
    assert!(world.control().revoke_app_tokens(APP) > 0);
    for (number, process) in (11..).zip(&processes) {
        process.user(number).await.unwrap();
    }
    assert_eq!((world.rejected_calls(), world.token_requests()), (1, 2));
}

#[tokio::test]
async fn many_callers_with_a_rejected_token_cost_one_refresh() {
    let world = World::begin().await;
    let process = world.process();
    process.user(1).await.unwrap();
    world.control().revoke_app_tokens(APP);
    let found = join_all((10..60).map(|number| process.user(number))).await;
    assert!(found.iter().all(Result::is_ok));
    assert_eq!(world.token_requests(), 2);
}

#[tokio::test]
async fn a_rejection_is_noticed_with_status_200_too() {
    let world = World::begin().await;
    let mut settings = world.control().settings();
    settings.token_error_status = 200;
    world.control().set_settings(settings).unwrap();
    let process = world.process();
    process.user(1).await.unwrap();
    world.control().revoke_app_tokens(APP);
    process.user(2).await.unwrap();
    assert_eq!((world.rejected_calls(), world.token_requests()), (1, 2));
}

#[tokio::test]
async fn a_platform_outage_of_20_minutes_in_the_refresh_window_costs_no_caller_anything() {
    let mut world = World::begin().await;
    let processes: Vec<_> = (0..2).map(|_| world.process()).collect();
    let refresher = processes[0].0.refresher();
    processes[0].token().await.unwrap();
    // The window opens at the latest when 20 minutes are left; here at its earliest, the run every minute finds it.
    world.advance(Duration::from_secs(7_200 - 20 * 60 - 1));
    world.simulator.pause().await;
    let mut calls = 0;
    for second in 0..20 * 60 {
        if second % 60 == 0 {
            let report = refresher.run(soon()).await.unwrap();
            assert_eq!(report.refreshed, 0, "the platform is down");
        }
        for tenth in 0..10 {
            processes[tenth % 2]
                .token()
                .await
                .expect("a token that still works");
            calls += 1;
            world.advance(Duration::from_millis(100));
        }
    }
    world.simulator.resume().await.unwrap();
    world.advance(MINUTE);
    assert_eq!(refresher.run(soon()).await.unwrap().refreshed, 1);
    assert_eq!(calls, 12_000);
}

#[tokio::test]
async fn a_wrong_secret_is_told_and_does_not_become_a_storm() {
    let world = World::begin().await;
    world.control().rotate_secret(APP, "another").unwrap();
    // Rotation keeps the previous secret valid; the second one makes the service's own wrong.
    world.control().rotate_secret(APP, "yet-another").unwrap();
    let process = world.process();
    for _ in 0..20 {
        let error = process.token().await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::AppRefused);
        assert_eq!(error.lark().and_then(|lark| lark.code), Some(10_014));
        assert!(error.retry_after().is_some());
    }
    assert_eq!(
        world.process().token().await.unwrap_err().code(),
        ErrorCode::AppRefused
    );
    assert_eq!(world.token_requests(), 1);
    world.advance(2 * MINUTE);
    process.token().await.unwrap_err();
    assert_eq!(world.token_requests(), 2);
}

#[tokio::test]
async fn the_right_secret_ends_a_cool_down_at_once() {
    let world = World::begin().await;
    world
        .seed(r#"{"apps":[{"app_id":"cli_late","secret":"wrong"}]}"#)
        .await;
    world
        .control()
        .add_app(lark_simulator::App::new("cli_late", "right"))
        .unwrap();
    world.process().token_of("cli_late").await.unwrap_err();
    world
        .seed(r#"{"apps":[{"app_id":"cli_late","secret":"right"}]}"#)
        .await;
    world.process().token_of("cli_late").await.unwrap();
}

#[tokio::test]
async fn without_cache_and_store_a_process_fetches_for_itself_and_remembers() {
    let world = World::begin().await;
    let process = world.process();
    process.token().await.unwrap();
    world.cache.stop();
    world.store.stop();
    world.advance(Duration::from_secs(7_000));
    for _ in 0..50 {
        process.token().await.unwrap();
    }
    assert_eq!(world.token_requests(), 2);
}

#[tokio::test]
async fn a_holder_that_died_is_succeeded_when_its_lease_ends() {
    let world = World::begin().await;
    let hang = Fault {
        count: Some(1),
        ..Fault::new(TOKEN, FaultAction::Hang)
    };
    world.control().add_fault(hang).unwrap();
    let doomed = world.process();
    let its_runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    its_runtime.spawn(async move { doomed.token().await });
    world.control().arrived(TOKEN, 1).await;
    // The process dies during its token request: only its leases remain.
    its_runtime.shutdown_background();
    world.advance(Duration::from_secs(16));
    world.process().token().await.unwrap();
}

#[tokio::test]
async fn an_answer_that_was_lost_is_fetched_again() {
    let world = World::begin().await;
    let lost = Fault {
        count: Some(1),
        stage: FaultStage::After,
        ..Fault::new(TOKEN, FaultAction::Reset)
    };
    world.control().add_fault(lost).unwrap();
    world.process().token().await.unwrap();
    assert_eq!(world.token_requests(), 2);
}

#[tokio::test]
async fn scheduled_runs_side_by_side_renew_each_token_once() {
    let world = World::begin().await;
    for number in 2..=60 {
        let app_id = lark_simulator::seeded_app_id(number);
        let secret = lark_simulator::seeded_app_secret(&app_id);
        world
            .control()
            .add_app(lark_simulator::App::new(&app_id, &secret))
            .unwrap();
        world
            .seed(&format!(
                r#"{{"apps":[{{"app_id":"{app_id}","secret":"{secret}"}}]}}"#
            ))
            .await;
    }
    let runs: Vec<_> = (0..4).map(|_| world.process().0.refresher()).collect();
    let reports = join_all(runs.iter().map(|run| run.run(soon()))).await;
    let refreshed: u64 = reports
        .iter()
        .map(|report| report.as_ref().unwrap().refreshed)
        .sum();
    assert_eq!((refreshed, world.token_requests()), (60, 60));
    world.advance(101 * MINUTE);
    let reports = join_all(runs.iter().map(|run| run.run(soon()))).await;
    let refreshed: u64 = reports
        .iter()
        .map(|report| report.as_ref().unwrap().refreshed)
        .sum();
    assert_eq!((refreshed, world.token_requests()), (60, 120));
}

#[tokio::test]
async fn one_failing_app_neither_delays_nor_fails_the_others() {
    let world = World::begin().await;
    world
        .seed(r#"{"apps":[{"app_id":"cli_gone","secret":"s"}]}"#)
        .await;
    let report = world.process().0.refresher().run(soon()).await.unwrap();
    assert_eq!((report.refreshed, report.failed), (1, 1));
    // What failed is due again after its pause, not at once.
    assert_eq!(
        world.process().0.refresher().run(soon()).await.unwrap().due,
        0
    );
}

#[tokio::test]
async fn a_token_rejected_while_the_store_is_away_does_not_come_back_with_it() {
    let world = World::begin().await;
    let processes: Vec<_> = (0..3).map(|_| world.process()).collect();
    for (number, process) in (1..).zip(&processes) {
        process.user(number).await.unwrap();
    }
    world.control().revoke_app_tokens(APP);
    world.store.stop();
    processes[0].user(11).await.unwrap();
    world.store.start();
    for (number, process) in (12..).zip(&processes) {
        process.user(number).await.unwrap();
    }
    assert_eq!((world.rejected_calls(), world.token_requests()), (1, 2));
}

#[tokio::test]
async fn without_the_cache_the_lease_in_the_store_lets_one_process_ask() {
    let world = World::begin().await;
    world.cache.stop();
    let slow = Fault {
        delay_ms: 300,
        ..Fault::new(TOKEN, FaultAction::Continue)
    };
    world.control().add_fault(slow).unwrap();
    let (one, other) = (world.process(), world.process());
    let (first, second) = tokio::join!(one.token(), other.token());
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!(first.value.expose_secret(), second.value.expose_secret());
    assert_eq!(world.token_requests(), 1);
}

#[tokio::test]
async fn a_renewal_that_was_frozen_beyond_its_time_keeps_no_caller_waiting() {
    let world = World::begin().await;
    let process = world.process();
    let hang = Fault {
        count: Some(1),
        ..Fault::new(TOKEN, FaultAction::Hang)
    };
    world.control().add_fault(hang).unwrap();
    let mut frozen = tokio::task::JoinSet::new();
    let caller = process.clone();
    frozen.spawn(async move { caller.token().await });
    world.control().arrived(TOKEN, 1).await;
    // The process stands still, and its lease and its time are over.
    world.advance(Duration::from_secs(70));
    let token = tokio::time::timeout(Duration::from_secs(2), process.token()).await;
    token.expect("a renewal of its own").unwrap();
    assert_eq!(world.token_requests(), 2);
}

/// Three attempts fail while the process stands still: what it saw says nothing about the platform.
#[tokio::test]
async fn an_outage_that_a_frozen_process_saw_is_told_to_nobody() {
    let world = World::begin().await;
    let process = world.process();
    let hang = Fault {
        count: Some(1),
        ..Fault::new(TOKEN, FaultAction::Hang)
    };
    world.control().add_fault(hang).unwrap();
    let reset = Fault {
        count: Some(2),
        ..Fault::new(TOKEN, FaultAction::Reset)
    };
    let thaw = async {
        world.control().arrived(TOKEN, 1).await;
        world.advance(Duration::from_secs(12));
        // The first attempt ends here; the others come after a pause.
        world.control().clear_faults();
        world.control().add_fault(reset).unwrap();
    };
    let (token, ()) = tokio::join!(process.token(), thaw);
    token.expect("the platform works");
    assert_eq!(world.token_requests(), 4);
}
