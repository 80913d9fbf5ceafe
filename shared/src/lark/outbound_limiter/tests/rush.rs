//! Workers of several processes that send all they can: what the platform sees, and how much of its limits they use.

use std::collections::HashMap;

use proptest::prelude::*;
use tokio::task::JoinSet;

use super::*;
use crate::lark::apis::{IM_MESSAGE_CREATE, JITTER};
use crate::limiter::LATE;

/// How long a worker waits for its turn before it gives its message back to the queue.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long an answer takes.
const ANSWER: Duration = Duration::from_millis(100);

/// What takes time on the way of a call, each from nothing to this much.
#[derive(Clone, Copy, Debug)]
struct Delays {
    /// Between the place and the call.
    write: Duration,
    /// From the check of the place to the first byte.
    departure: Duration,
    /// On the network, beyond the shortest.
    network: Duration,
}

/// A call as the platform sees it.
#[derive(Clone, Copy, Debug)]
struct Arrival {
    chat: usize,
    at: Duration,
}

fn up_to(longest: Duration, random: &mut fastrand::Rng) -> Duration {
    longest.mul_f64(random.f64())
}

/// Sends a message to a chat: whether it got its turn.
async fn sent(
    limiter: &OutboundLimiter,
    to: &[Receiver],
    delays: Delays,
    random: &mut fastrand::Rng,
) -> Result<(), LarkFailure> {
    let (app_id, api) = (app("cli_a"), IM_MESSAGE_CREATE);
    let installation = installation(&app_id, None);
    let mut turn = limiter.turn(installation, &api, to, PATIENCE).await?;
    tokio::time::sleep(up_to(delays.write, random)).await;
    loop {
        let deadline = Deadline::after(PATIENCE + CALL_TIME);
        OutboundLimiter::come(&api, &mut turn, deadline).await?;
        // The process is busy for a while.
        tokio::time::sleep(up_to(delays.departure, random)).await;
        if turn.is_now() {
            turn.use_up();
            return Ok(());
        }
    }
}

/// A worker that sends `calls` messages, each to a chat of its own choice. What gets no turn in time is hidden, by SQS's whole seconds.
async fn worker(
    limiter: OutboundLimiter,
    chats: usize,
    calls: usize,
    delays: Delays,
    seed: u64,
) -> Vec<Arrival> {
    let began = Instant::now();
    let random = &mut fastrand::Rng::with_seed(seed);
    let mut arrivals = Vec::new();
    for _ in 0..calls {
        let chat = random.usize(..chats);
        let to = super::chat(&format!("oc_{chat}"));
        while let Err(refused) = sent(&limiter, &to, delays, random).await {
            let wait = refused.retry_after.unwrap().as_millis().div_ceil(1_000);
            tokio::time::sleep(SECOND * u32::try_from(wait).unwrap()).await;
        }
        let at = began.elapsed() + up_to(delays.network, random);
        arrivals.push(Arrival { chat, at });
        tokio::time::sleep(ANSWER).await;
    }
    arrivals
}

/// What the platform sees of `workers` workers in four processes, in its order.
async fn arrivals(workers: usize, chats: usize, calls: usize, delays: Delays) -> Vec<Arrival> {
    let processes = processes::<4>();
    let each = calls / workers;
    let workers = (0..workers).map(|number| {
        let limiter = processes[number % processes.len()].clone();
        worker(limiter, chats, each, delays, number as u64)
    });
    let workers: JoinSet<Vec<Arrival>> = workers.collect();
    let mut arrivals = workers.join_all().await.concat();
    arrivals.sort_unstable_by_key(|arrival| arrival.at);
    arrivals
}

/// What `calls` take if the platform counts 50 in any second and 1,000 in any minute, and each goes at the first moment at which it
/// may.
fn ideal(calls: usize) -> Duration {
    let mut moments: Vec<Duration> = Vec::with_capacity(calls);
    for call in 0..calls {
        let after = |limit: usize, window: Duration| {
            let before = call.checked_sub(limit).map(|call| moments[call] + window);
            before.unwrap_or_default()
        };
        moments.push(after(50, SECOND).max(after(1_000, MINUTE)));
    }
    moments.last().copied().unwrap_or_default()
}

/// No window of the platform has more than its limit. One that is as long as its window is two: its ends are not in the same.
fn assert_kept(arrivals: &[Arrival]) {
    let kept = |limit: usize, window: Duration, moments: &[Duration]| {
        for one_more in moments.windows(limit + 1) {
            let length = one_more[limit] - one_more[0];
            assert!(length >= window, "{limit} in {window:?}: {length:?}");
        }
    };
    let all: Vec<Duration> = arrivals.iter().map(|arrival| arrival.at).collect();
    kept(50, SECOND, &all);
    kept(1_000, MINUTE, &all);
    let mut chats: HashMap<usize, Vec<Duration>> = HashMap::new();
    for arrival in arrivals {
        chats.entry(arrival.chat).or_default().push(arrival.at);
    }
    chats.values().for_each(|moments| kept(5, SECOND, moments));
}

#[test]
fn the_ideal_is_fifty_a_second_until_the_minute_is_used_up() {
    for (calls, ms) in [
        (50, 0),
        (51, 1_000),
        (1_000, 19_000),
        (1_001, 60_000),
        (2_000, 79_000),
        (2_001, 120_000),
    ] {
        assert_eq!(ideal(calls).as_millis(), ms, "{calls}");
    }
}

/// The write ahead takes longer than a place lasts, and the network differs by as much as is allowed for.
#[tokio::test(start_paused = true)]
async fn workers_use_more_than_nine_tenths_of_what_the_platform_allows() {
    let delays = Delays {
        write: LATE * 3,
        departure: LATE / 4,
        network: JITTER,
    };
    let arrivals = arrivals(40, 200, 2_400, delays).await;
    assert_kept(&arrivals);
    let (ideal, took) = (ideal(arrivals.len()), arrivals[arrivals.len() - 1].at);
    let used = ideal.as_secs_f64() / took.as_secs_f64();
    assert!(used >= 0.9, "{used}: {took:?} instead of {ideal:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// However long the write ahead takes, and whatever a busy process and the network add up to what is allowed for.
    #[test]
    fn no_window_of_the_platform_has_too_many(
        workers in 2_usize..40,
        chats in 1_usize..20,
        write_ms in 0_u64..400,
        departure_ms in 0_u64..60,
    ) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().start_paused(true).build().unwrap();
        let delays = Delays {
            write: Duration::from_millis(write_ms),
            departure: Duration::from_millis(departure_ms),
            network: JITTER,
        };
        let arrivals = runtime.block_on(arrivals(workers, chats, 200, delays));
        assert_kept(&arrivals);
    }
}
