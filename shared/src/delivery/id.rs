//! Which job: its id, and where its record is.

use std::fmt;

use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::store::Key;

/// Into how many parts the index of due jobs is divided.
pub(crate) const SHARDS: u8 = 16;

/// The id of a job: `mj_`, then 26 characters of Crockford's base 32 in lower case: 48 bits of its time, 80 of chance. Ids in the
/// order of their text are in the order of their time.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Deserialize, Serialize)]
#[serde(transparent)]
pub struct JobId(String);

/// What a job's id begins with.
const PREFIX: &str = "mj_";
/// How many characters follow.
const LENGTH: usize = 26;
/// Crockford's base 32, in lower case.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

impl JobId {
    /// A new id, of `now`.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        let time = u128::from(u64::try_from(now.as_millis()).unwrap_or(0)) & ((1 << 48) - 1);
        let mut bits = time << 80 | (fastrand::u128(..) & ((1 << 80) - 1));
        let mut text = [0_u8; LENGTH];
        for place in text.iter_mut().rev() {
            *place = ALPHABET[usize::try_from(bits & 31).unwrap_or(0)];
            bits >>= 5;
        }
        let text: String = text.iter().map(|byte| char::from(*byte)).collect();
        Self(format!("{PREFIX}{text}"))
    }

    /// `text` as an id, if it can be one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix(PREFIX)?;
        let is_one = rest.len() == LENGTH && rest.bytes().all(|byte| ALPHABET.contains(&byte));
        is_one.then(|| Self(text.to_owned()))
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
        let hash = digest(&SHA256, self.job_id.as_str().as_bytes());
        hash.as_ref()[0] % SHARDS
    }
}

/// The partition of the jobs of the API key `key_id`.
pub(super) fn partition(key_id: &str) -> String {
    format!("job#{key_id}")
}
