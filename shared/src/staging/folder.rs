//! Uploads in a folder of this machine, whose addresses the local host serves.

use std::fs::{self, File};
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, future, stream};
use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use url::Url;

use super::{Expected, LIFETIME, Offer, Pieces, Place, Staged, Staging, StagingError};
use crate::clock::{Clock, Timestamp};

/// The most bytes of all uploads together, announced or there.
const MAX_BYTES: usize = 512 * 1024 * 1024;
/// How much is read at a time.
const PIECE_BYTES: usize = 64 * 1024;
/// How many pieces may wait to be written.
const MAX_WAITING: usize = 4;

/// A [`Staging`] in a folder. All of its state is in the folder.
#[derive(Clone, Debug)]
pub struct FolderStaging {
    folder: PathBuf,
    /// The address of the host that serves the folder.
    host: Option<Url>,
    max_bytes: usize,
    clock: Arc<dyn Clock>,
    /// Held while an offer finds its room.
    offers: Arc<Mutex<()>>,
}

/// What became of a `PUT`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Received {
    /// It is there.
    Stored,
    /// No address was made for it, or its time is over.
    NotOffered,
    /// It is not what the address was made for.
    Other,
}

/// What an address was made for.
#[derive(Deserialize, Serialize)]
struct Offered {
    bytes: usize,
    expires_at_ms: i64,
}

impl FolderStaging {
    /// The folder `uploads` in `data_dir`; the local host serves it at `host`.
    #[must_use]
    pub fn new(data_dir: &Path, host: Option<Url>, clock: Arc<dyn Clock>) -> Self {
        Self {
            folder: data_dir.join("uploads"),
            host,
            max_bytes: MAX_BYTES,
            clock,
            offers: Arc::default(),
        }
    }

    /// The same folder, which takes so many bytes.
    #[cfg(test)]
    const fn with_room_for(mut self, max_bytes: usize) -> Self {
        self.max_bytes = max_bytes;
        self
    }

    /// Takes what is put at an address, piece by piece; it is there when all of it is. An error of `pieces` ends it.
    ///
    /// # Errors
    /// [`StagingError::Unavailable`] when the folder cannot be read or written.
    pub async fn receive<E>(
        &self,
        place: &Place,
        pieces: impl Stream<Item = Result<Bytes, E>>,
    ) -> Result<Received, StagingError> {
        let (offer, file) = (self.file(place, "offer"), self.file(place, "content"));
        let offered = blocking(move || read_offer(&offer)).await?;
        let expires_at = offered.map(|it| Timestamp::from_millis(it.expires_at_ms));
        if expires_at.is_none_or(|end| self.clock.now() > end) {
            return Ok(Received::NotOffered);
        }
        let expected = *place.upload_id().expected();
        let (sender, receiver) = mpsc::channel(MAX_WAITING);
        let writing = blocking(move || write(&file, receiver, &expected));
        let feeding = async move {
            let mut pieces = std::pin::pin!(pieces);
            while let Some(Ok(piece)) = pieces.next().await {
                if sender.send(piece).await.is_err() {
                    // The writer has seen enough.
                    break;
                }
            }
        };
        let ((), received) = future::join(feeding, writing).await;
        received
    }

    fn file(&self, place: &Place, ending: &str) -> PathBuf {
        let name = place.path().replace('/', "-");
        self.folder.join(format!("{name}.{ending}"))
    }
}

#[async_trait]
impl Staging for FolderStaging {
    async fn offer(&self, place: &Place, expires_at: Timestamp) -> Result<Offer, StagingError> {
        let host = self.host.as_ref().ok_or_else(|| {
            StagingError::Unavailable("LARK_SERVICE_PUBLIC_URL is not set".to_owned())
        })?;
        let url = host.join(&place.path()).map_err(failed)?;
        let expected = *place.upload_id().expected();
        let offered = Offered {
            bytes: expected.bytes,
            expires_at_ms: expires_at.as_millis(),
        };
        let (folder, file) = (self.folder.clone(), self.file(place, "offer"));
        let (now, max_bytes, offers) = (self.clock.now(), self.max_bytes, Arc::clone(&self.offers));
        blocking(move || {
            let _one_at_a_time = offers.lock().unwrap_or_else(PoisonError::into_inner);
            fs::create_dir_all(&folder).map_err(failed)?;
            let waiting = sweep(&folder, now)?;
            if waiting + expected.bytes > max_bytes {
                return Err(StagingError::Full);
            }
            let offered = serde_json::to_vec(&offered).map_err(failed)?;
            let draft = Draft::of(&file);
            fs::write(&draft.0, offered).map_err(failed)?;
            draft.become_file(&file)
        })
        .await?;
        Ok(Offer::of(url, &expected))
    }

    async fn open(&self, place: &Place, head_bytes: usize) -> Result<Option<Staged>, StagingError> {
        let file = self.file(place, "content");
        blocking(move || {
            let Some((mut file, version, bytes)) = open(&file)? else {
                return Ok(None);
            };
            let mut head = vec![0; bytes.min(head_bytes)];
            file.read_exact(&mut head).map_err(failed)?;
            let head = head.into();
            Ok(Some(Staged {
                bytes,
                version,
                head,
            }))
        })
        .await
    }

    async fn read(
        &self,
        place: &Place,
        version: &str,
        range: Range<usize>,
    ) -> Result<Pieces, StagingError> {
        let (file, version) = (self.file(place, "content"), version.to_owned());
        let start = u64::try_from(range.start).map_err(failed)?;
        let file = blocking(move || {
            let found = open(&file)?.filter(|(_, found, _)| *found == version);
            let (mut file, _, _) = found.ok_or(StagingError::Altered)?;
            file.seek(SeekFrom::Start(start)).map_err(failed)?;
            Ok(file)
        })
        .await?;
        let pieces = stream::try_unfold((file, range.len()), |(file, left)| async move {
            if left == 0 {
                return Ok(None);
            }
            blocking(move || next_piece(file, left)).await
        });
        Ok(pieces.boxed())
    }

    async fn delete(&self, place: &Place) -> Result<(), StagingError> {
        let files = ["offer", "content"].map(|ending| self.file(place, ending));
        blocking(move || files.iter().try_for_each(|file| remove(file))).await
    }
}

/// The file, its version and its length.
fn open(file: &Path) -> Result<Option<(File, String, usize)>, StagingError> {
    let file = match File::open(file) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let about = file.metadata().map_err(failed)?;
    // Another one has another inode: both are there when it takes the place.
    let version = format!("{}-{}-{}", about.ino(), about.mtime(), about.mtime_nsec());
    let bytes = usize::try_from(about.len()).map_err(failed)?;
    Ok(Some((file, version, bytes)))
}

/// A file at its next piece, and how many bytes are left to read.
type Rest = (File, usize);

/// What comes next in `file`, and the rest.
fn next_piece(mut file: File, left: usize) -> Result<Option<(Bytes, Rest)>, StagingError> {
    let mut piece = vec![0; left.min(PIECE_BYTES)];
    file.read_exact(&mut piece).map_err(failed)?;
    let left = left - piece.len();
    Ok(Some((piece.into(), (file, left))))
}

/// A file that is not whole yet. It goes unless it becomes one.
struct Draft(PathBuf);

impl Draft {
    fn of(file: &Path) -> Self {
        Self(file.with_extension(format!("{:016x}", fastrand::u64(..))))
    }

    fn become_file(self, file: &Path) -> Result<(), StagingError> {
        fs::rename(&self.0, file).map_err(failed)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let _it_became_a_file = fs::remove_file(&self.0);
    }
}

/// The file has all of what is `expected` or is not there, whenever the process dies.
fn write(
    file: &Path,
    mut pieces: mpsc::Receiver<Bytes>,
    expected: &Expected,
) -> Result<Received, StagingError> {
    let draft = Draft::of(file);
    let mut writer = File::create(&draft.0).map_err(failed)?;
    let (mut bytes, mut sum) = (0, Context::new(&SHA256));
    while let Some(piece) = pieces.blocking_recv() {
        bytes += piece.len();
        if bytes > expected.bytes {
            return Ok(Received::Other);
        }
        sum.update(&piece);
        writer.write_all(&piece).map_err(failed)?;
    }
    if !expected.is(bytes, &sum.finish()) {
        return Ok(Received::Other);
    }
    writer.sync_all().map_err(failed)?;
    draft.become_file(file)?;
    Ok(Received::Stored)
}

/// Deletes what cannot be named any more, and what a process left half-written. Returns how many bytes are there or still to come.
fn sweep(folder: &Path, now: Timestamp) -> Result<usize, StagingError> {
    let mut waiting = 0;
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let offered = read_offer(&path.with_extension("offer"))?;
        let is_there = path.with_extension("content").exists();
        let ends = offered.as_ref().map(|it| {
            let end = Timestamp::from_millis(it.expires_at_ms);
            if is_there { end + LIFETIME } else { end }
        });
        if ends.is_none_or(|end| now > end) {
            remove(&path)?;
        } else if path.extension().is_some_and(|ending| ending == "offer") {
            waiting += offered.map_or(0, |it| it.bytes);
        }
    }
    Ok(waiting)
}

/// The offer in `file`, if there is one that can be read.
fn read_offer(file: &Path) -> Result<Option<Offered>, StagingError> {
    match fs::read(file) {
        Ok(text) => Ok(serde_json::from_slice(&text).ok()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

fn remove(file: &Path) -> Result<(), StagingError> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn failed(error: impl std::error::Error) -> StagingError {
    StagingError::Unavailable(error.to_string())
}

#[expect(clippy::disallowed_methods, reason = "awaited here")]
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StagingError> + Send + 'static,
) -> Result<T, StagingError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|panic| Err(failed(panic)))
}

#[cfg(test)]
mod tests;
