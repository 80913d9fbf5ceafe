//! Content that is checked while it is read.

use bytes::Bytes;
use futures_util::stream::{BoxStream, Fuse};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use ring::digest::{Context, SHA256};

use crate::staging::{Expected, Pieces, StagingError};

struct Reader {
    pieces: Fuse<BoxStream<'static, Result<Bytes, StagingError>>>,
    expected: Expected,
    bytes: usize,
    sum: Context,
    /// The last piece that came: it is handed on when another one came, or all of them are what is expected.
    held: Option<Bytes>,
}

impl Reader {
    async fn next(&mut self) -> Result<Option<Bytes>, StagingError> {
        while let Some(piece) = self.pieces.try_next().await? {
            if piece.is_empty() {
                continue;
            }
            self.bytes += piece.len();
            if self.bytes > self.expected.bytes {
                return Err(StagingError::Altered);
            }
            self.sum.update(&piece);
            if let Some(before) = self.held.replace(piece) {
                return Ok(Some(before));
            }
        }
        if !self.expected.is(self.bytes, &self.sum.clone().finish()) {
            return Err(StagingError::Altered);
        }
        Ok(self.held.take())
    }
}

/// `pieces`, if they are what is `expected`. Otherwise the last one does not come, but [`StagingError::Altered`].
pub(super) fn verified(pieces: Pieces, expected: Expected) -> Pieces {
    let reader = Reader {
        pieces: pieces.fuse(),
        expected,
        bytes: 0,
        sum: Context::new(&SHA256),
        held: None,
    };
    let checked = stream::try_unfold(reader, |mut reader| async move {
        let next = reader.next().await?;
        Ok(next.map(|piece| (piece, reader)))
    });
    checked.boxed()
}

/// All of `pieces`, which have so many bytes together.
pub(super) async fn collected(mut pieces: Pieces, bytes: usize) -> Result<Bytes, StagingError> {
    let mut content = Vec::with_capacity(bytes);
    while let Some(piece) = pieces.try_next().await? {
        if content.len() + piece.len() > bytes {
            return Err(StagingError::Altered);
        }
        content.extend_from_slice(&piece);
    }
    if content.len() < bytes {
        return Err(StagingError::Altered);
    }
    Ok(content.into())
}

#[cfg(test)]
mod tests {
    use ring::digest::digest;

    use super::*;

    fn pieces(of: &[&'static str]) -> Pieces {
        let of: Vec<_> = of
            .iter()
            .map(|it| Ok(Bytes::from_static(it.as_bytes())))
            .collect();
        stream::iter(of).boxed()
    }

    fn expected(bytes: usize, content: Option<&str>) -> Expected {
        let sum = |content: &str| {
            digest(&SHA256, content.as_bytes())
                .as_ref()
                .try_into()
                .unwrap()
        };
        Expected {
            bytes,
            sha256: content.map(sum),
        }
    }

    /// What is handed on, and whether an error follows.
    async fn read(of: &[&'static str], expected: Expected) -> (String, bool) {
        let mut read = verified(pieces(of), expected);
        let mut text = String::new();
        loop {
            match read.try_next().await {
                Ok(Some(piece)) => text.push_str(std::str::from_utf8(&piece).unwrap()),
                Ok(None) => return (text, false),
                Err(error) => {
                    assert!(matches!(error, StagingError::Altered), "{error}");
                    return (text, true);
                }
            }
        }
    }

    #[tokio::test]
    async fn what_is_expected_comes_whole() {
        for of in [
            &["abcde"][..],
            &["ab", "", "c", "de"],
            &["", "abcd", "e", ""],
        ] {
            for sum in [None, Some("abcde")] {
                let whole = read(of, expected(5, sum)).await;
                assert_eq!(whole, ("abcde".to_owned(), false));
            }
        }
    }

    #[tokio::test]
    async fn the_last_piece_of_something_else_never_comes() {
        let other_sum = expected(5, Some("abcdf"));
        for (of, expected, handed_on) in [
            (&["ab", "cd", "e"][..], other_sum, "abcd"),
            (&["abcde"], other_sum, ""),
            (&["ab", "cd"], expected(5, None), "ab"),
            (&["ab", "cd", "ef"], expected(5, None), "ab"),
            (&[], expected(1, None), ""),
        ] {
            let read = read(of, expected).await;
            assert_eq!(read, (handed_on.to_owned(), true), "{of:?}");
        }
    }

    #[tokio::test]
    async fn what_is_collected_has_so_many_bytes() {
        assert_eq!(collected(pieces(&["ab", "c"]), 3).await.unwrap(), "abc");
        for bytes in [2, 4] {
            let other = collected(pieces(&["ab", "c"]), bytes).await;
            assert!(matches!(other, Err(StagingError::Altered)), "{other:?}");
        }
    }
}
