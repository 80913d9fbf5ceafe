//! The data keys in use, and the text form in which they are kept in a key file or wrapped by KMS.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};

use super::SealError;
use super::entries::EntryKeys;
use crate::clock::Timestamp;

/// First byte of every sealed value; another layout gets another number.
const LAYOUT: u8 = 1;
/// AES-256.
pub(super) const KEY_BYTES: usize = 32;

/// The data keys: the last one seals, all of them open.
#[derive(Clone)]
pub struct KeyRing {
    keys: Vec<DataKey>,
    fingerprint_key: hmac::Key,
    fingerprint_bytes: [u8; KEY_BYTES],
}

#[derive(Clone)]
struct DataKey {
    id: String,
    bytes: [u8; KEY_BYTES],
    cipher: Arc<LessSafeKey>,
    /// The keys for the shared cache that it derives.
    entries: Arc<EntryKeys>,
    /// When it was added to a ring that already had others.
    added_at: Option<Timestamp>,
}

impl DataKey {
    fn new(id: &str, bytes: [u8; KEY_BYTES], added_at: Option<Timestamp>) -> Self {
        let key = UnboundKey::new(&AES_256_GCM, &bytes).expect("32 bytes are an AES-256 key");
        Self {
            id: id.to_owned(),
            bytes,
            cipher: Arc::new(LessSafeKey::new(key)),
            entries: Arc::new(EntryKeys::derive(&bytes)),
            added_at,
        }
    }

    fn generate(added_at: Option<Timestamp>) -> Result<Self, SealError> {
        let id = format!("k{:08x}", u32::from_be_bytes(random()?));
        Ok(Self::new(&id, random()?, added_at))
    }
}

/// Shows only the keys' ids.
impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.keys.iter().map(|key| &key.id))
            .finish()
    }
}

impl KeyRing {
    /// A ring with one new key.
    ///
    /// # Errors
    /// [`SealError::Keys`] when the system has no randomness.
    pub fn generate() -> Result<Self, SealError> {
        Ok(Self::assemble(vec![DataKey::generate(None)?], random()?))
    }

    /// The ids of the keys, the one that seals last.
    pub fn key_ids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|key| key.id.as_str())
    }

    /// The id of the key that seals.
    #[must_use]
    pub fn current_key_id(&self) -> &str {
        self.keys.last().map_or("", |key| key.id.as_str())
    }

    /// When the key that seals was added to older ones; `None` for a ring's first key.
    #[must_use]
    pub fn current_key_added_at(&self) -> Option<Timestamp> {
        self.keys.last()?.added_at
    }

    pub(super) fn has_key(&self, id: &str) -> bool {
        self.key_ids().any(|known| known == id)
    }

    /// The ring with a new key, added at `now`, which seals from then on.
    pub(super) fn with_new_key(&self, now: Timestamp) -> Result<Self, SealError> {
        let mut key = DataKey::generate(Some(now))?;
        while self.has_key(&key.id) {
            key = DataKey::generate(Some(now))?;
        }
        let mut keys = self.keys.clone();
        keys.push(key);
        Ok(Self::assemble(keys, self.fingerprint_bytes))
    }

    /// The ring without the keys `ids`. The key that seals stays, whatever its id.
    pub(super) fn without_keys(&self, ids: &[String]) -> Self {
        let (current, older) = match self.keys.split_last() {
            Some((current, older)) => (vec![current.clone()], older),
            None => (Vec::new(), [].as_slice()),
        };
        let kept = older.iter().filter(|key| !ids.contains(&key.id));
        let keys = kept.cloned().chain(current).collect();
        Self::assemble(keys, self.fingerprint_bytes)
    }

    fn assemble(keys: Vec<DataKey>, fingerprint_bytes: [u8; KEY_BYTES]) -> Self {
        Self {
            keys,
            fingerprint_key: hmac::Key::new(hmac::HMAC_SHA256, &fingerprint_bytes),
            fingerprint_bytes,
        }
    }

    pub(super) const fn fingerprint_key(&self) -> &hmac::Key {
        &self.fingerprint_key
    }

    /// The text form: a line `fingerprint <base64>`, then for each key a line `key <id> <base64>`, ending with the
    /// milliseconds since the Unix epoch at which it was added, if that is known.
    pub(super) fn to_text(&self) -> String {
        let mut text = format!("fingerprint {}\n", STANDARD.encode(self.fingerprint_bytes));
        for key in &self.keys {
            let added_at = key.added_at.map(|at| format!(" {}", at.as_millis()));
            text.push_str(&format!(
                "key {} {}{}\n",
                key.id,
                STANDARD.encode(key.bytes),
                added_at.unwrap_or_default()
            ));
        }
        text
    }

    /// Reads the text form; lines that start with `#` are comments.
    pub(super) fn from_text(text: &str) -> Result<Self, SealError> {
        let mut fingerprint = None;
        let mut keys = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let wrong = || {
                SealError::keys(format_args!(
                    "line {} is not `fingerprint <base64>` or `key <id> <base64> [<added at>]`",
                    number + 1
                ))
            };
            match line.split_ascii_whitespace().collect::<Vec<_>>()[..] {
                [] => {}
                [first, ..] if first.starts_with('#') => {}
                ["fingerprint", bytes] => fingerprint = Some(key_bytes(bytes).ok_or_else(wrong)?),
                ["key", id, bytes, ref added_at @ ..] if id.len() <= 64 && added_at.len() <= 1 => {
                    let added_at = added_at.first().map(|at| at.parse().map_err(|_| wrong()));
                    let added_at = added_at.transpose()?.map(Timestamp::from_millis);
                    let bytes = key_bytes(bytes).ok_or_else(wrong)?;
                    keys.push(DataKey::new(id, bytes, added_at));
                }
                _ => return Err(wrong()),
            }
        }
        match fingerprint {
            Some(fingerprint) if !keys.is_empty() => Ok(Self::assemble(keys, fingerprint)),
            Some(_) | None => Err(SealError::keys(
                "a `fingerprint` line and at least one `key` line are needed",
            )),
        }
    }

    /// The keys for the shared cache that the data key `id` derives.
    pub(super) fn entry_keys(&self, id: &str) -> Option<&EntryKeys> {
        let key = self.keys.iter().find(|key| key.id == id);
        key.map(|key| &*key.entries)
    }

    /// The id of the key that seals, and the keys for the shared cache that it derives.
    pub(super) fn sealing_entry_keys(&self) -> Result<(&str, &EntryKeys), SealError> {
        let key = self.sealing_key()?;
        Ok((&key.id, &key.entries))
    }

    fn sealing_key(&self) -> Result<&DataKey, SealError> {
        let last = self.keys.last();
        last.ok_or_else(|| SealError::keys("the key ring is empty"))
    }

    /// Layout: one byte [`LAYOUT`], one byte length of the key id, the key id, 12 bytes nonce, ciphertext and tag.
    pub(super) fn seal(&self, context: &str, plaintext: &[u8]) -> Result<Vec<u8>, SealError> {
        let key = self.sealing_key()?;
        let nonce: [u8; NONCE_LEN] = random()?;
        let mut sealed = join_key_id(&key.id, 0)?;
        sealed.extend_from_slice(&nonce);
        let mut secret = plaintext.to_vec();
        let nonce = Nonce::assume_unique_for_key(nonce);
        key.cipher
            .seal_in_place_append_tag(nonce, Aad::from(context.as_bytes()), &mut secret)
            .map_err(|_| SealError::Broken)?;
        sealed.extend_from_slice(&secret);
        Ok(sealed)
    }

    pub(super) fn open(&self, context: &str, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let (id, rest) = split_key_id(sealed).ok_or(SealError::Broken)?;
        let (nonce, secret) = rest
            .split_first_chunk::<NONCE_LEN>()
            .ok_or(SealError::Broken)?;
        let key = self
            .keys
            .iter()
            .find(|key| key.id == id)
            .ok_or_else(|| SealError::UnknownKey(id.to_owned()))?;
        let mut secret = secret.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plaintext = key
            .cipher
            .open_in_place(nonce, Aad::from(context.as_bytes()), &mut secret)
            .map_err(|_| SealError::Broken)?;
        Ok(plaintext.to_vec())
    }
}

/// The beginning of a sealed value: [`LAYOUT`] and the key's id, with room for `rest` more bytes.
pub(super) fn join_key_id(id: &str, rest: usize) -> Result<Vec<u8>, SealError> {
    let id_bytes = u8::try_from(id.len()).map_err(|_| SealError::Broken)?;
    let mut sealed = Vec::with_capacity(2 + id.len() + rest);
    sealed.extend_from_slice(&[LAYOUT, id_bytes]);
    sealed.extend_from_slice(id.as_bytes());
    Ok(sealed)
}

pub(super) fn split_key_id(sealed: &[u8]) -> Option<(&str, &[u8])> {
    let [LAYOUT, id_bytes, rest @ ..] = sealed else {
        return None;
    };
    let (id, rest) = rest.split_at_checked(usize::from(*id_bytes))?;
    Some((std::str::from_utf8(id).ok()?, rest))
}

fn key_bytes(base64: &str) -> Option<[u8; KEY_BYTES]> {
    STANDARD.decode(base64).ok()?.try_into().ok()
}

pub(super) fn random<const N: usize>() -> Result<[u8; N], SealError> {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| SealError::keys("the system has no randomness"))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_opens_in_its_place_alone() {
        let ring = KeyRing::generate().unwrap();
        let sealed = ring.seal("tokens/cli_a", b"t-secret").unwrap();
        assert_eq!(ring.open("tokens/cli_a", &sealed).unwrap(), b"t-secret");
        assert!(matches!(
            ring.open("tokens/cli_b", &sealed),
            Err(SealError::Broken)
        ));
    }

    #[test]
    fn no_changed_or_cut_byte_goes_unnoticed() {
        let ring = KeyRing::generate().unwrap();
        let sealed = ring.seal("c", b"secret").unwrap();
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert!(ring.open("c", &changed).is_err(), "byte {index}");
            assert!(ring.open("c", &sealed[..index]).is_err(), "cut at {index}");
        }
    }

    #[test]
    fn an_older_key_still_opens_and_the_newest_seals() {
        let old = KeyRing::generate().unwrap();
        let new = KeyRing::generate().unwrap();
        let both = format!("{}{}", old.to_text(), new.to_text().lines().nth(1).unwrap());
        let both = KeyRing::from_text(&both).unwrap();
        assert_eq!(both.open("c", &old.seal("c", b"x").unwrap()).unwrap(), b"x");
        let sealed = both.seal("c", b"y").unwrap();
        assert_eq!(new.open("c", &sealed).unwrap(), b"y");
        assert!(matches!(
            old.open("c", &sealed),
            Err(SealError::UnknownKey(_))
        ));
    }

    #[test]
    fn a_new_key_seals_and_stays_when_others_are_retired() {
        let ring = KeyRing::generate().unwrap();
        let now = Timestamp::from_seconds(1_000_000);
        let both = ring.with_new_key(now).unwrap();
        let both = KeyRing::from_text(&both.to_text()).unwrap();
        assert_eq!(both.current_key_added_at(), Some(now));
        let (old, new) = (ring.seal("c", b"x").unwrap(), both.seal("c", b"y").unwrap());
        assert_eq!(both.open("c", &old).unwrap(), b"x");
        let every_id: Vec<_> = both.key_ids().map(str::to_owned).collect();
        let newest = both.without_keys(&every_id);
        assert_eq!(
            newest.key_ids().collect::<Vec<_>>(),
            [both.current_key_id()]
        );
        assert_eq!(newest.open("c", &new).unwrap(), b"y");
        assert!(matches!(
            newest.open("c", &old),
            Err(SealError::UnknownKey(_))
        ));
    }

    #[test]
    fn a_ring_reads_back_from_its_text_and_shows_no_key() {
        let ring = KeyRing::generate().unwrap();
        let sealed = ring.seal("c", b"x").unwrap();
        assert_eq!(
            KeyRing::from_text(&ring.to_text())
                .unwrap()
                .open("c", &sealed)
                .unwrap(),
            b"x"
        );
        let bytes = ring
            .to_text()
            .lines()
            .nth(1)
            .unwrap()
            .rsplit(' ')
            .next()
            .unwrap()
            .to_owned();
        assert!(!format!("{ring:?}").contains(&bytes));
        assert!(KeyRing::from_text("key a b").is_err());
        assert!(KeyRing::from_text("").is_err());
    }
}
