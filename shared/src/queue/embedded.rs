//! The queue in one file on this machine, for running without AWS.
//!
//! The file has what was sent and not yet deleted, and which ids were sent in the last five minutes. Who has which message until
//! when, and how often it was received, is in memory only: after a restart every message is waiting again. Memory has eight bytes
//! for each waiting message; its body stays in the file until it is received.

use std::collections::HashSet;
use std::fmt;
use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use redb::backends::InMemoryBackend;
use redb::{Database, ReadableDatabase};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::{
    Depth, Entry, Lane, MAX_HIDDEN, MAX_RECEIVED, MAX_WAIT, NotSent, Queue, QueueError, Receipt,
    Received,
};
use crate::clock::Clock;
use crate::embedded_file;

mod moment;
mod state;
mod tables;
mod writer;

pub use crate::embedded_file::OpenError;

use moment::Moment;
use state::{Holder, State, Taken};
use tables::MESSAGES;
use writer::{Change, Request, Writer};

/// How many changes may be queued for the writer; callers of more wait.
const PENDING: usize = 1_024;
/// Page cache of the database.
const PAGE_CACHE_BYTES: usize = 16 * 1_024 * 1_024;

/// A [`Queue`] in a file, or in memory.
///
/// A message that was sent, and a deletion that was answered, survive the loss of process and power.
pub struct EmbeddedQueue {
    database: Arc<Database>,
    writer: Writer,
    lanes: Arc<Lanes>,
    clock: Arc<dyn Clock>,
    /// Part of every receipt: those of an earlier process mean nothing.
    process: u64,
}

/// The lanes as they are in memory.
#[derive(Debug, Default)]
struct Lanes {
    normal: Shared,
    bulk: Shared,
}

/// A lane that receivers wait for.
#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

impl Lanes {
    const fn get(&self, lane: Lane) -> &Shared {
        match lane {
            Lane::Normal => &self.normal,
            Lane::Bulk => &self.bulk,
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while it is held")
    }

    /// Applies `change`. Then wakes a receiver if there is something to receive, and all of them if something is hidden that
    /// comes back earlier than what they wait for.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let before = state.next_end();
        let outcome = change(&mut state);
        let next = state.next_end();
        let is_earlier = next.is_some_and(|next| before.is_none_or(|before| next < before));
        let is_ready = state.is_ready();
        drop(state);
        if is_earlier {
            self.changed.notify_waiters();
        }
        if is_ready {
            self.changed.notify_one();
        }
        outcome
    }
}

impl EmbeddedQueue {
    /// The queue in the file at `path`, which is created readable only by its owner (mode 0600) if it does not exist. Checks
    /// the whole file first.
    ///
    /// # Errors
    /// [`OpenError`] when another process has the file open, it is damaged or not a queue, or access is denied.
    pub fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let database = embedded_file::open(path, PAGE_CACHE_BYTES)?;
        Self::start(database, clock).map_err(|source| OpenError::Unusable {
            path: path.to_owned(),
            source,
        })
    }

    /// A queue in memory, lost when it is dropped.
    ///
    /// # Errors
    /// [`OpenError`] when memory or a thread is not available.
    pub fn in_memory(clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let unusable = |source| OpenError::Unusable {
            path: "memory".into(),
            source,
        };
        let database = Database::builder().create_with_backend(InMemoryBackend::new());
        let database = database.map_err(|error| unusable(error.into()))?;
        Self::start(database, clock).map_err(unusable)
    }

    fn start(
        database: Database,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        tables::create(&database)?;
        let lanes = Arc::new(Lanes::default());
        tables::each_message(&database, |lane, group, number| {
            lanes.get(lane).lock().push(group, number);
        })?;
        let database = Arc::new(database);
        let writer = Writer::start(
            Arc::clone(&database),
            Arc::clone(&lanes),
            Arc::clone(&clock),
            PENDING,
        )?;
        Ok(Self {
            database,
            writer,
            lanes,
            clock,
            process: fastrand::u64(..),
        })
    }

    /// Finishes the pending changes and closes the file. Dropping the queue does the same.
    #[expect(clippy::disallowed_methods, reason = "awaited here")]
    pub async fn close(self) {
        // Only a panic of the writer can make this fail, and then nothing is left to do.
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }

    async fn write(
        &self,
        operation: &'static str,
        lane: Lane,
        change: Change,
    ) -> Result<(), QueueError> {
        let stopped =
            || QueueError::unavailable(operation, "the writer of the embedded queue has stopped");
        let (reply, answer) = oneshot::channel();
        let request = Request {
            operation,
            lane,
            change,
            reply,
        };
        self.writer.send(request).await.map_err(|_| stopped())?;
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// The messages that were `taken`, with their bodies. It takes microseconds, less than a handover to another thread.
    fn read(&self, lane: Lane, taken: &[Taken]) -> Result<Vec<Received>, redb::Error> {
        let messages = self.database.begin_read()?.open_table(MESSAGES)?;
        let mut received = Vec::with_capacity(taken.len());
        for Taken {
            number,
            reception,
            receive_count,
        } in taken
        {
            // Somebody whose time was over may have deleted it a moment ago.
            let Some(stored) = messages.get((tables::number(lane), *number))? else {
                continue;
            };
            let (group, body) = stored.value();
            received.push(Received {
                id: number.to_string(),
                receipt: Receipt(format!("{:016x}.{number}.{reception}", self.process)),
                group: group.to_owned(),
                body: body.to_owned(),
                receive_count: *receive_count,
            });
        }
        Ok(received)
    }

    /// The message and the reception that `receipt` names.
    fn named(&self, receipt: &Receipt) -> Result<(u64, u64), QueueError> {
        let mut parts = receipt.0.split('.');
        let process = parts
            .next()
            .and_then(|part| u64::from_str_radix(part, 16).ok());
        let mut number = || parts.next().and_then(|part| part.parse().ok());
        match (process, number(), number()) {
            (Some(process), Some(number), Some(reception)) if process == self.process => {
                Ok((number, reception))
            }
            _ => Err(QueueError::Gone),
        }
    }

    fn now(&self) -> Moment {
        Moment::now(&*self.clock)
    }
}

#[async_trait]
impl Queue for EmbeddedQueue {
    async fn send(&self, lane: Lane, entries: &[Entry]) -> Vec<Result<(), QueueError>> {
        let verdicts = withheld(entries);
        let kept = entries.iter().zip(&verdicts);
        let kept = kept.filter(|(_, verdict)| verdict.is_none());
        let kept: Vec<_> = kept.map(|(entry, _)| entry.clone()).collect();
        let outcome = if kept.is_empty() {
            Ok(())
        } else {
            self.write("send", lane, Change::Send(kept)).await
        };
        let outcome = |verdict| match verdict {
            Some(not_sent) => Err(QueueError::unavailable("send", not_sent)),
            None => outcome.clone(),
        };
        verdicts.into_iter().map(outcome).collect()
    }

    async fn receive(
        &self,
        lane: Lane,
        limit: usize,
        hidden_for: Duration,
        wait: Duration,
    ) -> Result<Vec<Received>, QueueError> {
        let shared = self.lanes.get(lane);
        let limit = limit.clamp(1, MAX_RECEIVED);
        let until = Instant::now() + wait.min(MAX_WAIT);
        loop {
            let mut changed = pin!(shared.changed.notified());
            changed.as_mut().enable();
            let now = self.now();
            let end = now + hidden_for.min(MAX_HIDDEN);
            let taken = shared.change(|state| state.take(limit, end, now));
            if !taken.is_empty() {
                return self.read(lane, &taken).map_err(|error| {
                    shared.change(|state| state.give_back(&taken));
                    QueueError::unavailable("receive", error)
                });
            }
            if Instant::now() >= until {
                return Ok(Vec::new());
            }
            let next = shared.lock().next_end();
            let next = next.map_or(until, |next| next.min(until));
            // Whichever comes first: the loop looks again.
            let _ = tokio::time::timeout_at(next, changed).await;
        }
    }

    async fn delete(&self, lane: Lane, receipt: &Receipt) -> Result<(), QueueError> {
        let (number, reception) = self.named(receipt)?;
        let now = self.now();
        let shared = self.lanes.get(lane);
        match shared.change(|state| state.holder(number, reception, now)) {
            Holder::This => self.write("delete", lane, Change::Delete(number)).await,
            Holder::Another => Err(QueueError::Gone),
            Holder::Deleted => Ok(()),
        }
    }

    async fn hide(
        &self,
        lane: Lane,
        receipt: &Receipt,
        length: Duration,
    ) -> Result<(), QueueError> {
        let (number, reception) = self.named(receipt)?;
        let now = self.now();
        let end = now + length.min(MAX_HIDDEN);
        let shared = self.lanes.get(lane);
        let is_hidden = shared.change(|state| state.hide(number, reception, end, now));
        is_hidden.then_some(()).ok_or(QueueError::Gone)
    }

    async fn depth(&self, lane: Lane) -> Result<Depth, QueueError> {
        let now = self.now();
        Ok(self.lanes.get(lane).change(|state| state.depth(now)))
    }
}

/// For each of `entries` why it must not be sent, if it must not: it is not valid, or comes after one of its group that is not.
fn withheld(entries: &[Entry]) -> Vec<Option<NotSent>> {
    let mut stopped = HashSet::new();
    let verdicts = entries.iter().map(|entry| {
        if stopped.contains(entry.group.as_str()) {
            return Some(NotSent::AfterFailure);
        }
        let invalid = entry.check().err()?;
        stopped.insert(entry.group.as_str());
        Some(invalid)
    });
    verdicts.collect()
}

impl fmt::Debug for EmbeddedQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedQueue").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
