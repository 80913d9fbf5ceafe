//! Delivers messages from the queue. Those that have to wait are reported as failed, so that the queue keeps them.

use lambda_runtime::{Error, LambdaEvent};
use lark_service::delivery::{Delivery, Work};
use lark_service::invocation;
use lark_service::queue::Receipt;
use serde::{Deserialize, Serialize};

/// What SQS hands a function: `{"Records": […]}`, each of them a message of one queue.
#[derive(Debug, Default, Deserialize, Serialize)]
pub struct Batch {
    /// The messages; of a group in their order.
    #[serde(rename = "Records", default)]
    pub records: Vec<Message>,
}

/// A message of the queue.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// The queue's id of it.
    pub message_id: String,
    /// What hides or deletes it.
    pub receipt_handle: String,
    /// What it says.
    pub body: String,
    /// What the queue says of it.
    #[serde(default)]
    pub attributes: Attributes,
}

/// What the queue says of a message.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Attributes {
    /// Its group.
    pub message_group_id: String,
    /// How often it was received, in digits.
    pub approximate_receive_count: String,
}

/// Which messages are not finished: a partial batch response.
#[derive(Debug, Default, Eq, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// One for each of them.
    pub batch_item_failures: Vec<Failure>,
}

/// A message that is not finished.
#[derive(Debug, Eq, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// [`Message::message_id`].
    pub item_identifier: String,
}

/// Works on one batch, and says what of it is not finished.
///
/// # Errors
/// Never: the queue would repeat the whole batch.
pub async fn handle(delivery: &Delivery, event: LambdaEvent<Batch>) -> Result<Report, Error> {
    let (batch, context) = event.into_parts();
    let run = invocation::run("deliver-messages", &context, None, async |deadline| {
        let works = batch.records.iter().map(Message::work).collect();
        Ok(delivery.work(works, deadline).await)
    });
    let failures = run.await?.into_iter();
    Ok(Report {
        batch_item_failures: failures
            .map(|item_identifier| Failure { item_identifier })
            .collect(),
    })
}

impl Message {
    fn work(&self) -> Work {
        Work {
            id: self.message_id.clone(),
            receipt: Receipt(self.receipt_handle.clone()),
            group: self.attributes.message_group_id.clone(),
            body: self.body.clone(),
            receive_count: self
                .attributes
                .approximate_receive_count
                .parse()
                .unwrap_or_default(),
        }
    }
}
