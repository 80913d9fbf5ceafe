//! Addresses for uploads, which S3 serves on AWS: `PUT /staged/{owner}/{upload_id}`. Whoever has an address may use it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Body as HttpBody;
use lambda_http::{Body, Response};
use lark_service::error::{Error, Result};
use lark_service::staging::folder::{FolderStaging, Received};
use lark_service::staging::{Place, StagingError};
use tokio::sync::Semaphore;

/// How long one may take.
const PATIENCE: Duration = Duration::from_secs(300);
/// How many are written at once. Further ones wait.
const MAX_AT_ONCE: usize = 8;

/// Takes what is put.
pub(crate) struct StagedUploads {
    staging: FolderStaging,
    turns: Semaphore,
}

impl StagedUploads {
    /// Takes what is put into `staging`.
    pub(crate) fn new(staging: FolderStaging) -> Self {
        let turns = Semaphore::new(MAX_AT_ONCE);
        Self { staging, turns }
    }

    /// Takes `body` for `place`: it goes to the disk as it comes.
    ///
    /// # Errors
    /// [`Error::UploadNotFound`] when the address ended or never was, [`Error::InvalidArgument`] for another body than it was made
    /// for, [`Error::DeadlineExceeded`].
    pub(crate) async fn put<B>(&self, place: &Place, body: B) -> Result<Response<Body>>
    where
        B: HttpBody<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
    {
        let announced = body.size_hint().exact();
        let expected = u64::try_from(place.upload_id().expected().bytes).ok();
        if announced.is_some() && announced != expected {
            return Err(other());
        }
        let received = tokio::time::timeout(PATIENCE, self.receive(place, body)).await;
        match received.map_err(|_| Error::DeadlineExceeded)?? {
            Received::Stored => Ok(Response::new(Body::Empty)),
            Received::NotOffered => Err(Error::UploadNotFound),
            Received::Other => Err(other()),
        }
    }

    async fn receive<B>(&self, place: &Place, body: B) -> Result<Received>
    where
        B: HttpBody<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
    {
        let turn = self.turns.acquire().await;
        let _turn = turn.map_err(|_| Error::internal("uploads take no more turns"))?;
        let received = self.staging.receive(place, body.into_data_stream()).await;
        let received = received.map_err(|error: StagingError| Arc::new(error))?;
        Ok(received)
    }
}

/// The place that `path` addresses, if it is one.
pub(crate) fn place(path: &str) -> Option<Place> {
    let (owner, upload_id) = path.strip_prefix("/staged/")?.split_once('/')?;
    Place::parse(owner, upload_id)
}

fn other() -> Error {
    let message = "must be what the address was made for: so many bytes, with that checksum";
    Error::invalid("body", message)
}
