//! A batch as a record of the store. Content and receivers are sealed; all else is one attribute, as JSON.

use secrecy::{ExposeSecret, SecretString};
use tracing::warn;

use super::super::codec::{MESSAGE, corrupt};
use super::super::id::{BatchId, BatchKey, partition};
use super::super::{DeadReason, Delivery, KEPT};
use super::batch::{Batch, Facts, Payload, Stage};
use crate::clock::Timestamp;
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::seal::Sealer;
use crate::store::{Expect, Record, StoreError, Table, Value, next_version};

/// The attribute with everything that is not secret.
const BATCH: &str = "batch";

/// Where the batch in `record` is, if it has one.
pub(in super::super) fn key_of(record: &Record) -> Option<BatchKey> {
    let key_id = record.key.partition.strip_prefix(&partition(""))?;
    Some(BatchKey {
        key_id: key_id.to_owned(),
        batch_id: BatchId::parse(&record.key.sort)?,
    })
}

/// Whether `record` is a batch's.
pub(in super::super) fn is_batch(record: &Record) -> bool {
    BatchId::parse(&record.key.sort).is_some()
}

/// The batch in `record`, without what is sealed.
pub(in super::super) fn described(record: &Record) -> std::result::Result<Batch, StoreError> {
    let key = key_of(record).ok_or_else(|| corrupt(record, "its key"))?;
    let text = record.text(BATCH).ok_or_else(|| corrupt(record, BATCH))?;
    let facts: Facts = serde_json::from_str(text).map_err(|_| corrupt(record, BATCH))?;
    Ok(Batch {
        key,
        facts,
        payload: None,
        unopened: None,
        version: record.version,
    })
}

/// The batch in `record`, with what is sealed, as far as that opens.
async fn from_record(record: &Record, sealer: &Sealer, deadline: Deadline) -> Result<Batch> {
    let mut batch = described(record)?;
    if let Some(sealed) = record.bytes(MESSAGE) {
        let context = batch.key.seal_context();
        match sealer.open(&context, sealed, deadline).await {
            Ok(text) => {
                let payload: Payload = serde_json::from_str(text.expose_secret())
                    .map_err(|_| corrupt(record, "its content"))?;
                batch.payload = Some(payload);
            }
            Err(error) => {
                let error = Error::from(error);
                if DeadReason::of(&error).is_none() {
                    return Err(error);
                }
                // It ends all the same when its time is over.
                warn!(message.batch_id = batch.key.batch_id.as_str(), %error, "the content of a batch does not open");
                batch.unopened = Some(sealed.to_vec());
            }
        }
    }
    Ok(batch)
}

/// `record` as it is to be written at `now`, with the next version and due time: what is sealed in it stays as it is. `batch` was read
/// from it, and nothing of it has changed.
pub(in super::super) fn put_off(record: &Record, batch: &Batch, now: Timestamp) -> Record {
    let mut next = record.clone();
    next.version = next_version(record.version, now);
    next.due = batch.due(now);
    next
}

async fn to_record(
    batch: &Batch,
    sealer: &Sealer,
    now: Timestamp,
    deadline: Deadline,
) -> Result<Record> {
    let not_json = |error| Error::internal(format!("a batch: {error}"));
    let text = serde_json::to_string(&batch.facts).map_err(not_json)?;
    let version = next_version(batch.version, now);
    let mut record = Record::new(batch.key.store_key(), version).with(BATCH, Value::Text(text));
    if let Some(payload) = &batch.payload {
        let text = SecretString::from(serde_json::to_string(payload).map_err(not_json)?);
        let context = batch.key.seal_context();
        let sealed = sealer.seal(&context, &text, deadline).await?;
        record = record.with(MESSAGE, Value::Bytes(sealed));
    } else if let Some(sealed) = &batch.unopened {
        record = record.with(MESSAGE, Value::Bytes(sealed.clone()));
    }
    record.due = batch.due(now);
    record.expires_at = (batch.facts.stage == Stage::Ended).then(|| now + KEPT);
    Ok(record)
}

impl Delivery {
    /// Writes `batch` if `expect` holds, and returns it with its new version.
    pub(super) async fn put_batch(
        &self,
        batch: Batch,
        expect: Expect,
        deadline: Deadline,
    ) -> Result<Batch> {
        let (inner, now) = (&self.inner, self.inner.clock.now());
        let record = to_record(&batch, &inner.sealer, now, deadline).await?;
        let put = inner
            .storage
            .put(Table::MessageJobs, &record, expect, deadline);
        put.await?;
        Ok(Batch {
            version: record.version,
            ..batch
        })
    }

    /// Writes `batch` over exactly the version that it has.
    pub(super) async fn update_batch(&self, batch: Batch, deadline: Deadline) -> Result<Batch> {
        let expect = Expect::Version(batch.version);
        self.put_batch(batch, expect, deadline).await
    }

    /// The batch at `key`, with what is sealed.
    pub(super) async fn read_batch(
        &self,
        key: &BatchKey,
        deadline: Deadline,
    ) -> Result<Option<Batch>> {
        let (inner, at) = (&self.inner, key.store_key());
        let read = inner.storage.get(Table::MessageJobs, &at, deadline);
        let Some(record) = read.await? else {
            return Ok(None);
        };
        let batch = from_record(&record, &inner.sealer, deadline).await?;
        Ok(Some(batch))
    }

    /// The batch `batch_id` of the API key `key_id`, without what is sealed.
    ///
    /// # Errors
    /// [`Error::MessageJobNotFound`], [`Error::Store`].
    pub(super) async fn described_batch(
        &self,
        key_id: &str,
        batch_id: &str,
        deadline: Deadline,
    ) -> Result<Batch> {
        let unknown = || Error::MessageJobNotFound;
        let key = BatchKey {
            key_id: key_id.to_owned(),
            batch_id: BatchId::parse(batch_id).ok_or_else(unknown)?,
        };
        let (storage, at) = (&self.inner.storage, key.store_key());
        let record = storage.get(Table::MessageJobs, &at, deadline);
        Ok(described(&record.await?.ok_or_else(unknown)?)?)
    }
}
