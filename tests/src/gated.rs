//! A store whose operations on tokens wait, one by one, until the test lets them through: the test decides what happens
//! between two of them. A process that is no longer let through has frozen or died.

use std::sync::Arc;

use async_trait::async_trait;
use lark_service::store::intercepted::{InterceptedStore, Operation, StoreHook};
use lark_service::store::{Store, StoreError, Table};
use tokio::sync::{mpsc, oneshot};

/// The number of a process that waits in front of its next operation, and what lets it through.
pub type Waiting = (usize, oneshot::Sender<()>);

/// Announces the operations of one process on tokens, and lets each through when the test says so.
#[derive(Debug)]
struct Gate {
    process: usize,
    waiting: mpsc::UnboundedSender<Waiting>,
}

/// `store` for the process with this number: each of its reads and writes of single tokens is announced to `waiting` and
/// waits there.
#[must_use]
pub fn gated(
    store: Arc<dyn Store>,
    process: usize,
    waiting: mpsc::UnboundedSender<Waiting>,
) -> Arc<dyn Store> {
    let gate = Gate { process, waiting };
    Arc::new(InterceptedStore::new(store, Arc::new(gate)))
}

#[async_trait]
impl StoreHook for Gate {
    async fn before(&self, operation: Operation, table: Option<Table>) -> Result<(), StoreError> {
        let waits = match operation {
            Operation::Get | Operation::Put | Operation::PutMany | Operation::Delete => true,
            Operation::GetMany
            | Operation::List
            | Operation::Due
            | Operation::Ping
            | Operation::Inspect => false,
        };
        if waits && table == Some(Table::Tokens) {
            let (go, gone) = oneshot::channel();
            // A test that listens no more lets nobody through.
            let _ = self.waiting.send((self.process, go));
            if gone.await.is_err() {
                std::future::pending::<()>().await;
            }
        }
        Ok(())
    }
}
