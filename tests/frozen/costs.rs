//! What a refreshed token and a message cost in requests, counted between real functions and their servers.

use std::collections::BTreeMap;
use std::time::Duration;

use lark_service::queue::{Lane, MAX_RECEIVED};
use lark_service_tests::cluster::figure;
use lark_service_tests::faked_clock::FakedClock;
use lark_service_tests::function::Function;
use lark_service_tests::queues::sqs_event;
use lark_service_tests::site::{SECRET, Site};
use lark_simulator::{App, Settings, open_id};
use serde_json::{Value, json};

const APPS: usize = 100;
const MESSAGES: u32 = 20;

/// How often `function` made each request to AWS while `event` was worked on.
async fn requests(function: &mut Function, event: &Value) -> (Value, BTreeMap<String, usize>) {
    let first = function.network.traffic.seen().len();
    let answer = function.invoke(event).await.answer.expect("an answer");
    let mut counts = BTreeMap::new();
    for name in function.network.traffic.names_from(first) {
        if name.starts_with("store ") || name.starts_with("queue ") {
            *counts.entry(name).or_default() += 1;
        }
    }
    (answer, counts)
}

fn sum(counts: &BTreeMap<String, usize>, server: &str) -> usize {
    let of_server = counts.iter().filter(|(name, _)| name.starts_with(server));
    of_server.map(|(_, count)| count).sum()
}

/// Two for each token: what it was is read in pages of many; the lease and the new token are written.
#[tokio::test(flavor = "multi_thread")]
async fn a_refreshed_token_costs_two_requests_to_the_store() {
    let site = Site::start().await;
    // So short that the platform issues another one at any time.
    site.set(|settings| Settings {
        token_lifetime_seconds: 1_700,
        ..settings
    });
    let ids: Vec<String> = (0..APPS).map(|n| format!("{}n{n}", site.app)).collect();
    for id in &ids {
        site.control()
            .add_app(App::new(id, SECRET))
            .expect("an app");
    }
    let apps: Vec<Value> = ids
        .iter()
        .map(|id| json!({"app_id": id, "secret": SECRET}))
        .collect();
    site.seed(&json!({"apps": apps})).await;
    let mut first = site.function("refresh-tokens").await;
    requests(&mut first, &json!({})).await;
    // All of them are due in the minutes before their end.
    let late = FakedClock::shifted(1_600);
    let mut function = site.function_with_clock("refresh-tokens", late).await;
    let (report, counts) = requests(&mut function, &json!({})).await;
    let refreshed = report["refreshed"].as_u64().expect("a count");
    let all = sum(&counts, "store ");
    figure(format!(
        "{refreshed} refreshed tokens: {all} requests to the store, {counts:?}"
    ))
    .await;
    let refreshed = usize::try_from(refreshed).expect("a count");
    assert!(refreshed >= APPS, "{report}");
    // 2.1, and the pages of the run itself.
    assert!(all * 10 <= refreshed * 21 + 500, "{all}: {counts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_by_the_queue_costs_four_writes_and_a_read() {
    let site = Site::start_with_queues().await;
    let mut accept = site.function("send-message").await;
    let mut deliver = site.function("deliver-messages").await;
    let send = |number: u32| {
        let to = open_id(&site.app, number);
        site.request("POST", "/v1/messages")
            .header("content-type", "application/json")
            .header("prefer", "respond-async")
            .body(&json!({"to": {"open_id": to}, "text": "hi"}))
            .event("POST /v1/messages")
    };
    let queue = site.operator().await.0.queue.clone().expect("a queue");
    let receive = async || {
        let (hidden, wait) = (Duration::from_secs(60), Duration::from_secs(2));
        let batch = queue
            .receive(Lane::Normal, MAX_RECEIVED, hidden, wait)
            .await;
        sqs_event(&batch.expect("a queue"))
    };
    // The app and its token are known from then on.
    requests(&mut accept, &send(100)).await;
    requests(&mut deliver, &receive().await).await;

    let mut all: BTreeMap<String, usize> = BTreeMap::new();
    let mut add = |counts: BTreeMap<String, usize>| {
        for (name, count) in counts {
            *all.entry(name).or_default() += count;
        }
    };
    for number in 1..=MESSAGES {
        add(requests(&mut accept, &send(number)).await.1);
    }
    let mut left = MESSAGES as usize;
    while left > 0 {
        let event = receive().await;
        left -= event["Records"].as_array().map_or(0, Vec::len);
        let (report, counts) = requests(&mut deliver, &event).await;
        assert_eq!(report["batchItemFailures"], json!([]));
        add(counts);
    }
    let messages = MESSAGES as usize;
    figure(format!(
        "{messages} messages by the queue: {} requests to the store, {} of the functions to the queue, {all:?}",
        sum(&all, "store "),
        sum(&all, "queue "),
    ))
    .await;
    assert_eq!(all.get("store PutItem message_jobs"), Some(&(4 * messages)));
    assert_eq!(all.get("store GetItem message_jobs"), Some(&messages));
    // The token may be looked at once more.
    assert!(sum(&all, "store ") <= 5 * messages + 2, "{all:?}");
}
