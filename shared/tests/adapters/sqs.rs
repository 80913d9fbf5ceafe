//! The contract of the queue on SQS, as the emulator speaks it, and what the emulator does not do: entries that fail one by one.
//!
//! Where the emulator differs from SQS: a receipt whose time is over works until the message is received again; a second deletion
//! is refused; counts are exact. It hands several messages of a group to one receiver, as SQS does. Only its mappings to
//! functions run a queue's groups one after the other; nothing here goes through them.

use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName::{
    DeduplicationScope, FifoQueue, FifoThroughputLimit, VisibilityTimeout,
};
use lark_service::aws::sdk_config;
use lark_service::queue::contract::{Aged, test_queue_adapter};
use lark_service::queue::sqs::{QueueUrls, SqsError, SqsQueue};
use lark_service::queue::{Entry, Lane, NotSent, Queue, QueueError, Receipt};

use crate::http::{Misbehaving, request_body, respond};
use crate::{emulator, http_client, required, unique};

async fn client(url: &str) -> Client {
    Client::new(&sdk_config(&http_client(), &emulator(url)).await)
}

/// Creates a queue as `template.yaml` does.
async fn create(client: &Client, lane: Lane) -> String {
    let request = client
        .create_queue()
        .queue_name(format!("{}-{}.fifo", unique(), lane.name()))
        .attributes(FifoQueue, "true")
        .attributes(FifoThroughputLimit, "perMessageGroupId")
        .attributes(DeduplicationScope, "messageGroup")
        .attributes(VisibilityTimeout, "360");
    request.send().await.unwrap().queue_url.unwrap()
}

async fn aged() -> Aged {
    let client = client(&required("LARK_TEST_DYNAMODB_URL_1")).await;
    let urls = QueueUrls {
        normal: create(&client, Lane::Normal).await,
        bulk: create(&client, Lane::Bulk).await,
    };
    // The emulator has the machine's clock.
    Aged::new(SqsQueue::new(&client, urls), |length| {
        Box::pin(tokio::time::sleep(length + Duration::from_millis(50)))
    })
}

test_queue_adapter!(aged(), emulated);

/// The queue at a server of the test's own.
async fn queue_at(server: &Misbehaving) -> SqsQueue {
    let client = client(&server.url).await;
    let url = |lane: Lane| format!("{}/000000000000/{}.fifo", server.url, lane.name());
    let urls = QueueUrls {
        normal: url(Lane::Normal),
        bulk: url(Lane::Bulk),
    };
    SqsQueue::new(&client, urls)
}

fn entry(group: &str, body: &str) -> Entry {
    Entry {
        group: group.to_owned(),
        deduplication: body.to_owned(),
        body: body.to_owned(),
    }
}

/// `ok`, or why not.
fn reasons(outcomes: &[Result<(), QueueError>]) -> Vec<String> {
    let reason = |outcome: &Result<(), QueueError>| match outcome {
        Ok(()) => "ok".to_owned(),
        Err(QueueError::Unavailable { source, .. }) => {
            if let Some(SqsError::EntryRefused { code }) = source.downcast_ref() {
                return code.clone();
            }
            source.to_string()
        }
        Err(error) => error.to_string(),
    };
    outcomes.iter().map(reason).collect()
}

/// Answers a batch: refuses the bodies with an `x`, and leaves out those with a `?`.
async fn take_all_but_x(stream: &mut tokio::net::TcpStream) {
    while let Some(request) = request_body(stream).await {
        let request: serde_json::Value = serde_json::from_str(&request).unwrap();
        let (mut successful, mut failed) = (Vec::new(), Vec::new());
        let mut groups = std::collections::BTreeSet::new();
        for entry in request["Entries"].as_array().unwrap() {
            let (id, body) = (&entry["Id"], entry["MessageBody"].as_str().unwrap());
            // One of each group: SQS could take the second one and not the first.
            assert!(groups.insert(entry["MessageGroupId"].to_string()));
            if body.contains('x') {
                let code = "InternalError";
                failed.push(serde_json::json!({"Id": id, "Code": code, "SenderFault": false}));
            } else if !body.contains('?') {
                let md5 = "0".repeat(32);
                successful.push(
                    serde_json::json!({"Id": id, "MessageId": body, "MD5OfMessageBody": md5}),
                );
            }
        }
        assert!(groups.len() <= 10);
        let answer = serde_json::json!({"Successful": successful, "Failed": failed});
        respond(stream, "200 OK", &answer.to_string()).await;
    }
}

#[tokio::test]
async fn an_entry_that_fails_holds_its_group_back_and_no_other() {
    let server = Misbehaving::start(|_, mut stream| {
        Box::pin(async move { take_all_but_x(&mut stream).await })
    });
    let server = server.await;
    let queue = queue_at(&server).await;
    let entries = [
        entry("a", "a1"),
        entry("b", "b1x"),
        entry("a", "a2?"),
        entry("b", "b2"),
        entry("c", "c1"),
        entry("a", "a3"),
        entry("c", "c2"),
    ];
    let outcomes = queue.send(Lane::Normal, &entries).await;
    let behind = NotSent::AfterFailure.to_string();
    let lost = SqsError::Incomplete.to_string();
    let expected = ["ok", "InternalError", &lost, &behind, "ok", &behind, "ok"];
    assert_eq!(reasons(&outcomes), expected);
}

#[tokio::test]
async fn many_entries_go_out_in_requests_of_ten_and_keep_their_places() {
    let server = Misbehaving::start(|_, mut stream| {
        Box::pin(async move { take_all_but_x(&mut stream).await })
    });
    let server = server.await;
    let queue = queue_at(&server).await;
    let body = |number: u32| match number % 50 {
        7 => format!("{number}x"),
        _ => number.to_string(),
    };
    let entries = (0..1_000).map(|number| entry(&number.to_string(), &body(number)));
    let entries: Vec<_> = entries.collect();
    let outcomes = queue.send(Lane::Bulk, &entries).await;
    assert_eq!(outcomes.len(), 1_000);
    for (entry, outcome) in entries.iter().zip(&outcomes) {
        assert_eq!(
            outcome.is_err(),
            entry.body.ends_with('x'),
            "{}",
            entry.body
        );
    }
}

/// As SQS answers about a receipt of a FIFO queue.
const EXPIRED: &str = r#"{"__type":"com.amazonaws.sqs#InvalidParameterValueException","message":"Value x for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired."}"#;
const NOT_IN_FLIGHT: &str =
    r#"{"__type":"com.amazonaws.sqs#MessageNotInflight","message":"not in flight"}"#;
const NO_QUEUE: &str =
    r#"{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"no such queue"}"#;

async fn refusing(body: &'static str) -> Misbehaving {
    // Behaviours capture nothing: one for each body.
    match body {
        EXPIRED => Misbehaving::start(|_, stream| Box::pin(refuse(stream, EXPIRED))).await,
        NOT_IN_FLIGHT => {
            Misbehaving::start(|_, stream| Box::pin(refuse(stream, NOT_IN_FLIGHT))).await
        }
        _ => Misbehaving::start(|_, stream| Box::pin(refuse(stream, NO_QUEUE))).await,
    }
}

async fn refuse(mut stream: tokio::net::TcpStream, body: &'static str) {
    while request_body(&mut stream).await.is_some() {
        respond(&mut stream, "400 Bad Request", body).await;
    }
}

#[tokio::test]
async fn a_message_that_is_out_of_hand_is_gone() {
    let receipt = Receipt("receipt".to_owned());
    for body in [EXPIRED, NOT_IN_FLIGHT] {
        let server = refusing(body).await;
        let queue = queue_at(&server).await;
        let hidden = queue.hide(Lane::Normal, &receipt, Duration::ZERO).await;
        assert!(matches!(hidden, Err(QueueError::Gone)), "{hidden:?}");
        let deleted = queue.delete(Lane::Normal, &receipt).await;
        assert!(matches!(deleted, Err(QueueError::Gone)), "{deleted:?}");
    }
    let server = refusing(NO_QUEUE).await;
    let queue = queue_at(&server).await;
    let deleted = queue.delete(Lane::Normal, &receipt).await;
    let Err(QueueError::Unavailable { source, .. }) = deleted else {
        panic!("{deleted:?}")
    };
    let refused = source.downcast_ref();
    assert!(
        matches!(refused, Some(SqsError::Refused { .. })),
        "{refused:?}"
    );
}

/// The answer to the first attempt is lost. SQS gives the same messages for the same attempt id.
#[tokio::test]
async fn a_repeated_receive_asks_for_what_the_first_attempt_got() {
    static IDS: std::sync::Mutex<Vec<String>> = std::sync::Mutex::new(Vec::new());
    let server = Misbehaving::start(|number, mut stream| {
        Box::pin(async move {
            while let Some(request) = request_body(&mut stream).await {
                let request: serde_json::Value = serde_json::from_str(&request).unwrap();
                let id = request["ReceiveRequestAttemptId"].to_string();
                IDS.lock().unwrap().push(id);
                if number == 0 {
                    return;
                }
                respond(&mut stream, "200 OK", "{}").await;
            }
        })
    });
    let server = server.await;
    let queue = queue_at(&server).await;
    for _ in 0..2 {
        let received = queue.receive(Lane::Normal, 10, Duration::from_secs(360), Duration::ZERO);
        assert_eq!(received.await.unwrap(), []);
    }
    let ids = IDS.lock().unwrap();
    assert_eq!(ids.len(), 3);
    assert_eq!(ids[0], ids[1]);
    assert_ne!(ids[1], ids[2]);
}
