//! Entries of the shared cache: encrypted and authenticated with keys that are derived from the data keys.
//!
//! A sealed entry is bound to its purpose, its place and its version: moved to another key, or with another version in front, it
//! does not open. Nonces are random, 96 bits: after 2^36 entries under one key, years of a busy service, two are equal with a
//! probability of 2^-24. A new data key begins anew.

use std::sync::Arc;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf;
use tokio::time::Instant;

use super::keyring::{KEY_BYTES, join_key_id, random, split_key_id};
use super::{KeyRing, RELOAD_PAUSE, SealError, Sealer};
use crate::deadline::Deadline;

/// Separates these keys from every other use of a data key.
const SALT: &[u8] = b"lark-service cache entries 1";

/// What an entry of the shared cache is for. Each purpose has a key of its own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Purpose {
    /// The state of a token.
    Tokens,
    /// An item of the directory, a pointer or an absence.
    Directory,
    /// A filter of the directory, whole or in the making.
    Guard,
    /// The copy of a record.
    Records,
}

impl Purpose {
    /// Every purpose.
    pub const ALL: [Self; 4] = [Self::Tokens, Self::Directory, Self::Guard, Self::Records];

    /// The purpose in metrics and in the derivation of its key.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tokens => "tokens",
            Self::Directory => "directory",
            Self::Guard => "guard",
            Self::Records => "records",
        }
    }
}

/// The keys that one data key derives, in the order of [`Purpose::ALL`].
pub(super) struct EntryKeys([LessSafeKey; Purpose::ALL.len()]);

impl EntryKeys {
    pub(super) fn derive(data_key: &[u8; KEY_BYTES]) -> Self {
        let secret = hkdf::Salt::new(hkdf::HKDF_SHA256, SALT).extract(data_key);
        Self(Purpose::ALL.map(|purpose| {
            let info = [purpose.name().as_bytes()];
            let key = secret.expand(&info, &AES_256_GCM);
            let key = key.expect("a key is shorter than the longest output");
            LessSafeKey::new(UnboundKey::from(key))
        }))
    }

    const fn of(&self, purpose: Purpose) -> &LessSafeKey {
        &self.0[purpose as usize]
    }
}

impl KeyRing {
    /// Seals `plain` as the entry at `place` with this version. Layout: that of a sealed value.
    ///
    /// # Errors
    /// [`SealError::Keys`] when the system has no randomness.
    pub fn seal_entry(
        &self,
        purpose: Purpose,
        place: &str,
        version: u64,
        mut plain: Vec<u8>,
    ) -> Result<Vec<u8>, SealError> {
        let (id, keys) = self.sealing_entry_keys()?;
        let nonce: [u8; NONCE_LEN] = random()?;
        let mut sealed = join_key_id(id, plain.len() + NONCE_LEN + AES_256_GCM.tag_len())?;
        sealed.extend_from_slice(&nonce);
        let (nonce, context) = (Nonce::assume_unique_for_key(nonce), context(place, version));
        keys.of(purpose)
            .seal_in_place_append_tag(nonce, Aad::from(context), &mut plain)
            .map_err(|_| SealError::Broken)?;
        sealed.extend_from_slice(&plain);
        Ok(sealed)
    }

    /// Opens what was sealed as the entry at `place` with this version.
    ///
    /// # Errors
    /// [`SealError::UnknownKey`], [`SealError::Broken`].
    pub fn open_entry(
        &self,
        purpose: Purpose,
        place: &str,
        version: u64,
        sealed: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        let (id, rest) = split_key_id(sealed).ok_or(SealError::Broken)?;
        let (nonce, secret) = rest
            .split_first_chunk::<NONCE_LEN>()
            .ok_or(SealError::Broken)?;
        let keys = self.entry_keys(id);
        let keys = keys.ok_or_else(|| SealError::UnknownKey(id.to_owned()))?;
        let mut secret = secret.to_vec();
        let (nonce, context) = (
            Nonce::assume_unique_for_key(*nonce),
            context(place, version),
        );
        let plain = keys
            .of(purpose)
            .open_in_place(nonce, Aad::from(context), &mut secret)
            .map_err(|_| SealError::Broken)?
            .len();
        secret.truncate(plain);
        Ok(secret)
    }
}

impl Sealer {
    /// The ring, read again because an entry of the cache names a key that it lacks; `None` if that was done within the last
    /// minute. Whoever can write into the cache can make up ids, so this leaves no trace on what the store's values need.
    pub(crate) async fn ring_after_unknown_entry(
        &self,
        deadline: Deadline,
    ) -> Option<Arc<KeyRing>> {
        let ring = self.loaded.current()?.ring;
        {
            let mut next = self.loaded.next_look_for_entries();
            let now = Instant::now();
            if next.is_some_and(|next| now < next) {
                return None;
            }
            *next = Some(now + RELOAD_PAUSE);
        }
        Some(Box::pin(self.refreshed(ring, deadline)).await)
    }
}

/// What the entry is bound to besides its purpose.
fn context(place: &str, version: u64) -> Vec<u8> {
    let mut context = Vec::with_capacity(place.len() + 8);
    context.extend_from_slice(place.as_bytes());
    context.extend_from_slice(&version.to_be_bytes());
    context
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    const PLACE: &str = "lark:token:cli_a:tenant#";

    fn sealed(ring: &KeyRing) -> Vec<u8> {
        ring.seal_entry(Purpose::Tokens, PLACE, 7, b"plain".to_vec())
            .unwrap()
    }

    #[test]
    fn an_entry_opens_in_its_place_with_its_purpose_and_version_alone() {
        let ring = KeyRing::generate().unwrap();
        let sealed = sealed(&ring);
        let open = |purpose, place, version| ring.open_entry(purpose, place, version, &sealed);
        assert_eq!(open(Purpose::Tokens, PLACE, 7).unwrap(), b"plain");
        for purpose in Purpose::ALL {
            let opened = open(purpose, PLACE, 7).is_ok();
            assert_eq!(opened, purpose == Purpose::Tokens, "{purpose:?}");
        }
        assert!(open(Purpose::Tokens, "lark:token:cli_b:tenant#", 7).is_err());
        assert!(open(Purpose::Tokens, PLACE, 8).is_err());
        // A byte that wanders between place and version changes what it is bound to.
        assert!(open(Purpose::Tokens, &PLACE[..PLACE.len() - 1], 7).is_err());
    }

    #[test]
    fn no_changed_or_cut_byte_of_an_entry_goes_unnoticed() {
        let ring = KeyRing::generate().unwrap();
        let sealed = sealed(&ring);
        let is_open = |bytes: &[u8]| ring.open_entry(Purpose::Tokens, PLACE, 7, bytes).is_ok();
        assert!(is_open(&sealed));
        for index in 0..sealed.len() {
            for bit in 0..8 {
                let mut changed = sealed.clone();
                changed[index] ^= 1 << bit;
                assert!(!is_open(&changed), "byte {index}");
            }
            assert!(!is_open(&sealed[..index]), "cut at {index}");
        }
        assert!(!is_open(&[sealed.as_slice(), b"\0"].concat()));
    }

    #[test]
    fn an_entry_does_not_open_as_a_sealed_value_nor_the_other_way_round() {
        let ring = KeyRing::generate().unwrap();
        assert!(ring.open(PLACE, &sealed(&ring)).is_err());
        let value = ring.seal(PLACE, b"plain").unwrap();
        assert!(ring.open_entry(Purpose::Tokens, PLACE, 7, &value).is_err());
    }

    #[test]
    fn entries_follow_the_rotation_of_the_data_keys() {
        let old = KeyRing::generate().unwrap();
        let both = old.with_new_key(Timestamp::from_seconds(1)).unwrap();
        let open = |ring: &KeyRing, bytes: &[u8]| ring.open_entry(Purpose::Tokens, PLACE, 7, bytes);
        let (before, after) = (sealed(&old), sealed(&both));
        assert_eq!(open(&both, &before).unwrap(), b"plain");
        assert!(matches!(open(&old, &after), Err(SealError::UnknownKey(_))));
        let retired = both.without_keys(&[old.current_key_id().to_owned()]);
        assert_eq!(open(&retired, &after).unwrap(), b"plain");
        let refused = open(&retired, &before);
        assert!(matches!(refused, Err(SealError::UnknownKey(_))));
    }
}
