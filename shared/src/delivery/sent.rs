//! Who sent a message: `sent#<message_id>`, for whoever gets a card's click or a read receipt, and for those who change, answer or
//! look for messages.

use super::{Batch, Delivery, JobId, SENT_KEPT};
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::ids::AppId;
use crate::lark::messages::{Address, MessageId};
use crate::store::{Expect, Key, Record, StoreError, Table, Value, next_version};

use super::job::Job;

/// Who sent a message, and where it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct SentRecord {
    pub(super) key_id: String,
    pub(super) job_id: JobId,
    pub(super) chat_id: Option<String>,
    /// Whom it was sent to.
    pub(super) sent_to: Option<Address>,
}

impl SentRecord {
    fn of(record: &Record) -> Option<Self> {
        let sent_to = record.text("to");
        Some(Self {
            key_id: record.text("key_id")?.to_owned(),
            job_id: record.text("job_id").and_then(JobId::parse)?,
            chat_id: record.text("chat_id").map(str::to_owned),
            sent_to: sent_to.and_then(|text| serde_json::from_str(text).ok()),
        })
    }
}

fn key(message_id: &str) -> Key {
    Key::new(format!("sent#{message_id}"), "sent")
}

impl Delivery {
    /// Who sent the message, if this service did in the last 30 days.
    pub(super) async fn sent(
        &self,
        message_id: &str,
        deadline: Deadline,
    ) -> Result<Option<SentRecord>> {
        let (storage, key) = (&self.inner.storage, key(message_id));
        let record = storage.get(Table::MessageJobs, &key, deadline);
        Ok(record.await?.as_ref().and_then(SentRecord::of))
    }

    /// The same, for the API key `key_id`.
    ///
    /// # Errors
    /// [`Error::MessageNotFound`] when another key sent it.
    pub(super) async fn sent_by(
        &self,
        key_id: &str,
        id: &MessageId,
        deadline: Deadline,
    ) -> Result<Option<SentRecord>> {
        match self.sent(id.as_str(), deadline).await? {
            Some(sent) if sent.key_id != key_id => Err(Error::MessageNotFound),
            sent => Ok(sent),
        }
    }

    /// Keeps that `job` made the message.
    pub(super) async fn note_sent(
        &self,
        job: &Job,
        message_id: &str,
        chat_id: Option<&str>,
        deadline: Deadline,
    ) -> Result<()> {
        let record = self.sent_record(job, message_id, chat_id)?;
        let storage = &self.inner.storage;
        let put = storage.put(Table::MessageJobs, &record, Expect::Anything, deadline);
        Ok(put.await?)
    }

    /// The same, unless a job is known that made it. Returns whether it is this one.
    pub(super) async fn claim_sent(
        &self,
        job: &Job,
        message_id: &str,
        chat_id: Option<&str>,
        deadline: Deadline,
    ) -> Result<bool> {
        let record = self.sent_record(job, message_id, chat_id)?;
        let storage = &self.inner.storage;
        let put = storage.put(Table::MessageJobs, &record, Expect::Absent, deadline);
        match put.await {
            Ok(()) => Ok(true),
            // It may be its own, by a write whose answer was lost.
            Err(StoreError::Conflict) => {
                let there = self.sent(message_id, deadline).await?;
                Ok(there.is_some_and(|it| it.job_id == job.key.job_id))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Keeps that a call of the broadcast `batch` made the message.
    pub(super) async fn note_broadcast(
        &self,
        batch: &Batch,
        message_id: &str,
        deadline: Deadline,
    ) -> Result<()> {
        let (key, app_id) = (&batch.key, &batch.facts.app_id);
        let record = self.record_of(message_id, &key.key_id, key.batch_id.as_str(), app_id);
        let storage = &self.inner.storage;
        let put = storage.put(Table::MessageJobs, &record, Expect::Anything, deadline);
        Ok(put.await?)
    }

    /// That the job, or batch, `job_id` of the API key `key_id` made the message.
    fn record_of(&self, message_id: &str, key_id: &str, job_id: &str, app_id: &AppId) -> Record {
        let now = self.inner.clock.now();
        let mut record = Record::new(key(message_id), next_version(0, now))
            .with("key_id", Value::Text(key_id.to_owned()))
            .with("job_id", Value::Text(job_id.to_owned()))
            .with("app_id", Value::Text(app_id.to_string()));
        record.expires_at = Some(now + SENT_KEPT);
        record
    }

    fn sent_record(&self, job: &Job, message_id: &str, chat_id: Option<&str>) -> Result<Record> {
        let (key_id, job_id) = (&job.key.key_id, job.key.job_id.as_str());
        let mut record = self.record_of(message_id, key_id, job_id, &job.app_id);
        if let Some(chat_id) = chat_id {
            record = record.with("chat_id", Value::Text(chat_id.to_owned()));
        }
        if let Some(address) = job.to.address() {
            let address = serde_json::to_string(address)
                .map_err(|error| Error::internal(format!("an address: {error}")))?;
            record = record.with("to", Value::Text(address));
        }
        Ok(record)
    }
}
