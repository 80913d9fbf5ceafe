//! Images and files ("IM v1, Image" and "File" in the platform's reference), up and down.

use std::sync::Arc;

use http::{Method, StatusCode};
use serde_json::json;

use super::Handler;
use super::messages;
use crate::answer::{Answer, ApiError};
use crate::endpoint::{AuthMethod, Call, Endpoint};
use crate::media::{Upload, UploadKind};
use crate::multipart::Form;
use crate::platform::Platform;
use crate::rate_limit::Tier;
use crate::spool::Stored;

/// For MB the platform does not say whether it counts by 1,000 or 1,024.
const IMAGE_MAX: u64 = 10 * 1024 * 1024;
const FILE_MAX: u64 = 30 * 1024 * 1024;

const FILE_TYPES: [&str; 7] = ["opus", "mp4", "pdf", "doc", "xls", "ppt", "stream"];

const OCTETS: &str = "application/octet-stream";

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    endpoint(
        "im.image.create",
        Method::POST,
        "/open-apis/im/v1/images",
        create_image,
    ),
    endpoint(
        "im.image.get",
        Method::GET,
        "/open-apis/im/v1/images/{image_key}",
        get_image,
    ),
    endpoint(
        "im.file.create",
        Method::POST,
        "/open-apis/im/v1/files",
        create_file,
    ),
    endpoint(
        "im.file.get",
        Method::GET,
        "/open-apis/im/v1/files/{file_key}",
        get_file,
    ),
    endpoint(
        "im.message_resource.get",
        Method::GET,
        "/open-apis/im/v1/messages/{message_id}/resources/{file_key}",
        get_resource,
    ),
];

const fn endpoint(
    name: &'static str,
    method: Method,
    path: &'static str,
    handler: Handler,
) -> Endpoint {
    Endpoint {
        name,
        method,
        path,
        auth: AuthMethod::TenantToken,
        scopes: &[
            "im:resource",
            "im:resource:upload",
            "im:message",
            "im:message:readonly",
        ],
        tier: Tier::Four,
        handler,
    }
}

fn create_image(platform: &Platform, call: &Call<'_>) -> Result<Answer, ApiError> {
    let mut form = form(call)?;
    let is_avatar = match form.field("image_type") {
        Some("message") => false,
        Some("avatar") => true,
        Some(_) | None => return Err(invalid("image_type")),
    };
    let stored = file(&mut form, "image", IMAGE_MAX)?;
    let content_type = image_type(stored.head())
        .ok_or_else(|| error(234_011, "Can't recognize the image format."))?;
    let kind = UploadKind::Image {
        is_avatar,
        content_type,
    };
    let upload = platform.media.add(&call.app.app_id, kind, stored);
    Ok(Answer::data(&json!({ "image_key": upload.key })))
}

fn create_file(platform: &Platform, call: &Call<'_>) -> Result<Answer, ApiError> {
    let mut form = form(call)?;
    let file_type = form.field("file_type");
    let file_type = file_type
        .filter(|file_type| FILE_TYPES.contains(file_type))
        .ok_or_else(|| invalid("file_type"))?;
    let name = form
        .field("file_name")
        .ok_or_else(|| invalid("file_name"))?;
    let duration = form.field("duration").map(str::parse::<u32>);
    if duration.is_some_and(|duration| duration.is_err()) {
        return Err(invalid("duration"));
    }
    let kind = UploadKind::File {
        file_type: file_type.to_owned(),
        name: name.to_owned(),
    };
    let stored = file(&mut form, "file", FILE_MAX)?;
    let upload = platform.media.add(&call.app.app_id, kind, stored);
    Ok(Answer::data(&json!({ "file_key": upload.key })))
}

fn form(call: &Call<'_>) -> Result<Form, ApiError> {
    call.request
        .take_multipart()
        .ok_or_else(|| invalid("multipart form"))
}

fn file(form: &mut Form, name: &str, bytes_max: u64) -> Result<Stored, ApiError> {
    let stored = form.take_file(name).ok_or_else(|| invalid(name))?;
    if stored.bytes() == 0 {
        return Err(error(234_010, "File's size can't be 0."));
    }
    if stored.bytes() > bytes_max {
        return Err(error(234_006, "The file size exceed the max value."));
    }
    Ok(stored)
}

/// The content type of an image, by its first bytes; `None` if it is of no kind that the platform takes.
fn image_type(head: &[u8]) -> Option<&'static str> {
    const BEGINNINGS: [(&[u8], &str); 8] = [
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"\xff\xd8\xff", "image/jpeg"),
        (b"GIF87a", "image/gif"),
        (b"GIF89a", "image/gif"),
        (b"BM", "image/bmp"),
        (b"\0\0\x01\0", "image/x-icon"),
        (b"II*\0", "image/tiff"),
        (b"MM\0*", "image/tiff"),
    ];
    let mut known = BEGINNINGS.into_iter();
    if let Some((_, content_type)) = known.find(|(beginning, _)| head.starts_with(beginning)) {
        return Some(content_type);
    }
    match (head.get(..4)?, head.get(4..8)?, head.get(8..12)?) {
        (b"RIFF", _, b"WEBP") => Some("image/webp"),
        (_, b"ftyp", b"heic" | b"heix" | b"mif1" | b"heim") => Some("image/heic"),
        _ => None,
    }
}

/// Only the app's own, and no avatars.
fn get_image(platform: &Platform, call: &Call<'_>) -> Result<Answer, ApiError> {
    let upload = own(platform, call, call.parameter("image_key"))?;
    match upload.kind {
        UploadKind::Image {
            is_avatar: false, ..
        } => Ok(download(&upload)),
        UploadKind::Image {
            is_avatar: true, ..
        }
        | UploadKind::File { .. } => Err(invalid("image_key")),
    }
}

fn get_file(platform: &Platform, call: &Call<'_>) -> Result<Answer, ApiError> {
    let upload = own(platform, call, call.parameter("file_key"))?;
    match upload.kind {
        UploadKind::File { .. } => Ok(download(&upload)),
        UploadKind::Image { .. } => Err(invalid("file_key")),
    }
}

fn own(platform: &Platform, call: &Call<'_>, key: &str) -> Result<Arc<Upload>, ApiError> {
    let upload = platform.media.get(key).ok_or_else(|| invalid("key"))?;
    match *upload.app_id == *call.app.app_id {
        true => Ok(upload),
        false => Err(error(234_008, "The app is not the resource sender.")),
    }
}

/// An image or file in a message of a chat with the bot.
fn get_resource(platform: &Platform, call: &Call<'_>) -> Result<Answer, ApiError> {
    let message = messages::find(platform, call)?;
    if message.is_recalled {
        return Err(error(234_005, "The message has been deleted."));
    }
    let key = call.parameter("file_key");
    let upload = platform
        .media
        .get(key)
        .filter(|_| message.content.contains(key));
    let upload = upload.ok_or_else(|| error(234_003, "File not in msg."))?;
    let is_image = match call.request.query.first("type") {
        Some("image") => true,
        Some("file") => false,
        Some(_) | None => return Err(invalid("type")),
    };
    match is_image == matches!(upload.kind, UploadKind::Image { .. }) {
        true => Ok(download(&upload)),
        false => Err(invalid("type")),
    }
}

fn download(upload: &Upload) -> Answer {
    let (content_type, name) = match &upload.kind {
        UploadKind::Image { content_type, .. } => (*content_type, upload.key.as_str()),
        UploadKind::File { name, .. } => (OCTETS, name.as_str()),
    };
    Answer::download(content_type, disposition(name), Arc::clone(&upload.stored))
}

/// RFC 6266: a name for everybody, and the whole one for those who know `filename*`.
fn disposition(name: &str) -> String {
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ' ');
    let plain: String = name
        .chars()
        .map(|c| if is_plain(&c) { c } else { '_' })
        .collect();
    let encoded: String = name
        .bytes()
        .map(|byte| match char::from(byte) {
            c if c != ' ' && is_plain(&c) => c.to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect();
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}")
}

fn invalid(name: &str) -> ApiError {
    let msg = format!("Invalid request param: {name}.");
    error(234_001, msg)
}

fn error(code: i64, msg: impl Into<String>) -> ApiError {
    ApiError::documented(StatusCode::BAD_REQUEST, code, msg)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_recognized_by_their_first_bytes() {
        for (head, expected) in [
            (&b"\x89PNG\r\n\x1a\n...."[..], Some("image/png")),
            (b"\xff\xd8\xff\xe0", Some("image/jpeg")),
            (b"RIFF\x10\0\0\0WEBPVP8 ", Some("image/webp")),
            (b"RIFF\x10\0\0\0WAVEfmt ", None),
            (b"\0\0\0\x18ftypheic", Some("image/heic")),
            (b"\0\0\0\x18ftypisom", None),
            (b"%PDF-1.7 and more", None),
            (b"", None),
        ] {
            assert_eq!(image_type(head), expected, "{head:?}");
        }
    }

    #[test]
    fn a_name_in_any_language_reaches_the_header() {
        assert_eq!(
            disposition("报告 1.txt"),
            "attachment; filename=\"__ 1.txt\"; filename*=UTF-8''%E6%8A%A5%E5%91%8A%201.txt"
        );
        assert!(disposition("a\"\r\nb").is_ascii());
    }
}
