//! How a request to SQS fails.

use std::error::Error as StdError;

use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::types::BatchResultErrorEntry;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use crate::queue::QueueError;

/// The codes that ask for fewer requests.
///
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/CommonErrors.html>
const THROTTLED: [&str; 5] = [
    "OverLimit",
    "RequestThrottled",
    "Throttling",
    "ThrottlingException",
    "KmsThrottled",
];
/// How codes of errors about the receipt end: it is of an earlier reception, or its time is over. SQS names the
/// code of its older protocol beside the newer one; some of those have a prefix.
///
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibility.html>
const GONE: [&str; 4] = [
    "ReceiptHandleIsInvalid",
    "MessageNotInflight",
    // Of a FIFO queue: "The receipt handle has expired". Nothing else in these requests can be wrong.
    "InvalidParameterValue",
    "InvalidParameterValueException",
];

/// Why a request to SQS failed; the source of [`QueueError::Unavailable`].
#[derive(Debug, thiserror::Error)]
pub enum SqsError {
    /// Too many requests, after all attempts.
    #[error("SQS throttles ({code})")]
    Throttled {
        /// SQS's code.
        code: String,
        /// What the SDK says.
        source: BoxError,
    },
    /// The request was understood and refused.
    #[error("SQS refuses ({code})")]
    Refused {
        /// SQS's code.
        code: String,
        /// What the SDK says.
        source: BoxError,
    },
    /// No usable answer: no connection, no credentials, a broken response.
    #[error("SQS is out of reach")]
    Unreachable {
        /// What the SDK says.
        source: BoxError,
    },
    /// One entry of a request was refused.
    #[error("SQS refuses a message ({code})")]
    EntryRefused {
        /// SQS's code.
        code: String,
    },
    /// An answer without what every answer has.
    #[error("SQS left out a part of its answer")]
    Incomplete,
}

/// `error` of `operation` as an error of the port.
pub(super) fn refused<E>(operation: &'static str, error: SdkError<E, HttpResponse>) -> QueueError
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    let is_timeout = if let SdkError::DispatchFailure(failure) = &error {
        failure.is_timeout()
    } else {
        matches!(error, SdkError::TimeoutError(_))
    };
    if is_timeout {
        return QueueError::Timeout { operation };
    }
    let source = match code(&error).map(str::to_owned) {
        Some(code) if THROTTLED.iter().any(|throttled| code.ends_with(throttled)) => {
            SqsError::Throttled {
                code,
                source: error.into(),
            }
        }
        Some(code) => SqsError::Refused {
            code,
            source: error.into(),
        },
        None => SqsError::Unreachable {
            source: error.into(),
        },
    };
    QueueError::unavailable(operation, source)
}

/// `error` of `operation` on a message that was received: the receiver may no longer have it.
pub(super) fn out_of_hand<E>(
    operation: &'static str,
    error: SdkError<E, HttpResponse>,
) -> QueueError
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    let is_gone = |code: &str| GONE.iter().any(|gone| code.ends_with(gone));
    if code(&error).is_some_and(is_gone) {
        return QueueError::Gone;
    }
    refused(operation, error)
}

/// Why an entry is not among those that were sent.
pub(super) fn entry_refused(failed: Option<&BatchResultErrorEntry>) -> QueueError {
    let source = failed.map_or(SqsError::Incomplete, |failed| SqsError::EntryRefused {
        code: failed.code().to_owned(),
    });
    QueueError::unavailable("send", source)
}

fn code<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Option<&str> {
    error
        .as_service_error()
        .and_then(ProvideErrorMetadata::code)
}
