//! The queue in Amazon SQS: a FIFO queue per lane, with high throughput (`perMessageGroupId`).
//!
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/high-throughput-fifo.html>

use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::retry::RetryConfig;
use aws_sdk_sqs::config::timeout::TimeoutConfig;
use aws_sdk_sqs::types::{
    Message, MessageSystemAttributeName, QueueAttributeName, SendMessageBatchRequestEntry,
};
use futures_util::{StreamExt, stream};

use super::{
    Depth, Entry, Lane, MAX_BODY, MAX_HIDDEN, MAX_RECEIVED, MAX_WAIT, NotSent, Queue, QueueError,
    Receipt, Received,
};

mod observed;

pub use observed::SqsError;

use observed::{out_of_hand, refused};

/// The most messages of one request.
const BATCH: usize = 10;
/// The most bytes of all bodies of one request. SQS takes 1 MiB since August 2025; before, and in other Regions longer, this.
const BATCH_BYTES: usize = 256 * 1_024;
const _: () = assert!(
    BATCH * MAX_BODY <= BATCH_BYTES,
    "ten bodies fit into a request"
);
/// How many requests of one call are in flight at a time.
const CONCURRENT_BATCHES: usize = 8;
/// How long one attempt may take, a receive's wait aside.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);
/// The most attempts. An id makes a repeated send harmless; a repeated receive gets the same messages.
const ATTEMPTS: u32 = 5;

/// The URLs of the queues.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct QueueUrls {
    /// Of [`Lane::Normal`].
    pub normal: String,
    /// Of [`Lane::Bulk`].
    pub bulk: String,
}

impl QueueUrls {
    /// The URL of the lane's queue.
    #[must_use]
    pub fn get(&self, lane: Lane) -> &str {
        match lane {
            Lane::Normal => &self.normal,
            Lane::Bulk => &self.bulk,
        }
    }
}

/// A [`Queue`] in SQS.
///
/// The SDK repeats throttled, broken and silent attempts, five with two seconds for each. The caller sets the time-out over all of
/// them.
#[derive(Clone, Debug)]
pub struct SqsQueue {
    client: Client,
    urls: QueueUrls,
}

impl SqsQueue {
    /// The queues at `urls`, over `client`, whose time-outs and attempts are replaced by the queue's own.
    #[must_use]
    pub fn new(client: &Client, urls: QueueUrls) -> Self {
        let config = client.config();
        let retries = config
            .retry_config()
            .cloned()
            .unwrap_or_else(RetryConfig::standard);
        let config = config
            .to_builder()
            .retry_config(retries.with_max_attempts(ATTEMPTS))
            .timeout_config(attempts_of(ATTEMPT_TIMEOUT));
        Self {
            client: Client::from_conf(config.build()),
            urls,
        }
    }

    /// Sends at most ten entries, each of a group of its own, and returns the outcome of each with its place.
    async fn send_batch(
        &self,
        lane: Lane,
        batch: Vec<(usize, &Entry)>,
    ) -> Vec<(usize, Result<(), QueueError>)> {
        let places: Vec<usize> = batch.iter().map(|(place, _)| *place).collect();
        let each = |outcome: Result<(), QueueError>| {
            let outcomes = places.iter().map(|place| (*place, outcome.clone()));
            outcomes.collect()
        };
        let entries = batch.into_iter().map(|(place, entry)| {
            SendMessageBatchRequestEntry::builder()
                .id(place.to_string())
                .message_group_id(&entry.group)
                .message_deduplication_id(&entry.deduplication)
                .message_body(&entry.body)
                .build()
        });
        let entries = match entries.collect::<Result<Vec<_>, _>>() {
            Ok(entries) => entries,
            Err(error) => return each(Err(QueueError::unavailable("send", error))),
        };
        let request = self
            .client
            .send_message_batch()
            .queue_url(self.urls.get(lane))
            .set_entries(Some(entries));
        let output = match request.send().await {
            Ok(output) => output,
            Err(error) => return each(Err(refused("send", error))),
        };
        let sent: HashSet<&str> = output.successful().iter().map(|it| it.id()).collect();
        let outcome = |place: usize| {
            let id = place.to_string();
            if sent.contains(id.as_str()) {
                return Ok(());
            }
            let failed = output.failed().iter().find(|failed| failed.id() == id);
            Err(observed::entry_refused(failed))
        };
        let outcomes = places.iter().map(|place| (*place, outcome(*place)));
        outcomes.collect()
    }
}

/// Attempts that may take so long.
fn attempts_of(timeout: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .operation_attempt_timeout(timeout)
        .build()
}

/// `length` in seconds, rounded up: what is hidden does not come back early.
fn seconds(length: Duration) -> i32 {
    let seconds = length.as_millis().div_ceil(1_000);
    i32::try_from(seconds).unwrap_or(i32::MAX)
}

#[async_trait]
impl Queue for SqsQueue {
    /// SQS may refuse one entry of a request and take a later one of its group. So a request has one of each group, and the
    /// groups' second entries go out after the first ones succeeded.
    async fn send(&self, lane: Lane, entries: &[Entry]) -> Vec<Result<(), QueueError>> {
        let not_sent = |not_sent: NotSent| Err(QueueError::unavailable("send", not_sent));
        // Whatever is not reached comes after a failure.
        let mut outcomes = vec![not_sent(NotSent::AfterFailure); entries.len()];
        let mut left: Vec<(usize, &Entry)> = entries.iter().enumerate().collect();
        while !left.is_empty() {
            let mut groups = HashSet::new();
            let (first, later): (Vec<_>, Vec<_>) = left
                .into_iter()
                .partition(|(_, entry)| groups.insert(entry.group.as_str()));
            let mut valid = Vec::with_capacity(first.len());
            for (place, entry) in first {
                match entry.check() {
                    Ok(()) => valid.push((place, entry)),
                    Err(invalid) => outcomes[place] = not_sent(invalid),
                }
            }
            let batches = valid.chunks(BATCH).map(<[_]>::to_vec);
            let batches: Vec<_> = batches.map(|batch| self.send_batch(lane, batch)).collect();
            let sent: Vec<_> = stream::iter(batches)
                .buffer_unordered(CONCURRENT_BATCHES)
                .concat()
                .await;
            let mut going_on = HashSet::new();
            for (place, outcome) in sent {
                if outcome.is_ok() {
                    going_on.insert(entries[place].group.as_str());
                }
                outcomes[place] = outcome;
            }
            left = later;
            left.retain(|(_, entry)| going_on.contains(entry.group.as_str()));
        }
        outcomes
    }

    async fn receive(
        &self,
        lane: Lane,
        limit: usize,
        hidden_for: Duration,
        wait: Duration,
    ) -> Result<Vec<Received>, QueueError> {
        let wait = wait.min(MAX_WAIT);
        let limit = i32::try_from(limit.clamp(1, MAX_RECEIVED)).unwrap_or(1);
        let patience = attempts_of(wait + ATTEMPT_TIMEOUT);
        let request = self
            .client
            .receive_message()
            .queue_url(self.urls.get(lane))
            .max_number_of_messages(limit)
            .visibility_timeout(seconds(hidden_for.min(MAX_HIDDEN)))
            .wait_time_seconds(i32::try_from(wait.as_secs()).unwrap_or(0))
            .message_system_attribute_names(MessageSystemAttributeName::MessageGroupId)
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            // A repeated attempt gets what the first one got, when that answer was lost.
            .receive_request_attempt_id(format!("{:032x}", fastrand::u128(..)));
        let overridden = aws_sdk_sqs::config::Builder::new().timeout_config(patience);
        let sent = request.customize().config_override(overridden).send();
        let output = sent.await.map_err(|error| refused("receive", error))?;
        let messages = output.messages.unwrap_or_default();
        messages.into_iter().map(read).collect()
    }

    async fn delete(&self, lane: Lane, receipt: &Receipt) -> Result<(), QueueError> {
        let request = self
            .client
            .delete_message()
            .queue_url(self.urls.get(lane))
            .receipt_handle(&receipt.0);
        let sent = request.send().await;
        sent.map(drop).map_err(|error| out_of_hand("delete", error))
    }

    async fn hide(
        &self,
        lane: Lane,
        receipt: &Receipt,
        length: Duration,
    ) -> Result<(), QueueError> {
        let request = self
            .client
            .change_message_visibility()
            .queue_url(self.urls.get(lane))
            .receipt_handle(&receipt.0)
            .visibility_timeout(seconds(length.min(MAX_HIDDEN)));
        let sent = request.send().await;
        sent.map(drop).map_err(|error| out_of_hand("hide", error))
    }

    async fn depth(&self, lane: Lane) -> Result<Depth, QueueError> {
        let waiting = QueueAttributeName::ApproximateNumberOfMessages;
        let in_flight = QueueAttributeName::ApproximateNumberOfMessagesNotVisible;
        let request = self
            .client
            .get_queue_attributes()
            .queue_url(self.urls.get(lane))
            .attribute_names(waiting.clone())
            .attribute_names(in_flight.clone());
        let output = request
            .send()
            .await
            .map_err(|error| refused("depth", error))?;
        let count = |name: &QueueAttributeName| {
            let text = output.attributes().and_then(|found| found.get(name));
            let count = text.and_then(|text| text.parse().ok());
            count.ok_or_else(|| QueueError::unavailable("depth", SqsError::Incomplete))
        };
        Ok(Depth {
            waiting: count(&waiting)?,
            in_flight: count(&in_flight)?,
        })
    }
}

fn read(message: Message) -> Result<Received, QueueError> {
    let incomplete = || QueueError::unavailable("receive", SqsError::Incomplete);
    let mut attributes = message.attributes.unwrap_or_default();
    let group = attributes.remove(&MessageSystemAttributeName::MessageGroupId);
    let count = attributes.remove(&MessageSystemAttributeName::ApproximateReceiveCount);
    let count = count.and_then(|count| count.parse().ok());
    Ok(Received {
        id: message.message_id.ok_or_else(incomplete)?,
        receipt: Receipt(message.receipt_handle.ok_or_else(incomplete)?),
        group: group.ok_or_else(incomplete)?,
        body: message.body.ok_or_else(incomplete)?,
        receive_count: count.ok_or_else(incomplete)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_times_are_rounded_up_to_the_second() {
        for (millis, expected) in [(0, 0), (1, 1), (1_000, 1), (1_001, 2), (39_600_000, 39_600)] {
            assert_eq!(seconds(Duration::from_millis(millis)), expected);
        }
    }
}
