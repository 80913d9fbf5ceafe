//! Functions that are killed at each of the requests that make a message: between accepting, queueing, writing ahead, calling,
//! answering, recording and deleting. Whoever comes later finds out, and the message is made once.

use std::fmt;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use lark_service::clock::{Clock, SystemClock};
use lark_service::delivery::{Job, State};
use lark_service::queue::{Lane, MAX_RECEIVED, Queue};
use lark_service_tests::cluster::figure;
use lark_service_tests::faked_clock::FakedClock;
use lark_service_tests::function::Function;
use lark_service_tests::queues::{is_empty, sqs_event};
use lark_service_tests::site::Site;
use lark_service_tests::world::soon;
use lark_simulator::{DeliveryFilter, chat_id};
use serde_json::{Value, json};

/// How long a received message is hidden.
const HIDDEN: Duration = Duration::from_secs(1);
/// How many processes run side by side.
const AT_ONCE: usize = 4;
/// How often a queue is asked, at most, until it is empty.
const BATCHES: usize = 12;
/// After this a job that nobody has queued is found by the scheduled run, in seconds.
const ABANDONED_S: i64 = 16 * 60;

/// What is killed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Victim {
    /// `send-message`, which sends at once.
    Send,
    /// `send-message`, which leaves it to a worker.
    Accept,
    /// `deliver-messages`.
    Deliver,
}

/// What becomes of the request at which it is killed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fate {
    Lost,
    /// It has its effect; nobody reads the answer.
    Answered,
}

/// Where a process is killed, and when others go on.
#[derive(Clone, Debug)]
struct Death {
    victim: Victim,
    /// The request's name, and which of those with this name.
    point: (String, u64),
    fate: Fate,
    /// Seconds until somebody goes on: after the lease of the dead, or after the hour of the platform's memory.
    later_s: i64,
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            victim,
            point: (name, nth),
            fate,
            later_s,
        } = self;
        write!(f, "{victim:?} | {name} #{nth} | {fate:?} | {later_s} s")
    }
}

impl Victim {
    const fn function(self) -> &'static str {
        match self {
            Self::Send | Self::Accept => "send-message",
            Self::Deliver => "deliver-messages",
        }
    }

    /// Has a job to deliver, if it is about that.
    async fn prepare(self, site: &Site) {
        if self == Self::Deliver {
            let process = site.operator().await;
            let answer = request(site, Self::Accept).send(process).await;
            assert_eq!(answer.status, 202, "{answer:?}");
        }
    }

    async fn event(self, site: &Site, queue: &dyn Queue) -> Value {
        match self {
            Self::Send | Self::Accept => request(site, self).event("POST /v1/messages"),
            Self::Deliver => {
                let wait = Duration::from_secs(5);
                let batch = queue
                    .receive(Lane::Normal, MAX_RECEIVED, HIDDEN, wait)
                    .await;
                sqs_event(&batch.expect("a queue"))
            }
        }
    }
}

/// The request for the message, which its caller may repeat.
fn request(site: &Site, victim: Victim) -> lark_service_tests::requests::TestRequest {
    let body = json!({"to": {"chat_id": chat_id(1)}, "text": "once"});
    let request = site
        .request("POST", "/v1/messages")
        .header("content-type", "application/json")
        .header("idempotency-key", "the-one")
        .body(&body);
    match victim {
        Victim::Accept => request.header("prefer", "respond-async"),
        Victim::Send | Victim::Deliver => request,
    }
}

async fn queue(site: &Site) -> std::sync::Arc<dyn Queue> {
    let process = site.operator().await;
    std::sync::Arc::clone(process.0.queue.as_ref().expect("a queue"))
}

/// The requests of `victim` that are about the message itself.
async fn points(victim: Victim) -> Vec<(String, u64)> {
    let site = Site::start_with_queues().await;
    let queue = queue(&site).await;
    victim.prepare(&site).await;
    let mut function = site.function(victim.function()).await;
    let event = victim.event(&site, &*queue).await;
    let first = function.network.traffic.seen().len();
    let ended = function.invoke(&event).await;
    assert!(ended.answer.is_ok(), "{ended:?}");
    let mut points: Vec<(String, u64)> = Vec::new();
    for name in function.network.traffic.names_from(first) {
        let is_about_it = ["message_jobs", "queue ", "/im/v1/messages"];
        if !is_about_it.iter().any(|part| name.contains(part)) {
            continue;
        }
        let before = points.iter().filter(|(known, _)| *known == name).count();
        points.push((name, before as u64 + 1));
    }
    points
}

/// Receives and delivers until nothing is left.
async fn drain(queue: &dyn Queue, worker: &mut Function) {
    for _ in 0..BATCHES {
        let wait = Duration::from_secs(1);
        let batch = queue
            .receive(Lane::Normal, MAX_RECEIVED, HIDDEN, wait)
            .await;
        let batch = batch.expect("a queue");
        if batch.is_empty() {
            if is_empty(queue).await {
                return;
            }
            continue;
        }
        let ended = worker.invoke(&sqs_event(&batch)).await;
        let report = ended.answer.expect("a report");
        let report = report["batchItemFailures"].as_array().cloned();
        let unfinished = report.unwrap_or_default();
        for message in batch {
            if unfinished
                .iter()
                .any(|it| it["itemIdentifier"] == message.id)
            {
                continue;
            }
            let deleted = queue.delete(Lane::Normal, &message.receipt).await;
            deleted.expect("a queue");
        }
    }
}

/// Kills a process at its point, beside tables of its own (the scheduled run finds the jobs of all), lets others go on later, and returns what is wrong with the outcome.
async fn run(death: &Death) -> Result<State, String> {
    let site = Site::start_with_queues().await;
    let queue = queue(&site).await;
    let victim = death.victim;
    victim.prepare(&site).await;
    let mut function = site.function(victim.function()).await;
    let event = victim.event(&site, &*queue).await;
    let (name, nth) = &death.point;
    let held = function.network.traffic.hold_nth(*nth, name);
    function.begin(&event);
    tokio::select! {
        () = held.arrived() => {}
        ended = function.end() => return Err(format!("it went another way: {ended:?}")),
    }
    if death.fate == Fate::Answered {
        held.forward();
        held.answered().await;
    }
    function.kill().await;
    held.cut();

    let clock = || FakedClock::shifted(death.later_s);
    if victim != Victim::Deliver {
        // Its caller heard nothing, and asks again.
        let mut again = site.function_with_clock("send-message", clock()).await;
        let event = request(&site, victim).event("POST /v1/messages");
        let outcome = again.invoke(&event).await.outcome();
        if !outcome.starts_with('2') {
            return Err(format!("the repeated request: {outcome}"));
        }
    }
    let mut worker = site.function_with_clock("deliver-messages", clock()).await;
    drain(&*queue, &mut worker).await;
    let shift_s = death.later_s + ABANDONED_S;
    let run = FakedClock::shifted(shift_s);
    let mut run = site.function_with_clock("enqueue-due", run).await;
    let run = run.invoke(&json!({})).await;
    run.answer
        .map_err(|error| format!("the scheduled run: {error}"))?;
    worker.step_clock_to(shift_s);
    drain(&*queue, &mut worker).await;
    verdict(&site, &*queue, death).await
}

async fn verdict(site: &Site, queue: &dyn Queue, death: &Death) -> Result<State, String> {
    let key_id = site.api_key.split('_').nth(1).expect("an id");
    let process = site.operator().await;
    let jobs = process
        .0
        .delivery
        .jobs(key_id, None, None, None, 10, soon());
    let jobs: Vec<Job> = jobs.await.expect("a store").items;
    let made = site.control().deliveries(&DeliveryFilter::default(), 10);
    let [job] = jobs.as_slice() else {
        return Err(format!("{} jobs", jobs.len()));
    };
    let state = job.state(SystemClock.now());
    let is_within_the_hour = death.later_s < 3_600;
    if made.len() > 1 || is_within_the_hour && made.len() != 1 {
        return Err(format!("{} messages, {state:?}", made.len()));
    }
    let is_right = match state {
        State::Delivered => made.len() == 1,
        State::Uncertain => !is_within_the_hour,
        // The chat's history proves that no call has made it.
        State::Expired => !is_within_the_hour && made.is_empty(),
        State::Scheduled
        | State::Queued
        | State::Sending
        | State::Held
        | State::Refused
        | State::Cancelled => false,
    };
    if !is_right {
        return Err(format!(
            "{} messages, {:?}, {:?}",
            made.len(),
            job.end,
            job.attempts
        ));
    }
    if !is_empty(queue).await {
        return Err(format!(
            "something is left in the queue: {:?}, {:?}",
            job.end, job.attempts
        ));
    }
    Ok(state)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_made_once_whoever_is_killed_at_whichever_request() {
    let mut deaths = Vec::new();
    for victim in [Victim::Send, Victim::Accept, Victim::Deliver] {
        let points = Box::pin(points(victim)).await;
        assert!(points.len() >= 3, "{points:?}");
        for point in points {
            for fate in [Fate::Lost, Fate::Answered] {
                for later_s in [60, 61 * 60] {
                    deaths.push(Death {
                        victim,
                        point: point.clone(),
                        fate,
                        later_s,
                    });
                }
            }
        }
    }
    let count = deaths.len();
    let outcomes: Vec<(Death, Result<State, String>)> = stream::iter(deaths)
        .map(|death| async {
            let outcome = Box::pin(run(&death)).await;
            figure(format!("{death}: {outcome:?}")).await;
            (death, outcome)
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let wrong = outcomes.iter().filter_map(|(death, outcome)| {
        let what = outcome.as_ref().err()?;
        Some(format!("{death}: {what}"))
    });
    let wrong: Vec<String> = wrong.collect();
    assert!(
        wrong.is_empty(),
        "{} of {count}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
