//! Dependencies fail while callers keep calling.

use lark_service_tests::worker::{Command, Outcome, Work, Worker};
use lark_simulator::{Fault, FaultAction, Settings};

use lark_service_tests::cluster::{TestCluster, figure};

/// The smallest share of calls that must succeed.
const FLOOR: f64 = 0.999;

#[tokio::test(flavor = "multi_thread")]
async fn callers_get_their_tokens_while_valkey_is_killed_and_restarted() {
    let mut cluster = TestCluster::start().await;
    let mut worker = loaded(&cluster, Work::SharedToken).await;
    cluster.valkey.kill().await;
    worker.progress(500).await;
    cluster.valkey.restart().await;
    worker.progress(500).await;
    judge("Valkey killed and restarted", worker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_get_their_tokens_while_the_store_is_stopped_and_restarted() {
    let cluster = TestCluster::start().await;
    let mut worker = loaded(&cluster, Work::SharedToken).await;
    cluster.dynamodb.close();
    worker.progress(500).await;
    cluster.dynamodb.open();
    worker.progress(500).await;
    judge("DynamoDB API stopped and restarted", worker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_get_their_tokens_while_cache_and_store_are_away() {
    let mut cluster = TestCluster::start().await;
    let mut worker = loaded(&cluster, Work::SharedToken).await;
    cluster.dynamodb.close();
    cluster.valkey.kill().await;
    worker.progress(500).await;
    cluster.valkey.restart().await;
    cluster.dynamodb.open();
    worker.progress(500).await;
    judge("Valkey and DynamoDB API away together", worker).await;
    assert!(
        cluster.token_requests() <= 2,
        "a process that remembers its token asks for no other"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_get_tokens_while_the_platform_fails_now_and_then() {
    let cluster = TestCluster::start().await;
    // Tokens expire every few seconds, so that many fetches meet the faults.
    let settings = Settings {
        token_lifetime_seconds: 4,
        ..Settings::default()
    };
    cluster
        .simulator
        .control()
        .set_settings(settings)
        .expect("right settings");
    fail_now_and_then(&cluster);
    let mut worker = cluster.worker().await;
    worker
        .send(Command::Load {
            work: Work::SharedToken,
            callers: 4,
        })
        .await;
    while cluster.token_requests() < 8 {
        worker.progress(500).await;
    }
    worker.progress(1_000).await;
    judge(
        "platform answering 5 % with 503 or not at all: tokens",
        worker,
    )
    .await;
    figure(format!(
        "  … through {} token requests",
        cluster.token_requests()
    ))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_get_users_while_the_platform_fails_now_and_then() {
    let cluster = TestCluster::start().await;
    fail_now_and_then(&cluster);
    // An attempt that hangs times out after a third of this.
    let mut worker = cluster
        .worker_with("LARK_SERVICE_LARK_TIMEOUT_MS", "6000")
        .await;
    worker
        .send(Command::Load {
            work: Work::User,
            callers: 8,
        })
        .await;
    worker.progress(3_000).await;
    judge(
        "platform answering 5 % with 503 or not at all: users, each from Lark",
        worker,
    )
    .await;
}

/// From now on the platform answers one call of twenty with an error or not at all.
fn fail_now_and_then(cluster: &TestCluster) {
    for action in [FaultAction::answer(503, 1), FaultAction::Hang] {
        let fault = Fault {
            probability: 0.025,
            ..Fault::new("*", action)
        };
        cluster
            .simulator
            .control()
            .add_fault(fault)
            .expect("a right fault");
    }
}

/// A worker under load that has done its first 500 calls.
async fn loaded(cluster: &TestCluster, work: Work) -> Worker {
    let mut worker = cluster.worker().await;
    worker.send(Command::Load { work, callers: 4 }).await;
    worker.progress(500).await;
    worker
}

/// Ends the load and compares its outcome with [`FLOOR`].
async fn judge(what: &str, mut worker: Worker) {
    worker.send(Command::Stop).await;
    let outcome: Outcome = worker.outcome().await;
    let calls = outcome.ok + outcome.failed();
    #[expect(clippy::cast_precision_loss, reason = "counts of a test")]
    let share = outcome.ok as f64 / calls as f64;
    figure(format!(
        "{what}: {} of {calls} calls succeeded ({:.3} %), errors {:?}",
        outcome.ok,
        share * 100.0,
        outcome.errors
    ))
    .await;
    assert!(calls >= 1_000 && share >= FLOOR, "{what}: {outcome:?}");
}
