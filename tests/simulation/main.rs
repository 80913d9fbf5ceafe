//! Whole processes of the service under a schedule that a seed decides: they run, freeze, thaw and die at any operation on
//! store, cache and platform; answers are lost; clocks are fast; time passes. Whatever happens, what ARCHITECTURE.md promises of
//! tokens and logins holds.
//!
//! Time is virtual, and no timer fires but when the schedule lets time pass. A failure prints its seed and the schedule:
//!
//! ```sh
//! cargo test --locked -p lark-service-tests --test simulation                             # a few hundred seeds
//! LARK_SIMULATION_SEEDS=5000 cargo test --locked -p lark-service-tests --test simulation  # more
//! LARK_SIMULATION_SEED=42 cargo test --locked -p lark-service-tests --test simulation     # this one, step by step
//! ```
#![expect(clippy::unwrap_used, reason = "these are tests")]
#![expect(
    clippy::disallowed_methods,
    reason = "the schedule decides when its tasks run, and tests have no configuration of their own"
)]

mod ending;
mod gate;
mod observer;
mod platform;
mod schedule;
mod tiers;
mod work;

use std::collections::BTreeMap;

use schedule::Schedule;

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// What did not hold, if anything.
    pub(crate) broken: Option<String>,
    pub(crate) log: Vec<String>,
    pub(crate) steps: u64,
    pub(crate) events: BTreeMap<&'static str, u64>,
}

/// How many seeds are tried unless `LARK_SIMULATION_SEEDS` says otherwise.
const SEEDS: u64 = 150;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

fn play(seed: u64) -> Outcome {
    // All randomness of the service comes from here too: one thread runs everything.
    fastrand::seed(seed);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    let outcome = runtime.block_on(Schedule::play(seed));
    // What a dead process left behind waits for ever.
    runtime.shutdown_background();
    outcome
}

#[test]
fn a_seed_plays_the_same_each_time() {
    for seed in 0..10 {
        let (first, second) = (play(seed), play(seed));
        assert_eq!(first.log, second.log, "seed {seed}");
    }
}

#[test]
fn whatever_happens_the_invariants_hold() {
    if let Some(seed) = number("LARK_SIMULATION_SEED") {
        // With what the service has to say.
        tracing_subscriber::fmt().without_time().init();
        let outcome = play(seed);
        println!("{}", outcome.log.join("\n"));
        assert_eq!(outcome.broken, None, "seed {seed}");
        return;
    }
    let seeds = number("LARK_SIMULATION_SEEDS").unwrap_or(SEEDS);
    let first = number("LARK_SIMULATION_FIRST").unwrap_or(0);
    let (mut steps, mut events) = (0, BTreeMap::<&str, u64>::new());
    for seed in first..first + seeds {
        let outcome = play(seed);
        if let Some(broken) = outcome.broken {
            let log = outcome.log.join("\n");
            panic!("{broken}\n{log}\nreplay it with LARK_SIMULATION_SEED={seed}");
        }
        steps += outcome.steps;
        for (event, count) in outcome.events {
            *events.entry(event).or_default() += count;
        }
    }
    println!("FIGURE simulation: {seeds} seeds, {steps} steps, {events:?}");
}
