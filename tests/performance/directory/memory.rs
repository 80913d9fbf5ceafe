//! The memory that cached users take, beside the bytes that the cache counts.

use lark_service_tests::cluster::TestCluster;
use lark_service_tests::worker::{Command, MemoryUse, Worker};
use lark_simulator::Options;

use crate::report::{grouped, ratio, table};

const BYTES: &str = "LARK_SERVICE_LOCAL_CACHE_BYTES";
const LARGE: u64 = 256 << 20;
const DEFAULT: u64 = 32 << 20;
/// Looked up before the measurement, so that connections and buffers exist already.
const FIRST: u32 = 2_000;
const USERS: u32 = 100_000;

pub(crate) async fn run() {
    let cluster = TestCluster::start_with(Options {
        users: FIRST + USERS,
        ..Options::default()
    })
    .await;
    let cold = measure(&cluster, LARGE).await;
    let large = measure(&cluster, LARGE).await;
    let default = measure(&cluster, DEFAULT).await;
    let head = "100,000 users, a thousand at a time | before, MB | after, MB | taken, MB | counted, MB | taken, bytes per user | counted, bytes per user | taken / counted";
    table(
        head,
        &[
            cold.row("256 MiB, from the platform"),
            large.row("256 MiB, from Valkey"),
            default.row("32 MiB, from Valkey"),
        ],
    );
}

struct Measured {
    before: MemoryUse,
    after: MemoryUse,
}

async fn measure(cluster: &TestCluster, bytes: u64) -> Measured {
    let mut worker = cluster.worker_as(&[(BYTES, &bytes.to_string())]).await;
    fill(&mut worker, 1, FIRST).await;
    let before = worker.memory_use().await;
    fill(&mut worker, FIRST + 1, FIRST + USERS).await;
    Measured {
        before,
        after: worker.memory_use().await,
    }
}

async fn fill(worker: &mut Worker, first: u32, last: u32) {
    worker.send(Command::Fill { first, last }).await;
    let outcome = worker.outcome().await;
    assert_eq!(outcome.failed(), 0, "{:?}", outcome.errors);
    assert_eq!(outcome.ok, u64::from(last - first + 1));
}

impl Measured {
    fn row(&self, name: &str) -> Vec<String> {
        let taken = self.after.resident - self.before.resident;
        let counted = self.after.counted - self.before.counted;
        // The small bound does not hold all users.
        let each = |bytes: u64| {
            if self.after.counted > DEFAULT {
                grouped(bytes / u64::from(USERS))
            } else {
                "–".to_owned()
            }
        };
        vec![
            name.to_owned(),
            mega(self.before.resident),
            mega(self.after.resident),
            mega(taken),
            mega(counted),
            each(taken),
            each(counted),
            format!("{:.2}", ratio(taken, counted)),
        ]
    }
}

fn mega(bytes: u64) -> String {
    format!("{:.1}", ratio(bytes, 1_000_000))
}
