//! The name of a file, which readers of a message see.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::error::{Error, Result};

/// The longest name, in characters. The platform documents no limit for messages; for documents it is 250.
const MAX_CHARACTERS: usize = 250;
/// The name of a file without one.
const UNNAMED: &str = "file";

/// `name`, if a file may be called so.
///
/// # Errors
/// [`Error::InvalidArgument`] naming `field`.
pub(super) fn check(field: &str, name: &str) -> Result<String> {
    let name = name.trim();
    let is_one = !name.is_empty()
        && name.chars().count() <= MAX_CHARACTERS
        && !name
            .chars()
            .any(|c| c.is_control() || c == '/' || c == '\\');
    if is_one {
        return Ok(name.to_owned());
    }
    let message = "must be the name of a file, such as report.pdf: 1 to 250 characters on one line, without `/` and `\\`";
    Err(Error::invalid(field, message))
}

/// The name that the part itself has. Some programs send the whole path, of which only the end counts (RFC 7578, section 4.2).
///
/// # Errors
/// As [`check`].
pub(super) fn of_part(name: Option<&str>) -> Result<String> {
    let last = name.and_then(|name| name.rsplit(['/', '\\']).next());
    let last = last.filter(|name| !name.trim().is_empty());
    check("file_name", last.unwrap_or(UNNAMED))
}

/// The value of `filename*` in a header `Content-Disposition` (RFC 8187), which some programs send beside `filename`.
pub(super) fn extended(disposition: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(disposition).ok()?;
    let mut parameters = text.split(';').map(str::trim);
    let value = parameters.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("filename*")
            .then_some(value)
    })?;
    let (charset, rest) = value.trim().trim_matches('"').split_once('\'')?;
    let (_language, encoded) = rest.split_once('\'')?;
    if !charset.eq_ignore_ascii_case("utf-8") {
        return None;
    }
    let decoded = percent_decode_str(encoded).decode_utf8().ok();
    decoded.map(Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_path_is_the_name() {
        for (given, expected) in [
            (Some("报告 1.pdf"), "报告 1.pdf"),
            (Some(r"C:\fakepath\a.txt"), "a.txt"),
            (Some("../../etc/passwd"), "passwd"),
            (Some(" a.txt "), "a.txt"),
            (Some("dir/"), UNNAMED),
            (Some(""), UNNAMED),
            (None, UNNAMED),
        ] {
            assert_eq!(of_part(given).unwrap(), expected, "{given:?}");
        }
    }

    #[test]
    fn a_name_is_on_one_line_and_not_too_long() {
        assert!(check("file_name", &"文".repeat(MAX_CHARACTERS)).is_ok());
        for wrong in [
            "",
            "  ",
            "a\nb",
            "a\r\nContent-Type: x",
            "a\0",
            "a/b",
            "a\\b",
            &"x".repeat(MAX_CHARACTERS + 1),
        ] {
            assert!(check("file_name", wrong).is_err(), "{wrong:?}");
        }
        assert!(of_part(Some("a\tb")).is_err());
    }

    #[test]
    fn an_extended_name_is_decoded() {
        let of = |text: &str| extended(text.as_bytes());
        let name = Some("报告.txt".to_owned());
        let encoded = "%E6%8A%A5%E5%91%8A.txt";
        for text in [
            format!("form-data; name=\"file\"; filename=\"_.txt\"; filename*=UTF-8''{encoded}"),
            format!("form-data; name=\"file\"; FileName*=utf-8'zh'{encoded}; x=y"),
            format!("form-data; filename*=\"UTF-8''{encoded}\""),
        ] {
            assert_eq!(of(&text), name, "{text}");
        }
        for text in [
            "form-data; name=\"file\"; filename=\"a.txt\"",
            "form-data; filename*=ISO-8859-1''%E6",
            "form-data; filename*=UTF-8''%E6",
            "form-data; filename*=a.txt",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
