//! The body of a request: in memory, or for a multipart form on its way to the spool.

use http::HeaderMap;
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::multipart::{self, Reader};
use crate::platform::Platform;
use crate::request::RequestBody;

/// Where the pieces of a body go.
enum Sink {
    Memory(Vec<u8>),
    /// `None` once it is malformed.
    Form(Option<Box<Reader>>),
}

/// The whole body; `None` if it is too large or breaks off.
///
/// What is too large or malformed is read as well, up to twice the allowed size: a client that is still sending would not
/// see the answer.
pub(super) async fn receive(
    platform: &Platform,
    headers: &HeaderMap,
    mut body: Incoming,
) -> Option<RequestBody> {
    let mut sink = match multipart::boundary(headers) {
        Some(boundary) => Sink::Form(Some(Box::new(Reader::new(&boundary, &platform.spool)))),
        None => Sink::Memory(Vec::new()),
    };
    let mut received = 0;
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame.ok()?.into_data() else {
            continue;
        };
        received += piece.len();
        if received > platform.max_body_bytes.saturating_mul(2) {
            return None;
        }
        if received <= platform.max_body_bytes {
            sink.add(&piece);
        }
    }
    (received <= platform.max_body_bytes).then(|| sink.finish())
}

impl Sink {
    fn add(&mut self, piece: &[u8]) {
        match self {
            Self::Memory(body) => body.extend_from_slice(piece),
            Self::Form(form) => {
                if let Some(reader) = form
                    && reader.read(piece).is_err()
                {
                    *form = None;
                }
            }
        }
    }

    fn finish(self) -> RequestBody {
        match self {
            Self::Memory(body) => RequestBody::Bytes(body.into()),
            Self::Form(form) => {
                RequestBody::Multipart(form.and_then(|reader| reader.finish().ok()))
            }
        }
    }
}
