//! A form as programs send it: `multipart/form-data` (RFC 7578), read by [`multer`].
//!
//! Parts come in any order. A file is known by the name of its part, and may have neither a file name nor a content type. A field
//! that was left out may be there without content.

use std::convert::Infallible;
use std::task::Poll;

use bytes::Bytes;
use futures_util::{Stream, stream};
use memchr::memmem;
use multer::{Field, Multipart};

use super::{file_name, too_large};
use crate::error::{Error, Result};

/// The most parts that are read.
const MAX_PARTS: usize = 16;
/// The longest field.
const MAX_FIELD_BYTES: usize = 1_024;
/// The longest boundary (RFC 2046, section 5.1.1).
const MAX_BOUNDARY: usize = 70;
/// How much of a body the parser gets at a time. It copies what it gets.
const PORTION_BYTES: usize = 64 * 1024;
/// How much is quoted of what is wrong.
const MAX_QUOTED: usize = 40;

/// Which parts a form may have.
pub(super) struct Shape {
    /// The part with the file, which there must be.
    pub(super) file: &'static str,
    /// The others.
    pub(super) fields: &'static [&'static str],
    /// The most bytes of the file.
    pub(super) max_bytes: usize,
}

/// A form that was read.
#[derive(Debug)]
pub(super) struct Form {
    fields: Vec<(&'static str, String)>,
    pub(super) file: FilePart,
}

/// A file as it came.
#[derive(Debug)]
pub(super) struct FilePart {
    /// It shares the memory of the body.
    pub(super) content: Bytes,
    pub(super) file_name: Option<String>,
}

impl Form {
    /// The form in `body`, whose file is not empty and not too large.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] naming the part, [`Error::FieldTooLarge`].
    pub(super) async fn read(
        content_type: Option<&str>,
        body: &Bytes,
        shape: &Shape,
    ) -> Result<Self> {
        let boundary = boundary(content_type)?;
        let mut parts = Multipart::new(in_portions(body.clone()), boundary.as_str());
        let mut place = Place::new(body, &boundary);
        let mut fields: Vec<(&'static str, String)> = Vec::new();
        let (mut file, mut count) = (None, 0);
        while let Some(part) = parts
            .next_field()
            .await
            .map_err(|error| unreadable(&error))?
        {
            count += 1;
            if count > MAX_PARTS {
                let message = format!("must have at most {MAX_PARTS} parts");
                return Err(Error::invalid("body", message));
            }
            let Some(name) = part.name().map(str::to_owned) else {
                let message = "has a part without a name: each has a header such as `Content-Disposition: form-data; name=\"x\"`";
                return Err(Error::invalid("body", message));
            };
            is_sent_as_it_is(&name, &part)?;
            if name == shape.file {
                let one = file_part(part, &mut place).await?;
                if file.replace(one).is_some() {
                    return Err(Error::invalid(name, "must be given once"));
                }
                continue;
            }
            let Some(known) = shape.fields.iter().find(|known| **known == name) else {
                if is_empty(part, &mut place).await? {
                    continue;
                }
                return Err(unknown(&name, shape));
            };
            let value = field_value(part, known, &mut place).await?;
            if value.is_empty() {
                // As it would be without it.
                continue;
            }
            if fields.iter().any(|(other, _)| other == known) {
                return Err(Error::invalid(*known, "must be given once"));
            }
            fields.push((*known, value));
        }
        let file = file.ok_or_else(|| missing(shape))?;
        let bytes = file.content.len();
        if bytes == 0 {
            return Err(Error::invalid(shape.file, "must not be empty"));
        }
        if bytes > shape.max_bytes {
            return Err(too_large(shape.file, shape.max_bytes, Some(bytes)));
        }
        Ok(Self { fields, file })
    }

    /// The field `name`, if it was given.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter();
        let (_, value) = fields.find(|(known, _)| *known == name)?;
        Some(value)
    }
}

/// Where the parser is in a body. The parser hands out copies; this finds what they are copies of, so that a file is in memory
/// once.
struct Place<'b> {
    body: &'b Bytes,
    delimiter: Vec<u8>,
    /// The end of the part that was read last.
    end: usize,
}

impl<'b> Place<'b> {
    fn new(body: &'b Bytes, boundary: &str) -> Self {
        Self {
            body,
            delimiter: format!("--{boundary}").into_bytes(),
            end: 0,
        }
    }

    /// Goes to the content of the next part: behind a delimiter, the end of its line, and the empty line after the headers.
    fn enter(&mut self) -> Result<()> {
        for wanted in [&self.delimiter[..], b"\r\n", b"\r\n\r\n"] {
            let rest = self.body.get(self.end..).unwrap_or_default();
            let found = memmem::find(rest, wanted).ok_or_else(lost)?;
            self.end += found + wanted.len();
        }
        Ok(())
    }

    /// Goes past `piece`, which must stand here.
    fn pass(&mut self, piece: &[u8]) -> Result<()> {
        let rest = self.body.get(self.end..).unwrap_or_default();
        if !rest.starts_with(piece) {
            return Err(lost());
        }
        self.end += piece.len();
        Ok(())
    }
}

fn lost() -> Error {
    Error::internal("a part is not where it should be in its form")
}

async fn file_part(mut part: Field<'_>, place: &mut Place<'_>) -> Result<FilePart> {
    let disposition = part.headers().get("content-disposition");
    let extended = disposition.and_then(|value| file_name::extended(value.as_bytes()));
    let file_name = extended.or_else(|| part.file_name().map(str::to_owned));
    place.enter()?;
    let start = place.end;
    while let Some(piece) = part.chunk().await.map_err(|error| unreadable(&error))? {
        place.pass(&piece)?;
    }
    Ok(FilePart {
        content: place.body.slice(start..place.end),
        file_name,
    })
}

async fn is_empty(mut part: Field<'_>, place: &mut Place<'_>) -> Result<bool> {
    place.enter()?;
    while let Some(piece) = part.chunk().await.map_err(|error| unreadable(&error))? {
        if !piece.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn field_value(mut part: Field<'_>, name: &str, place: &mut Place<'_>) -> Result<String> {
    place.enter()?;
    let mut value = Vec::new();
    while let Some(piece) = part.chunk().await.map_err(|error| unreadable(&error))? {
        place.pass(&piece)?;
        if value.len() + piece.len() > MAX_FIELD_BYTES {
            let message = format!("must have at most {MAX_FIELD_BYTES} bytes");
            return Err(Error::invalid(name, message));
        }
        value.extend_from_slice(&piece);
    }
    String::from_utf8(value).map_err(|_| Error::invalid(name, "must be text in UTF-8"))
}

/// Encodings of parts are a relic of e-mail (RFC 7578, section 4.7): nobody would decode it.
fn is_sent_as_it_is(name: &str, part: &Field<'_>) -> Result<()> {
    let Some(encoding) = part.headers().get("content-transfer-encoding") else {
        return Ok(());
    };
    let is_plain = ["binary", "7bit", "8bit"]
        .iter()
        .any(|plain| encoding.as_bytes().eq_ignore_ascii_case(plain.as_bytes()));
    if is_plain {
        return Ok(());
    }
    let message = "must be sent as it is, without Content-Transfer-Encoding";
    Err(Error::invalid(quoted(name), message))
}

/// The boundary in a header `Content-Type`.
fn boundary(content_type: Option<&str>) -> Result<String> {
    let wrong = || {
        let message = "must be multipart/form-data with the boundary of the body: curl -F and the form encoders of HTTP libraries set it";
        Error::invalid("header Content-Type", message)
    };
    let given = content_type.ok_or_else(wrong)?;
    let boundary = multer::parse_boundary(given).map_err(|_| wrong())?;
    let is_one = (1..=MAX_BOUNDARY).contains(&boundary.len())
        && boundary
            .bytes()
            .all(|byte| byte.is_ascii_graphic() || byte == b' ')
        && !boundary.ends_with(' ');
    if is_one {
        return Ok(boundary);
    }
    let message = "must have a boundary of 1 to 70 visible ASCII characters";
    Err(Error::invalid("header Content-Type", message))
}

/// The parser would take all that is ready before it reads any of it, so it has to ask for each portion.
fn in_portions(mut body: Bytes) -> impl Stream<Item = std::result::Result<Bytes, Infallible>> {
    let mut is_resting = false;
    stream::poll_fn(move |context| {
        if is_resting {
            is_resting = false;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        is_resting = true;
        let portion = body.split_to(body.len().min(PORTION_BYTES));
        Poll::Ready(Some(portion).filter(|portion| !portion.is_empty()).map(Ok))
    })
}

fn unreadable(error: &multer::Error) -> Error {
    let message = match error {
        multer::Error::IncompleteStream
        | multer::Error::IncompleteFieldData { .. }
        | multer::Error::IncompleteHeaders => {
            "must be a whole form: no part is followed by the closing boundary `--…--` that Content-Type announces"
        }
        multer::Error::ReadHeaderFailed(_)
        | multer::Error::DecodeHeaderName { .. }
        | multer::Error::DecodeHeaderValue { .. } => "has a part whose headers cannot be read",
        multer::Error::UnknownField { .. }
        | multer::Error::FieldSizeExceeded { .. }
        | multer::Error::StreamSizeExceeded { .. }
        | multer::Error::StreamReadFailed(_)
        | multer::Error::LockFailure
        | multer::Error::NoMultipart
        | multer::Error::DecodeContentType(_)
        | multer::Error::NoBoundary
        | _ => "must be multipart/form-data",
    };
    Error::invalid("body", message)
}

fn unknown(name: &str, shape: &Shape) -> Error {
    let fields: Vec<_> = shape.fields.iter().map(|it| format!("`{it}`")).collect();
    let message = format!(
        "is not a part of this form: the parts are `{}` and {}",
        shape.file,
        fields.join(", ")
    );
    Error::invalid(quoted(name), message)
}

fn missing(shape: &Shape) -> Error {
    let file = shape.file;
    let message = format!("must be given: a part named `{file}` whose content is the {file}");
    Error::invalid(file, message)
}

/// `name` as far as it can stand in an error.
fn quoted(name: &str) -> String {
    let plain = name.chars().filter(|c| !c.is_control());
    plain.take(MAX_QUOTED).collect()
}
