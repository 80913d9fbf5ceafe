//! Uploads ("IM v1, Image" and "File" in the platform's reference): an image or a file gets a key, which messages name.
//!
//! A call has no `uuid`. If its answer was lost, the platform may keep a key that nobody knows, which harms nobody.

use bytes::Bytes;
use serde::Deserialize;

use super::apis::{IM_FILE_CREATE, IM_IMAGE_CREATE};
use super::body::Content;
use super::multipart::Form;
use super::request::Request;
use crate::error::LarkFailure;
use crate::ids::is_identifier;

/// The longest key that is accepted.
const MAX_KEY_BYTES: usize = 128;
/// Larger uploads are sent once: several attempts would share the time of the request, and each of them would get too little.
pub const MAX_REPEATED_BYTES: usize = 4 * 1024 * 1024;

/// What an image is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ImageType {
    /// Messages and cards.
    Message,
    /// The picture of a chat or an app.
    Avatar,
}

/// What a file is, in the platform's words.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FileType {
    /// Opus sound in Ogg: what voice messages need.
    Opus,
    /// MPEG-4: what videos need.
    Mp4,
    /// PDF.
    Pdf,
    /// A document of Word.
    Doc,
    /// A workbook of Excel.
    Xls,
    /// A presentation of `PowerPoint`.
    Ppt,
    /// Any other file.
    Stream,
}

/// A file to upload.
#[derive(Clone, Debug)]
pub struct NewFile {
    /// What it is.
    pub file_type: FileType,
    /// Its name, which readers see.
    pub file_name: String,
    /// How long sound or a video plays, in milliseconds.
    pub duration_ms: Option<u32>,
    /// The file itself.
    pub content: Content,
}

impl ImageType {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Message, Self::Avatar];

    /// The type in the platform's words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Avatar => "avatar",
        }
    }
}

impl FileType {
    /// Every type.
    pub const ALL: [Self; 7] = [
        Self::Opus,
        Self::Mp4,
        Self::Pdf,
        Self::Doc,
        Self::Xls,
        Self::Ppt,
        Self::Stream,
    ];

    /// The type in the platform's words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Opus => "opus",
            Self::Mp4 => "mp4",
            Self::Pdf => "pdf",
            Self::Doc => "doc",
            Self::Xls => "xls",
            Self::Ppt => "ppt",
            Self::Stream => "stream",
        }
    }
}

/// Uploads an image; the answer is its `image_key`.
#[must_use]
pub fn create_image(image_type: ImageType, content: &Bytes) -> Request<String> {
    let form = Form::new().field("image_type", image_type.as_str());
    Request::post(IM_IMAGE_CREATE, &["open-apis", "im", "v1", "images"])
        .form(form.file("image", content.clone().into()))
        .repeatable_if(content.len() <= MAX_REPEATED_BYTES)
        .reading_data()
        .map(|key: ImageKey| checked(key.image_key, "image_key"))
}

/// Uploads a file; the answer is its `file_key`.
#[must_use]
pub fn create_file(file: &NewFile) -> Request<String> {
    let mut form = Form::new()
        .field("file_type", file.file_type.as_str())
        .field("file_name", &file.file_name);
    if let Some(duration) = file.duration_ms {
        form = form.field("duration", &duration.to_string());
    }
    Request::post(IM_FILE_CREATE, &["open-apis", "im", "v1", "files"])
        .form(form.file("file", file.content.clone()))
        .repeatable_if(file.content.bytes() <= MAX_REPEATED_BYTES)
        .reading_data()
        .map(|key: FileKey| checked(key.file_key, "file_key"))
}

#[derive(Deserialize)]
struct ImageKey {
    image_key: String,
}

#[derive(Deserialize)]
struct FileKey {
    file_key: String,
}

fn checked(key: String, name: &str) -> Result<String, LarkFailure> {
    if is_identifier(&key, MAX_KEY_BYTES) {
        return Ok(key);
    }
    Err(LarkFailure::lacking(name))
}
