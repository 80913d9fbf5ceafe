//! What a call to DynamoDB costs and how it fails.

use std::error::Error as StdError;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::ConsumedCapacity;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
};
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use tracing::Span;

use crate::store::{StoreError, Table};

/// The code of a condition that does not hold.
const CONDITION_FAILED: &str = "ConditionalCheckFailedException";
/// The codes that ask for fewer requests.
///
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html>
const THROTTLED: [&str; 4] = [
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "Throttling",
    "ThrottlingException",
];

/// Why a request to DynamoDB failed; the source of [`StoreError::Unavailable`].
#[derive(Debug, thiserror::Error)]
pub enum DynamoDbError {
    /// Too many requests, after all attempts.
    #[error("DynamoDB throttles ({code})")]
    Throttled {
        /// DynamoDB's code.
        code: String,
        /// What the SDK says.
        source: BoxError,
    },
    /// The request was understood and refused.
    #[error("DynamoDB refuses ({code})")]
    Refused {
        /// DynamoDB's code.
        code: String,
        /// What the SDK says.
        source: BoxError,
    },
    /// No usable answer: no connection, no credentials, a broken response.
    #[error("DynamoDB is out of reach")]
    Unreachable {
        /// What the SDK says.
        source: BoxError,
    },
    /// A batch kept coming back unprocessed, which is how DynamoDB throttles batches.
    #[error("DynamoDB throttles (left {keys} keys of a batch unprocessed)")]
    Unprocessed {
        /// How many keys are left.
        keys: usize,
    },
}

/// One operation of the port, however many requests it takes. When it ends or is cancelled, its costs are recorded in the span
/// in which it began, in the fields `store.consumed_capacity` (capacity units) and `store.attempts` (requests sent).
#[derive(Debug)]
pub(super) struct Call {
    operation: &'static str,
    table: Table,
    span: Span,
    attempts: Attempts,
    capacity_units: Mutex<f64>,
}

impl Call {
    pub(super) fn new(operation: &'static str, table: Table) -> Self {
        let attempts = Attempts(Arc::default());
        Self {
            operation,
            table,
            span: Span::current(),
            attempts,
            capacity_units: Mutex::new(0.0),
        }
    }

    /// Counts the attempts of the request that carries it.
    pub(super) fn attempts(&self) -> Attempts {
        self.attempts.clone()
    }

    /// The table that it is about.
    pub(super) const fn table(&self) -> Table {
        self.table
    }

    /// Whether a request was sent again.
    pub(super) fn was_repeated(&self) -> bool {
        self.attempts.0.load(Ordering::Relaxed) > 1
    }

    /// Adds to the capacity that this operation consumed.
    pub(super) fn consumed<'a>(&self, consumed: impl IntoIterator<Item = &'a ConsumedCapacity>) {
        let units: f64 = consumed
            .into_iter()
            .filter_map(ConsumedCapacity::capacity_units)
            .sum();
        *self.capacity_units.lock().expect("no panic while adding") += units;
    }

    /// `error` as an error of the port.
    pub(super) fn refused<E>(&self, error: SdkError<E, HttpResponse>) -> StoreError
    where
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    {
        let code = error
            .as_service_error()
            .and_then(ProvideErrorMetadata::code)
            .map(str::to_owned);
        match (code, &error) {
            (Some(code), _) if code == CONDITION_FAILED => StoreError::Conflict,
            (Some(code), _) if THROTTLED.contains(&code.as_str()) => {
                self.failed(DynamoDbError::Throttled {
                    code,
                    source: error.into(),
                })
            }
            (Some(code), _) => self.failed(DynamoDbError::Refused {
                code,
                source: error.into(),
            }),
            (None, SdkError::TimeoutError(_)) => StoreError::Timeout {
                operation: self.operation,
                table: self.table.name(),
            },
            (None, SdkError::DispatchFailure(failure)) if failure.is_timeout() => {
                StoreError::Timeout {
                    operation: self.operation,
                    table: self.table.name(),
                }
            }
            (None, _) => self.failed(DynamoDbError::Unreachable {
                source: error.into(),
            }),
        }
    }

    /// The store is unavailable because of `error`.
    pub(super) fn failed(&self, error: impl Into<Box<dyn StdError + Send + Sync>>) -> StoreError {
        StoreError::unavailable(self.operation, self.table.name(), error)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.span
            .record("store.attempts", self.attempts.0.load(Ordering::Relaxed));
        if let Ok(units) = self.capacity_units.lock() {
            self.span.record("store.consumed_capacity", *units);
        }
    }
}

/// Counts how often a request is sent.
#[derive(Clone, Debug)]
pub(super) struct Attempts(Arc<AtomicU32>);

#[dyn_dispatch_hint]
impl Intercept for Attempts {
    fn name(&self) -> &'static str {
        "attempts"
    }

    fn read_before_attempt(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// Whether a request was answered, over a connection that therefore exists.
#[derive(Clone, Debug, Default)]
pub(super) struct Connected(Arc<AtomicBool>);

impl Connected {
    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

#[dyn_dispatch_hint]
impl Intercept for Connected {
    fn name(&self) -> &'static str {
        "connected"
    }

    fn read_after_transmit(
        &self,
        _: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.store(true, Ordering::Relaxed);
        Ok(())
    }
}
