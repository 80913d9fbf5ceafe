//! Somebody who receives callbacks, over plain HTTP on this machine.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, Notify};
use tokio::task::JoinSet;

/// In place of a status: it answers when the test says so, and then 204.
pub(super) const HANGS: u16 = 0;

/// What a receiver got.
#[derive(Clone, Debug)]
pub(super) struct Received {
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: String,
}

impl Received {
    /// The signature that it must have, by the words of Standard Webhooks: HMAC-SHA256 of `{id}.{timestamp}.{body}` with the bytes
    /// that the secret is the base64 of, in base64.
    pub(super) fn signed_by(&self, secret: &str) -> String {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap());
        let (id, time) = (
            &self.headers["webhook-id"],
            &self.headers["webhook-timestamp"],
        );
        let signed = format!("{id}.{time}.{}", self.body);
        let tag = hmac_sha256(&key.unwrap(), signed.as_bytes());
        format!("v1,{}", STANDARD.encode(tag))
    }
}

/// RFC 2104, for a key of at most 64 bytes.
fn hmac_sha256(key: &[u8], message: &[u8]) -> Vec<u8> {
    let padded = |pad: u8| {
        let mut block = [pad; 64];
        for (byte, of_key) in block.iter_mut().zip(key) {
            *byte ^= of_key;
        }
        block.to_vec()
    };
    let inner = digest(&SHA256, &[&padded(0x36), message].concat());
    let outer = digest(&SHA256, &[&padded(0x5c), inner.as_ref()].concat());
    outer.as_ref().to_vec()
}

/// Somebody's address for callbacks. It answers each with the next status, and then with 204.
pub(super) struct Receiver {
    pub(super) url: String,
    statuses: Arc<Mutex<VecDeque<u16>>>,
    received: Arc<Mutex<Vec<Received>>>,
    asked: Arc<Notify>,
    answers: Arc<Notify>,
    _task: JoinSet<()>,
}

impl Receiver {
    pub(super) async fn begin(statuses: &[u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let statuses = Arc::new(Mutex::new(VecDeque::from(statuses.to_vec())));
        let received: Arc<Mutex<Vec<Received>>> = Arc::default();
        let (next, all) = (Arc::clone(&statuses), Arc::clone(&received));
        let (asked, answers) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (told, awaited) = (Arc::clone(&asked), Arc::clone(&answers));
        let mut task = JoinSet::new();
        task.spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let got = read(&mut stream).await;
                all.lock().await.push(got);
                told.notify_one();
                let mut status = next.lock().await.pop_front().unwrap_or(204);
                if status == HANGS {
                    awaited.notified().await;
                    status = 204;
                }
                let answer = format!(
                    "HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
                );
                // Whoever asked may have gone.
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Self {
            url: format!("http://127.0.0.1:{port}/callbacks"),
            statuses,
            received,
            asked,
            answers,
            _task: task,
        }
    }

    /// Waits for a callback.
    pub(super) async fn is_asked(&self) {
        self.asked.notified().await;
    }

    /// Answers the one that hangs.
    pub(super) fn answer(&self) {
        self.answers.notify_one();
    }

    /// From now on it takes everything.
    pub(super) async fn recover(&self) {
        self.statuses.lock().await.clear();
    }

    /// What came so far.
    pub(super) async fn received(&self) -> Vec<Received> {
        self.received.lock().await.clone()
    }
}

async fn read(stream: &mut TcpStream) -> Received {
    let (mut bytes, mut part) = (Vec::new(), [0; 4_096]);
    loop {
        let length = stream.read(&mut part).await.unwrap();
        assert!(length > 0, "the request ended early");
        bytes.extend_from_slice(&part[..length]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let headers = head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(": "));
        let headers: BTreeMap<_, _> = headers
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        let wanted: usize = headers["content-length"].parse().unwrap();
        if body.len() >= wanted {
            return Received {
                headers,
                body: body.to_owned(),
            };
        }
    }
}
