//! Sealing of secrets and tokens: AES-256-GCM with a data key whose id is part of the sealed value, so that keys can rotate.
//!
//! A sealed value is bound to the place it is stored at (its *context*): copied to another record it does not open. The keys
//! come from a [`KeySource`] and are loaded on first use.

use std::fmt;
use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use ring::hmac;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::clock::Timestamp;
use crate::deadline::Deadline;

mod entries;
mod key_file;
mod keyring;
mod kms;

pub use entries::Purpose;
pub use key_file::KeyFile;
pub use keyring::KeyRing;
pub use kms::KmsKeys;

/// How old a ring may get before it is reloaded: no process seals with an old key for longer.
const REFRESHED_AFTER: Duration = Duration::from_secs(3_600);
/// After a reload did not find an unknown key, the ring is not reloaded for this long.
const RELOAD_PAUSE: Duration = Duration::from_secs(60);
/// After a failed reload for an unknown key, the ring is not reloaded for this long.
const FAILED: Duration = Duration::from_secs(5);
/// The pause between attempts while another process changes the key file.
const CHANGE_PAUSE: Duration = Duration::from_millis(20);

/// Why something could not be sealed or opened. Never contains the plaintext.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SealError {
    /// The data keys cannot be loaded.
    #[error("the data keys are unavailable: {0}")]
    Keys(Arc<str>),
    /// The value was sealed with a key that is not in the key ring.
    #[error("sealed with the data key `{0}`, which is not in the key ring")]
    UnknownKey(String),
    /// The value was altered, belongs to another place, or is not a sealed value.
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
    /// A file that only its owner may read: for one machine.
    File(KeyFile),
    /// A record in the store, wrapped by a key of AWS KMS.
    Kms(KmsKeys),
    /// Keys made for a test.
    Given(KeyRing),
    /// No keys: fine for functions that never seal or open anything.
    Absent,
}

/// Seals and opens. Cheap to clone; clones share the keys.
///
/// A process loads a new key when it has to open something sealed with it, and within an hour in any case.
#[derive(Clone, Debug)]
pub struct Sealer {
    source: Arc<KeySource>,
    loaded: Arc<Loaded>,
}

impl Sealer {
    /// A sealer with the keys of `source`, which are loaded on first use.
    #[must_use]
    pub fn new(source: KeySource) -> Self {
        Self {
            source: Arc::new(source),
            loaded: Arc::default(),
        }
    }

    /// Seals `plaintext` for the place `context`.
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

    /// Opens what was sealed for the place `context`.
    ///
    /// # Errors
    /// Any [`SealError`].
    pub async fn open(
        &self,
        context: &str,
        sealed: &[u8],
        deadline: Deadline,
    ) -> Result<SecretString, SealError> {
        let plaintext = self.opened(context, sealed, deadline).await?;
        String::from_utf8(plaintext)
            .map(SecretString::from)
            .map_err(|_| SealError::Broken)
    }

    /// Seals again, with the current key, what was sealed for the place `context`; `None` if the current key already seals it.
    ///
    /// # Errors
    /// Any [`SealError`].
    pub async fn reseal(
        &self,
        context: &str,
        sealed: &[u8],
        deadline: Deadline,
    ) -> Result<Option<Vec<u8>>, SealError> {
        let id = key_id_of(sealed).ok_or(SealError::Broken)?;
        if self.keyring(deadline).await?.current_key_id() == id {
            return Ok(None);
        }
        let plaintext = self.opened(context, sealed, deadline).await?;
        // Opening it may have reloaded the ring and shown that its key is the current one.
        let ring = self.keyring(deadline).await?;
        if ring.current_key_id() == id {
            return Ok(None);
        }
        ring.seal(context, &plaintext).map(Some)
    }

    /// A short keyed hash of `secret`: equal for equal secrets, and useless without the keys.
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

    /// The keys that this process uses.
    ///
    /// # Errors
    /// [`SealError::Keys`] when they cannot be loaded.
    pub async fn keyring(&self, deadline: Deadline) -> Result<Arc<KeyRing>, SealError> {
        let current = self.loaded.current();
        match current {
            Some(current) if Instant::now() < current.refresh_at => Ok(current.ring),
            Some(current) => Ok(Box::pin(self.refreshed(current.ring, deadline)).await),
            None => self.first(deadline).await,
        }
    }

    /// Adds a new key to the ring, which seals from `now` on, and returns its id. Processes that have the ring without it load
    /// it by themselves.
    ///
    /// # Errors
    /// [`SealError::Keys`] when the ring cannot be read and written.
    pub async fn add_key(&self, now: Timestamp, deadline: Deadline) -> Result<String, SealError> {
        let ring = self.change(|ring| ring.with_new_key(now), deadline).await?;
        Ok(ring.current_key_id().to_owned())
    }

    /// Removes the keys `ids` from the ring, but never the one that seals. What they sealed can no longer be opened.
    ///
    /// # Errors
    /// [`SealError::Keys`] when the ring cannot be read and written.
    pub async fn remove_keys(&self, ids: &[String], deadline: Deadline) -> Result<(), SealError> {
        self.change(|ring| Ok(ring.without_keys(ids)), deadline)
            .await
            .map(drop)
    }

    async fn change(
        &self,
        change: impl Fn(&KeyRing) -> Result<KeyRing, SealError>,
        deadline: Deadline,
    ) -> Result<Arc<KeyRing>, SealError> {
        let ring = match &*self.source {
            KeySource::File(file) => loop {
                if let Some(ring) = file.change(&change)? {
                    break ring;
                }
                if deadline.has_passed() {
                    return Err(SealError::keys("others keep changing the key file"));
                }
                tokio::time::sleep(CHANGE_PAUSE).await;
            },
            KeySource::Kms(kms) => Box::pin(kms.change(change, deadline)).await?,
            KeySource::Given(_) => {
                return Err(SealError::keys("keys made for a test do not change"));
            }
            KeySource::Absent => return Err(no_keys()),
        };
        Ok(self.loaded.replace(ring))
    }

    async fn opened(
        &self,
        context: &str,
        sealed: &[u8],
        deadline: Deadline,
    ) -> Result<Vec<u8>, SealError> {
        let ring = self.keyring(deadline).await?;
        match ring.open(context, sealed) {
            Err(SealError::UnknownKey(id)) => {
                let ring = Box::pin(self.ring_with(&id, deadline)).await?;
                ring.open(context, sealed)
            }
            outcome => outcome,
        }
    }

    async fn first(&self, deadline: Deadline) -> Result<Arc<KeyRing>, SealError> {
        // Held while loading, on purpose: concurrent callers need the result.
        let _loading = self.loaded.loading.lock().await;
        if let Some(current) = self.loaded.current() {
            return Ok(current.ring);
        }
        let ring = match &*self.source {
            KeySource::File(file) => file.load()?,
            // Boxed: it runs once and would enlarge every future that seals.
            KeySource::Kms(kms) => Box::pin(kms.load(deadline)).await?,
            KeySource::Given(ring) => ring.clone(),
            KeySource::Absent => return Err(no_keys()),
        };
        Ok(self.loaded.replace(ring))
    }

    /// The reloaded ring, so that this process does not seal with an old key forever; if that fails, the loaded one for a
    /// while longer.
    async fn refreshed(&self, loaded: Arc<KeyRing>, deadline: Deadline) -> Arc<KeyRing> {
        // Another caller is reloading: use the loaded ring.
        let Ok(_loading) = self.loaded.loading.try_lock() else {
            return loaded;
        };
        match self.reload(deadline).await {
            Ok(ring) => self.loaded.replace(ring),
            Err(error) => {
                warn!(%error, "the data keys cannot be read again; keeping those that are loaded");
                self.loaded.postpone();
                loaded
            }
        }
    }

    /// The ring with the key `id`, if it exists: another process may have added it. A reload that does not find it happens at
    /// most once a minute.
    async fn ring_with(&self, id: &str, deadline: Deadline) -> Result<Arc<KeyRing>, SealError> {
        // Held while loading, on purpose: concurrent callers need the result.
        let mut loading = self.loaded.loading.lock().await;
        let unknown = || SealError::UnknownKey(id.to_owned());
        let current = self.loaded.current().ok_or_else(unknown)?;
        if current.ring.has_key(id) {
            return Ok(current.ring);
        }
        if let Some((until, outcome)) = &*loading
            && *until > Instant::now()
        {
            return Err(outcome.clone().unwrap_or_else(unknown));
        }
        match self.reload(deadline).await {
            Ok(ring) => {
                let ring = self.loaded.replace(ring);
                if ring.has_key(id) {
                    info!(seal.key_id = id, "learned of a new data key");
                    *loading = None;
                    return Ok(ring);
                }
                *loading = Some((Instant::now() + RELOAD_PAUSE, None));
                Err(unknown())
            }
            Err(error) => {
                *loading = Some((Instant::now() + FAILED, Some(error.clone())));
                Err(error)
            }
        }
    }

    async fn reload(&self, deadline: Deadline) -> Result<KeyRing, SealError> {
        match &*self.source {
            KeySource::File(file) => file.reload(),
            KeySource::Kms(kms) => Box::pin(kms.reload(deadline)).await,
            KeySource::Given(ring) => Ok(ring.clone()),
            KeySource::Absent => Err(no_keys()),
        }
    }
}

/// The id of the key that `sealed` was sealed with; `None` if it is not a sealed value.
#[must_use]
pub fn key_id_of(sealed: &[u8]) -> Option<&str> {
    keyring::split_key_id(sealed).map(|(id, _)| id)
}

fn no_keys() -> SealError {
    SealError::keys("neither LARK_SERVICE_KMS_KEY_ID nor LARK_SERVICE_KEY_FILE is set")
}

/// The state of the key ring in a process.
#[derive(Debug, Default)]
struct Loaded {
    current: RwLock<Option<Current>>,
    /// Held while loading the ring. The time until which it is not reloaded for an unknown key, and the error if the last
    /// reload failed.
    loading: Mutex<Option<(Instant, Option<SealError>)>>,
    /// Until when the ring is not reloaded for a key that only an entry of the cache names.
    entries: StdMutex<Option<Instant>>,
}

#[derive(Clone, Debug)]
struct Current {
    ring: Arc<KeyRing>,
    refresh_at: Instant,
}

impl Loaded {
    fn current(&self) -> Option<Current> {
        self.current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn replace(&self, ring: KeyRing) -> Arc<KeyRing> {
        let ring = Arc::new(ring);
        let current = Current {
            ring: Arc::clone(&ring),
            refresh_at: Instant::now() + REFRESHED_AFTER,
        };
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(current);
        ring
    }

    fn next_look_for_entries(&self) -> MutexGuard<'_, Option<Instant>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Postpones the next reload of the ring by a minute.
    fn postpone(&self) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(current) = &mut *current {
            current.refresh_at = Instant::now() + RELOAD_PAUSE;
        }
    }
}

/// A keyed hash of a secret: 16 hexadecimal digits.
#[derive(Clone, Debug, Eq, Hash, PartialEq, serde::Deserialize, serde::Serialize)]
#[serde(transparent)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// A stored fingerprint.
    pub fn from_stored(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The fingerprint as it is stored.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests;
