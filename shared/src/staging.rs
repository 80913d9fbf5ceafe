//! Where callers put what is too large for a request, at an address that was made for them. They name it in a request afterwards.
//!
//! Nothing is on record about it. What was announced is in the id. The place is derived from who asks and the id that they name: so an
//! id is worth nothing to anybody else, and one that was changed names a place where nothing is.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use ring::digest::{Context, Digest, SHA256};
use url::Url;

use crate::clock::Timestamp;
use crate::ids::{AppId, is_identifier};

#[cfg(any(test, feature = "contract"))]
pub mod contract;
#[cfg(feature = "embedded")]
pub mod folder;
pub mod s3;

/// How long an address takes an upload.
pub const OFFER_LIFETIME: Duration = Duration::from_secs(15 * 60);
/// How long an upload may be named, from when its address was asked for. What is not named is deleted within a day.
pub const LIFETIME: Duration = Duration::from_secs(3_600);
/// Says how long an upload is.
pub const CONTENT_LENGTH: &str = "content-length";
/// Says which SHA-256 it has, in Base64, in the words of S3.
pub const CHECKSUM: &str = "x-amz-checksum-sha256";
/// How far ahead of this process's clock another's may be.
const SKEW: Duration = Duration::from_secs(60);

/// A place for uploads.
#[async_trait]
pub trait Staging: fmt::Debug + Send + Sync {
    /// An address that takes exactly what was announced for `place`, until `expires_at`.
    ///
    /// # Errors
    /// [`StagingError`].
    async fn offer(&self, place: &Place, expires_at: Timestamp) -> Result<Offer, StagingError>;

    /// What was put at `place`, with its first bytes, `head_bytes` at most; `None` if there is nothing.
    ///
    /// # Errors
    /// [`StagingError`].
    async fn open(&self, place: &Place, head_bytes: usize) -> Result<Option<Staged>, StagingError>;

    /// The bytes in `range` of the upload at `place` that was opened as `version`, in pieces as they come.
    ///
    /// # Errors
    /// [`StagingError::Altered`] if another one is there, or none; [`StagingError::Unavailable`].
    async fn read(
        &self,
        place: &Place,
        version: &str,
        range: Range<usize>,
    ) -> Result<Pieces, StagingError>;

    /// Deletes what is at `place`, if there is something.
    ///
    /// # Errors
    /// [`StagingError`].
    async fn delete(&self, place: &Place) -> Result<(), StagingError>;
}

/// Content as it comes. After an error nothing follows.
pub type Pieces = BoxStream<'static, Result<Bytes, StagingError>>;

/// An upload that is there.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Staged {
    /// How many bytes it has.
    pub bytes: usize,
    /// Names just this one: another upload to the same place has another.
    pub version: String,
    /// Its first bytes.
    pub head: Bytes,
}

/// What a caller announces.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Expected {
    /// How many bytes.
    pub bytes: usize,
    /// Their SHA-256, if the caller says it.
    pub sha256: Option<[u8; 32]>,
}

/// An address that takes an upload: a `PUT` with these headers and the content as its body.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Offer {
    /// The address. Whoever has it may put the upload there.
    pub url: Url,
    /// Headers that the `PUT` must have.
    pub headers: Vec<(&'static str, String)>,
}

impl Offer {
    /// The headers that go with what is `expected`, at `url`.
    fn of(url: Url, expected: &Expected) -> Self {
        let mut headers = vec![(CONTENT_LENGTH, expected.bytes.to_string())];
        headers.extend(expected.sha256.map(|sum| (CHECKSUM, STANDARD.encode(sum))));
        Self { url, headers }
    }

    /// The header `name`, if the `PUT` must have it.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let (_, value) = headers.find(|(known, _)| *known == name)?;
        Some(value)
    }
}

/// Why an upload cannot be staged.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StagingError {
    /// The place is out of reach, refuses or fails.
    #[error("uploads cannot be staged: {0}")]
    Unavailable(String),
    /// There is no room now.
    #[error("too many uploads are waiting")]
    Full,
    /// It is not what was announced, or was replaced while it was read.
    #[error("what was put is not what was announced")]
    Altered,
}

/// Whose upload, and which.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Place {
    owner: String,
    upload_id: UploadId,
}

/// The id of an upload: `up_`, then in hexadecimal digits its time in milliseconds (12), its size in bytes (8), 128 bits of chance
/// (32), and its SHA-256 if that was announced (64).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UploadId {
    text: String,
    made_at: Timestamp,
    expected: Expected,
}

impl UploadId {
    const PREFIX: &'static str = "up_";

    /// The id, made at `now` with `chance`, of an upload that was announced as `expected`.
    #[must_use]
    pub fn new(now: Timestamp, chance: [u8; 16], expected: Expected) -> Self {
        // Both fit: times until the year 10889, and sizes that were checked.
        let time = now.as_millis() & ((1 << 48) - 1);
        let size = expected.bytes & 0xffff_ffff;
        let sum = expected.sha256.map_or_else(String::new, |sum| hex(&sum));
        Self {
            text: format!("{}{time:012x}{size:08x}{}{sum}", Self::PREFIX, hex(&chance)),
            made_at: Timestamp::from_millis(time),
            expected: Expected {
                bytes: size,
                ..expected
            },
        }
    }

    /// `text` as an id, if it can be one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(Self::PREFIX)?;
        let is_hex = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f');
        if !digits.bytes().all(is_hex) {
            return None;
        }
        let sha256 = match digits.len() {
            52 => None,
            116 => Some(unhex(&digits[52..])?),
            _ => return None,
        };
        let expected = Expected {
            bytes: usize::from_str_radix(&digits[12..20], 16).ok()?,
            sha256,
        };
        Some(Self {
            text: text.to_owned(),
            made_at: Timestamp::from_millis(i64::from_str_radix(&digits[..12], 16).ok()?),
            expected,
        })
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What was announced.
    #[must_use]
    pub const fn expected(&self) -> &Expected {
        &self.expected
    }

    /// Whether the upload may be named at `now`.
    #[must_use]
    pub fn is_usable(&self, now: Timestamp) -> bool {
        self.made_at <= now + SKEW && now <= self.made_at + LIFETIME
    }
}

impl Expected {
    /// Whether content with so many bytes and this sum is it.
    #[must_use]
    pub fn is(&self, bytes: usize, sum: &Digest) -> bool {
        let is_sum = |sha256: [u8; 32]| sum.as_ref() == sha256;
        bytes == self.bytes && self.sha256.is_none_or(is_sum)
    }
}

impl Place {
    /// The place of `upload_id` for whoever holds the API key `key_id` and acts for `app_id`.
    #[must_use]
    pub fn new(key_id: &str, app_id: &AppId, upload_id: UploadId) -> Self {
        let mut context = Context::new(&SHA256);
        for part in [key_id, app_id.as_str()] {
            context.update(&part.len().to_be_bytes());
            context.update(part.as_bytes());
        }
        Self {
            owner: hex(context.finish().as_ref()),
            upload_id,
        }
    }

    /// The place with this owner and id in its path, if there can be one.
    #[must_use]
    pub fn parse(owner: &str, upload_id: &str) -> Option<Self> {
        let is_owner = owner.len() == 64 && is_identifier(owner, 64);
        Some(Self {
            owner: Some(owner).filter(|_| is_owner)?.to_owned(),
            upload_id: UploadId::parse(upload_id)?,
        })
    }

    /// Its path, of plain segments: `staged/<owner>/<id>`.
    #[must_use]
    pub fn path(&self) -> String {
        format!("staged/{}/{}", self.owner, self.upload_id.as_str())
    }

    /// Which upload.
    #[must_use]
    pub const fn upload_id(&self) -> &UploadId {
        &self.upload_id
    }
}

fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(digits: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_769_846_400_000);

    fn app(id: &str) -> AppId {
        AppId::parse(id).unwrap()
    }

    fn new_id(bytes: usize, sha256: Option<[u8; 32]>) -> UploadId {
        UploadId::new(NOW, [0xab; 16], Expected { bytes, sha256 })
    }

    #[test]
    fn an_id_is_usable_for_an_hour_and_not_before_its_time() {
        let id = new_id(1, None);
        assert!(id.is_usable(NOW));
        assert!(id.is_usable(NOW + LIFETIME));
        assert!(!id.is_usable(NOW + LIFETIME + Duration::from_millis(1)));
        assert!(id.is_usable(NOW - SKEW));
        assert!(!id.is_usable(NOW - SKEW - Duration::from_millis(1)));
    }

    #[test]
    fn an_id_says_what_was_announced() {
        let id = new_id(31_457_280, None);
        let text = "up_019c1310e40001e00000abababababababababababababababab";
        assert_eq!(id.as_str(), text);
        let summed = new_id(3, Some([0x0f; 32]));
        assert_eq!(summed.as_str().len(), 3 + 116);
        for id in [id, summed] {
            assert_eq!(UploadId::parse(id.as_str()), Some(id));
        }
    }

    #[test]
    fn what_is_no_id_or_place_is_refused() {
        let digits = |count: usize| format!("up_{}", "0".repeat(count));
        for text in ["", "up_", "../../x", &digits(51), &digits(53), &digits(115)] {
            assert_eq!(UploadId::parse(text), None, "{text}");
        }
        for odd in ["/", "A", "\u{e9}", "+"] {
            let text = format!("up_{}{odd}", "0".repeat(52 - odd.len()));
            assert_eq!(UploadId::parse(&text), None, "{text}");
        }
        let id = new_id(1, None);
        assert_eq!(Place::parse("..", id.as_str()), None);
        let place = Place::new("k", &app("cli_a"), id);
        let path = place.path();
        let parts: Vec<_> = path.split('/').collect();
        assert_eq!(Place::parse(parts[1], parts[2]), Some(place));
    }

    #[test]
    fn another_key_or_app_has_another_place() {
        let id = new_id(1, None);
        let place =
            |key: &str, id_of_app: &str| Place::new(key, &app(id_of_app), id.clone()).path();
        let own = place("key", "cli_a");
        assert_eq!(own, place("key", "cli_a"));
        for other in [
            place("key2", "cli_a"),
            place("key", "cli_b"),
            place("keyc", "li_a"),
        ] {
            assert_ne!(own, other);
        }
    }
}
