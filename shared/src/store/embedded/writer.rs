//! The writer thread: it takes the queued changes, decides on each in order, commits once, then answers.

use std::io;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use redb::{Database, Durability};
use tokio::sync::{mpsc, oneshot};
use tracing::error;

use super::tables::{Failure, Open};
use crate::clock::{Clock, Timestamp};
use crate::store::{Expect, Guard, Key, Record, StoreError, Table};

/// The most changes that are committed together.
const GROUP: usize = 256;

/// A change, or none.
#[derive(Debug)]
pub(super) enum Change {
    Put(Record, Expect),
    /// While another record has its version.
    PutGuarded(Record, Expect, Guard),
    /// Unconditional.
    PutMany(Vec<Record>),
    /// Each if it is newer than what is there, and that not later than the version given.
    PutNewer(Vec<Record>, u64),
    Delete(Key, Expect),
    /// Changes nothing; answered once the database could write.
    Nothing,
}

/// A change and where to send its outcome.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) operation: &'static str,
    pub(super) table: Table,
    pub(super) change: Change,
    pub(super) reply: oneshot::Sender<Result<(), StoreError>>,
}

/// The handle of the thread. Dropping it waits until every change that was sent is committed.
#[derive(Debug)]
pub(super) struct Writer {
    requests: Option<mpsc::Sender<Request>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread, with room for `queue` pending changes.
    #[expect(
        clippy::disallowed_methods,
        reason = "joined when the store is dropped"
    )]
    pub(super) fn start(
        database: Arc<Database>,
        clock: Arc<dyn Clock>,
        queue: usize,
    ) -> io::Result<Self> {
        let (requests, received) = mpsc::channel(queue);
        let run = move || run(&database, clock.as_ref(), received);
        let thread = Builder::new().name("store-writer".to_owned()).spawn(run)?;
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
            error!("the writer of the embedded store panicked");
        }
    }
}

fn run(database: &Database, clock: &dyn Clock, mut received: mpsc::Receiver<Request>) {
    let mut group = Vec::with_capacity(GROUP);
    while received.blocking_recv_many(&mut group, GROUP) > 0 {
        let outcome = commit(database, clock.now(), &group);
        answer(&mut group, outcome);
    }
}

/// The outcome of each change of `group`, after the accepted ones were committed.
fn commit(
    database: &Database,
    now: Timestamp,
    group: &[Request],
) -> Result<Vec<Result<(), StoreError>>, redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    let mut verdicts = Vec::with_capacity(group.len());
    {
        let mut tables = Open::all(&transaction)?;
        for request in group {
            match apply(&mut tables, request, now) {
                Ok(()) => verdicts.push(Ok(())),
                Err(Failure::Refused(refused)) => verdicts.push(Err(refused)),
                Err(Failure::Storage(error)) => return Err(error.into()),
            }
        }
        if changes_anything(group, &verdicts) {
            tables.sweep(now, group.iter().map(written).sum())?;
        }
    }
    // Without a change there is no reason to wait for the disk.
    if changes_anything(group, &verdicts) {
        transaction.commit()?
    } else {
        transaction.abort()?
    }
    Ok(verdicts)
}

fn changes_anything(group: &[Request], verdicts: &[Result<(), StoreError>]) -> bool {
    let is_change = |request: &Request| !matches!(request.change, Change::Nothing);
    group
        .iter()
        .zip(verdicts)
        .any(|(request, verdict)| is_change(request) && verdict.is_ok())
}

/// How many records a change writes.
fn written(request: &Request) -> usize {
    match &request.change {
        Change::Put(..) | Change::PutGuarded(..) => 1,
        Change::PutMany(records) | Change::PutNewer(records, _) => records.len(),
        Change::Delete(..) | Change::Nothing => 0,
    }
}

fn apply(tables: &mut Open<'_>, request: &Request, now: Timestamp) -> Result<(), Failure> {
    match &request.change {
        Change::Put(record, expect) => tables.put(request.table, record, *expect, now),
        Change::PutGuarded(record, expect, guard) => {
            let unchanged = Expect::Version(guard.version);
            tables.check(request.table, &guard.key, unchanged, now)?;
            tables.put(request.table, record, *expect, now)
        }
        Change::PutMany(records) => records
            .iter()
            .try_for_each(|record| tables.put(request.table, record, Expect::Anything, now)),
        Change::PutNewer(records, latest) => records.iter().try_for_each(|record| {
            let (version, latest) = (record.version, *latest);
            let expect = Expect::Older { version, latest };
            match tables.put(request.table, record, expect, now) {
                Err(Failure::Refused(StoreError::Conflict)) => Ok(()),
                outcome => outcome,
            }
        }),
        Change::Delete(key, expect) => tables.delete(request.table, key, *expect, now),
        Change::Nothing => Ok(()),
    }
}

/// A caller that has stopped waiting gets no answer.
fn answer(group: &mut Vec<Request>, outcome: Result<Vec<Result<(), StoreError>>, redb::Error>) {
    match outcome {
        Ok(verdicts) => {
            for (request, verdict) in group.drain(..).zip(verdicts) {
                let _ = request.reply.send(verdict);
            }
        }
        Err(failure) => {
            let failure = Arc::new(failure);
            for Request {
                operation,
                table,
                reply,
                ..
            } in group.drain(..)
            {
                let _ = reply.send(Err(StoreError::unavailable(
                    operation,
                    table.name(),
                    Arc::clone(&failure),
                )));
            }
        }
    }
}
