//! One message to many, as a caller sees it: taken, shown, listed, taken back.

use std::time::Duration;

use lark_service::queue::{Lane, Queue};
use lark_service_tests::requests::{TestRequest, TestResponse};
use lark_service_tests::world::{APP, Process, World};
use lark_simulator::{email, open_id};
use serde_json::{Value, json};

use super::apps::world;

const BATCH: &str = "/v1/messages/batch";

async fn ask(process: &Process, method: &'static str, target: &str, body: &Value) -> TestResponse {
    let ask = TestRequest::new(method, target).by("messages:send", "*");
    let ask = ask.header("x-lark-app-id", APP);
    let ask = if body.is_null() { ask } else { ask.body(body) };
    ask.send(process).await
}

/// Has a worker take everything there is, by the event that SQS sends.
async fn deliver(world: &World, process: &Process) {
    for _ in 0..4 {
        let minute = Duration::from_secs(60);
        let batch = world
            .queue
            .receive(Lane::Bulk, 10, minute, Duration::ZERO)
            .await;
        let batch = batch.unwrap();
        let records: Vec<Value> = batch
            .iter()
            .map(|it| {
                json!({
                    "messageId": it.id, "receiptHandle": it.receipt.0, "body": it.body,
                    "attributes": {"MessageGroupId": it.group, "ApproximateReceiveCount": "1"},
                })
            })
            .collect();
        let report = process
            .invoke("deliver-messages", json!({"Records": records}))
            .await;
        assert_eq!(report.unwrap()["batchItemFailures"], json!([]));
        for message in batch {
            world
                .queue
                .delete(Lane::Bulk, &message.receipt)
                .await
                .unwrap();
        }
    }
}

#[tokio::test]
async fn a_batch_is_taken_shown_listed_and_taken_back() {
    let (world, process) = world().await;
    let to = json!([{"open_id": open_id(APP, 1)}, {"email": email(2)}, {"email": "nobody@example.com"}, {"email": email(1)}]);
    let body = json!({"to": to, "text": "hi"});
    let dry = json!({"to": to, "text": "hi", "dry_run": true});
    let planned = ask(&process, "POST", BATCH, &dry).await;
    assert_eq!(planned.status, 200, "{:?}", planned.body);
    assert_eq!(
        (&planned.body["receivers"], &planned.body["calls"]),
        (&json!(2), &json!(2))
    );
    let taken = ask(&process, "POST", BATCH, &body).await;
    assert_eq!(taken.status, 202, "{:?}", taken.body);
    let id = taken.body["batch_id"].as_str().unwrap().to_owned();
    let location = format!("/v1/message-jobs/{id}");
    assert_eq!(taken.header("location"), location);
    assert_eq!(taken.body["counts"]["queued"], 4);
    deliver(&world, &process).await;
    let shown = ask(&process, "GET", &location, &Value::Null).await;
    assert_eq!(shown.status, 200, "{:?}", shown.body);
    let counts = &shown.body["counts"];
    assert_eq!(
        (&counts["delivered"], &counts["unreached"]),
        (&json!(2), &json!(1))
    );
    assert_eq!(shown.body["unreached"][0]["entry"], 2);
    let listed = format!("/v1/message-jobs?batch_id={id}");
    let listed = ask(&process, "GET", &listed, &Value::Null).await;
    let entries: Vec<_> = listed.body["items"].as_array().unwrap().iter().collect();
    let entries: Vec<_> = entries.iter().map(|it| it["entry"].clone()).collect();
    assert_eq!(entries, [json!(0), json!(1)]);
    // Nothing of it waits any more, which makes taking it back no error.
    let back = ask(&process, "DELETE", &location, &Value::Null).await;
    assert_eq!(
        (back.status, &back.body["state"]),
        (200, &json!("cancelled"))
    );
    assert_eq!(back.body["counts"]["delivered"], 2);
    let waiting = ask(&process, "POST", BATCH, &body).await;
    let location = waiting.header("location").to_owned();
    let back = ask(&process, "DELETE", &location, &Value::Null).await;
    assert_eq!(
        (back.status, &back.body["counts"]["cancelled"]),
        (200, &json!(4))
    );
}

#[tokio::test]
async fn what_is_wrong_is_refused_before_anything_is_asked() {
    let (world, process) = world().await;
    let before = world.control().counters().endpoints.len();
    let wrong = json!({"to": [{"open_id": "ou_1"}, {"email": "jane"}], "text": "hi"});
    let refused = ask(&process, "POST", BATCH, &wrong).await;
    assert_eq!(refused.outcome(), "400 invalid_argument");
    assert_eq!(refused.body["errors"][0]["field"], "to[1].email");
    let target = "/v1/message-jobs?batch_id=mb_1";
    let refused = ask(&process, "GET", target, &Value::Null).await;
    assert_eq!(refused.outcome(), "400 invalid_argument");
    let unknown = "/v1/message-jobs/mb_01jdyzz8k3v5m7q2c4x6n8p0rs";
    for method in ["GET", "DELETE"] {
        let answer = ask(&process, method, unknown, &Value::Null).await;
        assert_eq!(answer.outcome(), "404 message_job_not_found", "{method}");
    }
    assert_eq!(world.control().counters().endpoints.len(), before);
}
