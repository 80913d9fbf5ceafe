//! Functions that a queue calls, as SQS calls them on AWS: with a batch, whose unfinished messages stay in the queue.

use std::sync::Arc;
use std::time::Duration;

use lark_service::queue::{Lane, MAX_RECEIVED, MAX_WAIT, Queue, Received};
use lark_service::telemetry::millis;
use serde_json::{Value, json};
use tracing::warn;

use crate::error::HostError;
use crate::functions::{self, Handler, InvokedHandler};
use crate::gateway::Gateway;
use crate::invocation::{Invocations, request_id};
use crate::server::Stop;
use crate::template::Template;

/// How many batches of a queue are worked on at a time.
const WORKERS: usize = 4;
/// The pause after a queue or a function failed.
const FAILED: Duration = Duration::from_secs(1);
/// SQS hides a batch for six times as long as its function may take.
const HIDDEN: u32 = 6;

/// A function that a queue calls.
#[derive(Clone)]
pub(crate) struct Fed {
    name: String,
    lane: Lane,
    timeout: Duration,
    handler: InvokedHandler,
}

/// Every function of `template` that a queue calls, once for each of its workers.
///
/// # Errors
/// [`HostError::Functions`] when one of them names a function that takes no queue's messages.
pub(crate) fn all(template: &Template) -> Result<Vec<Fed>, HostError> {
    let mut all = Vec::new();
    for function in &template.functions {
        for lane in &function.queues {
            let Some(Handler::Invoked(handler)) = functions::handler(&function.name) else {
                return Err(HostError::Functions(format!(
                    "the template has a queue for {}, which takes no queue's messages",
                    function.name
                )));
            };
            let fed = Fed {
                name: function.name.clone(),
                lane: *lane,
                timeout: function.timeout,
                handler,
            };
            all.extend(std::iter::repeat_n(fed, WORKERS));
        }
    }
    Ok(all)
}

impl Fed {
    /// Works on what comes, batch by batch. A batch that was begun is finished when the host stops.
    pub(crate) async fn keep_working(
        self,
        gateway: Arc<Gateway>,
        queue: Arc<dyn Queue>,
        mut stop: Stop,
    ) {
        let hidden_for = self.timeout * HIDDEN;
        loop {
            let batch = tokio::select! {
                () = stop.stopped() => return,
                batch = queue.receive(self.lane, MAX_RECEIVED, hidden_for, MAX_WAIT) => batch,
            };
            let outcome = match batch {
                Ok(batch) if batch.is_empty() => Ok(()),
                Ok(batch) => self.run(&gateway, &*queue, &batch).await,
                Err(error) => Err(error.to_string()),
            };
            if let Err(error) = outcome {
                warn!(function = self.name, error, "a queue's batch failed");
                tokio::select! {
                    () = stop.stopped() => return,
                    () = tokio::time::sleep(FAILED) => {}
                }
            }
        }
    }

    /// Has the function work on `batch`, and deletes what it finished.
    async fn run(
        &self,
        gateway: &Gateway,
        queue: &dyn Queue,
        batch: &[Received],
    ) -> Result<(), String> {
        let context = Invocations::default().context(request_id(), self.timeout);
        let work = (self.handler)(gateway.services(), event(batch), context);
        let report = tokio::time::timeout(self.timeout, work)
            .await
            .map_err(|_| format!("it took longer than {} ms", millis(self.timeout)))?
            .map_err(|error| error.to_string())?;
        let unfinished = unfinished(&report);
        for message in batch {
            if unfinished.contains(&message.id.as_str()) {
                continue;
            }
            if let Err(error) = queue.delete(self.lane, &message.receipt).await {
                warn!(queue.message = message.id, %error, "a finished message comes again");
            }
        }
        Ok(())
    }
}

/// What SQS hands a function.
fn event(batch: &[Received]) -> Value {
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
    json!({ "Records": records.collect::<Vec<_>>() })
}

/// The ids that a function's report names.
fn unfinished(report: &Value) -> Vec<&str> {
    let failures = report["batchItemFailures"].as_array();
    let ids = failures
        .into_iter()
        .flatten()
        .filter_map(|failure| failure["itemIdentifier"].as_str());
    ids.collect()
}
