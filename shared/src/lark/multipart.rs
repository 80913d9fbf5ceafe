//! `multipart/form-data` (RFC 7578) as it is sent. The content of a file is never copied: a body is a list of pieces.

use std::fmt::Write as _;

use reqwest::header::HeaderValue;
use ring::rand::{SecureRandom, SystemRandom};

use super::body::Content;

/// A form to send. Names are plain constants; values are on one line.
#[derive(Debug)]
pub(super) struct Form {
    boundary: String,
    /// Everything before the file's content.
    head: String,
}

impl Form {
    /// An empty form. Nobody can guess its boundary, so no content can end its part.
    pub(super) fn new() -> Self {
        let mut random = [0; 16];
        SystemRandom::new()
            .fill(&mut random)
            .expect("the system has randomness");
        let boundary = format!("lark-service-{:032x}", u128::from_be_bytes(random));
        Self {
            boundary,
            head: String::new(),
        }
    }

    /// The same form with one more field.
    pub(super) fn field(mut self, name: &'static str, value: &str) -> Self {
        let boundary = &self.boundary;
        let _infallible = write!(
            self.head,
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        );
        self
    }

    /// The content type and the body of the form whose last part is a file. The platform knows the file by the name of its part.
    pub(super) fn file(
        mut self,
        name: &'static str,
        content: Content,
    ) -> (HeaderValue, Vec<Content>) {
        let boundary = &self.boundary;
        let _infallible = write!(
            self.head,
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{name}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        let tail = format!("\r\n--{boundary}--\r\n");
        let content_type = format!("multipart/form-data; boundary={boundary}");
        let content_type = HeaderValue::from_str(&content_type).expect("a boundary is plain ASCII");
        let pieces = vec![
            Content::Whole(self.head.into()),
            content,
            Content::Whole(tail.into()),
        ];
        (content_type, pieces)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_form_is_what_the_standard_says_and_its_content_is_not_copied() {
        let content = Bytes::from_static(b"a\r\n--b\0\xff");
        let form = Form::new().field("file_name", "\u{62a5}\u{544a}.txt");
        let (content_type, pieces) = form.file("file", content.clone().into());
        let boundary = content_type.to_str().unwrap().rsplit('=').next().unwrap();
        assert_eq!(boundary.len(), "lark-service-".len() + 32);
        let parts: Vec<_> = pieces.iter().map(Content::in_memory).collect();
        let [head, middle, tail] = parts[..] else {
            panic!("{pieces:?}");
        };
        assert_eq!(middle.as_ptr(), content.as_ptr());
        let expected = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"file_name\"\r\n\r\n\u{62a5}\u{544a}.txt\r\n\
             --{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"file\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        assert_eq!(std::str::from_utf8(head).unwrap(), expected);
        let end = format!("\r\n--{boundary}--\r\n");
        assert_eq!(tail, end.as_bytes());
        let (other, _) = Form::new().file("file", content.into());
        assert_ne!(other, content_type);
    }
}
