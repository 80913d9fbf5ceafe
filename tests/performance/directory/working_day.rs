//! A working day of look-ups, in simulated time.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use lark_service::deadline::Deadline;
use lark_service_tests::world::{Process, World};
use lark_service_tests::zipf::{Zipf, uniform};

use crate::report::{grouped, ratio, say, table};
use crate::upstream;

const PROCESSES: u32 = 8;
const USERS: u32 = 10_000;
const PER_SECOND: u32 = 100;
const HOURS: u32 = 8;
const TTL_SECONDS: f64 = 3_600.0;
/// How many look-ups of a second are under way at a time.
const CALLERS: usize = 8;

pub(crate) async fn run() {
    let plain = measure(false).await;
    let warmed = measure(true).await;
    let head = "8 h at 100 look-ups a second, 10,000 users | look-ups | failed | upstream calls | hit rate | seconds of this machine";
    let least = least_calls();
    let look_ups = f64::from(PER_SECOND) * f64::from(HOURS) * 3_600.0;
    let unavoidable = vec![
        "the least possible on demand".to_owned(),
        grouped(plain.look_ups),
        "–".to_owned(),
        format!("{least:.0}"),
        format!("{:.2} %", 100.0 * (1.0 - least / look_ups)),
        "–".to_owned(),
    ];
    table(
        head,
        &[
            plain.row("on demand"),
            unavoidable,
            warmed.row("with a warm-up each hour"),
        ],
    );
    say(&format!("\non demand: {}", plain.listed));
    say(&format!("with a warm-up each hour: {}", warmed.listed));
}

struct Measured {
    look_ups: u64,
    failed: u64,
    calls: u64,
    listed: String,
    seconds: f64,
}

/// After each load a user is fresh for the TTL, then the next look-up loads: over a day T a user with r look-ups per second
/// is loaded T·r / (1 + r·TTL) times. To renew early, or to serve what is stale meanwhile, does not lower that.
fn least_calls() -> f64 {
    let weights: f64 = (1..=USERS).map(|number| 1.0 / f64::from(number)).sum();
    let day = f64::from(HOURS) * 3_600.0;
    let each = (1..=USERS).map(|number| {
        let rate = f64::from(PER_SECOND) / (f64::from(number) * weights);
        day * rate / (1.0 + rate * TTL_SECONDS)
    });
    each.sum()
}

async fn measure(warms_up: bool) -> Measured {
    let world = World::begin().await;
    let processes: Vec<Process> = (0..PROCESSES).map(|_| world.process()).collect();
    let zipf = Zipf::new(USERS);
    let (mut state, mut failed) = (1, 0);
    let began = Instant::now();
    for second in 0..HOURS * 3_600 {
        if warms_up && second % 3_600 == 0 {
            warm(&processes[0]).await;
        }
        let look_ups: Vec<(u32, usize)> = (0..PER_SECOND)
            .map(|_| (zipf.one(uniform(&mut state)), whose_turn(&mut state)))
            .collect();
        failed += stream::iter(look_ups)
            .map(|(number, process)| processes[process].user(number))
            .buffer_unordered(CALLERS)
            .filter(|found| std::future::ready(found.is_err()))
            .count()
            .await as u64;
        world.advance(Duration::from_secs(1));
    }
    let calls = upstream::calls(world.control());
    Measured {
        look_ups: u64::from(PER_SECOND * HOURS * 3_600),
        failed,
        calls: upstream::all(&calls),
        listed: upstream::listed(&calls),
        seconds: began.elapsed().as_secs_f64(),
    }
}

async fn warm(process: &Process) {
    let deadline = Deadline::after(Duration::from_secs(300));
    let report = process.0.warmer().run(&[], deadline).await.unwrap();
    assert!(report.failed == 0 && !report.is_unfinished, "{report:?}");
}

/// A random process.
fn whose_turn(state: &mut u64) -> usize {
    let lot = uniform(state) * f64::from(PROCESSES);
    (1..PROCESSES as usize)
        .take_while(|number| f64::from(u32::try_from(*number).unwrap()) <= lot)
        .count()
}

impl Measured {
    fn row(&self, name: &str) -> Vec<String> {
        vec![
            name.to_owned(),
            grouped(self.look_ups),
            self.failed.to_string(),
            grouped(self.calls),
            format!("{:.2} %", 100.0 * (1.0 - ratio(self.calls, self.look_ups))),
            format!("{:.0}", self.seconds),
        ]
    }
}
