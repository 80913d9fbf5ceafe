//! Uploads in Amazon S3, by presigned requests.
//!
//! Three kinds of requests do not need the SDK of S3, which would add to every function's size and start. S3 checks what an address
//! was made for: the method, the key, the length and the checksum are part of the signature.
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html>

use std::error::Error as StdError;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sigv4::http_request::{
    PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4::SigningParams;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use memchr::memmem;
use reqwest::header::{CONTENT_RANGE, ETAG, HeaderMap, HeaderValue, IF_MATCH, RANGE};
use reqwest::{Method, Response, StatusCode};
use tracing::warn;
use url::Url;

use super::{Offer, Pieces, Place, Staged, Staging, StagingError};
use crate::clock::{Clock, Timestamp};

/// How long an answer, or the next piece of it, may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The most attempts.
const ATTEMPTS: u32 = 2;
/// How long the address of a request of ours is good.
const LIFETIME_OF_OWN: Duration = Duration::from_secs(60);
/// How much is read of a refusal.
const MAX_ERROR_BYTES: usize = 4 * 1024;

/// A [`Staging`] in a bucket.
#[derive(Clone)]
pub struct S3Staging {
    http: reqwest::Client,
    /// The bucket's address.
    bucket: Url,
    region: String,
    credentials: SharedCredentialsProvider,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for S3Staging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Staging")
            .field("bucket", &self.bucket.as_str())
            .finish_non_exhaustive()
    }
}

impl S3Staging {
    /// The bucket of this name, with the region, credentials and endpoint of `sdk`.
    ///
    /// # Errors
    /// [`StagingError::Unavailable`] without a region or credentials.
    pub fn new(
        http: reqwest::Client,
        sdk: &SdkConfig,
        bucket: &str,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StagingError> {
        let region = sdk.region().ok_or_else(|| missing("AWS_REGION"))?;
        let credentials = sdk.credentials_provider();
        let address = match sdk.endpoint_url() {
            // An emulator has one address for all buckets.
            Some(endpoint) => format!("{}/{bucket}/", endpoint.trim_end_matches('/')),
            None => {
                let suffix = match region.as_ref().starts_with("cn-") {
                    true => "amazonaws.com.cn",
                    false => "amazonaws.com",
                };
                format!("https://{bucket}.s3.{region}.{suffix}/")
            }
        };
        Ok(Self {
            http,
            bucket: Url::parse(&address).map_err(|_| missing("the name of a bucket"))?,
            region: region.to_string(),
            credentials: credentials.ok_or_else(|| missing("AWS credentials"))?,
            clock,
        })
    }

    /// The address of `place` for one kind of request, which must have these headers.
    async fn address(
        &self,
        method: &str,
        place: &Place,
        headers: &[(&'static str, String)],
        lifetime: Duration,
    ) -> Result<Url, StagingError> {
        let signed = self.signed(method, place, headers, lifetime).await;
        signed.map_err(|error| StagingError::Unavailable(error.to_string()))
    }

    async fn signed(
        &self,
        method: &str,
        place: &Place,
        headers: &[(&'static str, String)],
        lifetime: Duration,
    ) -> Result<Url, Box<dyn StdError + Send + Sync>> {
        let identity = self.credentials.provide_credentials().await?.into();
        let mut settings = SigningSettings::default();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(lifetime);
        // S3 alone takes the path as it is.
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        let params = SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("s3")
            .time(UNIX_EPOCH + self.clock.now().since(Timestamp::default()))
            .settings(settings)
            .build()?
            .into();
        let mut url = self.bucket.join(&place.path())?;
        let pairs = headers.iter().map(|(name, value)| (*name, value.as_str()));
        let signable =
            SignableRequest::new(method, url.as_str(), pairs, SignableBody::UnsignedPayload)?;
        let (instructions, _) = sign(signable, &params)?.into_parts();
        for (name, value) in instructions.params() {
            url.query_pairs_mut().append_pair(name, value);
        }
        Ok(url)
    }

    /// Sends one kind of request to `place`, again if S3 does not answer or fails.
    async fn send(
        &self,
        method: Method,
        place: &Place,
        headers: &HeaderMap,
    ) -> Result<Response, StagingError> {
        let mut attempt = 1;
        loop {
            let url = self
                .address(method.as_str(), place, &[], LIFETIME_OF_OWN)
                .await?;
            let request = self.http.request(method.clone(), url);
            let sent = request.headers(headers.clone()).send();
            let error = match tokio::time::timeout(TIMEOUT, sent).await {
                Ok(Ok(response)) if !response.status().is_server_error() => return Ok(response),
                Ok(Ok(response)) => refused(response.status()),
                Ok(Err(error)) => failed(error),
                Err(_) => late(),
            };
            if attempt == ATTEMPTS {
                return Err(error);
            }
            warn!(retry.attempt = attempt, %error, "asking S3 again");
            attempt += 1;
        }
    }
}

#[async_trait]
impl Staging for S3Staging {
    async fn offer(&self, place: &Place, expires_at: Timestamp) -> Result<Offer, StagingError> {
        let offer = Offer::of(self.bucket.clone(), place.upload_id().expected());
        let lifetime = expires_at.since(self.clock.now());
        let url = self.address("PUT", place, &offer.headers, lifetime).await?;
        Ok(Offer { url, ..offer })
    }

    async fn open(&self, place: &Place, head_bytes: usize) -> Result<Option<Staged>, StagingError> {
        let mut headers = HeaderMap::new();
        headers.insert(RANGE, header(format!("bytes=0-{}", head_bytes.max(1) - 1))?);
        let mut response = self.send(Method::GET, place, &headers).await?;
        match response.status() {
            StatusCode::OK | StatusCode::PARTIAL_CONTENT => {}
            StatusCode::NOT_FOUND => return Ok(None),
            // It has no first byte.
            StatusCode::RANGE_NOT_SATISFIABLE => {
                return Ok(Some(Staged {
                    bytes: 0,
                    version: String::new(),
                    head: Bytes::new(),
                }));
            }
            StatusCode::FORBIDDEN if is_hidden(&mut response).await => return Ok(None),
            status => return Err(refused(status)),
        }
        let text = |name| response.headers().get(name)?.to_str().ok();
        let version = text(ETAG).ok_or_else(|| lacking("an ETag"))?;
        let version = version.to_owned();
        let whole = text(CONTENT_RANGE).and_then(|range| range.rsplit('/').next());
        let bytes = match whole {
            Some(bytes) => bytes.parse().ok(),
            None => response
                .content_length()
                .and_then(|it| usize::try_from(it).ok()),
        };
        let bytes = bytes.ok_or_else(|| lacking("a length"))?;
        let head = collected(pieces(response, bytes.min(head_bytes))).await?;
        Ok(Some(Staged {
            bytes,
            version,
            head,
        }))
    }

    async fn read(
        &self,
        place: &Place,
        version: &str,
        range: Range<usize>,
    ) -> Result<Pieces, StagingError> {
        if range.is_empty() {
            return Ok(stream::empty().boxed());
        }
        let mut headers = HeaderMap::new();
        let asked = format!("bytes={}-{}", range.start, range.end - 1);
        headers.insert(RANGE, header(asked)?);
        headers.insert(IF_MATCH, header(version.to_owned())?);
        let mut response = self.send(Method::GET, place, &headers).await?;
        match response.status() {
            StatusCode::PARTIAL_CONTENT => Ok(pieces(response, range.len())),
            StatusCode::PRECONDITION_FAILED | StatusCode::NOT_FOUND => Err(StagingError::Altered),
            StatusCode::FORBIDDEN if is_hidden(&mut response).await => Err(StagingError::Altered),
            status => Err(refused(status)),
        }
    }

    async fn delete(&self, place: &Place) -> Result<(), StagingError> {
        let response = self.send(Method::DELETE, place, &HeaderMap::new()).await?;
        match response.status() {
            status if status.is_success() || status == StatusCode::NOT_FOUND => Ok(()),
            status => Err(refused(status)),
        }
    }
}

/// The body of `response`, which has so many bytes.
fn pieces(response: Response, bytes: usize) -> Pieces {
    let pieces = stream::try_unfold((response, bytes), |(mut response, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let next = tokio::time::timeout(TIMEOUT, response.chunk()).await;
        let piece = next.map_err(|_| late())?.map_err(failed)?;
        let piece = piece.ok_or_else(|| lacking("the rest"))?;
        let left = left.checked_sub(piece.len()).ok_or(StagingError::Altered)?;
        Ok(Some((piece, (response, left))))
    });
    pieces.boxed()
}

async fn collected(pieces: Pieces) -> Result<Bytes, StagingError> {
    let pieces: Vec<_> = pieces.try_collect().await?;
    Ok(pieces.concat().into())
}

/// Whether S3 refuses because it does not tell what is missing in a bucket that the asker may not list. Wrong credentials are
/// something else.
async fn is_hidden(response: &mut Response) -> bool {
    let mut text = Vec::new();
    while let Ok(Ok(Some(piece))) = tokio::time::timeout(TIMEOUT, response.chunk()).await {
        text.extend_from_slice(&piece);
        if text.len() > MAX_ERROR_BYTES {
            break;
        }
    }
    let is_hidden = memmem::find(&text, b"<Code>AccessDenied</Code>").is_some();
    if is_hidden {
        warn!("S3 refuses to show an upload, or there is none");
    }
    is_hidden
}

fn header(text: String) -> Result<HeaderValue, StagingError> {
    HeaderValue::try_from(text).map_err(|error| StagingError::Unavailable(error.to_string()))
}

fn failed(error: reqwest::Error) -> StagingError {
    StagingError::Unavailable(error.without_url().to_string())
}

fn refused(status: StatusCode) -> StagingError {
    StagingError::Unavailable(format!("S3 answers with status {}", status.as_u16()))
}

fn late() -> StagingError {
    StagingError::Unavailable("S3 does not answer in time".to_owned())
}

fn missing(what: &str) -> StagingError {
    StagingError::Unavailable(format!("S3 needs {what}"))
}

fn lacking(what: &str) -> StagingError {
    StagingError::Unavailable(format!("the answer of S3 lacks {what}"))
}
