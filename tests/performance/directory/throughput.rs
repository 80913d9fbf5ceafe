//! How many calls a process answers, many at a time.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};

use crate::latency::{Bench, LocalCache, RAW_KEY, user_request};
use crate::report::{spread, table};

const CALLERS: usize = 32;
/// Subjects take turns of this many calls, until the turns of each have taken [`LENGTH`].
const TURN: u32 = 2_000;
const LENGTH: Duration = Duration::from_secs(5);
const USERS: u32 = 500;

#[derive(Default)]
struct Subject {
    turns: Vec<Duration>,
}

pub(crate) async fn run(bench: &mut Bench) {
    bench.put_raw().await;
    let all: Vec<u32> = (1..=USERS).collect();
    bench.users(LocalCache::On, &all, None).await;
    bench.users(LocalCache::Off, &all, None).await;
    let mut subjects: [Subject; 3] = Default::default();
    while subjects.iter().any(|subject| subject.length() < LENGTH) {
        subjects[0].turns.push(raw(bench).await);
        subjects[1].turns.push(users(bench, LocalCache::On).await);
        subjects[2].turns.push(users(bench, LocalCache::Off).await);
    }
    let names = [
        "GET through `CacheClient`",
        "`get-user`, L1 hit",
        "`get-user`, L2 hit",
    ];
    let rows = names.iter().zip(&subjects).map(|(name, subject)| {
        let turns = subject.turns.iter().zip(&subjects[0].turns);
        let ratios: Vec<f64> = turns.map(|(it, raw)| raw.div_duration_f64(*it)).collect();
        vec![
            (*name).to_owned(),
            subject.turns.len().to_string(),
            format!("{:.0}", subject.per_second()),
            spread(&ratios),
        ]
    });
    table(
        "32 at a time, one thread | turns of 2,000 | calls/s | × raw, median of turns (lowest to highest)",
        &rows.collect::<Vec<_>>(),
    );
}

async fn raw(bench: &mut Bench) -> Duration {
    let cache = bench.cache();
    let began = Instant::now();
    let found = stream::iter(0..TURN)
        .map(|_| cache.get(RAW_KEY))
        .buffer_unordered(CALLERS)
        .filter(|value| std::future::ready(matches!(value, Ok(Some(_)))))
        .count()
        .await;
    let took = began.elapsed();
    assert_eq!(found, TURN as usize);
    bench.flush();
    took
}

/// Metrics are written once per turn: a process with concurrent calls has them scraped instead.
async fn users(bench: &mut Bench, local_cache: LocalCache) -> Duration {
    let requests = (0..TURN).map(|number| user_request(number % USERS + 1));
    let requests: Vec<_> = requests.collect();
    let services = &bench.process(local_cache).0;
    let began = Instant::now();
    let answered = stream::iter(requests)
        .map(|request| get_user::handle(&services.admission, &services.users, request))
        .buffer_unordered(CALLERS)
        .filter(|answer| std::future::ready(answer.as_ref().is_ok_and(|it| it.status() == 200)))
        .count()
        .await;
    let took = began.elapsed();
    assert_eq!(answered, TURN as usize);
    bench.flush();
    took
}

impl Subject {
    fn length(&self) -> Duration {
        self.turns.iter().sum()
    }

    fn per_second(&self) -> f64 {
        f64::from(TURN) * self.turns.iter().map(|_| 1.0).sum::<f64>() / self.length().as_secs_f64()
    }
}
