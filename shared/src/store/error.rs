//! What can go wrong with a store.

use std::error::Error as StdError;
use std::sync::Arc;

/// Why a store operation failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The stored record is not the expected one: another writer was faster.
    #[error("the stored record is not the expected one")]
    Conflict,
    /// No answer in time; a write may or may not have happened.
    #[error("{operation} on {table} timed out")]
    Timeout {
        /// `get`, `put`, …
        operation: &'static str,
        /// The table's name.
        table: &'static str,
    },
    /// A read was not attempted, because the store has not answered others.
    #[error("{operation} on {table} is skipped while the store does not answer")]
    Skipped {
        /// `get`, `list`, …
        operation: &'static str,
        /// The table's name.
        table: &'static str,
    },
    /// The store refused, failed or is unreachable; a write may or may not have happened.
    #[error("{operation} on {table} failed")]
    Unavailable {
        /// `get`, `put`, …
        operation: &'static str,
        /// The table's name.
        table: &'static str,
        /// The adapter's error.
        #[source]
        source: Arc<dyn StdError + Send + Sync>,
    },
    /// The stored record is not one of ours.
    #[error("the record {key} of {table} cannot be read: {detail}")]
    Corrupt {
        /// The table's name.
        table: &'static str,
        /// The record's key.
        key: String,
        /// What is wrong with it.
        detail: String,
    },
}

impl StoreError {
    /// The store failed at `operation` because of `source`.
    pub fn unavailable(
        operation: &'static str,
        table: &'static str,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self::Unavailable {
            operation,
            table,
            source: Arc::from(source.into()),
        }
    }

    /// Whether this is a lost race, as opposed to a failure.
    #[must_use]
    pub const fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict)
    }
}
