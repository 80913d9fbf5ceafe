//! The directory under load, beside its dependencies: `scripts/bench directory`. What the figures mean and how they stood
//! last: docs/performance.md.
#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot go on should say where"
)]

use tokio::runtime::{Builder, Runtime};

mod frozen;
mod hit_rate;
mod latency;
mod limiter;
mod memory;
mod raw;
mod report;
mod sealing;
mod throughput;
mod upstream;
mod working_day;

/// The sections, in the order in which they run by default.
const SECTIONS: [&str; 7] = [
    "latency",
    "sealing",
    "hit-rate",
    "limiter",
    "working-day",
    "memory",
    "frozen",
];

fn main() {
    // Cargo adds `--bench`.
    let chosen: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with("--"))
        .collect();
    for word in &chosen {
        assert!(
            SECTIONS.contains(&word.as_str()),
            "{word} is none of {SECTIONS:?}"
        );
    }
    for section in SECTIONS {
        if chosen.is_empty() || chosen.iter().any(|word| word == section) {
            report::heading(section);
            run(section);
        }
    }
}

fn run(section: &str) {
    match section {
        // The simulator and the workers have threads of their own: the function has one.
        "latency" => latency::run(),
        "sealing" => sealing::run(),
        "hit-rate" => machine().block_on(hit_rate::run()),
        "limiter" => machine().block_on(limiter::run()),
        "working-day" => machine().block_on(working_day::run()),
        "memory" => machine().block_on(memory::run()),
        "frozen" => machine().block_on(frozen::run()),
        other => panic!("{other} is not measured"),
    }
}

/// As many threads as the machine has cores.
fn machine() -> Runtime {
    Builder::new_multi_thread().enable_all().build().unwrap()
}
