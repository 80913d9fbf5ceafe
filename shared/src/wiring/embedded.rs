//! The adapters of a machine without AWS.

use std::path::Path;
use std::sync::Arc;

use super::StartError;
use crate::clock::Clock;
use crate::queue::Queue;
use crate::store::Store;

/// The store and the queue.
type Embedded = (Arc<dyn Store>, Arc<dyn Queue>);

/// Opens the store first: it locks other processes out.
#[cfg(feature = "embedded")]
pub(super) fn open(data_dir: &Path, clock: &Arc<dyn Clock>) -> Result<Embedded, StartError> {
    use crate::queue::embedded::EmbeddedQueue;
    use crate::store::embedded::{EmbeddedStore, OpenError};

    std::fs::create_dir_all(data_dir)
        .map_err(|error| StartError::Store(format!("{}: {error}", data_dir.display())))?;
    let unusable = |error: OpenError| StartError::Store(error.to_string());
    let store = EmbeddedStore::open(&data_dir.join("store.redb"), Arc::clone(clock));
    let store = store.map_err(unusable)?;
    let queue = EmbeddedQueue::open(&data_dir.join("queue.redb"), Arc::clone(clock));
    Ok((Arc::new(store), Arc::new(queue.map_err(unusable)?)))
}

#[cfg(not(feature = "embedded"))]
pub(super) fn open(_: &Path, _: &Arc<dyn Clock>) -> Result<Embedded, StartError> {
    Err(StartError::Store(
        "LARK_SERVICE_STORE=embedded is not built into this program; use dynamodb".to_owned(),
    ))
}
