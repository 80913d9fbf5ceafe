//! The contract of uploads in S3, as the emulator speaks it.
//!
//! The emulator checks the signatures of addresses, and has a clock of its own.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use lark_service::aws::sdk_config;
use lark_service::clock::{Clock, ManualClock, SystemClock, Timestamp};
use lark_service::deadline::Deadline;
use lark_service::error::Error;
use lark_service::ids::AppId;
use lark_service::lark::body::Content;
use lark_service::lark::media::FileType;
use lark_service::staging::contract::{Tested, test_staging_adapter};
use lark_service::staging::s3::S3Staging;
use lark_service::staging::{
    Expected, OFFER_LIFETIME, Offer, Place, Staged, Staging, StagingError, UploadId,
};
use lark_service::uploads::{FileClaims, MAX_FILE_BYTES, Owner, Uploads};
use ring::digest::{SHA256, digest};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::http::{Behave, Misbehaving, request_body};
use crate::{emulator, http_client, required, unique};

async fn staging(url: &str, bucket: &str, clock: Arc<dyn Clock>) -> S3Staging {
    let sdk = sdk_config(&http_client(), &emulator(url)).await;
    S3Staging::new(http_client(), &sdk, bucket, clock).unwrap()
}

/// A new bucket of the emulator.
async fn bucket() -> (String, String) {
    let (url, bucket) = (required("LARK_TEST_DYNAMODB_URL_1"), unique());
    let made = http_client().put(format!("{url}/{bucket}")).send().await;
    let made = made.unwrap();
    assert!(made.status().is_success(), "{made:?}");
    (url, bucket)
}

/// Puts `content` as an offer says, over HTTP.
async fn put(http: reqwest::Client, offer: Offer, content: Bytes) -> u16 {
    let request = http.put(offer.url.clone());
    let headers = offer.headers.iter();
    let length = content.len().to_string();
    let request = headers.fold(request, |request, (name, value)| match *name {
        // A client says what it sends.
        "content-length" => request.header(*name, length.as_str()),
        name => request.header(name, value),
    });
    let sent = request.body(content).send().await;
    sent.unwrap().status().as_u16()
}

async fn tested() -> Tested {
    let (url, bucket) = bucket().await;
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let staging = staging(&url, &bucket, Arc::clone(&clock) as _).await;
    let http = http_client();
    Tested::new(staging, clock, move |offer, content| {
        let http = http.clone();
        Box::pin(async move { put(http, offer, content).await == 200 })
    })
}

test_staging_adapter!(tested().await, emulated);

fn place(now: Timestamp, bytes: usize, sha256: Option<[u8; 32]>) -> Place {
    let id = UploadId::new(now, [7; 16], Expected { bytes, sha256 });
    Place::new("key", &AppId::parse("cli_a").unwrap(), id)
}

#[tokio::test]
async fn an_address_ends_by_the_clock_of_s3() {
    let (url, bucket) = bucket().await;
    let long_ago = Arc::new(ManualClock::at(SystemClock.now() - OFFER_LIFETIME * 2));
    let staging = staging(&url, &bucket, Arc::clone(&long_ago) as _).await;
    let place = place(long_ago.now(), 3, None);
    let end = long_ago.now() + OFFER_LIFETIME;
    let offer = staging.offer(&place, end).await.unwrap();
    let status = put(http_client(), offer, Bytes::from_static(b"one")).await;
    assert_eq!(status, 403);
}

#[tokio::test]
async fn length_checksum_and_end_are_part_of_the_signature() {
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let staging = staging("http://127.0.0.1:1", "bucket", Arc::clone(&clock) as _).await;
    let signed = async |bytes, sha256| {
        let place = place(clock.now(), bytes, sha256);
        let end = clock.now() + OFFER_LIFETIME;
        let offer = staging.offer(&place, end).await.unwrap();
        let pairs = offer.url.query_pairs().into_owned();
        pairs.collect::<HashMap<_, _>>()
    };
    let plain = signed(3, None).await;
    assert_eq!(plain["X-Amz-SignedHeaders"], "content-length;host");
    assert_eq!(plain["X-Amz-Expires"], "900");
    let summed = signed(3, Some([7; 32])).await;
    let headers = "content-length;host;x-amz-checksum-sha256";
    assert_eq!(summed["X-Amz-SignedHeaders"], headers);
    for other in [signed(4, None).await, signed(3, Some([8; 32])).await] {
        for one in [&plain, &summed] {
            assert_ne!(one["X-Amz-Signature"], other["X-Amz-Signature"]);
        }
    }
}

/// 30 MB over real HTTP: as they were put, in pieces, and gone afterwards.
#[tokio::test]
async fn the_largest_file_is_streamed_from_the_bucket() {
    let (url, bucket) = bucket().await;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let staging = staging(&url, &bucket, Arc::clone(&clock)).await;
    let uploads = Uploads::new(Some(Arc::new(staging)), clock);
    let pattern = b"0123456789abcdefghijk".iter().copied().cycle();
    let content: Bytes = pattern.take(MAX_FILE_BYTES).collect();
    let sum = digest(&SHA256, &content).as_ref().try_into().unwrap();
    let app_id = AppId::parse("cli_a").unwrap();
    let owner = Owner {
        key_id: "key",
        app_id: &app_id,
    };
    let expected = Expected {
        bytes: content.len(),
        sha256: Some(sum),
    };
    let prepared = uploads.prepare(owner, [7; 16], expected).await.unwrap();
    let status = put(http_client(), prepared.offer, content.clone()).await;
    assert_eq!(status, 200);
    let id = prepared.upload_id;
    let file = async || {
        let claims = FileClaims::check(None, Some("a.bin"), None).unwrap();
        uploads.file(owner, id.clone(), claims).await
    };
    let (new, found) = file().await.unwrap();
    assert_eq!(new.file_type, FileType::Stream);
    let Content::Streamed { bytes, open } = new.content else {
        panic!("it is in memory");
    };
    assert_eq!(bytes, content.len());
    let (mut pieces, mut arrived) = (open(), Vec::new());
    while let Some(piece) = pieces.try_next().await.unwrap() {
        assert!(piece.len() <= 4 * 1024 * 1024, "{} bytes", piece.len());
        arrived.extend_from_slice(&piece);
    }
    assert!(arrived == content);
    found.delete(Deadline::after(Duration::from_secs(10))).await;
    let gone = file().await;
    assert!(matches!(gone, Err(Error::UploadNotFound)), "{gone:?}");
}

/// What is in the bucket must be what was announced, whatever let it in.
#[tokio::test]
async fn another_size_than_was_announced_is_refused() {
    let (url, bucket) = bucket().await;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let staging = staging(&url, &bucket, Arc::clone(&clock)).await;
    let uploads = Uploads::new(Some(Arc::new(staging)), Arc::clone(&clock));
    let app_id = AppId::parse("cli_a").unwrap();
    let owner = Owner {
        key_id: "key",
        app_id: &app_id,
    };
    for content in ["", "ab", "abcd"] {
        let place = place(clock.now(), 3, None);
        let address = format!("{url}/{bucket}/{}", place.path());
        let request = http_client().put(address).body(content);
        assert!(request.send().await.unwrap().status().is_success());
        let id = place.upload_id().clone();
        let refused = uploads.file(owner, id, FileClaims::default()).await;
        let error = refused.unwrap_err();
        assert!(matches!(error, Error::InvalidArgument(_)), "{error}");
    }
}

/// Opens an upload at a server of the test's own.
async fn opened(behave: Behave) -> (Result<Option<Staged>, StagingError>, usize) {
    let server = Misbehaving::start(behave).await;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let staging = staging(&server.url, "bucket", Arc::clone(&clock)).await;
    let opened = staging.open(&place(clock.now(), 5, None), 3).await;
    (opened, server.connections())
}

/// Answers a request with this text, and ends the connection.
async fn answer(mut stream: TcpStream, head: &str, body: &str) {
    if request_body(&mut stream).await.is_some() {
        let text = format!("HTTP/1.1 {head}\r\nconnection: close\r\n\r\n{body}");
        let _closed = stream.write_all(text.as_bytes()).await;
    }
}

const PART: &str =
    "206 Partial Content\r\netag: \"a\"\r\ncontent-range: bytes 0-2/5\r\ncontent-length: 3";

#[tokio::test]
async fn s3_that_fails_is_asked_again_once() {
    let (found, requests) = opened(|number, stream| {
        Box::pin(async move {
            match number {
                0 => answer(stream, "503 Slow Down\r\ncontent-length: 0", "").await,
                _ => answer(stream, PART, "012").await,
            }
        })
    })
    .await;
    let expected = Staged {
        bytes: 5,
        version: "\"a\"".to_owned(),
        head: Bytes::from_static(b"012"),
    };
    assert_eq!(found.unwrap(), Some(expected));
    assert_eq!(requests, 2);
    let (failed, requests) = opened(|_, stream| {
        Box::pin(async move { answer(stream, "500 Oh\r\ncontent-length: 0", "").await })
    })
    .await;
    let error = failed.unwrap_err().to_string();
    assert!(error.contains("500"), "{error}");
    assert_eq!(requests, 2);
}

/// Who may not list a bucket is not told that something is missing in it; wrong credentials are no missing upload.
#[tokio::test]
async fn what_s3_hides_is_not_there_and_what_it_refuses_is_an_error() {
    let (hidden, _) = opened(|_, stream| {
        Box::pin(async move {
            let body = "<Error><Code>AccessDenied</Code></Error>";
            answer(stream, "403 Forbidden\r\ncontent-length: 40", body).await;
        })
    })
    .await;
    assert_eq!(hidden.unwrap(), None);
    let (refused, _) = opened(|_, stream| {
        Box::pin(async move {
            let body = "<Error><Code>ExpiredToken</Code></Error>";
            answer(stream, "403 Forbidden\r\ncontent-length: 40", body).await;
        })
    })
    .await;
    let error = refused.unwrap_err().to_string();
    assert!(error.contains("403"), "{error}");
}

#[tokio::test]
async fn an_answer_that_lacks_something_is_an_error() {
    for (behave, lacking) in [
        (
            (|_, stream| Box::pin(async move { answer(stream, PART, "01").await })) as Behave,
            "",
        ),
        (
            |_, stream| {
                Box::pin(async move {
                    let head =
                        "206 Partial Content\r\ncontent-range: bytes 0-2/5\r\ncontent-length: 3";
                    answer(stream, head, "012").await;
                })
            },
            "an ETag",
        ),
        (
            |_, stream| {
                Box::pin(async move {
                    let head = "206 Partial Content\r\netag: a\r\ncontent-range: bytes 0-2/*\r\ncontent-length: 3";
                    answer(stream, head, "012").await;
                })
            },
            "a length",
        ),
    ] {
        let (opened, _) = opened(behave).await;
        let error = opened.unwrap_err().to_string();
        assert!(error.contains(lacking), "{error}");
    }
}
