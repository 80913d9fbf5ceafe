//! What a request sends: in memory, or read while it is sent.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt as _, stream};

/// The most of a body that is handed to a connection at once.
const PORTION_BYTES: usize = 64 * 1024;

/// Why content cannot be read.
pub type ReadError = Box<dyn StdError + Send + Sync>;
/// Content as it is read.
pub type Pieces = BoxStream<'static, Result<Bytes, ReadError>>;

/// A piece of a body, or the content of a file. Cheap to clone.
#[derive(Clone)]
pub enum Content {
    /// It is in memory.
    Whole(Bytes),
    /// It is read while it is sent: anew for each attempt, and never all of it at once.
    Streamed {
        /// How many bytes it has.
        bytes: usize,
        /// Begins to read it.
        open: Arc<dyn Fn() -> Pieces + Send + Sync>,
    },
}

impl Content {
    /// Content of so many bytes that `open` begins to read. If it turns out to be other content, an error must take the place of
    /// its last piece: then the platform gets no whole request.
    #[must_use]
    pub fn streamed(bytes: usize, open: impl Fn() -> Pieces + Send + Sync + 'static) -> Self {
        let open = Arc::new(open);
        Self::Streamed { bytes, open }
    }

    /// How many bytes it has.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        match self {
            Self::Whole(content) => content.len(),
            Self::Streamed { bytes, .. } => *bytes,
        }
    }

    /// It, as far as it is in memory.
    #[must_use]
    pub fn in_memory(&self) -> &[u8] {
        match self {
            Self::Whole(content) => content,
            Self::Streamed { .. } => &[],
        }
    }

    /// It in portions that a connection takes without buffering a whole file.
    fn portions(self) -> Pieces {
        match self {
            Self::Whole(mut left) => stream::iter(std::iter::from_fn(move || {
                let portion = left.split_to(left.len().min(PORTION_BYTES));
                (!portion.is_empty()).then_some(Ok(portion))
            }))
            .boxed(),
            Self::Streamed { open, .. } => open(),
        }
    }
}

impl From<Bytes> for Content {
    fn from(content: Bytes) -> Self {
        Self::Whole(content)
    }
}

impl fmt::Debug for Content {
    /// Without what it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Content({} bytes)", self.bytes())
    }
}

/// `pieces` one after the other.
pub(super) fn in_portions(
    pieces: &[Content],
) -> impl Stream<Item = Result<Bytes, ReadError>> + Send + use<> {
    stream::iter(pieces.to_vec()).flat_map(Content::portions)
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt as _;

    use super::*;

    #[tokio::test]
    async fn a_body_is_its_pieces_in_portions_and_can_be_sent_again() {
        let long = Bytes::from(vec![7; PORTION_BYTES + 1]);
        let parts = || stream::iter(["b", "c"]).map(|it| Ok(Bytes::from_static(it.as_bytes())));
        let body = [
            Content::Whole(long.clone()),
            Content::Whole(Bytes::new()),
            Content::streamed(2, move || parts().boxed()),
        ];
        assert_eq!(body[2].bytes(), 2);
        for _ in 0..2 {
            let sent: Vec<_> = in_portions(&body).try_collect().await.unwrap();
            let lengths: Vec<_> = sent.iter().map(Bytes::len).collect();
            assert_eq!(lengths, [PORTION_BYTES, 1, 1, 1]);
            assert_eq!(sent[0].as_ptr(), long.as_ptr());
            assert_eq!(sent[2..].concat(), b"bc");
        }
    }
}
