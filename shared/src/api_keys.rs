//! API keys: what callers present, kept as a hash.
//!
//! A key reads `lsk_<id>_<secret>`. The id is public and finds the record; the secret has 256 bits, so a plain SHA-256 of it
//! is safe to keep and cheap to check.

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use crate::clock::{Clock, Timestamp};
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::http::{AllowedApps, Caller, Scope};
use crate::ids::is_identifier;
use crate::store::{Expect, Key, Record, Storage, Table, Value};

/// What every key starts with, so that secret scanners find one that leaked.
const PREFIX: &str = "lsk_";
/// The length of a key's id.
const ID_BYTES: usize = 12;
/// The length of a key's secret: 32 random bytes in base64url.
const SECRET_BYTES: usize = 43;
/// The sort key of an API key's record.
const SORT: &str = "key";

/// A key as its holder has it.
#[derive(Clone, Debug)]
pub struct ApiKey {
    id: String,
    secret: SecretString,
}

impl ApiKey {
    /// `token` as a key, if it has a key's form.
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
    /// [`Error::Internal`] when the system has no randomness.
    pub fn generate() -> Result<Self> {
        let mut bytes = [0_u8; 32 + ID_BYTES];
        SystemRandom::new()
            .fill(&mut bytes)
            .map_err(|_| Error::internal("the system has no randomness"))?;
        let (secret, id) = bytes.split_at(32);
        let letters = b"0123456789abcdefghjkmnpqrstvwxyz";
        let id = id
            .iter()
            .map(|byte| char::from(letters[usize::from(byte % 32)]))
            .collect();
        Ok(Self {
            id,
            secret: URL_SAFE_NO_PAD.encode(secret).into(),
        })
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

/// What an operator says of a new key.
#[derive(Clone, Debug)]
pub struct NewApiKey {
    /// The key.
    pub key: ApiKey,
    /// What it allows.
    pub scopes: BTreeSet<Scope>,
    /// For which apps.
    pub apps: AllowedApps,
    /// When it ends; `None`: never.
    pub expires_at: Option<Timestamp>,
}

/// Reads and writes API keys.
#[derive(Clone, Debug)]
pub struct ApiKeys {
    storage: Storage,
    clock: Arc<dyn Clock>,
}

impl ApiKeys {
    /// The keys in `storage`.
    #[must_use]
    pub fn new(storage: Storage, clock: Arc<dyn Clock>) -> Self {
        Self { storage, clock }
    }

    /// Who presents `token`; `None` when it is no key, unknown, revoked or expired: the presenter is not told which.
    ///
    /// # Errors
    /// [`Error::Store`] when that cannot be told now.
    pub async fn authenticate(&self, token: &str, deadline: Deadline) -> Result<Option<Caller>> {
        let Some(key) = ApiKey::parse(token) else {
            return Ok(None);
        };
        let Some(record) = self
            .storage
            .get(Table::ApiKeys, &store_key(key.id()), deadline)
            .await?
        else {
            return Ok(None);
        };
        Ok(self.caller(&key, &record))
    }

    fn caller(&self, key: &ApiKey, record: &Record) -> Option<Caller> {
        let is_same: bool = key.hash().ct_eq(record.bytes("secret_hash")?).into();
        let is_active = record.text("status") == Some("active");
        let has_ended = record
            .number("ends_at")
            .is_some_and(|at| at <= self.clock.now().as_millis());
        if !is_same || !is_active || has_ended {
            return None;
        }
        Some(Caller {
            key_id: key.id().to_owned(),
            scopes: record
                .text("scopes")?
                .split_ascii_whitespace()
                .filter_map(|scope| scope.parse().ok())
                .collect(),
            apps: AllowedApps::parse(record.text("apps")?),
        })
    }

    /// Adds a key.
    ///
    /// # Errors
    /// [`crate::store::StoreError::Conflict`] as [`Error::Store`] when its id is taken; [`Error::Store`].
    pub async fn add(&self, new: &NewApiKey, deadline: Deadline) -> Result<()> {
        let scopes: Vec<_> = new.scopes.iter().map(|scope| scope.as_str()).collect();
        let mut record = Record::new(
            store_key(new.key.id()),
            u64::try_from(self.clock.now().as_millis()).unwrap_or(1),
        )
        .with("secret_hash", Value::Bytes(new.key.hash()))
        .with("scopes", Value::Text(scopes.join(" ")))
        .with("apps", Value::Text(new.apps.to_string()))
        .with("status", Value::Text("active".to_owned()))
        .with("created_at", Value::Number(self.clock.now().as_millis()));
        if let Some(ends_at) = new.expires_at {
            record = record.with("ends_at", Value::Number(ends_at.as_millis()));
        }
        Ok(self
            .storage
            .put(Table::ApiKeys, &record, Expect::Absent, deadline)
            .await?)
    }
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
