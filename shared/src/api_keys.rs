//! API keys: what callers present, kept as a hash.
//!
//! A key reads `lsk_<id>_<secret>`. The id is public and finds the record; the secret has 256 bits, so a plain SHA-256 of it
//! is safe to keep and cheap to check.
//!
//! The store decides whether a key is good. While it fails, or does not answer within 150 ms, a key that it confirmed within
//! the last minute to this process is still admitted; every other one is neither admitted nor refused, but an error.
//!
//! API Gateway remembers that a key was admitted. So functions confirm it at each request (`standing`), and administration has
//! it presented once more ([`ApiKeys::prove`]).

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use quick_cache::sync::Cache as LocalCache;
use ring::digest::{SHA256, digest};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;
use tracing::{info, warn};

use crate::cache::CacheClient;
use crate::clock::{Clock, Timestamp};
use crate::deadline::Deadline;
use crate::error::Result;
use crate::idempotency::Seed;
use crate::ids::is_identifier;
use crate::store::{Expect, Key, Record, Storage, Table, Value};
use crate::telemetry::metrics;

mod authority;
pub mod callback;
mod caller;
mod description;
mod grant;
mod info;
mod known;
mod rate_limit;
mod registry;
mod standing;

pub use authority::Authority;
pub use caller::Caller;
pub use description::ApiKeyDescription;
pub use grant::{Allowed, AllowedApps, AllowedTenants, Role, Scope, UnknownScope};
pub use info::{ApiKeyChange, ApiKeyInfo, KeyState, NewApiKey};
pub use rate_limit::{GivenRateLimit, RateLimit};
pub use standing::{Latest, MARKED, UNMARKED};

use known::{Known, KnownKeys};
use standing::Standing;

/// What every key starts with, so that secret scanners find one that leaked.
const PREFIX: &str = "lsk_";
/// The length of a key's id.
const ID_BYTES: usize = 12;
/// The length of a key's secret: 32 random bytes in base64url.
const SECRET_BYTES: usize = 43;
/// How precisely the last use of a key is recorded.
const NOTE_USE_EVERY: Duration = Duration::from_secs(10 * 60);
/// How long a caller waits for that record to be written.
const NOTE_USE_TIMEOUT: Duration = Duration::from_millis(500);
/// For how many keys a process remembers when it recorded their use.
const MAX_NOTED: usize = 10_000;
/// For how many keys a process remembers what the store said of them.
const MAX_STANDINGS: usize = 10_000;
/// The sort key of an API key's record.
const SORT: &str = "key";
/// What the partition of a key's last use begins with; the key's id follows.
const USED_PREFIX: &str = "used#";

/// An API key as its holder presents it.
#[derive(Clone, Debug)]
pub struct ApiKey {
    id: String,
    secret: SecretString,
}

impl ApiKey {
    /// Parses `token`; `None` if it does not have the form of a key.
    #[must_use]
    pub fn parse(token: &str) -> Option<Self> {
        let (id, secret) = token.strip_prefix(PREFIX)?.split_at_checked(ID_BYTES)?;
        let secret = secret.strip_prefix('_')?;
        let is_key = id.bytes().all(|byte| byte.is_ascii_alphanumeric())
            && secret.len() == SECRET_BYTES
            && is_identifier(secret, SECRET_BYTES);
        is_key.then(|| Self {
            id: id.to_owned(),
            secret: secret.into(),
        })
    }

    /// A new key.
    ///
    /// # Errors
    /// [`crate::error::Error::Internal`] when the system has no randomness.
    pub fn generate() -> Result<Self> {
        Ok(Self::from_seed(&Seed::generate()?))
    }

    /// The key that follows from `seed`: the same each time, and of no other seed.
    #[must_use]
    pub fn from_seed(seed: &Seed) -> Self {
        let letters = b"0123456789abcdefghjkmnpqrstvwxyz";
        let id = seed.bytes("api-key-id");
        let id = id.map(|byte| char::from(letters[usize::from(byte % 32)]));
        Self {
            id: id.iter().take(ID_BYTES).collect(),
            secret: URL_SAFE_NO_PAD.encode(seed.bytes("api-key-secret")).into(),
        }
    }

    /// The key's public part.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The whole key, to be shown to its holder once.
    #[must_use]
    pub fn reveal(&self) -> SecretString {
        format!("{PREFIX}{}_{}", self.id, self.secret.expose_secret()).into()
    }

    fn hash(&self) -> Vec<u8> {
        digest(&SHA256, self.secret.expose_secret().as_bytes())
            .as_ref()
            .to_vec()
    }
}

/// Reads and writes API keys.
#[derive(Clone, Debug)]
pub struct ApiKeys {
    storage: Storage,
    cache: Option<CacheClient>,
    clock: Arc<dyn Clock>,
    /// When this process last recorded the use of a key.
    noted: Arc<LocalCache<String, Timestamp>>,
    known: Arc<KnownKeys>,
    /// What functions have read of keys that the gateway remembers.
    standings: Arc<LocalCache<String, Standing>>,
    /// When the store last failed to say how a key stands.
    excused: Arc<LocalCache<String, Timestamp>>,
}

/// What the store says of a key, or in its place a record that it confirmed a moment ago.
enum Found {
    Stored(Option<Record>),
    /// With the reason why it counts.
    Known(Known, String),
}

/// Why a key is refused. Operators are told; whoever presents it is not.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Refusal {
    Malformed,
    Unknown,
    WrongSecret,
    Disabled,
    Expired,
    Revoked,
}

impl Refusal {
    const fn of(state: Option<KeyState>, is_same: bool) -> Self {
        match state {
            Some(KeyState::Revoked) => Self::Revoked,
            None | Some(KeyState::Active | KeyState::Disabled | KeyState::Expired) if !is_same => {
                Self::WrongSecret
            }
            Some(KeyState::Expired) => Self::Expired,
            Some(KeyState::Disabled | KeyState::Active) | None => Self::Disabled,
        }
    }

    /// The reason in the log and in the metric.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Unknown => "unknown",
            Self::WrongSecret => "wrong_secret",
            Self::Disabled => "disabled",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }

    fn note(self, key_id: &str) {
        metrics::authorization(self.as_str());
        info!(key_id, reason = self.as_str(), "an API key was refused");
    }
}

impl ApiKeys {
    /// The keys in `storage`; `cache` tells processes of each other's changes.
    #[must_use]
    pub fn new(storage: Storage, cache: Option<CacheClient>, clock: Arc<dyn Clock>) -> Self {
        Self {
            storage,
            cache,
            clock,
            noted: Arc::new(LocalCache::new(MAX_NOTED)),
            known: Arc::new(KnownKeys::new()),
            standings: Arc::new(LocalCache::new(MAX_STANDINGS)),
            excused: Arc::new(LocalCache::new(MAX_STANDINGS)),
        }
    }

    /// The caller who presents `token`; `None` if it is malformed, unknown, revoked or expired: the caller does not learn
    /// which.
    ///
    /// # Errors
    /// [`crate::error::Error::Store`] when the store is unavailable and did not confirm the key to this process within the last minute.
    pub async fn authenticate(&self, token: &str, deadline: Deadline) -> Result<Option<Caller>> {
        let Some(key) = ApiKey::parse(token) else {
            Refusal::Malformed.note("");
            return Ok(None);
        };
        match self.decide(&key, deadline).await? {
            Ok(caller) => {
                metrics::authorization("admitted");
                Ok(Some(caller))
            }
            Err(refusal) => {
                refusal.note(key.id());
                Ok(None)
            }
        }
    }

    async fn decide(
        &self,
        key: &ApiKey,
        deadline: Deadline,
    ) -> Result<std::result::Result<Caller, Refusal>> {
        let asked_at = self.clock.now();
        let record = match self.find(key.id(), deadline).await? {
            Found::Stored(Some(record)) => record,
            Found::Stored(None) => {
                self.known.forget(key.id());
                return Ok(Err(Refusal::Unknown));
            }
            Found::Known(known, why) => {
                let caller = self.caller(key, &known.record, known.confirmed_at);
                if caller.is_ok() {
                    warn!(
                        key_id = key.id(),
                        why, "admitting a key that the store confirmed a moment ago"
                    );
                }
                return Ok(caller);
            }
        };
        let caller = self.caller(key, &record, asked_at);
        if caller.is_ok() {
            self.known.confirm(key.id(), record, asked_at);
            self.note_use(key.id(), deadline).await;
        } else if !self.is_active(&record) {
            self.known.forget(key.id());
        }
        Ok(caller)
    }

    /// The caller who presents `token`, by what the store says of the key now and nothing else; `None` as for
    /// [`ApiKeys::authenticate`].
    ///
    /// # Errors
    /// [`crate::error::Error::Store`] when the store does not say.
    pub async fn prove(&self, token: &str, deadline: Deadline) -> Result<Option<Caller>> {
        let Some(key) = ApiKey::parse(token) else {
            return Ok(None);
        };
        let asked_at = self.clock.now();
        let stored = store_key(key.id());
        let record = self.storage.get(Table::ApiKeys, &stored, deadline).await?;
        Ok(record.and_then(|record| self.caller(&key, &record, asked_at).ok()))
    }

    async fn find(&self, id: &str, deadline: Deadline) -> Result<Found> {
        let key = store_key(id);
        let stored = tokio::select! {
            biased;
            stored = self.storage.get(Table::ApiKeys, &key, deadline) => stored,
            known = self.known_later(id) => {
                return Ok(Found::Known(known, "the store is slow".to_owned()));
            }
        };
        match stored {
            Ok(record) => Ok(Found::Stored(record)),
            Err(error) => match self.known.instead_of(&error, id, self.clock.now()) {
                Some(known) => Ok(Found::Known(known, error.to_string())),
                None => Err(error.into()),
            },
        }
    }

    /// What is known of the key, after [`known::PATIENCE`]; never, if nothing is.
    async fn known_later(&self, id: &str) -> Known {
        tokio::time::sleep(known::PATIENCE).await;
        match self.known.get(id, self.clock.now()) {
            Some(known) => known,
            None => std::future::pending().await,
        }
    }

    fn is_active(&self, record: &Record) -> bool {
        info::info(record, self.clock.now()).is_some_and(|info| info.state == KeyState::Active)
    }

    fn caller(
        &self,
        key: &ApiKey,
        record: &Record,
        confirmed_at: Timestamp,
    ) -> std::result::Result<Caller, Refusal> {
        // A revoked key has no hash any more.
        let hash = record.bytes("secret_hash").unwrap_or_default();
        let is_same: bool = key.hash().ct_eq(hash).into();
        let now = self.clock.now();
        match info::caller(record, confirmed_at, now) {
            Some(caller) if is_same => Ok(caller),
            Some(_) => Err(Refusal::WrongSecret),
            None => Err(Refusal::of(
                info::info(record, now).map(|info| info.state),
                is_same,
            )),
        }
    }

    /// Records the use of a key, at most every ten minutes. A failure does not affect the caller.
    async fn note_use(&self, id: &str, deadline: Deadline) {
        let now = self.clock.now();
        let noted = self.noted.get(id);
        if noted.is_some_and(|at| now.since(at) < NOTE_USE_EVERY) {
            return;
        }
        self.noted.insert(id.to_owned(), now);
        let used = Record::new(used_key(id), 1).with("used_at", Value::Number(now.as_millis()));
        let deadline = deadline.at_most(NOTE_USE_TIMEOUT);
        let put = self
            .storage
            .put(Table::ApiKeys, &used, Expect::Anything, deadline);
        if let Err(error) = put.await {
            warn!(%error, "the use of an API key is not noted");
        }
    }
}

/// Whether a key could have this id: 12 letters or digits.
fn is_key_id(id: &str) -> bool {
    id.len() == ID_BYTES && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// In a partition of its own: who notes that a key was used may not write the key's record.
fn used_key(id: &str) -> Key {
    Key::new(format!("{USED_PREFIX}{id}"), "used")
}

fn store_key(id: &str) -> Key {
    Key::new(id, SORT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_key_reads_back() {
        let key = ApiKey::generate().unwrap();
        let token = key.reveal();
        let read = ApiKey::parse(token.expose_secret()).unwrap();
        assert_eq!((read.id(), read.hash()), (key.id(), key.hash()));
    }

    #[test]
    fn what_is_not_a_key_is_not_read_as_one() {
        let token = ApiKey::generate().unwrap().reveal();
        let token = token.expose_secret();
        for bad in [
            "",
            "lsk_",
            &token[1..],
            &token[..token.len() - 1],
            &format!("{token}x"),
            &token.replace("lsk_", "lsk-"),
        ] {
            assert!(ApiKey::parse(bad).is_none(), "{bad}");
        }
        assert!(ApiKey::parse(&format!("lsk_ééé{}", &token[10..])).is_none());
    }

    #[test]
    fn a_key_does_not_print_its_secret() {
        let key = ApiKey::generate().unwrap();
        assert!(!format!("{key:?}").contains(key.secret.expose_secret()));
    }
}
