//! Data keys in the store, wrapped by a key of AWS KMS.
//!
//! The key ring's text form is sealed with a wrapping key that KMS generated and only KMS can decrypt. A process calls KMS
//! once, when it first seals or opens something.
//!
//! A copy of the wrapped ring in the shared cache lets a process start while the store is silent. KMS and the wrapping key protect
//! it: nobody makes one up. An old one can be put back, so a ring that is loaded is never replaced by a copy.

use std::fmt::Display;
use std::pin::Pin;
use std::time::Duration;

use aws_sdk_kms::Client;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::DataKeySpec;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use super::{KeyRing, SealError};
use crate::cache::CacheClient;
use crate::deadline::Deadline;
use crate::store::{Answer, Expect, Key, Record, Storage, StoreError, Table, Value, or_copy};

/// KMS answers within milliseconds; longer means that it is unreachable.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How often a change is retried when others change the ring at the same time.
const ATTEMPTS: u32 = 8;
/// How long a copy is kept after the last read of the store.
const KEPT: Duration = Duration::from_secs(24 * 3_600);
/// KMS logs and checks it: a wrapped key of another service does not open here.
const ENCRYPTION_CONTEXT: (&str, &str) = ("service", "lark-service");
/// The wrapping key is used for one message only, so the nonce may be constant.
const NONCE: [u8; 12] = [0; 12];

/// The key ring in [`Table::DataKeys`], under a KMS key.
#[derive(Clone, Debug)]
pub struct KmsKeys {
    client: Client,
    key_id: String,
    storage: Storage,
    cache: Option<CacheClient>,
}

impl KmsKeys {
    /// The key ring in `storage`, with a copy in `cache` if there is one, wrapped by the KMS key `key_id` (an id, ARN or alias).
    #[must_use]
    pub const fn new(
        client: Client,
        key_id: String,
        storage: Storage,
        cache: Option<CacheClient>,
    ) -> Self {
        Self {
            client,
            key_id,
            storage,
            cache,
        }
    }

    /// Reads the key ring; creates one if there is none. If several processes create one at the same time, one wins. Deployed
    /// functions may not create it: the command line does, before the first API key can exist.
    pub(super) async fn load(&self, deadline: Deadline) -> Result<KeyRing, SealError> {
        if let Some(record) = self.record_or_copy(deadline).await? {
            return self.unwrap(&record, deadline).await;
        }
        let ring = KeyRing::generate()?;
        let wrapped = self.wrap(&ring, 1, deadline).await;
        let record = wrapped.map_err(|error| {
            SealError::keys(format_args!(
                "there are none yet (`lark-service seed` makes them), and here they cannot be made: {error}"
            ))
        })?;
        match self.put(&record, Expect::Absent, deadline).await {
            Ok(()) => Ok(ring),
            Err(StoreError::Conflict) => self.reload(deadline).await,
            Err(error) => Err(SealError::keys(error)),
        }
    }

    /// Reads the key ring from the store alone; a missing one is an error: what was sealed needs its keys.
    pub(super) async fn reload(&self, deadline: Deadline) -> Result<KeyRing, SealError> {
        let record = self.stored(deadline).await?;
        self.unwrap(&record, deadline).await
    }

    /// Replaces the key ring by the result of `change`. Concurrent changes build on each other.
    pub(super) async fn change(
        &self,
        change: impl Fn(&KeyRing) -> Result<KeyRing, SealError>,
        deadline: Deadline,
    ) -> Result<KeyRing, SealError> {
        self.load(deadline).await?;
        for _ in 0..ATTEMPTS {
            let found = self.stored(deadline).await?;
            let ring = change(&self.unwrap(&found, deadline).await?)?;
            let version = found.version.saturating_add(1);
            let record = self.wrap(&ring, version, deadline).await?;
            let expect = Expect::Version(found.version);
            match self.put(&record, expect, deadline).await {
                Ok(()) => return Ok(ring),
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(SealError::keys(error)),
            }
        }
        Err(SealError::keys("others keep changing the key ring"))
    }

    async fn stored(&self, deadline: Deadline) -> Result<Record, SealError> {
        let stored = self.storage.get(TABLE, &store_key(), deadline).await;
        let stored = stored.map_err(SealError::keys)?;
        stored.ok_or_else(|| SealError::keys("the stored key ring is gone"))
    }

    async fn record_or_copy(&self, deadline: Deadline) -> Result<Option<Record>, SealError> {
        let key = store_key();
        let stored = self.storage.get(TABLE, &key, deadline);
        let answer = or_copy(TABLE, stored, || self.copied()).await;
        match answer.map_err(SealError::keys)? {
            Answer::Stored(record) => {
                if let Some(record) = &record {
                    self.copy(record).await;
                }
                Ok(record)
            }
            Answer::Copied(record) => Ok(Some(record)),
        }
    }

    async fn copied(&self) -> Option<Record> {
        let stored = self.cache.as_ref()?.get(&cache_key()).await.ok()??;
        serde_json::from_slice(&stored).ok()
    }

    async fn put(
        &self,
        record: &Record,
        expect: Expect,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        self.storage.put(TABLE, record, expect, deadline).await?;
        self.copy(record).await;
        Ok(())
    }

    /// Leaves a copy. If it does not arrive, or an older one replaces it, a process that starts without the store has an older ring.
    async fn copy(&self, record: &Record) {
        if let Some(cache) = &self.cache
            && let Ok(copy) = serde_json::to_vec(record)
        {
            let _ = cache.put(&cache_key(), &copy, KEPT).await;
        }
    }

    async fn wrap(
        &self,
        ring: &KeyRing,
        version: u64,
        deadline: Deadline,
    ) -> Result<Record, SealError> {
        let request = self
            .client
            .generate_data_key()
            .key_id(&self.key_id)
            .key_spec(DataKeySpec::Aes256)
            .encryption_context(ENCRYPTION_CONTEXT.0, ENCRYPTION_CONTEXT.1)
            .send();
        let made = within(deadline, Box::pin(request)).await?;
        let (Some(plaintext), Some(wrapped)) = (made.plaintext, made.ciphertext_blob) else {
            return Err(SealError::keys("KMS answered without a key"));
        };
        let mut text = ring.to_text().into_bytes();
        cipher(plaintext.as_ref())?
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(NONCE), Aad::empty(), &mut text)
            .map_err(|_| SealError::Broken)?;
        let record = Record::new(store_key(), version);
        Ok(record
            .with("wrapped_key", Value::Bytes(wrapped.into_inner()))
            .with("keyring", Value::Bytes(text)))
    }

    async fn unwrap(&self, record: &Record, deadline: Deadline) -> Result<KeyRing, SealError> {
        let (Some(wrapped), Some(text)) = (record.bytes("wrapped_key"), record.bytes("keyring"))
        else {
            return Err(SealError::keys("the stored key ring is not one of ours"));
        };
        let request = self
            .client
            .decrypt()
            .key_id(&self.key_id)
            .ciphertext_blob(Blob::new(wrapped))
            .encryption_context(ENCRYPTION_CONTEXT.0, ENCRYPTION_CONTEXT.1)
            .send();
        let opened = within(deadline, Box::pin(request)).await?;
        let plaintext = opened
            .plaintext
            .ok_or_else(|| SealError::keys("KMS answered without a key"))?;
        let mut text = text.to_vec();
        let text = cipher(plaintext.as_ref())?
            .open_in_place(Nonce::assume_unique_for_key(NONCE), Aad::empty(), &mut text)
            .map_err(|_| SealError::Broken)?;
        KeyRing::from_text(std::str::from_utf8(text).map_err(|_| SealError::Broken)?)
    }
}

const TABLE: Table = Table::DataKeys;

fn cache_key() -> String {
    format!("lark:record:{}:{}", TABLE.name(), store_key())
}

fn store_key() -> Key {
    Key::new("keyring", "current")
}

fn cipher(key: &[u8]) -> Result<LessSafeKey, SealError> {
    let key = UnboundKey::new(&AES_256_GCM, key)
        .map_err(|_| SealError::keys("KMS answered with a key of another size"))?;
    Ok(LessSafeKey::new(key))
}

/// The request is boxed: the SDK's futures are large, and this runs once.
async fn within<T, E: Display + std::error::Error>(
    deadline: Deadline,
    request: Pin<Box<dyn Future<Output = Result<T, E>> + Send + '_>>,
) -> Result<T, SealError> {
    match deadline.at_most(TIMEOUT).run(request).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => {
            let cause = std::error::Error::source(&error)
                .map(ToString::to_string)
                .unwrap_or_default();
            Err(SealError::keys(format_args!("KMS: {error}: {cause}")))
        }
        Err(_) => Err(SealError::keys("KMS did not answer in time")),
    }
}
