//! A job as a record of the store. What is sent is sealed; all else is one attribute, as JSON.

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::id::{JobId, JobKey, partition};
use super::job::{Attempt, Job, Message};
use super::settle::Settling;
use super::{Dead, End, JobCallback, KEPT, Target, batches};
use crate::clock::Timestamp;
use crate::deadline::Deadline;
use crate::error::Result;
use crate::ids::{AppId, TenantKey};
use crate::queue::Lane;
use crate::seal::Sealer;
use crate::store::{Record, StoreError, Table, Value, next_version};

/// The attribute with everything that is not secret.
const JOB: &str = "job";
/// The attribute with the sealed message.
pub(super) const MESSAGE: &str = "message";

/// What is in [`JOB`].
#[derive(Deserialize, Serialize)]
struct Stored {
    app_id: AppId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tenant: Option<TenantKey>,
    to: Target,
    lane: Lane,
    content_hash: String,
    msg_type: String,
    created_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deliver_at: Option<Timestamp>,
    expires_at: Timestamp,
    #[serde(default)]
    attempts: Vec<Attempt>,
    #[serde(default)]
    attempt_count: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unsettled_since: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    leased_until: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    held_until: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    settling: Option<Settling>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dead: Option<Dead>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    end: Option<End>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    callback: Option<JobCallback>,
}

/// The record of `job` as it is to be written at `now`, with the next version, and that version.
pub(super) async fn to_record(
    job: &Job,
    sealer: &Sealer,
    now: Timestamp,
    deadline: Deadline,
) -> Result<Record> {
    let text = text(job)?;
    let version = next_version(job.version, now);
    let mut record = Record::new(job.key.store_key(), version).with(JOB, Value::Text(text));
    // What a batch sends is kept once, with the batch.
    let is_own = job.key.job_id.batch().is_none();
    if let Some(message) = job.message.as_ref().filter(|_| is_own) {
        let text = serde_json::to_string(message)
            .map_err(|error| crate::error::Error::internal(format!("a message: {error}")))?;
        let text = SecretString::from(text);
        let sealed = sealer
            .seal(&job.key.seal_context(), &text, deadline)
            .await?;
        record = record.with(MESSAGE, Value::Bytes(sealed));
    }
    record.due = job.due(now);
    record.expires_at = job.end.is_some().then(|| now + KEPT);
    Ok(record)
}

/// `record` as it is to be written at `now`, with the next version, and with all of `job` but its message: what is sealed in it stays
/// as it is, even if it does not open. `job` was read from `record`.
pub(super) fn rewritten(record: &Record, job: &Job, now: Timestamp) -> Result<Record> {
    let mut next = record.clone().with(JOB, Value::Text(text(job)?));
    next.version = next_version(record.version, now);
    next.due = job.due(now);
    // A record that could not be read had an end.
    next.expires_at = record.expires_at.filter(|_| job.end.is_some());
    Ok(next)
}

/// What is in [`JOB`], as text.
fn text(job: &Job) -> Result<String> {
    let stored = Stored {
        app_id: job.app_id.clone(),
        tenant: job.tenant.clone(),
        to: job.to.clone(),
        lane: job.lane,
        content_hash: job.content_hash.clone(),
        msg_type: job.msg_type.clone(),
        created_at: job.created_at,
        deliver_at: job.deliver_at,
        expires_at: job.expires_at,
        attempts: job.attempts.clone(),
        attempt_count: job.attempt_count,
        unsettled_since: job.unsettled_since,
        leased_until: job.leased_until,
        held_until: job.held_until,
        settling: job.settling.clone(),
        dead: job.dead,
        end: job.end.clone(),
        callback: job.callback,
    };
    serde_json::to_string(&stored)
        .map_err(|error| crate::error::Error::internal(format!("a job: {error}")))
}

/// The sealed attribute that the record of a job or a batch may have, with its context: for resealing.
pub(crate) fn sealed_attributes(record: &Record) -> Vec<(&'static str, String)> {
    let job = key_of(record).map(|key| key.seal_context());
    let context = job.or_else(|| batches::key_of(record).map(|key| key.seal_context()));
    context
        .map(|context| (MESSAGE, context))
        .into_iter()
        .collect()
}

/// The job in `record`, with what is to be sent.
pub(super) async fn from_record(
    record: &Record,
    sealer: &Sealer,
    deadline: Deadline,
) -> Result<Job> {
    let mut job = described(record)?;
    if let Some(sealed) = record.bytes(MESSAGE) {
        let text = sealer
            .open(&job.key.seal_context(), sealed, deadline)
            .await?;
        let message: Message = serde_json::from_str(text.expose_secret())
            .map_err(|_| corrupt(record, "its message"))?;
        job.message = Some(message);
    }
    Ok(job)
}

/// The job in `record`, without what is to be sent.
pub(super) fn described(record: &Record) -> std::result::Result<Job, StoreError> {
    let key = key_of(record).ok_or_else(|| corrupt(record, "its key"))?;
    let text = record.text(JOB).ok_or_else(|| corrupt(record, JOB))?;
    let stored: Stored = serde_json::from_str(text).map_err(|_| corrupt(record, JOB))?;
    Ok(Job {
        key,
        app_id: stored.app_id,
        tenant: stored.tenant,
        to: stored.to,
        lane: stored.lane,
        message: None,
        content_hash: stored.content_hash,
        msg_type: stored.msg_type,
        created_at: stored.created_at,
        deliver_at: stored.deliver_at,
        expires_at: stored.expires_at,
        attempts: stored.attempts,
        attempt_count: stored.attempt_count,
        unsettled_since: stored.unsettled_since,
        leased_until: stored.leased_until,
        held_until: stored.held_until,
        settling: stored.settling,
        dead: stored.dead,
        end: stored.end,
        callback: stored.callback,
        version: record.version,
    })
}

/// Which job's record it is; `None` for a record of another kind.
pub(super) fn key_of(record: &Record) -> Option<JobKey> {
    let key_id = record.key.partition.strip_prefix(&partition(""))?;
    Some(JobKey {
        key_id: key_id.to_owned(),
        job_id: JobId::parse(&record.key.sort)?,
    })
}

pub(super) fn corrupt(record: &Record, detail: &str) -> StoreError {
    StoreError::Corrupt {
        table: Table::MessageJobs.name(),
        key: record.key.to_string(),
        detail: format!("{detail} cannot be read"),
    }
}
