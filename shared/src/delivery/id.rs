//! Which job: its id, and where its record is.

use std::fmt;

use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::store::Key;

/// Into how many parts the index of due jobs is divided.
pub(crate) const SHARDS: u8 = 16;

/// The id of a job: `mj_`, then 26 characters of Crockford's base 32 in lower case: 48 bits of its time, 80 of chance. Ids in the
/// order of their text are in the order of their time. A job of a batch has the batch's 26 characters, then `_` and four digits:
/// the place of its receiver in the request, from 0.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Deserialize, Serialize)]
#[serde(transparent)]
pub struct JobId(String);

/// The id of a batch: as a [`JobId`], with `mb_`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Deserialize, Serialize)]
#[serde(transparent)]
pub struct BatchId(String);

/// What a job's id begins with.
pub(super) const PREFIX: &str = "mj_";
/// What a batch's id begins with.
const BATCH_PREFIX: &str = "mb_";
/// How many digits say the place of a receiver.
const DIGITS: usize = 4;
/// How many characters follow.
const LENGTH: usize = 26;
/// Crockford's base 32, in lower case.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

impl JobId {
    /// A new id, of `now`.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self(format!("{PREFIX}{}", made(now)))
    }

    /// `text` as an id, if it can be one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (id, place) = text.strip_prefix(PREFIX)?.split_at_checked(LENGTH)?;
        let is_place = |text: &str| {
            text.strip_prefix('_').is_some_and(|digits| {
                digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit())
            })
        };
        let is_one = is_made(id) && (place.is_empty() || is_place(place));
        is_one.then(|| Self(text.to_owned()))
    }

    /// The batch that it belongs to, if it is of one.
    #[must_use]
    pub fn batch(&self) -> Option<BatchId> {
        let (id, place) = self.0.strip_prefix(PREFIX)?.split_at_checked(LENGTH)?;
        (!place.is_empty()).then(|| BatchId(format!("{BATCH_PREFIX}{id}")))
    }

    /// The place of its receiver in the request for its batch, from 0.
    #[must_use]
    pub fn place(&self) -> Option<u32> {
        let (_, place) = self.0.strip_prefix(PREFIX)?.split_at_checked(LENGTH)?;
        place.strip_prefix('_')?.parse().ok()
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The platform's `uuid` of its calls: the same for each of them, and of no other job.
    #[must_use]
    pub fn uuid(&self) -> &str {
        &self.0
    }
}

impl BatchId {
    /// A new id, of `now`.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self(format!("{BATCH_PREFIX}{}", made(now)))
    }

    /// `text` as an id, if it can be one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix(BATCH_PREFIX)?;
        is_made(rest).then(|| Self(text.to_owned()))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id of its job for the receiver at `place`.
    #[must_use]
    pub fn job(&self, place: u32) -> JobId {
        JobId(format!("{}{place:04}", self.job_prefix()))
    }

    /// What the ids of all its jobs begin with, and of no other.
    #[must_use]
    pub fn job_prefix(&self) -> String {
        let id = self.0.strip_prefix(BATCH_PREFIX).unwrap_or(&self.0);
        format!("{PREFIX}{id}_")
    }
}

/// 26 characters, of `now`.
fn made(now: Timestamp) -> String {
    let time = u128::from(u64::try_from(now.as_millis()).unwrap_or(0)) & ((1 << 48) - 1);
    let mut bits = time << 80 | (fastrand::u128(..) & ((1 << 80) - 1));
    let mut text = [0_u8; LENGTH];
    for place in text.iter_mut().rev() {
        *place = ALPHABET[usize::try_from(bits & 31).unwrap_or(0)];
        bits >>= 5;
    }
    text.iter().map(|byte| char::from(*byte)).collect()
}

fn is_made(text: &str) -> bool {
    text.len() == LENGTH && text.bytes().all(|byte| ALPHABET.contains(&byte))
}

impl fmt::Display for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a job's record is: whose it is, and which.
#[derive(Clone, Debug, Eq, Hash, PartialEq, Deserialize, Serialize)]
pub struct JobKey {
    /// The id of the API key that sent the message.
    pub key_id: String,
    /// The job.
    pub job_id: JobId,
}

impl JobKey {
    pub(super) fn store_key(&self) -> Key {
        Key::new(partition(&self.key_id), self.job_id.as_str())
    }

    /// The place that its content is sealed for.
    pub(super) fn seal_context(&self) -> String {
        format!("message:{}:{}", self.key_id, self.job_id)
    }

    /// Which part of the index it is in.
    pub(super) fn shard(&self) -> u8 {
        shard(self.job_id.as_str())
    }
}

/// Where a batch's record is: in the partition of the jobs of its key.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct BatchKey {
    /// The id of the API key that sent it.
    pub key_id: String,
    /// The batch.
    pub batch_id: BatchId,
}

impl BatchKey {
    pub(super) fn store_key(&self) -> Key {
        Key::new(partition(&self.key_id), self.batch_id.as_str())
    }

    /// The place that its content and receivers are sealed for.
    pub(super) fn seal_context(&self) -> String {
        format!("message:{}:{}", self.key_id, self.batch_id)
    }

    /// Which part of the index it is in.
    pub(super) fn shard(&self) -> u8 {
        shard(self.batch_id.as_str())
    }

    /// The key of its job for the receiver at `place`.
    pub(super) fn job(&self, place: u32) -> JobKey {
        JobKey {
            key_id: self.key_id.clone(),
            job_id: self.batch_id.job(place),
        }
    }
}

fn shard(id: &str) -> u8 {
    digest(&SHA256, id.as_bytes()).as_ref()[0] % SHARDS
}

/// The partition of the jobs of the API key `key_id`.
pub(super) fn partition(key_id: &str) -> String {
    format!("job#{key_id}")
}
