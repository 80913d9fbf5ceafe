//! Requests that their callers may repeat (`Idempotency-Key`): each is done once, and a repetition is answered as the first was.
//!
//! A record says which request came with the key: `once#<hash of API key, route and key>`. A request that makes something
//! claims it first ([`Claims::claim`]), for a minute, and writes its answer into it, sealed. Whoever finds a claim that is over
//! without an answer takes it over: that process died, or failed. It may have done everything but say so. So what is made has an id
//! that follows from [`Claim::seed`], which stays the same for all who try, or is written conditionally: the second does not make it again.
//!
//! A claim is one write, its answer another; a repetition is answered with one refused write and one read. What only reads
//! needs no claim ([`Claims::note`]).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use secrecy::{ExposeSecret, SecretString};

use crate::clock::{Clock, Timestamp};
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::page::hashed;
use crate::seal::Sealer;
use crate::store::{Expect, Key, Record, Storage, StoreError, Table, Value, next_version};

/// How long an `Idempotency-Key` is kept.
pub const KEPT: Duration = Duration::from_secs(24 * 3_600);
/// The longest `Idempotency-Key`, in bytes.
pub const MAX_KEY_BYTES: usize = 255;
/// The longest answer that is kept. A longer one is not: the request is then done again, with the same seed.
pub const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// How long a claim lasts: longer than any request may take.
const LEASE: Duration = Duration::from_secs(60);
/// When a caller may ask again while the first request is under way; most take less than this.
const SOON: Duration = Duration::from_secs(2);

/// A request that its caller may repeat.
#[derive(Clone, Debug)]
pub struct Once {
    /// The caller's key.
    pub key: String,
    /// A hash of everything that the request asks for.
    pub request: String,
}

impl Once {
    /// Where its record is: for this API key and this route only.
    pub(crate) fn store_key(&self, key_id: &str, route: &str) -> Key {
        let place = hashed(&format!("{key_id}\n{route}\n{}", self.key));
        Key::new(format!("once#{place}"), "once")
    }

    /// Passes if `first`, the record of an earlier request with the same key, is of this one.
    ///
    /// # Errors
    /// [`Error::IdempotencyMismatch`].
    pub(crate) fn require_same(&self, first: &Record) -> Result<()> {
        if first.text("request") == Some(self.request.as_str()) {
            Ok(())
        } else {
            Err(Error::IdempotencyMismatch)
        }
    }
}

/// What everything that a request makes follows from: 256 bits of chance, the same whenever the request is tried.
#[derive(Clone)]
pub struct Seed(SecretString);

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed")
    }
}

impl Seed {
    /// A new one.
    ///
    /// # Errors
    /// [`Error::Internal`] when the system has no randomness.
    pub fn generate() -> Result<Self> {
        let mut bytes = [0_u8; 32];
        SystemRandom::new()
            .fill(&mut bytes)
            .map_err(|_| Error::internal("the system has no randomness"))?;
        Ok(Self(URL_SAFE_NO_PAD.encode(bytes).into()))
    }

    /// 32 bytes for `purpose`; those for one purpose tell nothing of those for another.
    #[must_use]
    pub fn bytes(&self, purpose: &str) -> [u8; 32] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.expose_secret().as_bytes());
        let tag = hmac::sign(&key, purpose.as_bytes());
        let mut bytes = [0_u8; 32];
        bytes.copy_from_slice(tag.as_ref());
        bytes
    }
}

/// The right to do what a request asks for.
#[derive(Debug)]
pub struct Claim {
    /// What everything that is made follows from.
    pub seed: Seed,
    /// Whether somebody tried before, who may have done everything but say so.
    pub is_repeated: bool,
    /// When it was first claimed.
    pub since: Timestamp,
    record: Record,
}

/// What became of the try to claim a request.
#[derive(Debug)]
pub enum Claimed {
    /// It is to be done.
    Ours(Box<Claim>),
    /// It was done: the answer that was kept.
    Answered(SecretString),
}

/// Keeps which requests were done, and their answers. Cheap to clone; clones share everything.
#[derive(Clone, Debug)]
pub struct Claims {
    storage: Storage,
    sealer: Sealer,
    clock: Arc<dyn Clock>,
}

impl Claims {
    /// Claims in `storage`.
    #[must_use]
    pub const fn new(storage: Storage, sealer: Sealer, clock: Arc<dyn Clock>) -> Self {
        Self {
            storage,
            sealer,
            clock,
        }
    }

    /// Claims the request `once` of the API key `key_id` to `route`.
    ///
    /// # Errors
    /// [`Error::IdempotencyMismatch`] when another request came with the key, [`Error::IdempotencyInFlight`] while the first one
    /// is under way; [`Error::Store`], [`Error::Seal`].
    pub async fn claim(
        &self,
        key_id: &str,
        route: &str,
        once: &Once,
        deadline: Deadline,
    ) -> Result<Claimed> {
        let key = once.store_key(key_id, route);
        let now = self.clock.now();
        let seed = Seed::generate()?;
        let sealed = self.sealer.seal(&context(&key), &seed.0, deadline).await?;
        let mut record = Record::new(key.clone(), next_version(0, now))
            .with("request", Value::Text(once.request.clone()))
            .with("since", Value::Number(now.as_millis()))
            .with("seed", Value::Bytes(sealed));
        record.expires_at = Some(now + KEPT);
        let record = leased(record, now);
        let put = self
            .storage
            .put(Table::MessageJobs, &record, Expect::Absent, deadline);
        match put.await {
            Ok(()) => Ok(Claimed::Ours(Box::new(Claim {
                seed,
                is_repeated: false,
                since: now,
                record,
            }))),
            Err(StoreError::Conflict) => self.claim_again(&key, once, deadline).await,
            Err(error) => Err(error.into()),
        }
    }

    /// Claims a request that somebody claimed before.
    async fn claim_again(&self, key: &Key, once: &Once, deadline: Deadline) -> Result<Claimed> {
        let in_flight = |retry_after| Err(Error::IdempotencyInFlight { retry_after });
        let found = self.storage.get(Table::MessageJobs, key, deadline).await?;
        let Some(record) = found else {
            // Its day ended a moment ago.
            return in_flight(SOON);
        };
        once.require_same(&record)?;
        if let Some(sealed) = record.bytes("answer") {
            let answer = self.sealer.open(&context(key), sealed, deadline).await?;
            return Ok(Claimed::Answered(answer));
        }
        let now = self.clock.now();
        let until = record.number("leased_until").map(Timestamp::from_millis);
        if let Some(until) = until
            && until > now
            // A lease from the future is a clock's mistake.
            && until.since(now) <= LEASE * 2
        {
            return in_flight(until.since(now).min(SOON));
        }
        let (Some(sealed), Some(since)) = (record.bytes("seed"), record.number("since")) else {
            return Err(Error::internal("a claimed request has no seed"));
        };
        let seed = Seed(self.sealer.open(&context(key), sealed, deadline).await?);
        let expect = Expect::Version(record.version);
        let version = next_version(record.version, now);
        let record = leased(Record { version, ..record }, now);
        let put = self
            .storage
            .put(Table::MessageJobs, &record, expect, deadline);
        match put.await {
            Ok(()) => Ok(Claimed::Ours(Box::new(Claim {
                seed,
                is_repeated: true,
                since: Timestamp::from_millis(since),
                record,
            }))),
            // Another repetition was faster.
            Err(StoreError::Conflict) => in_flight(SOON),
            Err(error) => Err(error.into()),
        }
    }

    /// Keeps `answer`, for everybody who repeats the request.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Seal`]: the next one who repeats the request tries it again, after the claim's minute. So it is
    /// with a conflict: this process was frozen for longer than that, and another has taken over.
    pub async fn answer(
        &self,
        claim: Claim,
        answer: &SecretString,
        deadline: Deadline,
    ) -> Result<()> {
        if answer.expose_secret().len() > MAX_ANSWER_BYTES {
            return self.release(claim, deadline).await;
        }
        let context = context(&claim.record.key);
        let sealed = self.sealer.seal(&context, answer, deadline).await?;
        let mut record = claim.record;
        record.attributes.remove("seed");
        self.put_next(record.with("answer", Value::Bytes(sealed)), deadline)
            .await
    }

    /// Gives `claim` back: whoever repeats the request tries it again at once.
    ///
    /// # Errors
    /// [`Error::Store`]: that is so after the claim's minute.
    pub async fn release(&self, claim: Claim, deadline: Deadline) -> Result<()> {
        self.put_next(claim.record, deadline).await
    }

    /// Writes `record` without its lease over the version that it has.
    async fn put_next(&self, mut record: Record, deadline: Deadline) -> Result<()> {
        let expect = Expect::Version(record.version);
        record.version = next_version(record.version, self.clock.now());
        record.attributes.remove("leased_until");
        let put = self
            .storage
            .put(Table::MessageJobs, &record, expect, deadline);
        Ok(put.await?)
    }

    /// Notes that the request `once` came, for what may be done any number of times; `true` if it came before.
    ///
    /// # Errors
    /// [`Error::IdempotencyMismatch`], [`Error::Store`].
    pub async fn note(
        &self,
        key_id: &str,
        route: &str,
        once: &Once,
        deadline: Deadline,
    ) -> Result<bool> {
        let key = once.store_key(key_id, route);
        let now = self.clock.now();
        let mut record = Record::new(key.clone(), next_version(0, now))
            .with("request", Value::Text(once.request.clone()));
        record.expires_at = Some(now + KEPT);
        let put = self
            .storage
            .put(Table::MessageJobs, &record, Expect::Absent, deadline);
        match put.await {
            Ok(()) => return Ok(false),
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
        let first = self.storage.get(Table::MessageJobs, &key, deadline).await?;
        first.as_ref().map_or(Ok(()), |it| once.require_same(it))?;
        Ok(first.is_some())
    }
}

fn leased(record: Record, now: Timestamp) -> Record {
    let until = (now + LEASE).as_millis();
    record.with("leased_until", Value::Number(until))
}

/// The place that seed and answer are sealed for.
fn context(key: &Key) -> String {
    format!("message_jobs/{key}")
}

#[cfg(test)]
mod tests;
