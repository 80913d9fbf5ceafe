//! Sealing of secrets and tokens: AES-256-GCM with a data key whose id stands in what was sealed, so that keys can rotate.
//!
//! A sealed value is bound to the place it is stored at (its *context*): copied to another record it does not open. The keys
//! come from a [`KeySource`] and are loaded when first needed.

use std::fmt;
use std::sync::Arc;

use ring::hmac;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::OnceCell;

use crate::deadline::Deadline;

mod key_file;
mod keyring;
mod kms;

pub use key_file::KeyFile;
pub use keyring::KeyRing;
pub use kms::KmsKeys;

/// Why something could not be sealed or opened. Never says what was in it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SealError {
    /// The data keys cannot be loaded.
    #[error("the data keys are unavailable: {0}")]
    Keys(Arc<str>),
    /// The value was sealed with a key that is not in the key ring.
    #[error("sealed with the data key `{0}`, which is not in the key ring")]
    UnknownKey(String),
    /// The value was changed, belongs to another place, or is not a sealed value.
    #[error("the sealed value does not open")]
    Broken,
}

impl SealError {
    fn keys(why: impl fmt::Display) -> Self {
        Self::Keys(why.to_string().into())
    }
}

/// Where the data keys come from. Chosen at start-up.
#[derive(Debug)]
pub enum KeySource {
    /// A file that only its owner may read: the one-machine set-up.
    File(KeyFile),
    /// A record in the store, wrapped by a key of AWS KMS.
    Kms(KmsKeys),
    /// Keys made for a test.
    Given(KeyRing),
    /// None: fine for functions that never seal or open anything.
    Absent,
}

/// Seals and opens. Cheap to clone; clones share the keys.
#[derive(Clone, Debug)]
pub struct Sealer {
    source: Arc<KeySource>,
    keyring: Arc<OnceCell<KeyRing>>,
}

impl Sealer {
    /// A sealer with the keys of `source`, which are loaded when first needed.
    #[must_use]
    pub fn new(source: KeySource) -> Self {
        Self {
            source: Arc::new(source),
            keyring: Arc::default(),
        }
    }

    /// `plaintext`, sealed for the place `context`.
    ///
    /// # Errors
    /// [`SealError::Keys`] when the keys cannot be loaded.
    pub async fn seal(
        &self,
        context: &str,
        plaintext: &SecretString,
        deadline: Deadline,
    ) -> Result<Vec<u8>, SealError> {
        self.keyring(deadline)
            .await?
            .seal(context, plaintext.expose_secret().as_bytes())
    }

    /// What was sealed for the place `context`.
    ///
    /// # Errors
    /// Any [`SealError`].
    pub async fn open(
        &self,
        context: &str,
        sealed: &[u8],
        deadline: Deadline,
    ) -> Result<SecretString, SealError> {
        let plaintext = self.keyring(deadline).await?.open(context, sealed)?;
        String::from_utf8(plaintext)
            .map(SecretString::from)
            .map_err(|_| SealError::Broken)
    }

    /// A short keyed hash of `secret`: equal for equal secrets, and of no use to anybody without the keys.
    ///
    /// # Errors
    /// [`SealError::Keys`] when the keys cannot be loaded.
    pub async fn fingerprint(
        &self,
        secret: &SecretString,
        deadline: Deadline,
    ) -> Result<Fingerprint, SealError> {
        let tag = hmac::sign(
            self.keyring(deadline).await?.fingerprint_key(),
            secret.expose_secret().as_bytes(),
        );
        Ok(Fingerprint(
            tag.as_ref()
                .iter()
                .take(8)
                .map(|byte| format!("{byte:02x}"))
                .collect(),
        ))
    }

    async fn keyring(&self, deadline: Deadline) -> Result<&KeyRing, SealError> {
        let load = async {
            match &*self.source {
                KeySource::File(file) => file.load(),
                // On the heap: it runs once and would weigh on every future that seals.
                KeySource::Kms(kms) => Box::pin(kms.load(deadline)).await,
                KeySource::Given(keyring) => Ok(keyring.clone()),
                KeySource::Absent => Err(SealError::keys(
                    "neither LARK_SERVICE_KMS_KEY_ID nor LARK_SERVICE_KEY_FILE is set",
                )),
            }
        };
        self.keyring.get_or_try_init(|| load).await
    }
}

/// A keyed hash of a secret: 16 hexadecimal digits.
#[derive(Clone, Debug, Eq, Hash, PartialEq, serde::Deserialize, serde::Serialize)]
#[serde(transparent)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// A fingerprint that was stored.
    pub fn from_stored(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The fingerprint as it is stored.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
