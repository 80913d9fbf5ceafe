//! The policy around every store: time-outs limited to the deadline, a breaker for reads, metrics and the slow-operation log.
//!
//! A read that gets no answer gives up soon, because a caller waits for it and may have something else to go on with. A write
//! must arrive: it has all the time that the deadline leaves, and is never skipped.

use std::fmt::Display;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::field::Empty;
use tracing::{Instrument, Span, error_span, warn};

use super::{
    Attributes, DuePosition, Expect, Guard, Key, ListPage, Record, Store, StoreError, Table,
};
use crate::breaker::{Admission, Breaker, Failure, Policy, Started};
use crate::clock::Timestamp;
use crate::deadline::Deadline;
use crate::telemetry::metrics;

/// Operations that take longer are logged: a slow-query log for serverless.
const SLOW: Duration = Duration::from_millis(100);

/// The time-out of a read: two attempts of an adapter.
const READ_PATIENCE: Duration = Duration::from_secs(2);
/// A read of many records has as much time for each so many.
const MANY: usize = 400;
/// The time-out of the read that finds out whether the store answers again. One that its deadline cut shorter says nothing.
const PROBE_PATIENCE: Duration = Duration::from_secs(1);
/// Only silence opens the breaker. An error, a refusal or a request to slow down is an answer, and costs no wait.
const BREAKER: Policy = Policy {
    name: "the store",
    timeouts: 2,
    errors: None,
    first_pause: Duration::from_millis(1_500),
    longest_pause: Duration::from_secs(6),
};

/// A [`Store`] with the service's policy.
///
/// Two reads in a row without an answer open a breaker: for a while reads fail at once, and one caller at a time finds out
/// whether the store is back. Clones share the breaker.
#[derive(Clone, Debug)]
pub struct Storage {
    store: Arc<dyn Store>,
    timeout: Duration,
    breaker: Arc<Breaker>,
}

/// An operation, for its measurements.
#[derive(Clone, Copy)]
struct Operation<'o> {
    name: &'static str,
    table: Table,
    /// The key, or what else it is about.
    subject: Option<&'o (dyn Display + Sync)>,
}

impl<'o> Operation<'o> {
    const fn on(
        name: &'static str,
        table: Table,
        subject: Option<&'o (dyn Display + Sync)>,
    ) -> Self {
        Self {
            name,
            table,
            subject,
        }
    }
}

impl Storage {
    /// Wraps `store`; each operation is limited to `timeout` and to its deadline, and a read to two seconds in any case (to as
    /// much for each 400 of many records).
    #[must_use]
    pub fn new(store: Arc<dyn Store>, timeout: Duration) -> Self {
        Self {
            store,
            timeout,
            breaker: Arc::new(Breaker::new(BREAKER)),
        }
    }

    /// See [`Store::get`].
    ///
    /// # Errors
    /// [`StoreError::Timeout`], [`StoreError::Skipped`], and the store's errors.
    pub async fn get(
        &self,
        table: Table,
        key: &Key,
        deadline: Deadline,
    ) -> Result<Option<Record>, StoreError> {
        self.read(
            Operation::on("get", table, Some(key)),
            READ_PATIENCE,
            deadline,
            self.store.get(table, key),
        )
        .await
    }

    /// See [`Store::get_many`].
    ///
    /// # Errors
    /// [`StoreError::Timeout`], [`StoreError::Skipped`], and the store's errors.
    pub async fn get_many(
        &self,
        table: Table,
        keys: &[Key],
        attributes: Attributes,
        deadline: Deadline,
    ) -> Result<Vec<Record>, StoreError> {
        let batches = u32::try_from(keys.len().div_ceil(MANY)).unwrap_or(u32::MAX);
        self.read(
            Operation::on(
                "get_many",
                table,
                keys.first().map(|key| key as &(dyn Display + Sync)),
            ),
            READ_PATIENCE * batches.max(1),
            deadline,
            self.store.get_many(table, keys, attributes),
        )
        .await
    }

    /// See [`Store::put`].
    ///
    /// # Errors
    /// [`StoreError::Conflict`], [`StoreError::Timeout`], and the store's errors.
    pub async fn put(
        &self,
        table: Table,
        record: &Record,
        expect: Expect,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        self.write(
            Operation::on("put", table, Some(&record.key)),
            deadline,
            self.store.put(table, record, expect),
        )
        .await
    }

    /// See [`Store::put_guarded`].
    ///
    /// # Errors
    /// [`StoreError::Conflict`], [`StoreError::Timeout`], and the store's errors.
    pub async fn put_guarded(
        &self,
        table: Table,
        record: &Record,
        expect: Expect,
        guard: &Guard,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        self.write(
            Operation::on("put_guarded", table, Some(&record.key)),
            deadline,
            self.store.put_guarded(table, record, expect, guard),
        )
        .await
    }

    /// See [`Store::put_many`].
    ///
    /// # Errors
    /// [`StoreError::Timeout`], and the store's errors; some of the records may have been written.
    pub async fn put_many(
        &self,
        table: Table,
        records: &[Record],
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        self.write(
            Operation::on(
                "put_many",
                table,
                records
                    .first()
                    .map(|record| &record.key as &(dyn Display + Sync)),
            ),
            deadline,
            self.store.put_many(table, records),
        )
        .await
    }

    /// See [`Store::put_newer`].
    ///
    /// # Errors
    /// [`StoreError::Timeout`], and the store's errors; some of the records may have been written.
    pub async fn put_newer(
        &self,
        table: Table,
        records: &[Record],
        latest: u64,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        self.write(
            Operation::on(
                "put_newer",
                table,
                records
                    .first()
                    .map(|record| &record.key as &(dyn Display + Sync)),
            ),
            deadline,
            self.store.put_newer(table, records, latest),
        )
        .await
    }

    /// See [`Store::delete`].
    ///
    /// # Errors
    /// [`StoreError::Conflict`], [`StoreError::Timeout`], and the store's errors.
    pub async fn delete(
        &self,
        table: Table,
        key: &Key,
        expect: Expect,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        self.write(
            Operation::on("delete", table, Some(key)),
            deadline,
            self.store.delete(table, key, expect),
        )
        .await
    }

    /// See [`Store::list`].
    ///
    /// # Errors
    /// [`StoreError::Timeout`], [`StoreError::Skipped`], and the store's errors.
    pub async fn list(
        &self,
        table: Table,
        partition: &str,
        sort_prefix: &str,
        after: Option<&str>,
        limit: usize,
        deadline: Deadline,
    ) -> Result<ListPage, StoreError> {
        self.read(
            Operation::on("list", table, Some(&partition)),
            READ_PATIENCE,
            deadline,
            self.store.list(table, partition, sort_prefix, after, limit),
        )
        .await
    }

    /// See [`Store::due`].
    ///
    /// # Errors
    /// [`StoreError::Timeout`], [`StoreError::Skipped`], and the store's errors.
    pub async fn due(
        &self,
        table: Table,
        shard: u8,
        until: Timestamp,
        after: Option<&DuePosition>,
        limit: usize,
        deadline: Deadline,
    ) -> Result<Vec<Record>, StoreError> {
        self.read(
            Operation::on("due", table, None),
            READ_PATIENCE,
            deadline,
            self.store.due(table, shard, until, after, limit),
        )
        .await
    }

    /// See [`Store::ping`]. It asks the store whatever the breaker says.
    ///
    /// # Errors
    /// [`StoreError::Timeout`], and the store's errors.
    pub async fn ping(&self, deadline: Deadline) -> Result<(), StoreError> {
        let operation = Operation::on("ping", Table::Apps, None);
        let limit = deadline.at_most(READ_PATIENCE);
        self.write(operation, limit, self.store.ping()).await
    }

    /// Waits for `work`, which changes nothing, up to `patience`; not at all while the breaker is open, unless it is this
    /// caller's turn to ask.
    async fn read<T>(
        &self,
        operation: Operation<'_>,
        patience: Duration,
        deadline: Deadline,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let (started, patience) = match self.breaker.admit() {
            Admission::Ask(started) => (started, patience),
            Admission::Probe(started) => (started, PROBE_PATIENCE),
            Admission::Skip => {
                return Err(StoreError::Skipped {
                    operation: operation.name,
                    table: operation.table.name(),
                });
            }
        };
        self.observe(operation, started, deadline.at_most(patience), work)
            .await
    }

    /// Waits for `work` as long as the deadline allows.
    async fn write<T>(
        &self,
        operation: Operation<'_>,
        deadline: Deadline,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.observe(operation, self.breaker.start(), deadline, work)
            .await
    }

    async fn observe<T>(
        &self,
        operation: Operation<'_>,
        started: Started,
        deadline: Deadline,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let span = error_span!(
            "store",
            store.consumed_capacity = Empty,
            store.attempts = Empty
        );
        let began = Instant::now();
        let allowed = deadline.cut(self.timeout);
        let outcome = deadline
            .at_most(self.timeout)
            .run(work.instrument(span.clone()))
            .await;
        let outcome = outcome.unwrap_or(Err(StoreError::Timeout {
            operation: operation.name,
            table: operation.table.name(),
        }));
        let took = began.elapsed();
        let result = result_label(&outcome);
        metrics::store_operation(operation.name, operation.table.name(), result, took);
        if took > SLOW {
            log_slow(&span, operation, took);
        }
        match &outcome {
            Err(error @ StoreError::Timeout { .. }) if allowed >= PROBE_PATIENCE => {
                let failure = Failure::Timeout(allowed);
                self.breaker.failed(operation.name, started, failure, error);
            }
            // Cut short, it says nothing.
            Err(StoreError::Timeout { .. } | StoreError::Skipped { .. }) => {}
            Ok(_)
            | Err(
                StoreError::Conflict | StoreError::Unavailable { .. } | StoreError::Corrupt { .. },
            ) => self.breaker.succeeded(),
        }
        outcome
    }
}

fn log_slow(span: &Span, operation: Operation<'_>, took: Duration) {
    let _entered = span.enter();
    let Operation {
        name,
        table,
        subject,
    } = operation;
    // The key of a user may be an id that looks like an e-mail address.
    let key = subject
        .filter(|_| table != Table::Directory)
        .map(ToString::to_string)
        .unwrap_or_default();
    let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    warn!(
        store.operation = name,
        store.table = table.name(),
        store.key = key,
        duration_ms,
        "a slow store operation"
    );
}

const fn result_label<T>(outcome: &Result<T, StoreError>) -> &'static str {
    match outcome {
        Ok(_) => "ok",
        Err(StoreError::Conflict) => "conflict",
        Err(StoreError::Timeout { .. } | StoreError::Skipped { .. }) => "timeout",
        Err(StoreError::Unavailable { .. } | StoreError::Corrupt { .. }) => "error",
    }
}

#[cfg(test)]
mod tests;
