//! `multipart/form-data` (RFC 7578), read as it arrives: the file goes to the [`Spool`], only fields stay in memory.
//!
//! SDKs send it with few headers: a part may have neither a file name nor a content type, and names are raw UTF-8. So the
//! file is known by the name of its part, `file` or `image`.

use std::sync::Arc;

use http::{HeaderMap, header};

use crate::spool::{Spool, Stored};

/// The most bytes of all fields together, and of the headers of a part.
const FIELDS_MAX: usize = 64 * 1024;
const HEADERS_MAX: usize = 8 * 1024;

/// A form that has arrived completely.
#[derive(Default)]
pub(crate) struct Form {
    fields: Vec<(String, String)>,
    /// The part with this name, and its bytes.
    file: Option<(String, Stored)>,
}

impl Form {
    /// The value of a field; `None` if it is absent or empty, as SDKs send fields that were left out.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter();
        let (_, value) = fields.find(|(key, _)| key == name)?;
        Some(value.as_str()).filter(|value| !value.is_empty())
    }

    /// The file in the part with this name.
    pub(crate) fn take_file(&mut self, name: &str) -> Option<Stored> {
        match self.file.take() {
            Some((part, stored)) if part == name => Some(stored),
            other => {
                self.file = other;
                None
            }
        }
    }
}

/// The boundary of a request's form; `None` if its body is something else.
pub(crate) fn boundary(headers: &HeaderMap) -> Option<String> {
    let content_type = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    parameter(parameters, "boundary").filter(|boundary| !boundary.is_empty())
}

/// Why a form cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Reads a form piece by piece.
pub(crate) struct Reader {
    spool: Arc<Spool>,
    /// Line break, two hyphens and the boundary.
    delimiter: Vec<u8>,
    /// What has arrived and is not yet read.
    buffer: Vec<u8>,
    state: State,
    form: Form,
    fields_bytes: usize,
}

enum State {
    /// Before the first part, or in one that nobody needs.
    Skipping,
    /// Behind a delimiter: the end, or another part.
    AfterDelimiter,
    Headers,
    Field(String, Vec<u8>),
    File(String, Stored),
    End,
}

impl Reader {
    pub(crate) fn new(boundary: &str, spool: &Arc<Spool>) -> Self {
        Self {
            spool: Arc::clone(spool),
            delimiter: format!("\r\n--{boundary}").into_bytes(),
            // The first delimiter has no line before it.
            buffer: b"\r\n".to_vec(),
            state: State::Skipping,
            form: Form::default(),
            fields_bytes: 0,
        }
    }

    pub(crate) fn read(&mut self, piece: &[u8]) -> Result<(), Malformed> {
        self.buffer.extend_from_slice(piece);
        while self.step()? {}
        Ok(())
    }

    /// The form, if its end has arrived.
    pub(crate) fn finish(self) -> Result<Form, Malformed> {
        match self.state {
            State::End => Ok(self.form),
            State::Skipping
            | State::AfterDelimiter
            | State::Headers
            | State::Field(..)
            | State::File(..) => Err(Malformed),
        }
    }

    /// Whether something was read that may have more behind it.
    fn step(&mut self) -> Result<bool, Malformed> {
        match &self.state {
            State::Skipping | State::Field(..) | State::File(..) => self.read_content(),
            State::AfterDelimiter => self.read_line_end(),
            State::Headers => self.read_headers(),
            State::End => {
                self.buffer.clear();
                Ok(false)
            }
        }
    }

    fn read_content(&mut self) -> Result<bool, Malformed> {
        let end = find(&self.buffer, &self.delimiter);
        // The end of the buffer may be the beginning of a delimiter.
        let possible = self.buffer.len().saturating_sub(self.delimiter.len() - 1);
        let length = end.unwrap_or(possible);
        let content: Vec<u8> = self.buffer.drain(..length).collect();
        self.keep(&content)?;
        if end.is_none() {
            return Ok(false);
        }
        self.buffer.drain(..self.delimiter.len());
        match std::mem::replace(&mut self.state, State::AfterDelimiter) {
            State::Field(name, value) => {
                let value = String::from_utf8_lossy(&value).into_owned();
                self.form.fields.push((name, value));
            }
            State::File(name, stored) => self.form.file = Some((name, stored)),
            State::Skipping | State::AfterDelimiter | State::Headers | State::End => {}
        }
        Ok(true)
    }

    fn keep(&mut self, content: &[u8]) -> Result<(), Malformed> {
        match &mut self.state {
            State::Field(_, value) => {
                self.fields_bytes += content.len();
                if self.fields_bytes > FIELDS_MAX {
                    return Err(Malformed);
                }
                value.extend_from_slice(content);
                Ok(())
            }
            State::File(_, stored) => stored.append(content).map_err(|_| Malformed),
            State::Skipping | State::AfterDelimiter | State::Headers | State::End => Ok(()),
        }
    }

    fn read_line_end(&mut self) -> Result<bool, Malformed> {
        match self.buffer.get(..2) {
            None => return Ok(false),
            Some(b"--") => self.state = State::End,
            Some(b"\r\n") => self.state = State::Headers,
            Some(_) => return Err(Malformed),
        }
        // The line break stays: a part without headers begins with two.
        if matches!(self.state, State::End) {
            self.buffer.drain(..2);
        }
        Ok(true)
    }

    fn read_headers(&mut self) -> Result<bool, Malformed> {
        let Some(end) = find(&self.buffer, b"\r\n\r\n") else {
            return match self.buffer.len() > HEADERS_MAX {
                true => Err(Malformed),
                false => Ok(false),
            };
        };
        let headers: Vec<u8> = self.buffer.drain(..end + 4).collect();
        let headers = String::from_utf8_lossy(&headers);
        let name = part_name(&headers).ok_or(Malformed)?;
        self.state = match name.as_str() {
            "file" | "image" => State::File(name, self.spool.begin()),
            _ => State::Field(name, Vec::new()),
        };
        Ok(true)
    }
}

/// The name of a part in its headers.
fn part_name(headers: &str) -> Option<String> {
    let mut lines = headers.lines().filter_map(|line| line.split_once(':'));
    let (_, disposition) =
        lines.find(|(name, _)| name.trim().eq_ignore_ascii_case("content-disposition"))?;
    let (_, parameters) = disposition.split_once(';')?;
    parameter(parameters, "name")
}

/// The value of a parameter in `name="a"; filename=b`.
fn parameter(parameters: &str, wanted: &str) -> Option<String> {
    let mut rest = parameters;
    loop {
        let (name, after) = rest.split_once('=')?;
        let after = after.trim_start();
        let (value, behind) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => match after.find(';') {
                Some(end) => after.split_at(end),
                None => (after.trim_end(), ""),
            },
        };
        if name
            .trim_matches([';', ' ', '\t'])
            .eq_ignore_ascii_case(wanted)
        {
            return Some(value.trim_end().to_owned());
        }
        rest = behind;
    }
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    let first = *wanted.first()?;
    let mut from = 0;
    loop {
        let at = from + text.get(from..)?.iter().position(|byte| *byte == first)?;
        if text[at..].starts_with(wanted) {
            return Some(at);
        }
        from = at + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &[u8], piece_bytes: usize) -> Result<Form, Malformed> {
        let spool = Spool::new().expect("a temporary file");
        let mut reader = Reader::new("XX", &spool);
        for piece in body.chunks(piece_bytes) {
            reader.read(piece)?;
        }
        reader.finish()
    }

    const BODY: &[u8] = "--XX\r\nContent-Disposition: form-data; name=\"file_name\"\r\n\r\n报告.txt\r\n\
        --XX\r\ncontent-disposition: form-data; name=\"duration\"\r\n\r\n\r\n\
        --XX\r\nContent-Type: text/plain\r\nContent-Disposition: form-data; filename=\"file; name=x\"; name=\"file\";\r\n\r\n\
        a\r\n--X\r\n--XY\r\n\r\n\r\n--XX--\r\n"
        .as_bytes();

    #[test]
    fn a_form_is_the_same_in_pieces_of_any_size() {
        for piece_bytes in 1..BODY.len() {
            let mut form = read(BODY, piece_bytes).expect("a form");
            assert_eq!(form.field("file_name"), Some("报告.txt"));
            assert_eq!(form.field("duration"), None);
            assert!(form.take_file("image").is_none());
            let stored = form.take_file("file").expect("a file");
            assert_eq!(stored.head(), b"a\r\n--X\r\n--XY\r\n\r\n");
        }
    }

    #[test]
    fn a_form_that_was_cut_short_is_malformed() {
        for length in 0..BODY.len() - 4 {
            assert_eq!(read(&BODY[..length], 7).err(), Some(Malformed), "{length}");
        }
    }

    #[test]
    fn fields_and_headers_are_bounded() {
        let part = "--XX\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n";
        let long = format!("{part}{}\r\n--XX--", "y".repeat(FIELDS_MAX + 1));
        assert_eq!(read(long.as_bytes(), 1000).err(), Some(Malformed));
        let long = format!("--XX\r\nX: {}", "y".repeat(HEADERS_MAX));
        assert_eq!(read(long.as_bytes(), 1000).err(), Some(Malformed));
    }

    #[test]
    fn a_boundary_may_be_quoted() {
        let of = |content_type: &'static str| {
            let value = http::HeaderValue::from_static(content_type);
            boundary(&[(header::CONTENT_TYPE, value)].into_iter().collect())
        };
        for content_type in [
            "multipart/form-data; boundary=a-b",
            "Multipart/Form-Data; charset=utf-8; boundary=\"a-b\"",
        ] {
            assert_eq!(of(content_type).as_deref(), Some("a-b"));
        }
        for other in [
            "application/json",
            "multipart/form-data",
            "multipart/mixed; boundary=a",
        ] {
            assert_eq!(of(other), None);
        }
    }
}
