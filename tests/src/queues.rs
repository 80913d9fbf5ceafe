//! Queues in the emulator, as the template has them.

use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName::{
    DeduplicationScope, FifoQueue, FifoThroughputLimit, VisibilityTimeout,
};
use lark_service::delivery::Work;
use lark_service::queue::{Lane, Queue, Received};
use serde_json::{Value, json};

use crate::cluster::sdk_config;

/// Creates a queue for each lane at `url`, whose names begin with `prefix`. Returns the variables of a process that uses them.
pub async fn create_queues(url: &str, prefix: &str) -> Vec<(String, String)> {
    let client = Client::new(&sdk_config(url).await);
    let mut variables = Vec::new();
    for lane in Lane::ALL {
        let request = client
            .create_queue()
            .queue_name(format!("{prefix}{}.fifo", lane.name()))
            .attributes(FifoQueue, "true")
            .attributes(FifoThroughputLimit, "perMessageGroupId")
            .attributes(DeduplicationScope, "messageGroup")
            .attributes(VisibilityTimeout, "360");
        let created = request.send().await.expect("an emulator");
        let name = format!("LARK_SERVICE_{}_QUEUE_URL", lane.name().to_uppercase());
        variables.push((name, created.queue_url.expect("a URL")));
    }
    variables
}

/// The work that a received message is.
#[must_use]
pub fn work_of(message: &Received) -> Work {
    Work {
        id: message.id.clone(),
        receipt: message.receipt.clone(),
        group: message.group.clone(),
        body: message.body.clone(),
        receive_count: message.receive_count,
    }
}

/// What SQS hands a function for these messages.
#[must_use]
pub fn sqs_event(batch: &[Received]) -> Value {
    let records = batch.iter().map(|message| {
        json!({
            "messageId": message.id,
            "receiptHandle": message.receipt.0,
            "body": message.body,
            "attributes": {
                "MessageGroupId": message.group,
                "ApproximateReceiveCount": message.receive_count.to_string(),
            },
            "eventSource": "aws:sqs",
        })
    });
    json!({"Records": records.collect::<Vec<_>>()})
}

/// Whether nothing is in the queue of any lane, received or not.
pub async fn is_empty(queue: &dyn Queue) -> bool {
    let mut left = 0;
    for lane in Lane::ALL {
        let depth = queue.depth(lane).await.expect("a queue");
        left += depth.waiting + depth.in_flight;
    }
    left == 0
}

/// Waits until `is_so`, asking now and then, for `patience` at most; returns whether it came to be so.
pub async fn until(patience: Duration, mut is_so: impl AsyncFnMut() -> bool) -> bool {
    let waited = tokio::time::timeout(patience, async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    waited.await.is_ok()
}
