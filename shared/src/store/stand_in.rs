//! A copy that answers when the store fails or is slow. The store is always asked first: a copy is never preferred to its answer.

use std::time::Duration;

use tracing::warn;

use super::{Record, StoreError, Table};

/// How long the store may take before a copy answers in its place.
const PATIENCE: Duration = Duration::from_millis(100);

/// Who answered.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The store.
    Stored(Option<Record>),
    /// A copy, in the store's place.
    Copied(Record),
}

/// The store's `answer` or, if that is an error or takes longer than 100 ms, the copy that `copied` finds. Without a copy the
/// store has all its time.
///
/// # Errors
/// The store's error, when there is no copy either.
pub(crate) async fn or_copy<F: Future<Output = Option<Record>>>(
    table: Table,
    answer: impl Future<Output = Result<Option<Record>, StoreError>>,
    copied: impl Fn() -> F,
) -> Result<Answer, StoreError> {
    let later = async {
        tokio::time::sleep(PATIENCE).await;
        match copied().await {
            Some(record) => record,
            None => std::future::pending().await,
        }
    };
    let answer = tokio::select! {
        biased;
        answer = answer => answer,
        record = later => {
            let waited_ms = PATIENCE.as_millis();
            warn!(store.table = table.name(), waited_ms, "going on with the copy of a record");
            return Ok(Answer::Copied(record));
        }
    };
    match answer {
        Ok(record) => Ok(Answer::Stored(record)),
        Err(error) => match copied().await {
            Some(record) => {
                warn!(store.table = table.name(), %error, "going on with the copy of a record");
                Ok(Answer::Copied(record))
            }
            None => Err(error),
        },
    }
}
