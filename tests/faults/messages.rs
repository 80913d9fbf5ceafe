//! Messages by worker processes that are killed, over real queues that deliver twice, to a platform that fails and loses its answers.
//!
//! `LARK_LOAD_MESSAGES=10000 LARK_LOAD_CHATS=200` is the load of docs/reliability.md; without it there are few, and it takes a minute.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream;
use lark_service::apps::AppContext;
use lark_service::delivery::{Job, Message, NewMessage, State};
use lark_service::ids::AppId;
use lark_service::lark::messages::Address;
use lark_service::queue::{Entry, Lane};
use lark_service_tests::cluster::{TestCluster, figure};
use lark_service_tests::queues::{is_empty, until};
use lark_service_tests::worker::{Command, Worker};
use lark_service_tests::world::{Process, soon};
use lark_simulator::{
    DeliveryFilter, Fault, FaultAction, FaultStage, Options, RateLimitWindows, Settings, chat_id,
    seeded_app_id,
};

const KEY: &str = "load00000001";
const CREATE: &str = "im.message.create";
const PROCESSES: usize = 4;
/// How many messages are accepted side by side, each to a chat of its own.
const ACCEPTING: usize = 16;
/// The platform's limit of an app in this test: all that it allows in a second, and ten times as much in a minute.
const PER_SECOND: u32 = 50;
/// For how long a batch is hidden: a killed worker's comes back after this.
const HIDDEN_S: u64 = 20;

/// A size from the environment.
#[expect(
    clippy::disallowed_methods,
    reason = "the same test, with as many messages as somebody wants"
)]
fn size(name: &str, otherwise: u32) -> u32 {
    let given = std::env::var(name).ok();
    given.map_or(otherwise, |given| given.parse().expect("a number"))
}

/// The limits as the processes know them.
const LIMITS: [(&str, &str); 3] = [
    ("LARK_SERVICE_LARK_LIMIT_PER_MINUTE", "10000"),
    ("LARK_SERVICE_LARK_LIMIT_PER_SECOND", "50"),
    ("LARK_SERVICE_LARK_TIMEOUT_MS", "3000"),
];

async fn cluster(chats: u32, apps: &[String]) -> TestCluster {
    let options = Options {
        chats: chats + chats / 49 + 1,
        seeded_apps: 2,
        settings: Settings {
            rate_limits: true,
            rate_limit_windows: RateLimitWindows::Sliding,
            // A minute's limit in six seconds, a second's in 100 ms.
            rate_limit_scale: 10,
            ..Settings::default()
        },
        ..Options::default()
    };
    let apps: Vec<&str> = apps.iter().map(String::as_str).collect();
    TestCluster::start_with_queues(options, &apps).await
}

async fn context(process: &Process, app: &str) -> AppContext {
    let app_id = AppId::parse(app).expect("an app id");
    let app = process.0.apps.enabled(&app_id, soon()).await;
    AppContext::new(app.expect("an app"), None).expect("an internal app")
}

fn message(number: u32, chat: u32, lane: Lane) -> NewMessage {
    NewMessage {
        key_id: KEY.to_owned(),
        // The bot is in none of the chats whose numbers fifty divides.
        to: Address::ChatId(chat_id(chat + (chat - 1) / 49)),
        message: Message {
            msg_type: "text".to_owned(),
            content: format!(r#"{{"text":"{number}"}}"#),
        },
        lane,
        deliver_at: None,
        expires_at: None,
        once: None,
    }
}

/// Accepts a message, and says its number in the order of acceptance.
async fn accept(process: &Process, context: &AppContext, new: NewMessage) -> Job {
    let accepted = process.0.delivery.accept(context, new, soon()).await;
    accepted.expect("a working store").job
}

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

/// What the platform has delivered: the numbers of the messages in each chat, in their order.
fn delivered(cluster: &TestCluster) -> BTreeMap<String, Vec<u32>> {
    let control = cluster.simulator.control();
    let mut by_chat: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    let mut filter = DeliveryFilter::default();
    loop {
        let page = control.deliveries(&filter, 1_000);
        let Some(last) = page.last() else {
            return by_chat;
        };
        filter.after = last.number;
        for delivery in page {
            let content: serde_json::Value =
                serde_json::from_str(&delivery.content).expect("a text");
            let text = content["text"].as_str().expect("a text");
            let number = text.parse().expect("a number");
            by_chat.entry(delivery.chat_id).or_default().push(number);
        }
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

async fn worker(cluster: &TestCluster) -> Worker {
    let mut worker = cluster.worker_as(&LIMITS).await;
    let command = Command::Deliver {
        batches: 6,
        hidden_s: HIDDEN_S,
    };
    worker.send(command).await;
    worker
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
                let group = numbers.iter().filter(|it| (app_of(**it), lane_of(**it)) == (app, lane));
                assert!(group.is_sorted(), "{chat} {app} {lane:?}: {numbers:?}");
            }
        }
    }
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
    let cluster = cluster(chats, &apps).await;
    let process = cluster.process_as(&LIMITS).await;
    let contexts = join_all(apps.iter().map(|app| context(&process, app))).await;
    let began = Instant::now();
    let jobs = accept_all(&process, &contexts, chats, per_chat).await;
    let accepting = began.elapsed();

    fail_now_and_then(&cluster);
    let control = cluster.simulator.control();
    let mut workers = join_all((0..PROCESSES).map(|_| worker(&cluster))).await;
    let began = Instant::now();
    for kill in 1..=kills {
        // In the middle of its work, wherever that is.
        let share = u64::from(total * kill / (kills + 2));
        control.delivered(share).await;
        let victim = &mut workers[kill as usize % PROCESSES];
        victim.kill().await;
        *victim = worker(&cluster).await;
    }
    let patience = Duration::from_secs(120 + u64::from(total) / 10);
    let most = u64::from(total) * 9 / 10;
    let busy = tokio::time::timeout(patience, control.delivered(most)).await;
    let rate = f64::from(total) * 0.9 / began.elapsed().as_secs_f64();
    let all = tokio::time::timeout(patience, control.delivered(u64::from(total))).await;
    let delivering = began.elapsed();
    // A worker that was killed leaves its lease; its messages wait for the end of it.
    let queue = process.0.queue.as_ref().expect("a queue");
    let is_done = until(patience, async || is_empty(&**queue).await).await;

    let counts = control.message_counts().total;
    let errors = control.counters().endpoints[CREATE].errors.clone();
    figure(format!(
        "{total} messages to {chats} chats by 2 apps and {PROCESSES} processes, {kills} killed: accepted in {accepting:.1?}, \
         nine of ten delivered at {rate:.1} a second, {:.0} % of what both apps may send; all after {delivering:.1?}, ended after {:.1?}; {} calls \
         repeated with their uuid, {} refused with 230020; errors by code: {errors:?}",
        100.0 * rate / f64::from(2 * PER_SECOND),
        began.elapsed(),
        counts.repeated,
        counts.refused,
    ))
    .await;
    assert!(busy.is_ok() && all.is_ok() && is_done, "{counts:?} of {total}");
    check_order(&cluster, total);
    assert_eq!(counts.refused, 0, "230020");
    assert_eq!(undelivered(&process, &jobs).await, 0);
}
