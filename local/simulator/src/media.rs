//! Uploaded images and files. Beyond [`KEPT_BYTES_MAX`] or [`KEPT_MAX`] the oldest are forgotten.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::directory::ids;
use crate::random::RandomValues;
use crate::spool::Stored;

/// The most bytes of all uploads, on disk.
const KEPT_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// The most uploads.
const KEPT_MAX: usize = 20_000;

const IMAGE: &str = "img_v3_";
const FILE: &str = "file_v3_";

/// What an upload is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum UploadKind {
    Image {
        is_avatar: bool,
        content_type: &'static str,
    },
    File {
        file_type: String,
        name: String,
    },
}

/// An upload that has a key.
pub(crate) struct Upload {
    pub(crate) key: String,
    pub(crate) app_id: Arc<str>,
    pub(crate) kind: UploadKind,
    pub(crate) stored: Arc<Stored>,
}

pub(crate) struct Media(Mutex<State>);

struct State {
    /// The number of the first upload that is kept; the others follow without a gap.
    first: u64,
    kept: VecDeque<Arc<Upload>>,
    bytes: u64,
}

impl Media {
    pub(crate) fn new(random: &RandomValues) -> Self {
        Self(Mutex::new(State {
            first: random.sequence() + 1,
            kept: VecDeque::new(),
            bytes: 0,
        }))
    }

    /// Keeps an upload under a new key.
    pub(crate) fn add(&self, app_id: &str, kind: UploadKind, stored: Stored) -> Arc<Upload> {
        let mut state = self.lock();
        let number = state.first + state.kept.len() as u64;
        let prefix = match kind {
            UploadKind::Image { .. } => IMAGE,
            UploadKind::File { .. } => FILE,
        };
        let upload = Arc::new(Upload {
            key: ids::numbered(prefix, number),
            app_id: app_id.into(),
            kind,
            stored: Arc::new(stored),
        });
        state.bytes += upload.stored.bytes();
        state.kept.push_back(Arc::clone(&upload));
        while state.bytes > KEPT_BYTES_MAX || state.kept.len() > KEPT_MAX {
            let Some(oldest) = state.kept.pop_front() else {
                break;
            };
            state.first += 1;
            state.bytes -= oldest.stored.bytes();
        }
        upload
    }

    pub(crate) fn get(&self, key: &str) -> Option<Arc<Upload>> {
        let number =
            ids::decode_numbered(IMAGE, key).or_else(|| ids::decode_numbered(FILE, key))?;
        let state = self.lock();
        let index = usize::try_from(number.checked_sub(state.first)?).ok()?;
        // The numbers of images are no files' numbers, but an id with another prefix has the same number.
        let upload = state.kept.get(index)?;
        (upload.key == key).then(|| Arc::clone(upload))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::Spool;

    #[test]
    fn a_key_has_the_prefix_of_its_kind() {
        let spool = Spool::new().expect("a temporary file");
        let media = Media::new(&RandomValues::new());
        let kind = UploadKind::File {
            file_type: "pdf".to_owned(),
            name: "a.pdf".to_owned(),
        };
        let upload = media.add("cli_a", kind, spool.begin());
        assert!(upload.key.starts_with(FILE));
        assert!(media.get(&upload.key).is_some());
        let number = ids::decode_numbered(FILE, &upload.key).expect("a key");
        for other in [
            ids::numbered(IMAGE, number),
            ids::numbered(FILE, number + 1),
            ids::numbered(FILE, number - 1),
            "file_v3_x".to_owned(),
        ] {
            assert!(media.get(&other).is_none(), "{other}");
        }
    }
}
