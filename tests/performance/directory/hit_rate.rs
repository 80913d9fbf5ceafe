//! How many look-ups of many processes reach the platform.

use std::collections::HashSet;
use std::time::Instant;

use futures_util::future::join_all;
use lark_service_tests::cluster::TestCluster;
use lark_service_tests::worker::{Command, Outcome, Worker};
use lark_service_tests::zipf::Zipf;

use crate::report::{grouped, ratio, say, table};
use crate::upstream;

const PROCESSES: u64 = 8;
const USERS: u32 = 10_000;
const LOOK_UPS: u32 = 12_500;
/// Concurrent look-ups of a process.
const CALLERS: u32 = 8;

pub(crate) async fn run() {
    let drawn = (0..PROCESSES).flat_map(|seed| Zipf::new(USERS).draw(LOOK_UPS, seed));
    let distinct = drawn.collect::<HashSet<u32>>().len() as u64;
    let cold = measure(&TestCluster::start().await, distinct).await;

    let cluster = TestCluster::start().await;
    let mut warmer = cluster.worker().await;
    let began = Instant::now();
    warmer.send(Command::WarmUp).await;
    let outcome = warmer.outcome().await;
    let took = began.elapsed();
    assert_eq!(outcome.failed(), 0, "{:?}", outcome.errors);
    let cost = upstream::calls(cluster.simulator.control());
    cluster.simulator.control().reset_counters();
    let warm = measure(&cluster, distinct).await;

    let head = "100,000 look-ups, 8 processes | users asked for | failed | upstream calls | × users | hit rate | seconds";
    table(
        head,
        &[row("from cold", &cold), row("after a warm-up", &warm)],
    );
    say(&format!("\nfrom cold: {}", cold.listed));
    say(&format!("after a warm-up: {}", warm.listed));
    say(&format!(
        "the warm-up: {} calls in {:.1} s for {} users: {}",
        grouped(upstream::all(&cost)),
        took.as_secs_f64(),
        grouped(outcome.ok),
        upstream::listed(&cost)
    ));
}

struct Measured {
    distinct: u64,
    look_ups: u64,
    failed: u64,
    calls: u64,
    listed: String,
    seconds: f64,
}

async fn measure(cluster: &TestCluster, distinct: u64) -> Measured {
    let workers = join_all((0..PROCESSES).map(|_| cluster.worker())).await;
    let began = Instant::now();
    let look_up = async |(mut worker, seed): (Worker, u64)| -> Outcome {
        let command = Command::Zipf {
            look_ups: LOOK_UPS,
            users: USERS,
            seed,
            callers: CALLERS,
        };
        worker.send(command).await;
        worker.outcome().await
    };
    let outcomes = join_all(workers.into_iter().zip(0..).map(look_up)).await;
    let calls = upstream::calls(cluster.simulator.control());
    let failed = outcomes.iter().map(Outcome::failed).sum();
    Measured {
        distinct,
        look_ups: outcomes.iter().map(|outcome| outcome.ok).sum::<u64>() + failed,
        failed,
        calls: upstream::all(&calls),
        listed: upstream::listed(&calls),
        seconds: began.elapsed().as_secs_f64(),
    }
}

fn row(name: &str, measured: &Measured) -> Vec<String> {
    let Measured {
        distinct,
        look_ups,
        failed,
        calls,
        ..
    } = *measured;
    vec![
        name.to_owned(),
        grouped(distinct),
        failed.to_string(),
        grouped(calls),
        format!("{:.3}", ratio(calls, distinct)),
        format!("{:.2} %", 100.0 * (1.0 - ratio(calls, look_ups))),
        format!("{:.1}", measured.seconds),
    ]
}
