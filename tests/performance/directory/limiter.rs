//! Three times the platform's limit, from several processes, for three minutes.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use lark_service_tests::cluster::TestCluster;
use lark_service_tests::worker::{Command, Work, Worker};
use lark_service_tests::world::APP;
use lark_simulator::{Options, RateLimitWindows, Settings};

use crate::report::{grouped, ratio, table};

const USER: &str = "contact.user.get";
const PROCESSES: u32 = 4;
const SECONDS: u32 = 180;
/// Calls of all processes together; the limit is 1,000 a minute.
const PER_SECOND: f64 = 50.0;
const LIMIT_PER_MINUTE: u64 = 1_000;

pub(crate) async fn run() {
    let options = Options {
        settings: Settings {
            rate_limits: true,
            // The strictest way to count.
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
    let pace = Command::FixedRate {
        per_second: PER_SECOND / f64::from(PROCESSES),
        seconds: SECONDS,
    };
    join_all(workers.iter_mut().map(|worker| worker.send(pace))).await;
    tokio::time::sleep(Duration::from_secs(SECONDS.into())).await;
    let in_time = cluster.requests(USER);
    let outcomes = join_all(workers.iter_mut().map(Worker::outcome)).await;
    let mut errors = BTreeMap::<String, u64>::new();
    for (error, count) in outcomes.iter().flat_map(|outcome| &outcome.errors) {
        *errors.entry(error.clone()).or_default() += count;
    }
    print(
        &cluster,
        in_time,
        outcomes.iter().map(|it| it.ok).sum(),
        &errors,
    );
}

fn print(cluster: &TestCluster, in_time: u64, admitted: u64, errors: &BTreeMap<String, u64>) {
    let counters = cluster.simulator.control().counters();
    let counts = &counters.endpoints[USER];
    let peaks = cluster.simulator.control().peak_in_window(APP, USER);
    let peak = |length_ms: u64| {
        peaks
            .get(&length_ms)
            .copied()
            .unwrap_or_default()
            .to_string()
    };
    let listed: Vec<String> = errors
        .iter()
        .map(|(error, count)| format!("{} {error}", grouped(*count)))
        .collect();
    let allowed = LIMIT_PER_MINUTE * u64::from(SECONDS) / 60;
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    table(
        "3 minutes at 50 calls a second, 4 processes | ",
        &[
            row("answered by the platform", grouped(admitted)),
            row("refused", listed.join("; ")),
            row("429 at the platform", counts.rate_limited.to_string()),
            row("most in any 60 s, of 1,000", peak(60_000)),
            row("most in any 1 s, of 50", peak(1_000)),
            row("calls at the platform in the 3 minutes", grouped(in_time)),
            row(
                "share of the limit",
                format!("{:.1} %", 100.0 * ratio(in_time, allowed)),
            ),
        ],
    );
}
