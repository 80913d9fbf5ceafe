//! The body of an answer: bytes in memory, or a stored upload that is read while it is sent.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use crate::spool::Stored;

/// The body of an answer, or what is left of it.
pub(crate) enum AnswerBody {
    Bytes(Bytes),
    /// From a block on.
    Stored(Arc<Stored>, usize),
}

impl From<Vec<u8>> for AnswerBody {
    fn from(body: Vec<u8>) -> Self {
        Self::Bytes(body.into())
    }
}

impl From<String> for AnswerBody {
    fn from(body: String) -> Self {
        Self::Bytes(body.into())
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let next = match &mut *self {
            Self::Bytes(bytes) if bytes.is_empty() => None,
            Self::Bytes(bytes) => Some(Ok(Frame::data(std::mem::take(bytes)))),
            Self::Stored(stored, index) => {
                *index += 1;
                let block = stored.block(*index - 1);
                block.map(|block| block.map(|data| Frame::data(data.into())))
            }
        };
        Poll::Ready(next)
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Bytes(bytes) => bytes.is_empty(),
            Self::Stored(stored, _) => stored.bytes() == 0,
        }
    }

    /// Asked before the first frame, for `Content-Length`.
    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Stored(stored, _) => stored.bytes(),
        })
    }
}
