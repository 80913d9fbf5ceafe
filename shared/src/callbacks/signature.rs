//! How a receiver knows that a callback is ours: the signature of [Standard Webhooks](https://www.standardwebhooks.com).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use secrecy::{ExposeSecret, SecretString};

use crate::clock::Timestamp;
use crate::idempotency::Seed;

/// What every secret begins with, so that secret scanners find one that leaked.
const PREFIX: &str = "whsec_";
/// How many bytes a secret of another maker may have; ours have 32.
const BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// The secret that signs callbacks: `whsec_`, then base64. It does not print.
#[derive(Clone)]
pub struct SigningSecret(SecretString);

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret")
    }
}

impl SigningSecret {
    /// The secret that follows from `seed`: 256 bits.
    #[must_use]
    pub fn from_seed(seed: &Seed) -> Self {
        let bytes = STANDARD.encode(seed.bytes("callback-secret"));
        Self(format!("{PREFIX}{bytes}").into())
    }

    /// `text` as a secret, if it can be one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = STANDARD.decode(text.strip_prefix(PREFIX)?).ok()?;
        BYTES
            .contains(&bytes.len())
            .then(|| Self(text.to_owned().into()))
    }

    /// The whole secret, to be shown to the receiver once.
    #[must_use]
    pub const fn reveal(&self) -> &SecretString {
        &self.0
    }

    /// The signature of the callback `id`, sent at `at` with `body`: `v1,`, then base64.
    #[must_use]
    pub fn sign(&self, id: &str, at: Timestamp, body: &str) -> String {
        let text = self.0.expose_secret();
        let bytes = text.strip_prefix(PREFIX).unwrap_or_default();
        let bytes = STANDARD.decode(bytes).unwrap_or_default();
        let key = hmac::Key::new(hmac::HMAC_SHA256, &bytes);
        let signed = format!("{id}.{}.{body}", seconds(at));
        let tag = hmac::sign(&key, signed.as_bytes());
        format!("v1,{}", STANDARD.encode(tag.as_ref()))
    }
}

/// The header `webhook-timestamp`: seconds of Unix time.
pub(super) fn seconds(at: Timestamp) -> i64 {
    at.as_millis().div_euclid(1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's own libraries, and what Python's `hmac` makes of another body.
    #[test]
    fn a_signature_is_the_one_that_other_libraries_make() {
        let secret = SigningSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let at = Timestamp::from_millis(1_614_265_330_999);
        let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
        for (body, signature) in [
            (
                r#"{"test": 2432232314}"#,
                "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            ),
            (
                r#"{"text":"你好"}"#,
                "v1,j7nJgWkfL+oI5mXnyuuXoT20Upd1dXMdltfYkzPdHOQ=",
            ),
        ] {
            assert_eq!(secret.sign(id, at, body), signature, "{body}");
        }
    }

    #[test]
    fn a_secret_reads_back_and_does_not_print() {
        let seed = Seed::generate().unwrap();
        let secret = SigningSecret::from_seed(&seed);
        let text = secret.reveal().expose_secret();
        assert_eq!(text.len(), 50);
        let read = SigningSecret::parse(text).unwrap();
        let now = Timestamp::from_seconds(1);
        assert_eq!(read.sign("a", now, "b"), secret.sign("a", now, "b"));
        assert_ne!(read.sign("a", now, "b"), secret.sign("a", now, "c"));
        assert!(!format!("{secret:?}").contains(&text[6..]));
        for bad in ["", "whsec_", "whsec_####", "whsec_c2hvcnQ=", &text[1..]] {
            assert!(SigningSecret::parse(bad).is_none(), "{bad}");
        }
    }
}
