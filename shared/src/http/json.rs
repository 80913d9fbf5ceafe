//! A request's body as JSON.

use serde::de::DeserializeOwned;

use crate::error::{Error, Result};

/// The largest body that is read: API Gateway and Lambda allow 6 MB.
pub const MAX_BODY_BYTES: usize = 6 * 1024 * 1024;

/// How much is quoted of what is wrong, in characters.
const MAX_QUOTED: usize = 200;

/// The object in `body`.
///
/// # Errors
/// [`Error::PayloadTooLarge`], or [`Error::InvalidArgument`] naming the place in the body.
pub(super) fn object<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    if body.len() > MAX_BODY_BYTES {
        return Err(Error::PayloadTooLarge(MAX_BODY_BYTES));
    }
    // serde would accept an array of the fields' values as the object.
    if body.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err(Error::invalid("body", "must be a JSON object"));
    }
    // The error's text may contain what was sent, such as a secret; the place does not.
    let mut reader = serde_json::Deserializer::from_slice(body);
    let parsed = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let path: String = path.chars().take(MAX_QUOTED).collect();
        let field = if path == "." { "body".to_owned() } else { path };
        Error::invalid(field, expected(error.inner()))
    })?;
    reader
        .end()
        .map_err(|_| Error::invalid("body", "must be one JSON object and nothing more"))?;
    Ok(parsed)
}

/// What is wrong with the JSON, in terms of JSON and without its values.
fn expected(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let is_plain = ["missing field", "unknown field", "duplicate field"]
        .iter()
        .any(|start| text.starts_with(start));
    if is_plain {
        // It names the field, which may be of any length, and so may a line of the log.
        return text.chars().take(MAX_QUOTED).collect();
    }
    let wanted = text.rsplit_once("expected ").map(|(_, wanted)| {
        let wanted = wanted.split(" at line ").next().unwrap_or(wanted);
        match wanted {
            "f64" | "u64" | "u32" | "i64" | "i32" => "a number",
            wanted if wanted.starts_with("struct ") || wanted.starts_with("a map") => "an object",
            wanted => wanted,
        }
    });
    match wanted {
        Some(wanted) if error.is_data() => format!("must be {wanted}"),
        _ => {
            let (line, column) = (error.line(), error.column());
            format!("is not the expected JSON at line {line} column {column}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_read_up_to_the_limit_and_not_beyond() {
        let body = |length: usize| {
            let spaces = " ".repeat(length - 2);
            format!("{{{spaces}}}").into_bytes()
        };
        let read = |length| object::<serde_json::Map<_, serde_json::Value>>(&body(length));
        assert!(read(MAX_BODY_BYTES).is_ok());
        let refused = read(MAX_BODY_BYTES + 1);
        assert!(matches!(
            refused,
            Err(Error::PayloadTooLarge(MAX_BODY_BYTES))
        ));
    }
}
