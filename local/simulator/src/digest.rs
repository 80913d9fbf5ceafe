//! SHA-256 of tokens and of PKCE verifiers.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

/// Half of the SHA-256 of a token: enough to recognize the token without storing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Digest(u64, u64);

impl Digest {
    pub(crate) fn of(token: &str) -> Self {
        let digest = sha256(token);
        let half = |from: usize| {
            let bytes = digest[from..from + 8].iter();
            bytes.fold(0, |number, byte| number << 8 | u64::from(*byte))
        };
        Self(half(0), half(8))
    }
}

/// SHA-256 in hexadecimal digits.
pub(crate) fn sha256_hex(text: &str) -> String {
    let digits = sha256(text).into_iter();
    digits.map(|byte| format!("{byte:02x}")).collect()
}

/// SHA-256 in base64url without padding, the PKCE challenge of method S256 (RFC 7636, 4.2).
pub(crate) fn sha256_base64url(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(sha256(text))
}

fn sha256(text: &str) -> [u8; 32] {
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest.as_ref());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_is_that_of_rfc_7636() {
        assert_eq!(
            sha256_base64url("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
    }
}
