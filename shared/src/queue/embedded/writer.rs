//! The writer thread: it takes the pending changes, writes them in their order, commits once, then answers. Concurrent callers
//! share one `fsync`.

use std::io;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use redb::{Database, Durability};
use tokio::sync::{mpsc, oneshot};
use tracing::error;

use super::Lanes;
use super::tables::Open;
use crate::clock::{Clock, Timestamp};
use crate::queue::{Entry, Lane, QueueError};

/// The most changes that are committed together.
const GROUP: usize = 256;

/// A change of the file.
#[derive(Debug)]
pub(super) enum Change {
    Send(Vec<Entry>),
    /// By the message's number.
    Delete(u64),
}

/// A change and where to send its outcome.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) operation: &'static str,
    pub(super) lane: Lane,
    pub(super) change: Change,
    pub(super) reply: oneshot::Sender<Result<(), QueueError>>,
}

/// A change as it follows in memory.
#[derive(Debug)]
enum Written {
    Sent {
        lane: Lane,
        group: String,
        number: u64,
    },
    Deleted {
        lane: Lane,
        group: String,
        number: u64,
    },
}

/// The handle of the thread. Dropping it waits until every change that was sent is committed.
#[derive(Debug)]
pub(super) struct Writer {
    requests: Option<mpsc::Sender<Request>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread, with room for `pending` changes.
    #[expect(
        clippy::disallowed_methods,
        reason = "joined when the queue is dropped"
    )]
    pub(super) fn start(
        database: Arc<Database>,
        lanes: Arc<Lanes>,
        clock: Arc<dyn Clock>,
        pending: usize,
    ) -> io::Result<Self> {
        let (requests, received) = mpsc::channel(pending);
        let run = move || run(&database, &lanes, clock.as_ref(), received);
        let thread = Builder::new().name("queue-writer".to_owned()).spawn(run)?;
        Ok(Self {
            requests: Some(requests),
            thread: Some(thread),
        })
    }

    /// Queues `request`; returns it if the thread has ended.
    pub(super) async fn send(&self, request: Request) -> Result<(), Box<Request>> {
        match &self.requests {
            Some(requests) => requests
                .send(request)
                .await
                .map_err(|refused| Box::new(refused.0)),
            None => Err(Box::new(request)),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.requests.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            error!("the writer of the embedded queue panicked");
        }
    }
}

fn run(
    database: &Database,
    lanes: &Lanes,
    clock: &dyn Clock,
    mut received: mpsc::Receiver<Request>,
) {
    let mut group = Vec::with_capacity(GROUP);
    while received.blocking_recv_many(&mut group, GROUP) > 0 {
        match commit(database, clock.now(), &group) {
            Ok(written) => {
                written
                    .into_iter()
                    .for_each(|written| follow(lanes, written));
                for request in group.drain(..) {
                    // A caller that has stopped waiting gets no answer.
                    let _ = request.reply.send(Ok(()));
                }
            }
            Err(failure) => {
                let failure = Arc::new(failure);
                for request in group.drain(..) {
                    let error = QueueError::unavailable(request.operation, Arc::clone(&failure));
                    let _ = request.reply.send(Err(error));
                }
            }
        }
    }
}

/// Writes the changes of `group`, and returns what memory must follow.
fn commit(
    database: &Database,
    now: Timestamp,
    group: &[Request],
) -> Result<Vec<Written>, redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    let mut written = Vec::with_capacity(group.len());
    {
        let mut tables = Open::all(&transaction)?;
        for Request { lane, change, .. } in group {
            match change {
                Change::Send(entries) => {
                    for entry in entries {
                        let number = tables.send(*lane, entry, now)?;
                        written.extend(number.map(|number| Written::Sent {
                            lane: *lane,
                            group: entry.group.clone(),
                            number,
                        }));
                    }
                }
                Change::Delete(number) => {
                    let group = tables.delete(*lane, *number)?;
                    written.extend(group.map(|group| Written::Deleted {
                        lane: *lane,
                        group,
                        number: *number,
                    }));
                }
            }
        }
        tables.sweep(now, written.len())?;
    }
    transaction.commit()?;
    Ok(written)
}

fn follow(lanes: &Lanes, written: Written) {
    match written {
        Written::Sent {
            lane,
            group,
            number,
        } => lanes.get(lane).change(|state| state.push(&group, number)),
        Written::Deleted {
            lane,
            group,
            number,
        } => lanes.get(lane).change(|state| state.remove(&group, number)),
    }
}
