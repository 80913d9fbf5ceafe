//! Eight processes refresh one login at once, and the one that holds the lease dies: before the call, after the platform's
//! answer, after the write.

use std::time::Duration;

use futures_util::future::join_all;
use lark_service::clock::{Clock, SystemClock};
use lark_service_tests::worker::{Command, Outcome, Work, Worker};
use lark_service_tests::world::APP;
use lark_simulator::{Fault, FaultAction, FaultStage, Settings};

use lark_service_tests::cluster::{TestCluster, figure};

/// The user whose token all processes want, and one who is not affected.
const USER: u32 = 7;
const BYSTANDER: u32 = 8;
/// The lease of a dead process lasts 15 s; callers that wait for it get an answer before this.
const PATIENCE: Duration = Duration::from_secs(60);

/// A cluster in which both users logged in and their access tokens have ended.
async fn cluster() -> TestCluster {
    let cluster = Box::pin(TestCluster::start()).await;
    let control = cluster.simulator.control();
    let settings = control.settings();
    let short = Settings {
        user_token_lifetime_seconds: 1,
        ..settings
    };
    control.set_settings(short).unwrap();
    let process = Box::pin(cluster.process()).await;
    let mut ends = SystemClock.now();
    for user in [USER, BYSTANDER] {
        let open_id = process.log_in(control, user).await.unwrap();
        ends = process.user_token(&open_id).await.unwrap().expires_at;
    }
    control.set_settings(settings).unwrap();
    tokio::time::sleep(ends.since(SystemClock.now())).await;
    cluster
}

async fn burst(worker: &mut Worker, user: u32, callers: u32) {
    let work = Work::UserToken(user);
    worker.send(Command::Burst { work, callers }).await;
}

async fn outcomes(workers: &mut [Worker], user: u32, callers: u32) -> Vec<Outcome> {
    let all = join_all(workers.iter_mut().map(|worker| async {
        burst(worker, user, callers).await;
        worker.outcome().await
    }));
    tokio::time::timeout(PATIENCE, all)
        .await
        .expect("everybody is answered")
}

#[track_caller]
fn check_all_got_one_token(outcomes: &[Outcome], callers: u64) {
    let answered: u64 = outcomes.iter().map(|outcome| outcome.ok).sum();
    assert_eq!(answered, callers, "{outcomes:?}");
    let same =
        |outcome: &Outcome| outcome.tokens.len() == 1 && outcome.tokens == outcomes[0].tokens;
    assert!(outcomes.iter().all(same));
}

/// How many refreshes the platform granted and refused.
fn refreshes(cluster: &TestCluster) -> (u64, u64) {
    let counters = cluster.simulator.control().counters();
    (counters.refresh_grants, counters.refresh_rejected)
}

/// A worker that hangs in the refresh: the platform has the request, and no answer comes.
async fn hanging(cluster: &TestCluster, stage: FaultStage) -> Worker {
    let hang = Fault {
        stage,
        count: Some(1),
        ..Fault::new("authen.oauth_token", FaultAction::Hang)
    };
    cluster.simulator.control().add_fault(hang).unwrap();
    let mut worker = cluster.worker().await;
    burst(&mut worker, USER, 25).await;
    // Two codes were exchanged before.
    let arrived = cluster.simulator.control().arrived("authen.oauth_token", 3);
    tokio::time::timeout(PATIENCE, arrived)
        .await
        .expect("the refresh arrives");
    worker
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_processes_with_25_callers_each_cost_one_refresh() {
    let cluster = cluster().await;
    let mut workers = join_all((0..8).map(|_| cluster.worker())).await;
    let outcomes = outcomes(&mut workers, USER, 25).await;
    check_all_got_one_token(&outcomes, 200);
    assert_eq!(refreshes(&cluster), (1, 0));
    figure("logins: 200 of 200 callers in 8 processes got the new token of 1 refresh".to_owned())
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_killed_before_the_call_costs_no_login() {
    let cluster = cluster().await;
    let mut doomed = hanging(&cluster, FaultStage::Before).await;
    doomed.kill().await;
    let mut workers = join_all((0..7).map(|_| cluster.worker())).await;
    let outcomes = outcomes(&mut workers, USER, 25).await;
    check_all_got_one_token(&outcomes, 175);
    assert_eq!(refreshes(&cluster), (1, 0));
    figure(
        "logins, killed before the call: 175 of 175 callers got the token of 1 refresh".to_owned(),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_killed_with_the_answer_on_its_way_ends_this_login_alone_and_clearly() {
    let cluster = cluster().await;
    let mut doomed = hanging(&cluster, FaultStage::After).await;
    doomed.kill().await;
    let mut workers = join_all((0..7).map(|_| cluster.worker())).await;
    let lost = outcomes(&mut workers, USER, 25).await;
    for outcome in &lost {
        let errors: Vec<_> = outcome.errors.iter().collect();
        assert_eq!(errors, [(&"reauthorization_required".to_owned(), &25)]);
    }
    assert_eq!(
        refreshes(&cluster),
        (1, 1),
        "presented once more, to be sure"
    );
    let bystander = outcomes(&mut workers, BYSTANDER, 25).await;
    check_all_got_one_token(&bystander, 175);
    let process = cluster.process().await;
    let open_id = process
        .log_in(cluster.simulator.control(), USER)
        .await
        .unwrap();
    process.user_token(&open_id).await.unwrap();
    figure("logins, killed before the write: reauthorization_required for 1 user, 175 of 175 callers of another served".to_owned())
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_killed_while_the_store_hangs_leaves_the_pair_to_the_next() {
    let cluster = cluster().await;
    let control = cluster.simulator.control();
    let slow = Fault {
        stage: FaultStage::After,
        count: Some(1),
        delay_ms: 300,
        ..Fault::new("authen.oauth_token", FaultAction::Continue)
    };
    control.add_fault(slow).unwrap();
    let mut doomed = cluster.worker().await;
    burst(&mut doomed, USER, 25).await;
    let arrived = control.arrived("authen.oauth_token", 3);
    tokio::time::timeout(PATIENCE, arrived).await.unwrap();
    cluster.dynamodb.close();
    let cache = cluster.process().await.0.cache.expect("a cache");
    let key = format!(
        "lark:login-rescue:{APP}:{}",
        lark_simulator::open_id(APP, USER)
    );
    let left = async {
        while cache.get(&key).await.ok().flatten().is_none() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, left)
        .await
        .expect("the pair is left in the cache");
    doomed.kill().await;
    cluster.dynamodb.open();
    let mut workers = join_all((0..7).map(|_| cluster.worker())).await;
    let outcomes = outcomes(&mut workers, USER, 25).await;
    check_all_got_one_token(&outcomes, 175);
    assert_eq!(
        refreshes(&cluster),
        (1, 0),
        "recovered without asking again"
    );
    figure("logins, killed while the store hung: 175 of 175 callers got the pair that waited in the cache".to_owned())
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_killed_after_the_write_costs_nothing() {
    let cluster = cluster().await;
    let mut doomed = cluster.worker().await;
    burst(&mut doomed, USER, 25).await;
    let first = doomed.outcome().await;
    doomed.kill().await;
    let mut workers = join_all((0..7).map(|_| cluster.worker())).await;
    let outcomes = outcomes(&mut workers, USER, 25).await;
    check_all_got_one_token(&outcomes, 175);
    assert_eq!(first.tokens, outcomes[0].tokens);
    assert_eq!(refreshes(&cluster), (1, 0));
    figure(
        "logins, killed after the write: 175 of 175 callers got the token of 1 refresh".to_owned(),
    )
    .await;
}
