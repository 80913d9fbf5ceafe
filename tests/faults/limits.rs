//! A burst towards a platform that counts in sliding windows, over the real cache.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use lark_service_tests::cluster::{TestCluster, figure};
use lark_service_tests::worker::{Command, Work, Worker};
use lark_service_tests::world::APP;
use lark_simulator::{Options, RateLimitWindows, Settings};

const USER: &str = "contact.user.get";
const PROCESSES: u32 = 4;
/// Calls of each process, all within a second.
const CALLS: u32 = 100;

/// At the documented limits, in real time: fifty at once, and fifty more every 1.08 seconds.
#[tokio::test(flavor = "multi_thread")]
async fn four_hundred_calls_within_a_second_go_out_within_the_limits() {
    let options = Options {
        settings: Settings {
            rate_limits: true,
            rate_limit_windows: RateLimitWindows::Sliding,
            ..Settings::default()
        },
        ..Options::default()
    };
    let cluster = TestCluster::start_with(options).await;
    // Zero stands for what the platform documents.
    let limits = [
        ("LARK_SERVICE_LARK_LIMIT_PER_MINUTE", "0"),
        ("LARK_SERVICE_LARK_LIMIT_PER_SECOND", "0"),
    ];
    let mut workers = join_all((0..PROCESSES).map(|_| cluster.worker_as(&limits))).await;
    let token = Command::Burst {
        work: Work::SharedToken,
        callers: 1,
    };
    for worker in &mut workers {
        worker.send(token).await;
        worker.outcome().await;
    }
    let burst = Command::FixedRate {
        per_second: f64::from(CALLS),
        seconds: 1,
    };
    let began = Instant::now();
    join_all(workers.iter_mut().map(|worker| worker.send(burst))).await;
    let outcomes = join_all(workers.iter_mut().map(Worker::outcome)).await;
    let took = began.elapsed();
    let control = cluster.simulator.control();
    let refused = control.counters().endpoints[USER].rate_limited;
    let peaks = control.peak_in_window(APP, USER);
    figure(format!(
        "{} calls within a second: done after {took:?}; most in any window, by its length in ms: {peaks:?}; refused by \
         the platform: {refused}",
        PROCESSES * CALLS
    ))
    .await;
    // A busy machine misses places, which are given anew: then some calls end after their patience. With a burst of 50 and 16 a
    // second after it there could be 229.
    let calls = u64::from(PROCESSES * CALLS);
    let answered: u64 = outcomes.iter().map(|outcome| outcome.ok).sum();
    let errors = outcomes.iter().map(|outcome| &outcome.errors);
    let errors: Vec<_> = errors.collect();
    assert!(answered >= calls * 7 / 10, "{answered}: {errors:?}");
    assert!(took > Duration::from_secs(7), "{took:?}");
    assert!(refused <= calls / 20, "{refused}");
}
