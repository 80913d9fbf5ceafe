//! Uploads that are too large for a request: where to put them, and what was put there.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tracing::warn;

use super::verified::{collected, verified};
use super::view::View;
use super::{FileClaims, MAX_FILE_BYTES, MAX_IMAGE_BYTES, NewImage, new_image, too_large};
use crate::clock::{Clock, Timestamp};
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::ids::AppId;
use crate::lark::body::Content;
use crate::lark::media::{ImageType, MAX_REPEATED_BYTES, NewFile};
use crate::staging::{
    Expected, OFFER_LIFETIME, Offer, Pieces, Place, Staged, Staging, StagingError, UploadId,
};

/// How much is read of an upload to see what it is.
const HEAD_BYTES: usize = 64 * 1024;
/// How often more is read, where it is not the beginning that says it.
const MAX_WINDOWS: usize = 32;
/// How long a deletion may take. What is not deleted now is within a day.
const DELETION: Duration = Duration::from_secs(2);
/// When there may be room again.
const ROOM_IN: Duration = Duration::from_secs(60);

/// Uploads in a place of their own. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Uploads {
    staging: Option<Arc<dyn Staging>>,
    clock: Arc<dyn Clock>,
}

/// What is going to be put.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// An image.
    Image,
    /// A file.
    File,
}

/// Where a caller puts an upload.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// Names it afterwards.
    pub upload_id: UploadId,
    /// The address.
    pub offer: Offer,
    /// When the address ends.
    pub expires_at: Timestamp,
}

/// Who asks, for which app.
#[derive(Clone, Copy, Debug)]
pub struct Owner<'o> {
    /// The API key.
    pub key_id: &'o str,
    /// The app.
    pub app_id: &'o AppId,
}

/// An upload that was found, and is about to be sent.
#[derive(Clone, Debug)]
pub struct Found {
    staging: Arc<dyn Staging>,
    place: Place,
    version: String,
    /// Why it could not be read while it was sent.
    failure: Arc<Mutex<Option<StagingError>>>,
}

impl Kind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Image, Self::File];

    /// Its name, which is also that of a form's part.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::File => "file",
        }
    }

    /// The most bytes.
    #[must_use]
    pub const fn max_bytes(self) -> usize {
        match self {
            Self::Image => MAX_IMAGE_BYTES,
            Self::File => MAX_FILE_BYTES,
        }
    }
}

impl Uploads {
    /// Uploads in `staging`, if this process has such a place.
    #[must_use]
    pub fn new(staging: Option<Arc<dyn Staging>>, clock: Arc<dyn Clock>) -> Self {
        Self { staging, clock }
    }

    /// An address for an upload as `expected`, whose id has this `chance`.
    ///
    /// # Errors
    /// [`Error::Staging`]; [`Error::RateLimited`] when too many are waiting.
    pub async fn prepare(
        &self,
        owner: Owner<'_>,
        chance: [u8; 16],
        expected: Expected,
    ) -> Result<Prepared> {
        let now = self.clock.now();
        let upload_id = UploadId::new(now, chance, expected);
        let expires_at = now + OFFER_LIFETIME;
        let place = Place::new(owner.key_id, owner.app_id, upload_id.clone());
        let offer = self.staging()?.offer(&place, expires_at).await;
        Ok(Prepared {
            upload_id,
            offer: offer.map_err(failed)?,
            expires_at,
        })
    }

    /// The image that was put there as `upload_id`. It is read here: an image fits into memory.
    ///
    /// # Errors
    /// [`Error::UploadNotFound`], [`Error::FieldTooLarge`], [`Error::InvalidArgument`] for what is no image, or not what was
    /// announced; [`Error::Staging`].
    pub async fn image(
        &self,
        owner: Owner<'_>,
        upload_id: UploadId,
        image_type: ImageType,
    ) -> Result<(NewImage, Found)> {
        let (found, opened) = self.open(owner, Kind::Image, upload_id).await?;
        let content = found.content(opened).await.map_err(failed)?;
        Ok((new_image(image_type, content)?, found))
    }

    /// The file that was put there as `upload_id`, if it is what `claims` say. A large one is not read here, but while it is sent.
    ///
    /// # Errors
    /// As [`Uploads::image`].
    pub async fn file(
        &self,
        owner: Owner<'_>,
        upload_id: UploadId,
        claims: FileClaims,
    ) -> Result<(NewFile, Found)> {
        let (found, opened) = self.open(owner, Kind::File, upload_id).await?;
        let bytes = opened.bytes;
        if bytes <= MAX_REPEATED_BYTES {
            let content = found.content(opened).await.map_err(failed)?;
            let view = View::whole(&content);
            return Ok((claims.of(&view, content.into())?, found));
        }
        let mut view = View::new(bytes, opened.head);
        for _ in 0..MAX_WINDOWS {
            let _looked = claims.file_type(&view);
            let Some(range) = view.take_missing() else {
                break;
            };
            let window = found.window(range.start, range.len()).await;
            view.add(range.start, window.map_err(failed)?);
        }
        let reader = found.clone();
        let content = Content::streamed(bytes, move || {
            let reader = reader.clone();
            let noting = reader.clone();
            let pieces = stream::once(async move { reader.pieces().await }).try_flatten();
            let noted = pieces.map_err(move |error| noting.note(error));
            noted.map_err(Into::into).boxed()
        });
        Ok((claims.of(&view, content)?, found))
    }

    async fn open(
        &self,
        owner: Owner<'_>,
        kind: Kind,
        upload_id: UploadId,
    ) -> Result<(Found, Staged)> {
        if !upload_id.is_usable(self.clock.now()) {
            return Err(Error::UploadNotFound);
        }
        let expected = *upload_id.expected();
        if expected.bytes > kind.max_bytes() {
            let bytes = Some(expected.bytes);
            return Err(too_large(kind.as_str(), kind.max_bytes(), bytes));
        }
        let place = Place::new(owner.key_id, owner.app_id, upload_id);
        let staging = self.staging()?;
        let opened = staging.open(&place, HEAD_BYTES).await.map_err(failed)?;
        let opened = opened.ok_or(Error::UploadNotFound)?;
        if opened.bytes != expected.bytes {
            return Err(failed(StagingError::Altered));
        }
        let found = Found {
            staging: Arc::clone(staging),
            place,
            version: opened.version.clone(),
            failure: Arc::default(),
        };
        Ok((found, opened))
    }

    fn staging(&self) -> Result<&Arc<dyn Staging>> {
        let missing = "LARK_SERVICE_UPLOADS_BUCKET is not set";
        let staging = self.staging.as_ref();
        staging.ok_or_else(|| failed(StagingError::Unavailable(missing.to_owned())))
    }
}

impl Found {
    /// The outcome of sending it: where it could not be read, that is why.
    ///
    /// # Errors
    /// That of `sent`; [`Error::InvalidArgument`] for what is not what was announced, [`Error::Staging`].
    pub fn sent<T, E: Into<Error>>(&self, sent: std::result::Result<T, E>) -> Result<T> {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        sent.map_err(|error| failure.take().map_or_else(|| error.into(), failed))
    }

    /// Deletes it, since it is used up.
    pub async fn delete(self, deadline: Deadline) {
        let patience = DELETION.min(deadline.remaining());
        let deleted = tokio::time::timeout(patience, self.staging.delete(&self.place)).await;
        match deleted {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!(%error, "an upload that was used is not deleted yet"),
            Err(_) => warn!("an upload that was used is not deleted yet: no answer in time"),
        }
    }

    /// All of it, as it was announced.
    async fn pieces(&self) -> std::result::Result<Pieces, StagingError> {
        let expected = *self.place.upload_id().expected();
        let range = 0..expected.bytes;
        let read = self.staging.read(&self.place, &self.version, range);
        Ok(verified(read.await?, expected))
    }

    /// All of it, in memory.
    async fn content(&self, opened: Staged) -> std::result::Result<Bytes, StagingError> {
        if opened.head.len() < opened.bytes {
            return collected(self.pieces().await?, opened.bytes).await;
        }
        let expected = *self.place.upload_id().expected();
        let head = stream::iter([Ok(opened.head)]).boxed();
        collected(verified(head, expected), opened.bytes).await
    }

    async fn window(&self, start: usize, bytes: usize) -> std::result::Result<Bytes, StagingError> {
        let range = start..start + bytes;
        let read = self.staging.read(&self.place, &self.version, range);
        collected(read.await?, bytes).await
    }

    /// Keeps why it cannot be read; the copy tells the connection.
    fn note(&self, error: StagingError) -> StagingError {
        let copy = error.clone();
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        copy
    }
}

fn failed(error: StagingError) -> Error {
    match error {
        StagingError::Unavailable(_) => Arc::new(error).into(),
        StagingError::Full => Error::RateLimited {
            retry_after: ROOM_IN,
            failure: None,
        },
        StagingError::Altered => {
            let message = "must name an upload of just what was announced: what was put there has another size or another SHA-256, or \
                           was replaced while it was read";
            Error::invalid("upload_id", message)
        }
    }
}

/// What a caller says of an upload of `kind` before it is there.
///
/// # Errors
/// [`Error::InvalidArgument`] naming the field, [`Error::FieldTooLarge`].
pub fn expected(kind: Kind, size: u64, sha256: Option<&str>) -> Result<Expected> {
    let bytes = usize::try_from(size).unwrap_or(usize::MAX);
    if bytes == 0 {
        return Err(Error::invalid("size", "must be at least 1"));
    }
    if bytes > kind.max_bytes() {
        return Err(too_large("size", kind.max_bytes(), Some(bytes)));
    }
    let sum = |text: &str| STANDARD.decode(text).ok()?.try_into().ok();
    let sha256 = match sha256 {
        None => None,
        Some(text) => Some(sum(text).ok_or_else(|| {
            Error::invalid("sha256", "must be a SHA-256 in Base64: 44 characters")
        })?),
    };
    Ok(Expected { bytes, sha256 })
}

/// The id in a field `upload_id`.
///
/// # Errors
/// [`Error::InvalidArgument`].
pub fn upload_id(text: &str) -> Result<UploadId> {
    UploadId::parse(text).ok_or_else(|| {
        let message =
            "must be an upload_id that POST /v1/uploads gave: up_ and 52 or 116 hexadecimal digits";
        Error::invalid("upload_id", message)
    })
}
