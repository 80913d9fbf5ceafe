//! Content that is a text, the key of an upload, or an id.

use serde_json::{Map, Value};

use super::super::problems::{Path, Problems};
use super::keys::Upload;
use super::mentions;
use super::reader::Object;
use crate::ids::OpenId;
use crate::lark::chats::ChatId;

/// `{"text": "hi"}`.
pub(super) fn check_text(content: &Map<String, Value>, path: &Path<'_>, problems: &mut Problems) {
    let content = Object::new(content, path);
    let Some(text) = content.full_text("text", problems) else {
        return;
    };
    if let Some(wrong) = mentions::problem(text) {
        problems.add(&path.field("text"), wrong);
    }
}

/// `{"image_key": "img_…"}`.
pub(super) fn check_image(content: &Map<String, Value>, path: &Path<'_>, problems: &mut Problems) {
    required_key(
        Object::new(content, path),
        "image_key",
        Upload::Image,
        problems,
    );
}

/// `{"file_key": "file_…"}`.
pub(super) fn check_file(content: &Map<String, Value>, path: &Path<'_>, problems: &mut Problems) {
    required_key(
        Object::new(content, path),
        "file_key",
        Upload::File,
        problems,
    );
}

/// `{"file_key": "file_…", "image_key": "img_…"}`: a video and, optionally, its cover.
pub(super) fn check_media(content: &Map<String, Value>, path: &Path<'_>, problems: &mut Problems) {
    let content = Object::new(content, path);
    required_key(content, "file_key", Upload::File, problems);
    optional_key(content, "image_key", Upload::Image, problems);
}

/// `{"chat_id": "oc_…"}`.
pub(super) fn check_share_chat(
    content: &Map<String, Value>,
    path: &Path<'_>,
    problems: &mut Problems,
) {
    let text = Object::new(content, path).text("chat_id", problems);
    if let Some(error) = text.and_then(|text| ChatId::parse(text).err()) {
        problems.add_error(&path.field("chat_id"), &error);
    }
}

/// `{"user_id": "ou_…"}`: an open_id, whatever the name says.
pub(super) fn check_share_user(
    content: &Map<String, Value>,
    path: &Path<'_>,
    problems: &mut Problems,
) {
    let text = Object::new(content, path).text("user_id", problems);
    if text.is_some_and(|text| OpenId::parse(text).is_none()) {
        problems.add(
            &path.field("user_id"),
            "must be an open_id: `ou_` and then letters, digits, `_` or `-`; the platform shares users by no other id",
        );
    }
}

/// Checks the key in the field `name`, which must be there.
pub(super) fn required_key(
    object: Object<'_>,
    name: &str,
    upload: Upload,
    problems: &mut Problems,
) {
    let key = object.text(name, problems);
    if let Some(wrong) = key.and_then(|key| upload.problem(key)) {
        problems.add(&object.path.field(name), wrong);
    }
}

/// Checks the key in the field `name`, if it is there.
pub(super) fn optional_key(
    object: Object<'_>,
    name: &str,
    upload: Upload,
    problems: &mut Problems,
) {
    if object.fields.contains_key(name) {
        required_key(object, name, upload, problems);
    }
}
