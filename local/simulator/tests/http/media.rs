//! Images and files, with multipart forms as the SDKs send them.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::client::{Answer, start};
use crate::messages::{Bot, MESSAGES};

pub(crate) const PNG: &[u8] = b"\x89PNG\r\n\x1a\nand some pixels";

const IMAGES: &str = "/open-apis/im/v1/images";
const FILES: &str = "/open-apis/im/v1/files";

/// A part: its `Content-Disposition` after `form-data; `, more headers, and its bytes.
type Part<'a> = (&'a str, &'a str, &'a [u8]);

async fn exchange(
    bot: &Bot<'_>,
    method: &str,
    path: &str,
    content_type: &str,
    body: Vec<u8>,
) -> (Answer, Bytes) {
    let stream = TcpStream::connect(bot.simulator.addr()).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header("Host", "127.0.0.1")
        .header("Authorization", format!("Bearer {}", bot.token))
        .header("Content-Type", content_type);
    let request = request.body(Full::new(Bytes::from(body))).unwrap();
    let exchange = async {
        let (parts, body) = sender.send_request(request).await.unwrap().into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let answer = Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        };
        (answer, bytes)
    };
    tokio::pin!(exchange);
    tokio::select! {
        answer = &mut exchange => answer,
        _ = connection => exchange.await,
    }
}

async fn upload(bot: &Bot<'_>, path: &str, parts: &[Part<'_>]) -> Answer {
    let mut body = Vec::new();
    for (disposition, more, bytes) in parts {
        let head = format!("--b0\r\nContent-Disposition: form-data; {disposition}\r\n{more}\r\n");
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--b0--\r\n");
    exchange(bot, "POST", path, "multipart/form-data; boundary=b0", body)
        .await
        .0
}

async fn download(bot: &Bot<'_>, path: &str) -> (Answer, Bytes) {
    exchange(bot, "GET", path, "application/json", b"{}".to_vec()).await
}

fn image_parts<'a>(image_type: &'a str, image: &'a [u8]) -> [Part<'a>; 2] {
    [
        ("name=\"image_type\"", "", image_type.as_bytes()),
        ("name=\"image\"", "", image),
    ]
}

/// As the Python SDK sends them.
fn file_parts<'a>(
    file_type: &'a str,
    name: &'a str,
    duration: &'a str,
    file: &'a [u8],
) -> [Part<'a>; 4] {
    [
        ("name=\"file_type\"", "", file_type.as_bytes()),
        ("name=\"file_name\"", "", name.as_bytes()),
        ("name=\"duration\"", "", duration.as_bytes()),
        ("name=\"file\"", "", file),
    ]
}

pub(crate) async fn upload_image(bot: &Bot<'_>, image: &[u8]) -> String {
    let answer = upload(bot, IMAGES, &image_parts("message", image)).await;
    answer.body["data"]["image_key"]
        .as_str()
        .unwrap()
        .to_owned()
}

pub(crate) async fn upload_file(bot: &Bot<'_>, file_type: &str) -> String {
    let answer = upload(bot, FILES, &file_parts(file_type, "a.bin", "", b"content")).await;
    answer.body["data"]["file_key"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn files_come_back_as_they_were_sent_by_each_sdk() {
    let simulator = start().await;
    let bot = Bot::new(&simulator).await;
    let file = b"a\r\n--b\r\nb\0\xff";
    let typed = "Content-Type: application/octet-stream\r\n";
    let name = ("name=\"file_name\"", "", "报告 1.txt".as_bytes());
    let kind = ("name=\"file_type\"", "", &b"stream"[..]);
    for parts in [
        // Python: empty parts, no type. Node: in another order, with a type. Others: with a file name.
        vec![
            kind,
            name,
            ("name=\"duration\"", "", b""),
            ("name=\"file\"", "", file),
        ],
        vec![
            ("name=\"file\"", typed, file),
            name,
            ("name=\"duration\"", "", b"3000"),
            kind,
        ],
        vec![
            kind,
            name,
            ("name=\"file\"; filename=\"报告.txt\"", typed, file),
        ],
        vec![
            kind,
            name,
            ("name=\"file\";", "", file),
            ("name=\"extra\"", "", b"{}"),
        ],
    ] {
        let answer = upload(&bot, FILES, &parts).await;
        assert_eq!(answer.code(), (200, 0));
        let key = answer.body["data"]["file_key"].as_str().unwrap();
        assert!(key.starts_with("file_v3_"));
        let (answer, bytes) = download(&bot, &format!("{FILES}/{key}")).await;
        assert_eq!((answer.status, &bytes[..]), (200, &file[..]));
        assert_eq!(answer.header("content-length"), file.len().to_string());
        assert_eq!(
            answer.header("content-disposition"),
            "attachment; filename=\"__ 1.txt\"; filename*=UTF-8''%E6%8A%A5%E5%91%8A%201.txt"
        );
    }
}

#[tokio::test]
async fn bad_uploads_have_their_codes() {
    let simulator = start().await;
    let bot = Bot::new(&simulator).await;
    let mut large = PNG.to_vec();
    large.resize(10 * 1024 * 1024, 0);
    for (kind, bytes, code) in [
        ("message", &large[..], 0),
        ("avatar", PNG, 0),
        ("picture", PNG, 234_001),
        ("", PNG, 234_001),
        ("message", b"", 234_010),
        ("message", b"%PDF-1.7", 234_011),
    ] {
        let answer = upload(&bot, IMAGES, &image_parts(kind, bytes)).await;
        assert_eq!(answer.body["code"], code, "{kind}");
        assert_eq!(answer.status, if code == 0 { 200 } else { 400 });
    }
    large.push(0);
    let answer = upload(&bot, IMAGES, &image_parts("message", &large)).await;
    assert_eq!(answer.code(), (400, 234_006));
    for (parts, code) in [
        (file_parts("exe", "a", "", b"x"), 234_001),
        (file_parts("pdf", "", "", b"x"), 234_001),
        (file_parts("opus", "a", "3s", b"x"), 234_001),
        (file_parts("pdf", "a", "", b""), 234_010),
    ] {
        assert_eq!(upload(&bot, FILES, &parts).await.code(), (400, code));
    }
    let answer = exchange(&bot, "POST", FILES, "application/json", b"{}".to_vec())
        .await
        .0;
    assert_eq!(answer.code(), (400, 234_001));
    let cut = b"--b0\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nx".to_vec();
    let answer = exchange(&bot, "POST", FILES, "multipart/form-data; boundary=b0", cut)
        .await
        .0;
    assert_eq!(answer.code(), (400, 234_001));
}

#[tokio::test]
async fn a_file_of_thirty_megabytes_is_taken_and_not_more() {
    let simulator = start().await;
    let bot = Bot::new(&simulator).await;
    let mut content: Vec<_> = (0..30 * 1024 * 1024_u32)
        .map(|at| (at / 251) as u8)
        .collect();
    let answer = upload(&bot, FILES, &file_parts("stream", "big", "", &content)).await;
    let key = answer.body["data"]["file_key"].as_str().unwrap().to_owned();
    let (_, bytes) = download(&bot, &format!("{FILES}/{key}")).await;
    assert!(bytes == content[..]);
    content.push(0);
    assert_eq!(
        upload(&bot, FILES, &file_parts("stream", "big", "", &content))
            .await
            .code(),
        (400, 234_006)
    );
    content.resize(33 * 1024 * 1024, 0);
    assert_eq!(
        upload(&bot, FILES, &file_parts("stream", "big", "", &content))
            .await
            .code(),
        (413, 9499)
    );
}

#[tokio::test]
async fn downloads_are_for_the_owner_and_for_readers_of_the_message() {
    let simulator = start().await;
    let bot = Bot::new(&simulator).await;
    simulator
        .control()
        .add_app(lark_simulator::App::new("cli_other", "secret"))
        .unwrap();
    let body = json!({ "app_id": "cli_other", "app_secret": "secret" });
    let token = crate::client::post(&simulator, crate::client::TENANT_TOKEN, "", &body).await;
    let other = Bot {
        simulator: &simulator,
        token: token.body["tenant_access_token"]
            .as_str()
            .unwrap()
            .to_owned(),
    };
    let key = upload_image(&bot, PNG).await;
    let (answer, bytes) = download(&bot, &format!("{IMAGES}/{key}")).await;
    assert_eq!(
        (answer.header("content-type"), &bytes[..]),
        ("image/png", PNG)
    );
    let refused = |bot, path: String| async move { download(bot, &path).await.0.code() };
    assert_eq!(
        refused(&other, format!("{IMAGES}/{key}")).await,
        (400, 234_008)
    );
    assert_eq!(
        refused(&bot, format!("{FILES}/{key}")).await,
        (400, 234_001)
    );
    assert_eq!(
        refused(&bot, format!("{IMAGES}/img_v3_x")).await,
        (400, 234_001)
    );

    let sent = bot.say("image", &json!({ "image_key": key })).await;
    let id = sent.body["data"]["message_id"].as_str().unwrap();
    let resource = |key: &str, kind: &str| format!("{MESSAGES}/{id}/resources/{key}?type={kind}");
    let (_, bytes) = download(&other, &resource(&key, "image")).await;
    assert_eq!(&bytes[..], PNG);
    assert_eq!(
        refused(&other, resource(&key, "file")).await,
        (400, 234_001)
    );
    let file = upload_file(&bot, "pdf").await;
    assert_eq!(refused(&bot, resource(&file, "file")).await, (400, 234_003));
}
