//! A burst towards a platform that counts in sliding windows, over the real cache.

use std::time::{Duration, Instant};

use lark_service_tests::cluster::{TestCluster, figure};
use lark_service_tests::worker::{Command, Work};
use lark_service_tests::world::APP;
use lark_simulator::{Options, RateLimitWindows, Settings};

const USER: &str = "contact.user.get";
const CALLERS: u32 = 400;

/// At the documented limits, in real time: fifty at once, and fifty more every 1.05 seconds.
#[tokio::test(flavor = "multi_thread")]
async fn four_hundred_cold_look_ups_at_once_all_succeed_within_the_limits() {
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
    let mut worker = cluster.worker_as(&limits).await;
    let (token, user) = (Work::SharedToken, Work::User);
    for (work, callers) in [(token, 1), (user, CALLERS)] {
        let began = Instant::now();
        worker.send(Command::Burst { work, callers }).await;
        let outcome = worker.outcome().await;
        let took = began.elapsed();
        assert_eq!(outcome.ok, u64::from(callers), "{:?}", outcome.errors);
        figure(format!(
            "{callers} calls at once: all answered after {took:?}"
        ))
        .await;
        if work == user {
            assert!(took > Duration::from_secs(7), "{took:?}");
        }
    }
    let control = cluster.simulator.control();
    let refused = control.counters().endpoints[USER].rate_limited;
    let peaks = control.peak_in_window(APP, USER);
    figure(format!(
        "most in any window, by its length in ms: {peaks:?}; refused by the platform: {refused}"
    ))
    .await;
    // On a busy machine some calls arrive late and others do not; those were repeated.
    assert!(refused <= u64::from(CALLERS) / 20, "{refused}");
}
