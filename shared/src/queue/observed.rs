//! The policy around every queue: a time-out for each operation, metrics and the log of slow operations.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tracing::warn;

use super::{Depth, Entry, Lane, MAX_WAIT, Queue, QueueError, Receipt, Received};
use crate::deadline::{Deadline, Elapsed};
use crate::telemetry::metrics;

/// Operations that take longer are logged, as those of the store are.
const SLOW: Duration = Duration::from_millis(100);

/// A [`Queue`] with the service's policy. Callers limit it further, to their own deadlines.
///
/// There is no breaker: whoever sends or receives has nothing else to go on with.
#[derive(Clone, Debug)]
pub struct ObservedQueue {
    queue: Arc<dyn Queue>,
    timeout: Duration,
}

impl ObservedQueue {
    /// Wraps `queue`; each operation is limited to `timeout`, a receive to its wait and as much.
    #[must_use]
    pub fn new(queue: Arc<dyn Queue>, timeout: Duration) -> Self {
        Self { queue, timeout }
    }

    /// Waits for `work`, which may wait for `wait` by itself.
    async fn observe<T>(
        &self,
        operation: &'static str,
        lane: Lane,
        wait: Duration,
        work: impl Future<Output = Result<T, QueueError>>,
    ) -> Result<T, QueueError> {
        let began = Instant::now();
        let waited = Deadline::after(wait + self.timeout).run(work).await;
        let outcome = waited.unwrap_or_else(|Elapsed| Err(QueueError::Timeout { operation }));
        record(
            operation,
            lane,
            began.elapsed(),
            wait,
            outcome.as_ref().err(),
        );
        outcome
    }
}

#[async_trait]
impl Queue for ObservedQueue {
    async fn send(&self, lane: Lane, entries: &[Entry]) -> Vec<Result<(), QueueError>> {
        let (operation, began) = ("send", Instant::now());
        let sent = Deadline::after(self.timeout).run(self.queue.send(lane, entries));
        let timeout = Err(QueueError::Timeout { operation });
        let sent = sent.await;
        let outcomes = sent.unwrap_or_else(|Elapsed| vec![timeout; entries.len()]);
        let failure = outcomes.iter().find_map(|outcome| outcome.as_ref().err());
        record(operation, lane, began.elapsed(), Duration::ZERO, failure);
        outcomes
    }

    async fn receive(
        &self,
        lane: Lane,
        limit: usize,
        hidden_for: Duration,
        wait: Duration,
    ) -> Result<Vec<Received>, QueueError> {
        let received = self.queue.receive(lane, limit, hidden_for, wait);
        self.observe("receive", lane, wait.min(MAX_WAIT), received)
            .await
    }

    async fn delete(&self, lane: Lane, receipt: &Receipt) -> Result<(), QueueError> {
        let deleted = self.queue.delete(lane, receipt);
        self.observe("delete", lane, Duration::ZERO, deleted).await
    }

    async fn hide(
        &self,
        lane: Lane,
        receipt: &Receipt,
        length: Duration,
    ) -> Result<(), QueueError> {
        let hidden = self.queue.hide(lane, receipt, length);
        self.observe("hide", lane, Duration::ZERO, hidden).await
    }

    async fn depth(&self, lane: Lane) -> Result<Depth, QueueError> {
        let depth = self.queue.depth(lane);
        self.observe("depth", lane, Duration::ZERO, depth).await
    }
}

/// Records an operation that took so long, of which it may have waited for `wait`.
fn record(
    operation: &'static str,
    lane: Lane,
    took: Duration,
    wait: Duration,
    failure: Option<&QueueError>,
) {
    let result = match failure {
        None => "ok",
        Some(QueueError::Gone) => "gone",
        Some(QueueError::Timeout { .. }) => "timeout",
        Some(QueueError::Unavailable { .. }) => "error",
    };
    metrics::queue_operation(operation, lane.name(), result, took);
    if took > wait + SLOW {
        let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        warn!(
            queue.operation = operation,
            queue.lane = lane.name(),
            duration_ms,
            "a slow queue operation"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    /// Never answers.
    #[derive(Debug)]
    struct Silent;

    #[async_trait]
    impl Queue for Silent {
        async fn send(&self, _: Lane, _: &[Entry]) -> Vec<Result<(), QueueError>> {
            pending().await
        }

        async fn receive(
            &self,
            _: Lane,
            _: usize,
            _: Duration,
            _: Duration,
        ) -> Result<Vec<Received>, QueueError> {
            pending().await
        }

        async fn delete(&self, _: Lane, _: &Receipt) -> Result<(), QueueError> {
            pending().await
        }

        async fn hide(&self, _: Lane, _: &Receipt, _: Duration) -> Result<(), QueueError> {
            pending().await
        }

        async fn depth(&self, _: Lane) -> Result<Depth, QueueError> {
            pending().await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_queue_costs_its_time_out_and_the_wait() {
        let queue = ObservedQueue::new(Arc::new(Silent), Duration::from_secs(10));
        let entry = Entry {
            group: "g".to_owned(),
            deduplication: "d".to_owned(),
            body: "b".to_owned(),
        };
        let began = tokio::time::Instant::now();
        let sent = queue.send(Lane::Normal, &[entry.clone(), entry]).await;
        assert_eq!(sent.len(), 2);
        for outcome in sent {
            let error = outcome.unwrap_err();
            assert!(matches!(error, QueueError::Timeout { operation: "send" }));
        }
        assert_eq!(began.elapsed().as_secs(), 10);
        let wait = Duration::from_secs(20);
        let received = queue.receive(Lane::Bulk, 10, wait, wait).await;
        assert!(matches!(received, Err(QueueError::Timeout { .. })));
        assert_eq!(began.elapsed().as_secs(), 40);
    }
}
