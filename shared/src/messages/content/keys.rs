//! Keys of what was uploaded before. Their form is not documented beyond examples: letters, digits, `_` and `-`; a picture's
//! begins with `img_`, a file's with `file_`. In older examples both look like a UUID.

use crate::ids::is_identifier;

/// The longest key that is accepted; the longest in the platform's examples have 53 characters.
const MAX_BYTES: usize = 128;
/// The shortest: a prefix and something.
const MIN_BYTES: usize = 8;

/// What was uploaded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Upload {
    Image,
    File,
}

impl Upload {
    /// What is wrong with `key` as the key of such an upload.
    pub(super) fn problem(self, key: &str) -> Option<&'static str> {
        let is_image = key.starts_with("img_");
        let is_file = key.starts_with("file_");
        if is_address(key) {
            return Some(match self {
                Self::Image => {
                    "must be the key of an uploaded image, not an address or a path: upload the image first (POST /v1/images) and give the image_key of the answer"
                }
                Self::File => {
                    "must be the key of an uploaded file, not an address or a path: upload the file first (POST /v1/files) and give the file_key of the answer"
                }
            });
        }
        let is_plain = is_identifier(key, MAX_BYTES) && key.len() >= MIN_BYTES;
        match self {
            Self::Image if is_file => Some(
                "must be the key of an uploaded image, `img_…`; this is the key of a file: upload it as an image (POST /v1/images)",
            ),
            Self::File if is_image => Some(
                "must be the key of an uploaded file, `file_…`; this is the key of an image: upload it as a file (POST /v1/files), or send an image",
            ),
            Self::Image if !is_plain || !is_image && !is_like_uuid(key) => Some(
                "must be the key of an uploaded image: `img_` and then letters, digits, `_` or `-`, 8 to 128 characters in all",
            ),
            Self::File if !is_plain => Some(
                "must be the key of an uploaded file: `file_` and then letters, digits, `_` or `-`, 8 to 128 characters in all",
            ),
            Self::Image | Self::File => None,
        }
    }
}

/// Whether `key` has groups of letters and digits as long as those of a UUID.
fn is_like_uuid(key: &str) -> bool {
    let groups: Vec<_> = key.split('-').map(str::len).collect();
    groups == [8, 4, 4, 4, 12]
}

/// Whether somebody took the address or the path of a file for its key.
fn is_address(key: &str) -> bool {
    key.contains("://")
        || key.starts_with("data:")
        || key.contains(['/', '\\'])
        || key.rsplit_once('.').is_some_and(|(name, ending)| {
            !name.is_empty() && (2..=5).contains(&ending.len()) && is_identifier(ending, 5)
        })
}
