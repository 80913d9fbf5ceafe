//! A Valkey that freezes under load.

use std::time::Duration;

use lark_service_tests::cluster::TestCluster;
use lark_service_tests::worker::{Command, Work, Worker};

use crate::report::{Samples, grouped, say, table};

const CALLERS: u32 = 4;
const USER: u32 = 7;
/// Without a pause a frozen cache would mean a thousand times as many calls.
const PAUSE_MS: u64 = 1;
const FROZEN: Duration = Duration::from_secs(5);
const AROUND: Duration = Duration::from_secs(5);
/// A call that takes longer counts as slow, however long the others take.
const SLOW_US: u32 = 20_000;
/// The window after the freeze in which calls may be slow.
const SETTLING_US: u64 = 100_000;

pub(crate) async fn run() {
    let cluster = TestCluster::start().await;
    let mut worker = cluster.worker().await;
    let work = Work::OneUser(USER);
    worker.send(Command::Burst { work, callers: 1 }).await;
    worker.outcome().await;
    let stroll = Command::LoadWithPause {
        work,
        callers: CALLERS,
        pause_ms: PAUSE_MS,
    };
    worker.send(stroll).await;
    // The first calls are slower without any freeze.
    pass(&mut worker, Duration::from_secs(1)).await;
    let warm = worker.done();
    pass(&mut worker, AROUND).await;
    let at_freeze = worker.done();
    cluster.valkey.freeze().await;
    pass(&mut worker, FROZEN).await;
    let at_thaw = worker.done();
    cluster.valkey.thaw().await;
    pass(&mut worker, AROUND).await;
    worker.send(Command::Stop).await;
    let outcome = worker.outcome().await;
    let place = |done: u64| usize::try_from(done).unwrap();
    let times = &outcome.times_us;
    let (warm, at_freeze, at_thaw) = (place(warm), place(at_freeze), place(at_thaw));
    // Workers report progress every fifty calls, and a signal takes time: the first call that waits for the frozen cache
    // shows more precisely when the freeze began.
    let from = at_freeze.saturating_sub(200);
    let slow_ones = times[from..at_thaw].iter();
    let first_slow = slow_ones.take_while(|took| **took < SLOW_US).count() + from;
    let before = &times[warm..first_slow];
    let during = &times[first_slow..at_thaw];
    let after = &times[at_thaw..];
    let usual: Samples = before.iter().copied().collect();
    let slow_us = usual.percentile(99) * 3.0;
    let rows = [("before", before), ("frozen", during), ("thawed", after)];
    let rows: Vec<_> = rows
        .iter()
        .map(|(name, times)| row(name, times, slow_us))
        .collect();
    table(
        "4 callers of a cached user, Valkey frozen for 5 s | calls | p50, µs | p95, µs | p99, µs | slowest, ms | above 3 × p99 before | above 20 ms",
        &rows,
    );
    let settling = settling(during);
    say(&format!(
        "\nthe first 100 ms of the freeze: {} calls ended, {} above 3 × p99 before, {} above 20 ms, the slowest {:.1} ms; {} errors {:?}",
        settling.len(),
        above(settling, slow_us),
        above(settling, f64::from(SLOW_US)),
        slowest_ms(settling),
        outcome.failed(),
        outcome.errors
    ));
}

/// Waits, and reads the worker's answers meanwhile.
async fn pass(worker: &mut Worker, length: Duration) {
    let _ = tokio::time::timeout(length, worker.progress(1 << 40)).await;
}

/// The calls that ended in the first moments: each caller makes one call after the other, with a pause.
fn settling(times_us: &[u32]) -> &[u32] {
    let mut all_us = 0;
    let within = times_us.iter().take_while(|took| {
        all_us += u64::from(**took) + PAUSE_MS * 1_000;
        all_us <= SETTLING_US * u64::from(CALLERS)
    });
    &times_us[..within.count()]
}

fn above(times_us: &[u32], limit_us: f64) -> usize {
    let slow = times_us.iter().filter(|took| f64::from(**took) > limit_us);
    slow.count()
}

fn slowest_ms(times_us: &[u32]) -> f64 {
    f64::from(times_us.iter().copied().max().unwrap_or_default()) / 1_000.0
}

fn row(name: &str, times_us: &[u32], slow_us: f64) -> Vec<String> {
    let samples: Samples = times_us.iter().copied().collect();
    let mut row = vec![name.to_owned(), grouped(samples.len() as u64)];
    row.extend([50, 95, 99].map(|percent| format!("{:.0}", samples.percentile(percent))));
    row.extend([
        format!("{:.1}", slowest_ms(times_us)),
        above(times_us, slow_us).to_string(),
        above(times_us, f64::from(SLOW_US)).to_string(),
    ]);
    row
}
