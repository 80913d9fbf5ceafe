//! Parts of the surroundings fail while callers keep calling.

use lark_service_tests::worker::{Command, Outcome, Work, Worker};
use lark_simulator::{Fault, FaultAction, Settings};

use crate::town::{Town, figure};

/// The least share of calls that must succeed.
const FLOOR: f64 = 0.999;

#[tokio::test(flavor = "multi_thread")]
async fn callers_get_their_tokens_while_valkey_is_killed_and_restarted() {
    let mut town = Town::found().await;
    let mut worker = loaded(&town, Work::SharedToken).await;
    town.valkey.kill().await;
    worker.progress(500).await;
    town.valkey.restart().await;
    worker.progress(500).await;
    judge("Valkey killed and restarted", worker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_get_their_tokens_while_the_store_is_stopped_and_restarted() {
    let town = Town::found().await;
    let mut worker = loaded(&town, Work::SharedToken).await;
    town.dynamodb.shut();
    worker.progress(500).await;
    town.dynamodb.open();
    worker.progress(500).await;
    judge("DynamoDB API stopped and restarted", worker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_get_their_tokens_while_cache_and_store_are_away() {
    let mut town = Town::found().await;
    let mut worker = loaded(&town, Work::SharedToken).await;
    town.dynamodb.shut();
    town.valkey.kill().await;
    worker.progress(500).await;
    town.valkey.restart().await;
    town.dynamodb.open();
    worker.progress(500).await;
    judge("Valkey and DynamoDB API away together", worker).await;
    assert!(
        town.token_requests() <= 2,
        "a process that remembers its token asks for no other"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_get_tokens_and_users_while_the_platform_fails_now_and_then() {
    let town = Town::found().await;
    let control = town.simulator.control();
    // Tokens end every few seconds, so that many are fetched through the faults.
    control
        .set_settings(Settings {
            token_lifetime_seconds: 4,
            ..Settings::default()
        })
        .unwrap();
    let faults = [
        (0.025, FaultAction::answer(503, 1)),
        (0.0253, FaultAction::Hang),
    ];
    for (probability, action) in faults {
        control
            .add_fault(Fault {
                probability,
                ..Fault::new("*", action)
            })
            .unwrap();
    }
    let mut tokens = town.worker().await;
    tokens
        .tell(Command::Load {
            work: Work::SharedToken,
            callers: 4,
        })
        .await;
    let mut users = town.worker().await;
    users
        .tell(Command::Load {
            work: Work::User,
            callers: 8,
        })
        .await;
    users.progress(1_000).await;
    control.clear_faults();
    judge(
        "simulator answering 5 % with 503 or not at all: tokens",
        tokens,
    )
    .await;
    judge(
        "simulator answering 5 % with 503 or not at all: users, each from Lark",
        users,
    )
    .await;
    figure(format!(
        "  … through {} token requests",
        town.token_requests()
    ))
    .await;
}

/// A worker under load that has done its first 500 calls.
async fn loaded(town: &Town, work: Work) -> Worker {
    let mut worker = town.worker().await;
    worker.tell(Command::Load { work, callers: 4 }).await;
    worker.progress(500).await;
    worker
}

/// Ends the load and holds its outcome against the floor.
async fn judge(what: &str, mut worker: Worker) {
    worker.tell(Command::Stop).await;
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
