//! A request's body as JSON.

use serde::de::DeserializeOwned;

use crate::error::{Error, FieldError, Result};

/// The largest body that is read: API Gateway and Lambda allow 6 MB.
pub const MAX_BODY_BYTES: usize = 6 * 1024 * 1024;

/// The object in `body`, which may have `max_bytes`.
///
/// # Errors
/// [`Error::PayloadTooLarge`], or [`Error::InvalidArgument`] naming the place in the body.
pub(super) fn object<T: DeserializeOwned>(body: &[u8], max_bytes: usize) -> Result<T> {
    if body.len() > max_bytes {
        return Err(Error::PayloadTooLarge(max_bytes));
    }
    // serde would accept an array of the fields' values as the object.
    if body.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err(Error::invalid("body", "must be a JSON object"));
    }
    // The error's text may contain what was sent, such as a secret; the place does not.
    let mut reader = serde_json::Deserializer::from_slice(body);
    let parsed = serde_path_to_error::deserialize(&mut reader)
        .map_err(|error| Error::InvalidArgument(vec![FieldError::of_json(&error)]))?;
    reader
        .end()
        .map_err(|_| Error::invalid("body", "must be one JSON object and nothing more"))?;
    Ok(parsed)
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
        let read =
            |length| object::<serde_json::Map<_, serde_json::Value>>(&body(length), MAX_BODY_BYTES);
        assert!(read(MAX_BODY_BYTES).is_ok());
        let refused = read(MAX_BODY_BYTES + 1);
        assert!(matches!(
            refused,
            Err(Error::PayloadTooLarge(MAX_BODY_BYTES))
        ));
    }
}
