//! Bodies of requests, within the memory that the host has for them.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Body as HttpBody;
use lambda_http::Body;
use lark_service::error::{Error, Result};
use tokio::sync::{Semaphore, SemaphorePermit};

/// How long a body may take: as long as API Gateway waits for a function.
const PATIENCE: Duration = Duration::from_secs(30);
/// What every request may have in memory without asking.
const FREE_BYTES: usize = 1024 * 1024;
/// The memory for all bodies that are larger, in KiB. Who finds none waits for it.
const MEMORY_KIB: usize = 128 * 1024;

/// Reads the bodies of all requests.
pub(crate) struct Bodies {
    memory: Semaphore,
}

/// The memory that a body takes, until it is dropped.
pub(crate) type Memory<'b> = Option<SemaphorePermit<'b>>;

impl Default for Bodies {
    fn default() -> Self {
        Self {
            memory: Semaphore::new(MEMORY_KIB),
        }
    }
}

impl Bodies {
    /// `body` as Lambda passes it, which is text if it can be, with the memory that it takes.
    ///
    /// # Errors
    /// [`Error::PayloadTooLarge`], [`Error::InvalidArgument`] for one that ends too early, [`Error::DeadlineExceeded`].
    pub(crate) async fn read<B>(&self, body: B, max_bytes: usize) -> Result<(Body, Memory<'_>)>
    where
        B: HttpBody<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
    {
        if body.is_end_stream() {
            return Ok((Body::Empty, None));
        }
        let whole = tokio::time::timeout(PATIENCE, self.whole(body, max_bytes)).await;
        let (bytes, memory) = whole.map_err(|_| Error::DeadlineExceeded)??;
        if bytes.is_empty() {
            return Ok((Body::Empty, None));
        }
        let body = String::from_utf8(bytes)
            .map_or_else(|not_text| Body::Binary(not_text.into_bytes()), Body::Text);
        Ok((body, memory))
    }

    async fn whole<B>(&self, body: B, max_bytes: usize) -> Result<(Vec<u8>, Memory<'_>)>
    where
        B: HttpBody<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
    {
        let announced = body.size_hint().exact().unwrap_or_default();
        let announced = usize::try_from(announced).unwrap_or(usize::MAX);
        if announced > max_bytes {
            return Err(Error::PayloadTooLarge(max_bytes));
        }
        let mut memory = None;
        if announced > FREE_BYTES {
            memory = Some(self.memory(announced).await?);
        }
        // One allocation for a body that says how long it is.
        let mut whole = Vec::with_capacity(announced);
        let mut body = std::pin::pin!(body);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Error::invalid("body", "ended too early"))?;
            let Ok(piece) = frame.into_data() else {
                continue;
            };
            let length = whole.len() + piece.len();
            if length > max_bytes {
                return Err(Error::PayloadTooLarge(max_bytes));
            }
            if length > FREE_BYTES && memory.is_none() {
                memory = Some(self.memory(max_bytes).await?);
            }
            whole.extend_from_slice(&piece);
        }
        Ok((whole, memory))
    }

    async fn memory(&self, bytes: usize) -> Result<SemaphorePermit<'_>> {
        let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
        let memory = self.memory.acquire_many(kib).await;
        memory.map_err(|_| Error::internal("the memory for bodies is closed"))
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{Full, StreamBody};
    use hyper::body::Frame;

    use super::*;

    const MAX: usize = 31 * 1024 * 1024;

    fn of(bytes: usize) -> Full<Bytes> {
        Full::new(Bytes::from(vec![0xff; bytes]))
    }

    /// A body that does not say how long it is.
    fn streamed(bytes: usize) -> impl HttpBody<Data = Bytes, Error = std::io::Error> {
        let pieces = std::iter::repeat_n(Bytes::from_static(&[0xff; 1024]), bytes / 1024);
        let frames = pieces.map(|piece| Ok(Frame::data(piece)));
        StreamBody::new(futures_util::stream::iter(frames))
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_its_limit_whether_it_says_its_length_or_not() {
        let bodies = Bodies::default();
        for bytes in [0, 1024, FREE_BYTES + 1024, MAX] {
            for (body, _memory) in [
                bodies.read(of(bytes), MAX).await.unwrap(),
                bodies.read(streamed(bytes), MAX).await.unwrap(),
            ] {
                assert_eq!(body.len(), bytes);
            }
        }
        let refused = [
            bodies.read(of(MAX + 1), MAX).await.err(),
            bodies.read(streamed(MAX + 1024), MAX).await.err(),
        ];
        for error in refused {
            assert!(
                matches!(error, Some(Error::PayloadTooLarge(MAX))),
                "{error:?}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn large_bodies_wait_for_each_other_and_small_ones_for_nobody() {
        let bodies = Bodies::default();
        let mut held = Vec::new();
        for _ in 0..4 {
            held.push(bodies.read(of(MAX), MAX).await.unwrap());
        }
        let fifth = bodies.read(streamed(MAX), MAX).await;
        assert!(matches!(fifth, Err(Error::DeadlineExceeded)));
        let (small, _) = bodies.read(of(FREE_BYTES), MAX).await.unwrap();
        assert_eq!(small.len(), FREE_BYTES);
        held.pop();
        assert!(bodies.read(streamed(MAX), MAX).await.is_ok());
    }
}
