//! How long an answer takes, tier by tier, beside a round trip to Valkey and an empty handler. All with one thread for the
//! function, as on Lambda, and with its logs and metrics, which go nowhere.

use std::time::{Duration, Instant};

use lark_service_tests::cluster::TestCluster;
use lark_simulator::Options;
use tokio::runtime::Builder;

use crate::raw::Socket;
use crate::report::{Samples, median, say, spread, table};
use crate::throughput;

mod bench;

pub(crate) use bench::{Bench, user_request};

/// The first round is not counted.
const ROUNDS: u32 = 21;
const BATCH_ROUNDS: u32 = 11;
/// Calls of a round, for fast and for slow subjects.
const MANY: u32 = 200;
const FEW: u32 = 50;
/// Users that are looked up in turn.
const POPULAR: u32 = 500;
/// The first user who is in the store alone, the first who is cached nowhere, and the first of the batches.
const STORED: u32 = 1_001;
const UNKNOWN: u32 = 10_001;
const IN_BATCHES: u32 = 20_001;
const BATCH: u32 = 1_000;
/// The cache entry for measured round trips.
pub(crate) const RAW_KEY: &str = "bench:raw";
pub(crate) const RAW_BYTES: usize = 1_024;

/// The times of one thing, round by round.
struct Subject {
    name: &'static str,
    rounds: Vec<Samples>,
}

/// The subjects, in the order of the table.
const SUBJECTS: [&str; 9] = [
    "raw GET over a socket",
    "raw round trip: GET through `CacheClient`",
    "two such GETs at once",
    "empty handler",
    "`get-user`, L1 hit",
    "`get-user`, L2 hit",
    "`get-user`, L2 hit, before its metrics are written",
    "`get-user`, L3 hit",
    "`get-user`, cold",
];
const SOCKET: usize = 0;
const RAW: usize = 1;
const TWO: usize = 2;
const EMPTY: usize = 3;
const L1: usize = 4;
const L2: usize = 5;
const L2_SILENT: usize = 6;
const L3: usize = 7;
const COLD: usize = 8;

pub(crate) fn run() {
    let others = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let options = Options {
        users: IN_BATCHES + BATCH_ROUNDS * BATCH,
        ..Options::default()
    };
    let cluster = others.block_on(TestCluster::start_with(options));
    let own = Builder::new_current_thread().enable_all().build().unwrap();
    own.block_on(async {
        let mut bench = Bench::over(&cluster).await;
        singles(&cluster, &mut bench).await;
        batches(&cluster, &mut bench).await;
        throughput::run(&mut bench).await;
    });
}

async fn singles(cluster: &TestCluster, bench: &mut Bench) {
    let mut socket = Socket::connect(cluster.valkey.port());
    let mut subjects = SUBJECTS.map(|name| Subject {
        name,
        rounds: Vec::new(),
    });
    let stored = STORED + ROUNDS * FEW;
    for first in (1..stored).step_by(BATCH as usize) {
        bench.batch(LocalCache::Off, first, BATCH).await;
    }
    for round in 0..ROUNDS {
        let popular = (0..MANY).map(|number| (round * MANY + number) % POPULAR + 1);
        let popular: Vec<u32> = popular.collect();
        let mut of_round: [Samples; 9] = Default::default();
        bench.put_raw().await;
        // Restores what the flush of the previous round removed.
        bench.users(LocalCache::Off, &popular, None).await;
        bench.users(LocalCache::On, &popular, None).await;
        for _ in 0..MANY {
            let began = Instant::now();
            assert_eq!(socket.get(RAW_KEY).len(), RAW_BYTES);
            of_round[SOCKET].add(began.elapsed());
        }
        of_round[RAW] = bench.raw(MANY).await;
        of_round[TWO] = bench.raw_twice(MANY).await;
        of_round[EMPTY] = bench.empty(MANY).await;
        let memory = Some("detail=memory");
        of_round[L1] = bench.users(LocalCache::On, &popular, memory).await.0;
        let valkey = Some("detail=valkey");
        (of_round[L2], of_round[L2_SILENT]) = bench.users(LocalCache::Off, &popular, valkey).await;
        socket.flush_all();
        // Another user restores everything else that was flushed.
        bench.users(LocalCache::Off, &[stored], None).await;
        let numbers = |first: u32| Vec::from_iter(first + round * FEW..first + (round + 1) * FEW);
        let store = Some("detail=store");
        of_round[L3] = bench
            .users(LocalCache::Off, &numbers(STORED), store)
            .await
            .0;
        bench
            .users(LocalCache::Off, &[IN_BATCHES - 1 - round], None)
            .await;
        let miss = Some("fwd=miss");
        of_round[COLD] = bench
            .users(LocalCache::Off, &numbers(UNKNOWN), miss)
            .await
            .0;
        if round > 0 {
            for (subject, samples) in subjects.iter_mut().zip(of_round) {
                subject.rounds.push(samples);
            }
        }
    }
    print(&subjects);
}

fn print(subjects: &[Subject]) {
    let all = subjects.iter().map(Subject::all);
    let all: Vec<Samples> = all.collect();
    let rows = subjects.iter().zip(&all).map(|(subject, samples)| {
        let percentiles = [50, 95, 99].map(|percent| samples.percentile(percent));
        let over = |base: usize| {
            let base = [50, 95, 99].map(|percent| all[base].percentile(percent));
            let ratios = percentiles.iter().zip(base);
            let ratios: Vec<_> = ratios
                .map(|(it, base)| format!("{:.2}", it / base))
                .collect();
            ratios.join(" / ")
        };
        let mut row = vec![subject.name.to_owned(), samples.len().to_string()];
        row.extend(percentiles.map(|micros| format!("{micros:.0}")));
        row.extend([over(RAW), over(EMPTY)]);
        row
    });
    table(
        "one call, µs | n | p50 | p95 | p99 | × raw round trip, p50 / p95 / p99 | × empty, p50 / p95 / p99",
        &rows.collect::<Vec<_>>(),
    );
    let by_round = |one: usize, other: usize| {
        let rounds = subjects[one].rounds.iter().zip(&subjects[other].rounds);
        let ratios = rounds.map(|(one, other)| one.percentile(50) / other.percentile(50));
        spread(&ratios.collect::<Vec<_>>())
    };
    say(&format!(
        "\nL2 hit × raw round trip, p50, median of {} rounds (lowest to highest): {}; × two GETs: {}; two GETs × one: {}",
        ROUNDS - 1,
        by_round(L2, RAW),
        by_round(L2, TWO),
        by_round(TWO, RAW)
    ));
}

async fn batches(cluster: &TestCluster, bench: &mut Bench) {
    let mut socket = Socket::connect(cluster.valkey.port());
    let mut times: [Samples; 4] = Default::default();
    let mut raws = Vec::new();
    for round in 0..BATCH_ROUNDS {
        let first = IN_BATCHES + round * BATCH;
        bench.put_raw().await;
        let raw = bench.raw(MANY).await;
        let calls = || cluster.requests("contact.user.batch");
        let before = calls();
        let cold = bench.batch(LocalCache::Off, first, BATCH).await;
        assert_eq!(calls() - before, 20, "not cold");
        let l2 = bench.batch(LocalCache::Off, first, BATCH).await;
        socket.flush_all();
        bench.users(LocalCache::Off, &[STORED], None).await;
        let l3 = bench.batch(LocalCache::Off, first, BATCH).await;
        bench.batch(LocalCache::On, first, BATCH).await;
        let l1 = bench.batch(LocalCache::On, first, BATCH).await;
        assert_eq!(calls() - before, 20, "a tier did not have them");
        if round > 0 {
            raws.push(raw.percentile(50));
            for (samples, took) in times.iter_mut().zip([l1, l2, l3, cold]) {
                samples.add(took);
            }
        }
    }
    let raw = median(&raws);
    let names = ["L1", "L2", "L3", "cold"].iter().zip(&times);
    let rows = names.map(|(name, samples)| {
        let micros = [50, 95].map(|percent| samples.percentile(percent));
        let mut row = vec![(*name).to_owned(), samples.len().to_string()];
        row.extend(micros.map(|micros| format!("{:.2}", micros / 1_000.0)));
        row.push(format!("{:.1}", micros[0] / f64::from(BATCH)));
        row.push(format!("{:.0}", micros[0] / raw));
        row
    });
    table(
        "`batch-get-users`, 1,000 users, ms | n | p50 | p95 | µs per user | × raw round trip",
        &rows.collect::<Vec<_>>(),
    );
}

/// Whether a process caches users in its own memory.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LocalCache {
    On,
    Off,
}

impl Subject {
    fn all(&self) -> Samples {
        let mut all = Samples::default();
        for round in &self.rounds {
            all.append(round);
        }
        all
    }
}

/// Times `work`.
async fn timed<T>(work: impl Future<Output = T>) -> (Duration, T) {
    let began = Instant::now();
    let outcome = work.await;
    (began.elapsed(), outcome)
}
