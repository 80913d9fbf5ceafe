//! Messages by worker processes that are killed, over real queues that deliver twice, to a platform that fails and loses its answers.
//!
//! `LARK_LOAD_MESSAGES=10000 LARK_LOAD_CHATS=200 LARK_LOAD_REAL_LIMITS=1` is the load of docs/reliability.md; without it there are few,
//! and it takes a minute.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream;
use lark_service::apps::AppContext;
use lark_service::clock::Timestamp;
use lark_service::delivery::{Job, State};
use lark_service::queue::{Entry, Lane};
use lark_service_tests::cluster::{TestCluster, figure};
use lark_service_tests::queues::{is_empty, until};
use lark_service_tests::worker::Worker;
use lark_service_tests::world::{Process, soon};
use lark_simulator::{Fault, FaultAction, FaultStage, Tier, seeded_app_id};

use crate::world::{
    ACCEPTING, KEY, Limits, PROCESSES, accept, chat_of, cluster, context, delivered, deliveries,
    message, number_of, size, worker,
};

const CREATE: &str = "im.message.create";

/// The queue delivers it once more.
async fn deliver_twice(process: &Process, job: &Job) {
    let (key_id, job_id) = (&job.key.key_id, &job.key.job_id);
    let lane = job.lane.name();
    let entry = Entry {
        group: job.group(),
        deduplication: format!("again-{job_id}"),
        body: format!(r#"{{"key_id":"{key_id}","job_id":"{job_id}","lane":"{lane}"}}"#),
    };
    let queue = process.0.queue.as_ref().expect("a queue");
    for sent in queue.send(job.lane, &[entry]).await {
        sent.expect("a working queue");
    }
}

/// A call in thirty fails, one in a hundred makes its message and is never answered.
fn fail_now_and_then(cluster: &TestCluster) {
    let control = cluster.simulator.control();
    let failing = Fault {
        probability: 0.03,
        ..Fault::new(
            CREATE,
            FaultAction::Answer {
                status: 502,
                code: 0,
                msg: String::new(),
                body: Some("<html>bad gateway</html>".to_owned()),
                headers: BTreeMap::new(),
            },
        )
    };
    let silent = Fault {
        probability: 0.01,
        stage: FaultStage::After,
        ..Fault::new(CREATE, FaultAction::Hang)
    };
    for fault in [failing, silent] {
        control.add_fault(fault).expect("a right rule");
    }
}

/// Which lane a message takes: every fifth that of batches.
const fn lane_of(number: u32) -> Lane {
    match number % 5 {
        0 => Lane::Bulk,
        _ => Lane::Normal,
    }
}

/// Which of the two apps sends it.
const fn app_of(number: u32) -> usize {
    (number / 7 % 2) as usize
}

/// Accepts `per_chat` messages to each chat, in their order, by both apps. Some are queued twice.
async fn accept_all(
    process: &Process,
    contexts: &[AppContext],
    chats: u32,
    per_chat: u32,
) -> Vec<Job> {
    let jobs: Vec<Vec<Job>> = stream::iter(1..=chats)
        .map(|chat| async move {
            let mut jobs = Vec::new();
            for number in (chat - 1) * per_chat..chat * per_chat {
                let new = message(number, chat, lane_of(number));
                let job = accept(process, &contexts[app_of(number)], new).await;
                if number % 25 == 0 {
                    deliver_twice(process, &job).await;
                }
                jobs.push(job);
            }
            jobs
        })
        .buffer_unordered(ACCEPTING)
        .collect()
        .await;
    jobs.concat()
}

/// Once each, and in the order of acceptance: of one app and lane in each chat.
fn check_order(cluster: &TestCluster, total: u32) {
    let delivered = delivered(cluster);
    let numbers: Vec<u32> = delivered.values().flatten().copied().collect();
    let different: HashSet<u32> = numbers.iter().copied().collect();
    let total = total as usize;
    assert_eq!((numbers.len(), different.len()), (total, total));
    for (chat, numbers) in &delivered {
        for app in [0, 1] {
            for lane in Lane::ALL {
                let group = numbers
                    .iter()
                    .filter(|it| (app_of(**it), lane_of(**it)) == (app, lane));
                assert!(group.is_sorted(), "{chat} {app} {lane:?}: {numbers:?}");
            }
        }
    }
}

/// How much of what the platform allows was used from the first message until nine of ten were there.
struct Used {
    percent: f64,
    per_second: f64,
    took: Duration,
    ideal: Duration,
}

impl Used {
    /// `LARK_LOAD_LEAST_PERCENT` says how much is enough: 90 on a machine that does nothing else.
    fn assert_enough(&self) {
        let least = f64::from(size("LARK_LOAD_LEAST_PERCENT", 0));
        assert!(self.percent >= least, "{self}");
    }
}

impl fmt::Display for Used {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "nine of ten delivered in {:.1?}, {:.1} a second, which takes {:.1?} at the least: {:.0} % used",
            self.took, self.per_second, self.ideal, self.percent
        )
    }
}

/// Compares the time with the least that the platform allows for as many messages of each app and to each chat, if each goes at the
/// first moment at which no window is full. Calls that repeat a message are left out of it.
fn used(cluster: &TestCluster, limits: Limits) -> Used {
    let mut all = deliveries(cluster);
    all.sort_unstable_by_key(|delivery| delivery.at_ms);
    all.truncate((all.len() * 9).div_ceil(10));
    let [first, .., last] = &all[..] else {
        panic!("too few messages");
    };
    let took = Duration::from_millis(last.at_ms - first.at_ms);
    let (mut apps, mut chats) = (BTreeMap::new(), BTreeMap::new());
    for delivery in &all {
        *apps.entry(&delivery.app_id).or_insert(0_usize) += 1;
        *chats.entry(&delivery.chat_id).or_insert(0_usize) += 1;
    }
    let of_apps = apps.values().map(|calls| least(*calls, limits.of_app));
    let of_chats = chats.values().map(|calls| least(*calls, limits.of_chat));
    let ideal = of_apps.chain(of_chats).max().unwrap_or_default();
    let per_second = all.len() as f64 / took.as_secs_f64();
    Used {
        percent: 100.0 * ideal.as_secs_f64() / took.as_secs_f64(),
        per_second,
        took,
        ideal,
    }
}

/// How long `calls` take at the least within `windows`.
fn least(calls: usize, windows: &[(usize, Duration)]) -> Duration {
    let mut moments: Vec<Duration> = Vec::with_capacity(calls);
    for call in 0..calls {
        let after = windows.iter().map(|(limit, length)| {
            let before = call.checked_sub(*limit).map(|call| moments[call] + *length);
            before.unwrap_or_default()
        });
        moments.push(after.max().unwrap_or_default());
    }
    moments.last().copied().unwrap_or_default()
}

/// How many jobs have not been delivered, by what their records say.
async fn undelivered(process: &Process, jobs: &[Job]) -> usize {
    let states = stream::iter(jobs).map(|job| async {
        let found = process.0.delivery.job(KEY, job.key.job_id.as_str(), soon());
        found.await.expect("a job").state(process.0.clock.now())
    });
    let states: Vec<State> = states.buffer_unordered(ACCEPTING).collect().await;
    let others = states.iter().filter(|state| **state != State::Delivered);
    others.count()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_message_is_delivered_once_and_in_order_whatever_dies() {
    let chats = size("LARK_LOAD_CHATS", 20);
    let per_chat = size("LARK_LOAD_MESSAGES", 240) / chats;
    let kills = size("LARK_LOAD_KILLS", 3);
    let total = per_chat * chats;
    let apps = [1, 2].map(seeded_app_id);
    let limits = Limits::chosen();
    let cluster = cluster(chats, &apps, limits).await;
    let process = cluster.process_as(&limits.variables()).await;
    let contexts = join_all(apps.iter().map(|app| context(&process, app))).await;
    let began = Instant::now();
    let jobs = accept_all(&process, &contexts, chats, per_chat).await;
    let accepting = began.elapsed();

    fail_now_and_then(&cluster);
    let control = cluster.simulator.control();
    let mut workers = join_all((0..PROCESSES).map(|_| worker(&cluster, limits))).await;
    let began = Instant::now();
    for kill in 1..=kills {
        // In the middle of its work, wherever that is.
        let share = u64::from(total * kill / (kills + 2));
        control.delivered(share).await;
        let victim = &mut workers[kill as usize % PROCESSES];
        victim.kill().await;
        *victim = worker(&cluster, limits).await;
    }
    let patience = Duration::from_secs(120 + u64::from(total) / 10);
    let most = u64::from(total) * 9 / 10;
    let busy = tokio::time::timeout(patience, control.delivered(most)).await;
    let all = tokio::time::timeout(patience, control.delivered(u64::from(total))).await;
    let delivering = began.elapsed();
    // A worker that was killed leaves its lease; its messages wait for the end of it.
    let queue = process.0.queue.as_ref().expect("a queue");
    let is_done = until(patience, async || is_empty(&**queue).await).await;

    let counts = control.message_counts().total;
    let create = control.counters().endpoints[CREATE].clone();
    let used = used(&cluster, limits);
    figure(format!(
        "{total} messages to {chats} chats by 2 apps and {PROCESSES} processes, {kills} killed: accepted in {accepting:.1?}, \
         {used}; all after {delivering:.1?}, ended after {:.1?}; {} calls repeated with their uuid, {} refused with 230020, {} with \
         99991400; errors by code: {:?}",
        began.elapsed(),
        counts.repeated,
        counts.refused,
        create.rate_limited,
        create.errors,
    ))
    .await;
    assert!(
        busy.is_ok() && all.is_ok() && is_done,
        "{counts:?} of {total}"
    );
    check_order(&cluster, total);
    assert_eq!((counts.refused, create.rate_limited), (0, 0), "refused");
    used.assert_enough();
    assert_eq!(undelivered(&process, &jobs).await, 0);
}

/// Many workers of four processes want more than they get: the limit of their app is kept. A machine so busy that processes miss their
/// places by more than 30 ms loses these; how much of the limit is used otherwise is tested in paused time.
#[tokio::test(flavor = "multi_thread")]
async fn a_limit_that_many_workers_want_is_never_exceeded() {
    const CHATS: u32 = 40;
    let total = size("LARK_LOAD_FIVE", 120);
    let app = seeded_app_id(1);
    let limits = Limits::FIVE;
    let cluster = cluster(CHATS, std::slice::from_ref(&app), limits).await;
    let control = cluster.simulator.control();
    let tier = control.set_tier(CREATE, Some(Tier::Six));
    tier.expect("an endpoint");
    let process = cluster.process_as(&limits.variables()).await;
    let context = context(&process, &app).await;
    let mut workers = join_all((0..PROCESSES).map(|_| worker(&cluster, limits))).await;
    for number in 0..total {
        let new = message(number, 1 + number % CHATS, Lane::Normal);
        accept(&process, &context, new).await;
    }
    let patience = Duration::from_secs(60 + u64::from(total));
    let all = tokio::time::timeout(patience, control.delivered(u64::from(total))).await;
    join_all(workers.iter_mut().map(Worker::kill)).await;
    let counts = control.message_counts().total;
    let create = control.counters().endpoints[CREATE].clone();
    let used = used(&cluster, limits);
    figure(format!(
        "{total} messages to {CHATS} chats by an app that has five a second, and {PROCESSES} processes: {used}; {} calls refused, errors \
         by code: {:?}; {} calls",
        counts.refused + create.rate_limited,
        create.errors,
        create.requests,
    ))
    .await;
    assert!(all.is_ok(), "{counts:?} of {total}");
    assert_eq!((counts.refused, create.rate_limited), (0, 0));
    assert_eq!(create.requests, u64::from(total));
    used.assert_enough();
}

/// How long after its acceptance the platform had each of `jobs`, the shortest first.
fn delays(cluster: &TestCluster, jobs: &[(u32, Timestamp)]) -> Vec<Duration> {
    let mut delays: Vec<Duration> = Vec::new();
    for delivery in deliveries(cluster) {
        let number = number_of(&delivery);
        if let Some((_, accepted)) = jobs.iter().find(|(known, _)| *known == number) {
            let at = Timestamp::from_millis(i64::try_from(delivery.at_ms).expect("a moment"));
            delays.push(at.since(*accepted));
        }
    }
    delays.sort_unstable();
    delays
}

/// How many messages a second the chat got, from its first to its last.
fn rate_of(cluster: &TestCluster, chat_id: &str) -> f64 {
    let all = deliveries(cluster);
    let moments = all.iter().filter(|it| it.chat_id == chat_id);
    let moments: Vec<u64> = moments.map(|it| it.at_ms).collect();
    let (Some(first), Some(last)) = (moments.iter().min(), moments.iter().max()) else {
        return 0.0;
    };
    let took = Duration::from_millis((last - first).max(1));
    (moments.len() - 1) as f64 / took.as_secs_f64()
}

/// How many of the first `numbers` the platform has.
fn delivered_below(cluster: &TestCluster, numbers: u32) -> usize {
    let delivered = delivered(cluster);
    let all = delivered.values().flatten();
    all.filter(|number| **number < numbers).count()
}

/// A long queue for one chat, and many for a batch, keep nobody else's messages waiting.
#[tokio::test(flavor = "multi_thread")]
async fn a_crowded_chat_and_a_batch_keep_no_others_waiting() {
    let crowd = size("LARK_LOAD_CROWD", 150);
    let batch = size("LARK_LOAD_BATCH", 100);
    let others = size("LARK_LOAD_OTHERS", 30);
    let apps = [1, 2].map(seeded_app_id);
    let limits = Limits::TENFOLD;
    let cluster = cluster(40, &apps, limits).await;
    let process = cluster.process_as(&limits.variables()).await;
    let context = context(&process, &apps[0]).await;
    let accept_one =
        async |number, chat, lane| accept(&process, &context, message(number, chat, lane)).await;
    for number in 0..crowd {
        accept_one(number, 1, Lane::Normal).await;
    }
    for number in crowd..crowd + batch {
        accept_one(number, 2 + number % 20, Lane::Bulk).await;
    }
    let _workers = join_all((0..PROCESSES).map(|_| worker(&cluster, limits))).await;
    let control = cluster.simulator.control();
    control.delivered(10).await;
    let mut jobs = Vec::new();
    for number in crowd + batch..crowd + batch + others {
        let before = process.0.clock.now();
        accept_one(number, 22 + number % 18, Lane::Normal).await;
        jobs.push((number, before));
    }
    let patience = Duration::from_secs(60);
    let are_there = until(patience, async || {
        delays(&cluster, &jobs).len() == jobs.len()
    })
    .await;
    let waiting = (crowd + batch) as usize - delivered_below(&cluster, crowd + batch);
    let delays = delays(&cluster, &jobs);
    let refused =
        control.message_counts().total.refused + control.counters().endpoints[CREATE].rate_limited;
    figure(format!(
        "beside {crowd} messages for one chat and a batch of {batch}: {others} other messages from acceptance to delivery, P50 {:?}, \
         P95 {:?}, at most {:?}; the chat of the crowd got {:.2} a second; {waiting} of the crowd still wait; {refused} calls refused",
        delays[delays.len() / 2],
        delays[delays.len() * 95 / 100],
        delays[delays.len() - 1],
        rate_of(&cluster, &chat_of(1)),
    ))
    .await;
    assert_eq!(refused, 0);
    assert!(are_there, "{delays:?}");
    assert!(
        waiting > crowd as usize / 2,
        "the others came after the crowd"
    );
}
