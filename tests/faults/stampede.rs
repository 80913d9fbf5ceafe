//! Many processes that want the same token or user at once, and processes that die meanwhile.

use std::time::Duration;

use futures_util::future::join_all;
use lark_service_tests::worker::{Command, Outcome, Work};
use lark_service_tests::world::APP;
use lark_simulator::{Options, Settings, seeded_app_id, seeded_app_secret};

use lark_service_tests::cluster::{TestCluster, figure};

#[tokio::test(flavor = "multi_thread")]
async fn eight_processes_with_fifty_cold_callers_each_cost_one_token_request() {
    let cluster = TestCluster::start().await;
    let mut workers = join_all((0..8).map(|_| cluster.worker())).await;
    let outcomes = join_all(workers.iter_mut().map(|worker| async {
        worker
            .send(Command::Burst {
                work: Work::LocalToken,
                callers: 50,
            })
            .await;
        worker.outcome().await
    }));
    let outcomes: Vec<Outcome> = outcomes.await;
    let answered: u64 = outcomes.iter().map(|outcome| outcome.ok).sum();
    assert_eq!((answered, cluster.token_requests()), (400, 1));
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
    let cluster = TestCluster::start().await;
    let mut workers = join_all((0..4).map(|_| cluster.worker())).await;
    for worker in &mut workers {
        worker
            .send(Command::Burst {
                work: Work::LocalToken,
                callers: 1,
            })
            .await;
        assert_eq!(worker.outcome().await.ok, 1);
    }
    assert_eq!(cluster.simulator.control().revoke_app_tokens(APP), 1);
    // One caller gets the rejection; all other callers, in every process, call after it.
    for (worker, callers) in workers.iter_mut().zip([1, 3, 3, 3]) {
        let work = Work::User;
        worker.send(Command::Burst { work, callers }).await;
        assert_eq!(worker.outcome().await.ok, u64::from(callers));
    }
    assert_eq!((cluster.rejected_calls(), cluster.token_requests()), (1, 2));
    figure("revoked token: 1 rejected call, 1 refresh, 10 of 10 calls answered".to_owned()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_run_that_is_killed_leaves_the_rest_to_the_next() {
    const APPS: u32 = 300;
    let settings = Settings {
        delay_ms: 50,
        ..Settings::default()
    };
    let cluster = TestCluster::start_without_app(Options {
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
    cluster
        .seed(&format!(r#"{{"apps":[{}]}}"#, apps.join(",")))
        .await;

    let mut doomed = cluster.worker().await;
    doomed.send(Command::Refresh).await;
    cluster
        .simulator
        .control()
        .arrived("auth.tenant_access_token.internal", u64::from(APPS) / 2)
        .await;
    doomed.kill().await;

    // Tokens that the dead run had leased are due again when its leases end; later runs find them.
    let all = async {
        let mut successor = cluster.worker().await;
        let mut finished = 0;
        while finished < u64::from(APPS) {
            successor.send(Command::Refresh).await;
            successor.outcome().await;
            finished = issued(&cluster);
            tokio::task::yield_now().await;
        }
        // One more run finds nothing left.
        successor.send(Command::Refresh).await;
        successor.outcome().await
    };
    let last = tokio::time::timeout(Duration::from_secs(60), all)
        .await
        .expect("the successor finishes");
    let issued_twice = cluster
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
fn issued(cluster: &TestCluster) -> u64 {
    cluster
        .simulator
        .control()
        .all_app_counters()
        .values()
        .map(|app| app.tokens_issued.min(1))
        .sum()
}
