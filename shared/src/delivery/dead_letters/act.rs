//! What operators do with dead letters: list them, have one tried again, drop one.

use tracing::{info, warn};

use super::{About, DeadLetter, record};
use crate::api_keys::AllowedApps;
use crate::deadline::Deadline;
use crate::delivery::attempt::Progress;
use crate::delivery::job::Job;
use crate::delivery::{
    DEFAULT_LIFE, Delivery, End, JobKey, KEPT, Refused, State, Uncertain, codec,
};
use crate::error::{Error, FailureKind, LarkFailure, Result};
use crate::page::Page;
use crate::queue::Entry;
use crate::store::{Due, Expect, Record, StoreError, Table, next_version};

/// How many letters are read at a time, and how often, to fill a page.
const SCAN: usize = 100;
const MAX_SCANS: usize = 10;
/// How often a job is read again when somebody changes it meanwhile.
const ATTEMPTS: u32 = 4;

/// What became of a dead letter.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Acted {
    /// The letter's id.
    pub id: String,
    /// The job that it is about, if there is one and its record can be read.
    pub job: Option<Job>,
}

impl Delivery {
    /// A page of the dead letters of `apps`, by id. There may be few or none on a page though more follow. One whose app is not known
    /// shows for who may act for all.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn dead_letters(
        &self,
        apps: &AllowedApps,
        after: Option<&str>,
        limit: usize,
        deadline: Deadline,
    ) -> Result<Page<DeadLetter>> {
        let mut items: Vec<DeadLetter> = Vec::with_capacity(limit);
        let mut position = after.map(str::to_owned);
        for _ in 0..MAX_SCANS {
            let storage = &self.inner.storage;
            let (table, of, after) = (Table::MessageJobs, record::PARTITION, position.as_deref());
            let page = storage.list(table, of, "", after, SCAN, deadline).await?;
            for record in &page.records {
                let letter = DeadLetter::from_record(record)?;
                if letter.since.is_none() || !shows(&letter, apps) {
                    continue;
                }
                if items.len() == limit {
                    let last = items.last().map(|last| last.id.clone());
                    return Ok(Page {
                        items,
                        next_page_token: last,
                    });
                }
                items.push(letter);
            }
            position = page.next;
            if position.is_none() {
                break;
            }
        }
        Ok(Page {
            items,
            next_page_token: position,
        })
    }

    /// The dead letter `id`, if it is one of `apps`.
    ///
    /// # Errors
    /// [`Error::DeadLetterNotFound`], [`Error::Store`].
    pub async fn dead_letter(
        &self,
        apps: &AllowedApps,
        id: &str,
        deadline: Deadline,
    ) -> Result<DeadLetter> {
        let letter = self.letter(id, deadline).await?;
        let letter = letter.filter(|it| it.since.is_some() && shows(it, apps));
        letter.ok_or(Error::DeadLetterNotFound)
    }

    /// Has the dead letter `id` tried again. What decides is the job's record, as always: one that was sent, or that may have been sent
    /// more than 50 minutes ago, is not sent again. One whose caller set no end gets a day from now on.
    ///
    /// # Errors
    /// [`Error::DeadLetterNotFound`]; [`Error::Store`], after which it can be repeated; [`Error::Internal`] if the queue does not take a
    /// message that names no job.
    pub async fn redrive(&self, apps: &AllowedApps, id: &str, deadline: Deadline) -> Result<Acted> {
        let letter = self.dead_letter(apps, id, deadline).await?;
        let job = match &letter.about {
            About::Job(key) => self.revive(key, deadline).await?,
            About::Ticket { body, group } => {
                self.send_again(&letter, body, group, deadline).await?;
                None
            }
        };
        self.forget(&letter, deadline).await?;
        info!(message.letter = letter.id, "a dead letter is tried again");
        Ok(Acted { id: letter.id, job })
    }

    /// Drops the dead letter `id`. Its job ends as `refused`, with the operator's decision as the reason; as `uncertain`, if a call for
    /// it went out whose outcome is not known.
    ///
    /// # Errors
    /// [`Error::DeadLetterNotFound`]; [`Error::Store`], after which it can be repeated.
    pub async fn drop_dead_letter(
        &self,
        apps: &AllowedApps,
        id: &str,
        deadline: Deadline,
    ) -> Result<Acted> {
        let letter = self.dead_letter(apps, id, deadline).await?;
        let job = match &letter.about {
            About::Job(key) => self.give_up(key, &letter, deadline).await?,
            About::Ticket { .. } => None,
        };
        self.forget(&letter, deadline).await?;
        info!(message.letter = letter.id, "a dead letter was dropped");
        Ok(Acted { id: letter.id, job })
    }

    /// Takes the mark from the job at `key` and queues it. It is due by itself if that fails.
    async fn revive(&self, key: &JobKey, deadline: Deadline) -> Result<Option<Job>> {
        for _ in 0..ATTEMPTS {
            let Some(record) = self.record(key, deadline).await? else {
                return Ok(None);
            };
            let now = self.inner.clock.now();
            let Ok(mut job) = codec::described(&record) else {
                // The scheduled run tries it, within a minute.
                let due = Some(Due {
                    shard: key.shard(),
                    at: now,
                });
                let again = Record {
                    version: next_version(record.version, now),
                    due,
                    expires_at: None,
                    ..record.clone()
                };
                match self.put_over(&record, &again, deadline).await {
                    Err(Error::Store(StoreError::Conflict)) => continue,
                    outcome => outcome?,
                }
                return Ok(None);
            };
            if job.end.is_some() {
                return Ok(Some(job));
            }
            // One whose record could not be read has no mark, but an end.
            if job.dead.take().is_some() || record.expires_at.is_some() {
                let begins = job.deliver_at.unwrap_or(job.created_at);
                if job.expires_at == begins + DEFAULT_LIFE {
                    job.expires_at = now.max(begins) + DEFAULT_LIFE;
                }
                let again = codec::rewritten(&record, &job, now)?;
                match self.put_over(&record, &again, deadline).await {
                    Err(Error::Store(StoreError::Conflict)) => continue,
                    outcome => outcome?,
                }
                job.version = again.version;
            }
            self.enqueue(&job, deadline).await;
            return Ok(Some(job));
        }
        Err(StoreError::Conflict.into())
    }

    /// Ends the job at `key`, because an operator says so.
    async fn give_up(
        &self,
        key: &JobKey,
        letter: &DeadLetter,
        deadline: Deadline,
    ) -> Result<Option<Job>> {
        for _ in 0..ATTEMPTS {
            let Some(record) = self.record(key, deadline).await? else {
                return Ok(None);
            };
            let now = self.inner.clock.now();
            let Ok(job) = codec::described(&record) else {
                // Nobody can read what it was: it is left to go.
                let gone = Record {
                    version: next_version(record.version, now),
                    due: None,
                    expires_at: Some(now + KEPT),
                    ..record.clone()
                };
                match self.put_over(&record, &gone, deadline).await {
                    Err(Error::Store(StoreError::Conflict)) => continue,
                    outcome => outcome?,
                }
                return Ok(None);
            };
            let is_worked_on = job.state(now) == State::Sending && job.dead.is_none();
            if job.end.is_some() || is_worked_on {
                // It has gone on without the operator.
                return Ok(Some(job));
            }
            let why = letter.reason.told();
            let end = match job.unsettled_since {
                None => {
                    let msg = format!("an operator dropped it: {why}");
                    let failure = LarkFailure::without_answer(FailureKind::Rejected, msg);
                    End::Refused(Refused::by(&failure, now))
                }
                Some(since) => End::Uncertain(Uncertain {
                    at: now,
                    since,
                    reason: format!(
                        "the answer of a call was lost, and an operator dropped the message: {why}"
                    ),
                }),
            };
            match self.end(job, end, deadline).await? {
                Progress::Ended(job) => return Ok(Some(job)),
                // Somebody else changed it.
                Progress::Later(..) => {}
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// Queues what names no job once more, as it was.
    async fn send_again(
        &self,
        letter: &DeadLetter,
        body: &str,
        group: &str,
        deadline: Deadline,
    ) -> Result<()> {
        let queue = self.inner.queue.as_ref();
        let queue = queue.ok_or_else(|| Error::internal("there is no queue"))?;
        let entry = Entry {
            group: if group.is_empty() { &letter.id } else { group }.to_owned(),
            deduplication: format!("{}-{}", letter.id, letter.version),
            body: body.to_owned(),
        };
        let entries = [entry];
        let sent = deadline.run(queue.send(letter.lane, &entries)).await?;
        let failed = sent.into_iter().find_map(std::result::Result::err);
        failed.map_or(Ok(()), |error| {
            warn!(message.letter = letter.id, %error, "a dead letter is not queued");
            Err(Error::internal(format!("the queue: {error}")))
        })
    }

    /// Removes the letter; another one may be made of the same job later.
    async fn forget(&self, letter: &DeadLetter, deadline: Deadline) -> Result<()> {
        let (storage, key) = (&self.inner.storage, DeadLetter::key(&letter.id));
        let expect = Expect::Version(letter.version);
        let deleted = storage.delete(Table::MessageJobs, &key, expect, deadline);
        match deleted.await {
            // Somebody else acted at the same time, or this is the repetition of a deletion whose answer was lost.
            Err(StoreError::Conflict) => Ok(()),
            outcome => Ok(outcome?),
        }
    }
}

/// Whether who may act for `apps` sees `letter`.
fn shows(letter: &DeadLetter, apps: &AllowedApps) -> bool {
    match (apps, &letter.app_id) {
        (AllowedApps::All, _) => true,
        (AllowedApps::Only(_), Some(app_id)) => apps.contains(app_id),
        (AllowedApps::Only(_), None) => false,
    }
}
