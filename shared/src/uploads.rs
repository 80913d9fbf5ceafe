//! Images and files on their way to the platform: what a caller sends is read and checked before anything is asked of it. What is
//! too large for a request is put elsewhere first ([`crate::staging`]).
//!
//! What something is, is judged by its content. Names, endings and content types are what callers say, and are often wrong.
//! Source of the limits: "Upload image" and "Upload file" in the platform's reference. For MB it does not say whether it counts
//! by 1,000 or 1,024.

use bytes::Bytes;

use crate::error::{Error, FieldError, Result};
use crate::lark::body::Content;
use crate::lark::media::{FileType, ImageType, NewFile};

mod compound_file;
mod file_name;
mod file_type;
mod form;
mod image;
mod staged;
mod verified;
mod view;
mod zip;

use form::{Form, Shape};
use image::{Format, Image};
pub use staged::{Found, Kind, Owner, Prepared, Uploads, expected, upload_id};
use view::View;

/// The largest image.
pub const MAX_IMAGE_BYTES: usize = 10 * 1024 * 1024;
/// The largest file.
pub const MAX_FILE_BYTES: usize = 30 * 1024 * 1024;
/// The largest body of a request: a file, and what a form has around it.
pub const MAX_BODY_BYTES: usize = MAX_FILE_BYTES + 256 * 1024;

/// The most pixels of a GIF in each direction.
const MAX_GIF: u32 = 2_000;
/// The most pixels of any other image.
const MAX_PIXELS: u32 = 12_000;
/// The most pixels of an avatar.
const MAX_AVATAR: u32 = 4_096;

const IMAGE_FORM: Shape = Shape {
    file: "image",
    fields: &["image_type"],
    max_bytes: MAX_IMAGE_BYTES,
};
const FILE_FORM: Shape = Shape {
    file: "file",
    fields: &["file_type", "file_name", "duration"],
    max_bytes: MAX_FILE_BYTES,
};

/// An image that the platform takes, as far as can be seen from here.
#[derive(Clone, Debug)]
pub struct NewImage {
    /// What it is for.
    pub image_type: ImageType,
    /// The image itself.
    pub content: Bytes,
}

/// The image in a request's `body`, a form with this `content_type`.
///
/// # Errors
/// [`Error::InvalidArgument`] naming the part that is wrong; [`Error::FieldTooLarge`].
pub async fn read_image(content_type: Option<&str>, body: &Bytes) -> Result<NewImage> {
    let form = Form::read(content_type, body, &IMAGE_FORM).await?;
    let image_type = image_type(form.field("image_type"))?;
    new_image(image_type, form.file.content)
}

/// What an image is for, by the caller's word.
///
/// # Errors
/// [`Error::InvalidArgument`].
pub fn image_type(text: Option<&str>) -> Result<ImageType> {
    let Some(text) = text else {
        return Ok(ImageType::Message);
    };
    let known = ImageType::ALL.into_iter().find(|it| it.as_str() == text);
    known.ok_or_else(|| Error::invalid("image_type", "must be `message` or `avatar`"))
}

/// The image `content`, if the platform takes it.
///
/// # Errors
/// [`Error::InvalidArgument`] naming `image`.
pub fn new_image(image_type: ImageType, content: Bytes) -> Result<NewImage> {
    check_image(&content, image_type)?;
    Ok(NewImage {
        image_type,
        content,
    })
}

/// What a caller says of a file.
#[derive(Clone, Debug, Default)]
pub struct FileClaims {
    /// What it is, if said.
    pub file_type: Option<FileType>,
    /// Its name.
    pub file_name: String,
    /// How long it plays.
    pub duration_ms: Option<u32>,
}

impl FileClaims {
    /// # Errors
    /// [`Error::InvalidArgument`] naming the field.
    pub fn check(
        file_type: Option<&str>,
        file_name: Option<&str>,
        duration_ms: Option<u32>,
    ) -> Result<Self> {
        if duration_ms.is_some_and(|ms| ms > i32::MAX as u32) {
            return Err(Error::invalid("duration", "must be at most 2147483647"));
        }
        Ok(Self {
            file_type: file_type.map(file_type::claimed).transpose()?,
            file_name: match file_name {
                Some(name) => file_name::check("file_name", name)?,
                None => file_name::of_part(None)?,
            },
            duration_ms,
        })
    }

    /// What the file in `view` is, if it is what is said of it.
    fn file_type(&self, view: &View) -> Result<FileType> {
        file_type::check(self.file_type, view)
    }

    /// The file `content`, of which `view` shows what it is.
    fn of(self, view: &View, content: Content) -> Result<NewFile> {
        Ok(NewFile {
            file_type: self.file_type(view)?,
            file_name: self.file_name,
            duration_ms: self.duration_ms,
            content,
        })
    }
}

/// The file in a request's `body`, a form with this `content_type`.
///
/// # Errors
/// As [`read_image`].
pub async fn read_file(content_type: Option<&str>, body: &Bytes) -> Result<NewFile> {
    let form = Form::read(content_type, body, &FILE_FORM).await?;
    let duration_ms = form.field("duration").map(duration).transpose()?;
    let file_name = match form.field("file_name") {
        Some(name) => file_name::check("file_name", name)?,
        None => file_name::of_part(form.file.file_name.as_deref())?,
    };
    let claim = form.field("file_type").map(file_type::claimed);
    let claims = FileClaims {
        file_type: claim.transpose()?,
        file_name,
        duration_ms,
    };
    claims.of(&View::whole(&form.file.content), form.file.content.into())
}

fn check_image(content: &[u8], image_type: ImageType) -> Result<()> {
    let Some(format) = Format::of(content) else {
        let message = "must be an image: JPEG, PNG, WebP, GIF, BMP, ICO, TIFF or HEIC. What it is, is judged by its content";
        return Err(Error::invalid("image", message));
    };
    let name = format.name();
    let Some(Image { width, height }) = format.pixels(content) else {
        let message = format!(
            "must be a whole image: it begins as {name}, and the number of its pixels cannot be read"
        );
        return Err(Error::invalid("image", message));
    };
    let (max, what) = match (format, image_type) {
        (Format::Gif, ImageType::Message | ImageType::Avatar) => (MAX_GIF, "a GIF"),
        (_, ImageType::Avatar) => (MAX_AVATAR, "an avatar"),
        (_, ImageType::Message) => (MAX_PIXELS, "an image"),
    };
    if width.max(height) > max {
        let message =
            format!("must have at most {max} × {max} pixels as {what}; it has {width} × {height}");
        return Err(Error::invalid("image", message));
    }
    Ok(())
}

/// A number of milliseconds; the platform takes a signed number of 32 bits.
fn duration(text: &str) -> Result<u32> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|ms| *ms <= i32::MAX as u32);
    number.filter(|_| is_plain).ok_or_else(|| {
        Error::invalid(
            "duration",
            "must be a number of milliseconds, such as 12000, at most 2147483647",
        )
    })
}

/// The part `field` has more than `max_bytes`.
fn too_large(field: &str, max_bytes: usize, bytes: Option<usize>) -> Error {
    let megabytes = max_bytes / (1024 * 1024);
    let found = bytes.map_or_else(String::new, |bytes| format!("; it has {bytes} bytes"));
    Error::FieldTooLarge(FieldError {
        field: field.to_owned(),
        message: format!("must have at most {megabytes} MB ({max_bytes} bytes){found}"),
    })
}
