//! Values nobody can have seen before: codes, user tokens, tickets.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use crate::hash::mix;

/// How long the claims of a user token are at least: with header and signature, the token has about 1.2 KB.
const CLAIMS_BYTES: usize = 810;

/// Unlike those of any other process: a code or token from an earlier run must not be issued again.
pub(crate) struct Values {
    seed: u64,
    serial: AtomicU64,
}

impl Values {
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

    /// So many random bytes in the alphabet `A-Za-z0-9_-`, four characters for three bytes.
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

    /// JWT-like, `eyJ…`, as long as the platform's: its page says 1 to 2 KB. The signature is none.
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
        let values = Values::new();
        let token = values.jwt(Map::new());
        assert!(token.starts_with("eyJ") && (1_100..1_400).contains(&token.len()));
        assert_ne!(token, values.jwt(Map::new()));
    }
}
