//! Random values that differ in every process: codes, user tokens, tickets.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use crate::hash::mix;

/// The least size of a user token's claims. With header and signature, the token has about 1.2 KB.
const CLAIMS_BYTES: usize = 810;

/// Seeded per process: a code or token of an earlier run must not be issued again.
pub(crate) struct RandomValues {
    seed: u64,
    serial: AtomicU64,
}

impl RandomValues {
    pub(crate) fn new() -> Self {
        Self {
            seed: RandomState::new().hash_one("values"),
            serial: AtomicU64::new(0),
        }
    }

    pub(crate) fn number(&self) -> u64 {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        mix(self.seed ^ mix(serial.wrapping_add(1)))
    }

    /// The start of a sequence whose numbers no other run has used, most likely: of 28 bits, after 24 random ones, so
    /// that JavaScript can count them.
    pub(crate) fn sequence(&self) -> u64 {
        self.number() >> 40 << 28
    }

    /// This many random bytes in the alphabet `A-Za-z0-9_-`, four characters for three bytes.
    pub(crate) fn text(&self, bytes: usize) -> String {
        let mut state = self.number();
        let bytes: Vec<u8> = (0..bytes)
            .map(|_| {
                state = mix(state.wrapping_add(0x9e37_79b9_7f4a_7c15));
                state as u8
            })
            .collect();
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// A text like a JWT, `eyJ…`, as long as the platform's, which documents 1 to 2 KB. The signature is random.
    pub(crate) fn jwt(&self, mut claims: Map<String, Value>) -> String {
        claims.insert("jti".to_owned(), json!(self.text(18)));
        let missing = CLAIMS_BYTES.saturating_sub(json!(claims).to_string().len());
        claims.insert("ext".to_owned(), json!(self.text(missing * 3 / 4)));
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = part(json!({ "alg": "ES256", "typ": "JWT" }));
        format!("{header}.{}.{}", part(json!(claims)), self.text(64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_tokens_are_as_long_as_the_platforms() {
        let random = RandomValues::new();
        let token = random.jwt(Map::new());
        assert!(token.starts_with("eyJ") && (1_100..1_400).contains(&token.len()));
        assert_ne!(token, random.jwt(Map::new()));
    }
}
