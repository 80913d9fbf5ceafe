//! The policy around every store: time-outs limited to the deadline, metrics and the slow-operation log.

use std::fmt::Display;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::field::Empty;
use tracing::{Instrument, Span, error_span, warn};

use super::{Attributes, DuePosition, Expect, Key, ListPage, Record, Store, StoreError, Table};
use crate::clock::Timestamp;
use crate::deadline::Deadline;
use crate::telemetry::metrics;

/// Operations that take longer are logged: a slow-query log for serverless.
const SLOW: Duration = Duration::from_millis(100);

/// A [`Store`] with the service's policy.
#[derive(Clone, Debug)]
pub struct Storage {
    store: Arc<dyn Store>,
    timeout: Duration,
}

impl Storage {
    /// Wraps `store`; each operation is limited to `timeout` and to its deadline.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, timeout: Duration) -> Self {
        Self { store, timeout }
    }

    /// See [`Store::get`].
    ///
    /// # Errors
    /// [`StoreError::Timeout`], and the store's errors.
    pub async fn get(
        &self,
        table: Table,
        key: &Key,
        deadline: Deadline,
    ) -> Result<Option<Record>, StoreError> {
        self.observe(
            "get",
            table,
            Some(key),
            deadline,
            self.store.get(table, key),
        )
        .await
    }

    /// See [`Store::get_many`].
    ///
    /// # Errors
    /// [`StoreError::Timeout`], and the store's errors.
    pub async fn get_many(
        &self,
        table: Table,
        keys: &[Key],
        attributes: Attributes,
        deadline: Deadline,
    ) -> Result<Vec<Record>, StoreError> {
        self.observe(
            "get_many",
            table,
            keys.first().map(|key| key as &(dyn Display + Sync)),
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
        self.observe(
            "put",
            table,
            Some(&record.key),
            deadline,
            self.store.put(table, record, expect),
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
        self.observe(
            "put_many",
            table,
            records
                .first()
                .map(|record| &record.key as &(dyn Display + Sync)),
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
        self.observe(
            "put_newer",
            table,
            records
                .first()
                .map(|record| &record.key as &(dyn Display + Sync)),
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
        self.observe(
            "delete",
            table,
            Some(key),
            deadline,
            self.store.delete(table, key, expect),
        )
        .await
    }

    /// See [`Store::list`].
    ///
    /// # Errors
    /// [`StoreError::Timeout`], and the store's errors.
    pub async fn list(
        &self,
        table: Table,
        partition: &str,
        sort_prefix: &str,
        after: Option<&str>,
        limit: usize,
        deadline: Deadline,
    ) -> Result<ListPage, StoreError> {
        self.observe(
            "list",
            table,
            Some(&partition),
            deadline,
            self.store.list(table, partition, sort_prefix, after, limit),
        )
        .await
    }

    /// See [`Store::due`].
    ///
    /// # Errors
    /// [`StoreError::Timeout`], and the store's errors.
    pub async fn due(
        &self,
        shard: u8,
        until: Timestamp,
        after: Option<&DuePosition>,
        limit: usize,
        deadline: Deadline,
    ) -> Result<Vec<Record>, StoreError> {
        self.observe(
            "due",
            Table::Tokens,
            None,
            deadline,
            self.store.due(shard, until, after, limit),
        )
        .await
    }

    /// See [`Store::ping`].
    ///
    /// # Errors
    /// [`StoreError::Timeout`], and the store's errors.
    pub async fn ping(&self, deadline: Deadline) -> Result<(), StoreError> {
        self.observe("ping", Table::Apps, None, deadline, self.store.ping())
            .await
    }

    async fn observe<T>(
        &self,
        operation: &'static str,
        table: Table,
        subject: Option<&(dyn Display + Sync)>,
        deadline: Deadline,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let span = error_span!(
            "store",
            store.consumed_capacity = Empty,
            store.attempts = Empty
        );
        let started = Instant::now();
        let outcome = deadline
            .at_most(self.timeout)
            .run(work.instrument(span.clone()))
            .await;
        let outcome = outcome.unwrap_or(Err(StoreError::Timeout {
            operation,
            table: table.name(),
        }));
        let took = started.elapsed();
        metrics::store_operation(operation, table.name(), result_label(&outcome), took);
        if took > SLOW {
            log_slow(&span, operation, table, subject, took);
        }
        outcome
    }
}

fn log_slow(
    span: &Span,
    operation: &'static str,
    table: Table,
    subject: Option<&(dyn Display + Sync)>,
    took: Duration,
) {
    let _entered = span.enter();
    // The key of a user may be an id that looks like an e-mail address.
    let key = subject
        .filter(|_| table != Table::Directory)
        .map(ToString::to_string)
        .unwrap_or_default();
    let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    warn!(
        store.operation = operation,
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
        Err(StoreError::Timeout { .. }) => "timeout",
        Err(StoreError::Unavailable { .. } | StoreError::Corrupt { .. }) => "error",
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek};

    use super::*;

    /// The log line of a slow list of `partition`.
    fn line(table: Table, partition: &str) -> String {
        let file = Arc::new(tempfile::tempfile().unwrap());
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(Arc::clone(&file))
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            log_slow(&Span::none(), "list", table, Some(&partition), SLOW);
        });
        let (mut file, mut line) = (&*file, String::new());
        file.rewind().unwrap();
        file.read_to_string(&mut line).unwrap();
        line
    }

    #[test]
    fn a_slow_list_is_logged_with_its_partition() {
        let line = line(Table::Tokens, "cli_a");
        assert!(line.contains(r#"store.operation="list""#), "{line}");
        assert!(line.contains(r#"store.key="cli_a""#), "{line}");
    }

    #[test]
    fn what_a_user_is_found_by_is_not_logged() {
        let line = line(Table::Directory, "cli_a#a@example.com");
        assert!(line.contains("a slow store operation"), "{line}");
        assert!(!line.contains("example"), "{line}");
    }
}
