//! Many processes that want the same thing at once, and processes that die in the middle.

use std::time::Duration;

use futures_util::future::join_all;
use lark_service_tests::worker::{Command, Outcome, Work};
use lark_service_tests::world::APP;
use lark_simulator::{Options, Settings, seeded_app_id, seeded_app_secret};

use lark_service_tests::town::{Town, figure};

#[tokio::test(flavor = "multi_thread")]
async fn eight_processes_with_fifty_cold_callers_each_cost_one_token_request() {
    let town = Town::found().await;
    let mut workers = join_all((0..8).map(|_| town.worker())).await;
    let outcomes = join_all(workers.iter_mut().map(|worker| async {
        worker
            .tell(Command::Burst {
                work: Work::LocalToken,
                callers: 50,
            })
            .await;
        worker.outcome().await
    }));
    let outcomes: Vec<Outcome> = outcomes.await;
    let answered: u64 = outcomes.iter().map(|outcome| outcome.ok).sum();
    assert_eq!((answered, town.token_requests()), (400, 1));
    assert!(
        outcomes
            .iter()
            .all(|outcome| outcome.tokens == outcomes[0].tokens)
    );
    figure(format!(
        "stampede: {answered} of 400 callers in 8 processes answered, 1 token request"
    ))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_is_rejected_once_among_all_processes() {
    let town = Town::found().await;
    let mut workers = join_all((0..4).map(|_| town.worker())).await;
    for worker in &mut workers {
        worker
            .tell(Command::Burst {
                work: Work::LocalToken,
                callers: 1,
            })
            .await;
        assert_eq!(worker.outcome().await.ok, 1);
    }
    assert_eq!(town.simulator.control().revoke_app_tokens(APP), 1);
    // One caller finds out; the others of that process and of all others come after.
    for (worker, callers) in workers.iter_mut().zip([1, 3, 3, 3]) {
        let work = Work::User;
        worker.tell(Command::Burst { work, callers }).await;
        assert_eq!(worker.outcome().await.ok, u64::from(callers));
    }
    assert_eq!((town.rejected_calls(), town.token_requests()), (1, 2));
    figure("revoked token: 1 rejected call, 1 refresh, 10 of 10 calls answered".to_owned()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_run_that_is_killed_leaves_the_rest_to_the_next() {
    const APPS: u32 = 300;
    let settings = Settings {
        delay_ms: 50,
        ..Settings::default()
    };
    let town = Town::found_with(Options {
        seeded_apps: APPS,
        settings,
        ..Options::default()
    })
    .await;
    let apps: Vec<_> = (1..=APPS)
        .map(seeded_app_id)
        .map(|app_id| {
            format!(
                r#"{{"app_id":"{app_id}","secret":"{}"}}"#,
                seeded_app_secret(&app_id)
            )
        })
        .collect();
    town.seed(&format!(r#"{{"apps":[{}]}}"#, apps.join(",")))
        .await;

    let mut doomed = town.worker().await;
    doomed.tell(Command::Refresh).await;
    town.simulator
        .control()
        .arrived("auth.tenant_access_token.internal", u64::from(APPS) / 2)
        .await;
    doomed.kill().await;

    // What the dead run had leased is due again when its leases end; the next runs find it by themselves.
    let all = async {
        let mut successor = town.worker().await;
        let mut finished = 0;
        while finished < u64::from(APPS) {
            successor.tell(Command::Refresh).await;
            successor.outcome().await;
            finished = issued(&town);
            tokio::task::yield_now().await;
        }
        // One more run finds nothing left.
        successor.tell(Command::Refresh).await;
        successor.outcome().await
    };
    let last = tokio::time::timeout(Duration::from_secs(60), all)
        .await
        .expect("the successor finishes");
    let issued_twice = town
        .simulator
        .control()
        .all_app_counters()
        .values()
        .filter(|app| app.tokens_issued > 1)
        .count();
    assert_eq!(issued_twice, 0, "a token was refreshed twice");
    figure(format!(
        "killed run: {APPS} of {APPS} tokens issued once each, last run renewed {}",
        last.ok
    ))
    .await;
}

/// How many apps have got a token.
fn issued(town: &Town) -> u64 {
    town.simulator
        .control()
        .all_app_counters()
        .values()
        .map(|app| app.tokens_issued.min(1))
        .sum()
}
