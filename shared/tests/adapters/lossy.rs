//! A proxy in front of a DynamoDB API that loses answers: the request takes effect, and its caller does not hear of it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// The proxy. It understands HTTP/1.1 with content lengths, which is what the SDK and the emulators speak.
pub(crate) struct LossyProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    _task: JoinSet<()>,
}

struct Shared {
    server: String,
    /// How many answers to each of these operations are lost next.
    to_lose: Mutex<Vec<(&'static str, u32)>>,
    /// The operations that arrived.
    seen: Mutex<Vec<String>>,
}

impl LossyProxy {
    /// A proxy to the server at `url` that loses nothing yet.
    pub(crate) async fn start(url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            server: url.trim_start_matches("http://").to_owned(),
            to_lose: Mutex::default(),
            seen: Mutex::default(),
        });
        let mut task = JoinSet::new();
        task.spawn(accept(listener, Arc::clone(&shared)));
        Self {
            address,
            shared,
            _task: task,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Loses the next `answers` to requests for `operation`: `PutItem`.
    pub(crate) fn lose(&self, operation: &'static str, answers: u32) {
        self.shared
            .to_lose
            .lock()
            .unwrap()
            .push((operation, answers));
    }

    /// How many requests for `operation` arrived so far.
    pub(crate) fn requests(&self, operation: &str) -> usize {
        let seen = self.shared.seen.lock().unwrap();
        seen.iter().filter(|one| *one == operation).count()
    }
}

impl Shared {
    /// Whether the answer to this request is lost.
    fn loses(&self, operation: String) -> bool {
        let mut to_lose = self.to_lose.lock().unwrap();
        let found = to_lose
            .iter_mut()
            .find(|(name, left)| *name == operation && *left > 0);
        let is_lost = found.map(|(_, left)| *left -= 1).is_some();
        self.seen.lock().unwrap().push(operation);
        is_lost
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        connections.spawn(serve(client, Arc::clone(&shared)));
    }
}

/// Serves one connection until either side closes it or an answer is lost.
async fn serve(mut client: TcpStream, shared: Arc<Shared>) -> Option<()> {
    let mut server = TcpStream::connect(&shared.server).await.ok()?;
    let (mut asked, mut answered) = (Vec::new(), Vec::new());
    loop {
        let request = next_message(&mut client, &mut asked).await?;
        let is_lost = shared.loses(operation(&request));
        server.write_all(&request).await.ok()?;
        let answer = next_message(&mut server, &mut answered).await?;
        if is_lost {
            return None;
        }
        client.write_all(&answer).await.ok()?;
    }
}

/// The next message on `stream`. `buffered` has what was read beyond the one before.
async fn next_message(stream: &mut TcpStream, buffered: &mut Vec<u8>) -> Option<Vec<u8>> {
    loop {
        if let Some(end) = end(buffered).filter(|end| *end <= buffered.len()) {
            return Some(buffered.drain(..end).collect());
        }
        if stream.read_buf(buffered).await.ok()? == 0 {
            return None;
        }
    }
}

/// Where the first message ends, once its head is complete.
fn end(bytes: &[u8]) -> Option<usize> {
    let body = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let length = header(&bytes[..body], "content-length").map_or(Some(0), |it| it.parse().ok());
    Some(body + length?)
}

/// The operation that a request asks for, without the version of the API.
fn operation(request: &[u8]) -> String {
    let target = header(request, "x-amz-target").unwrap_or_default();
    target.rsplit('.').next().unwrap_or_default().to_owned()
}

fn header(message: &[u8], name: &str) -> Option<String> {
    let text = String::from_utf8_lossy(message);
    let (head, _) = text.split_once("\r\n\r\n")?;
    let headers = head.lines().filter_map(|line| line.split_once(':'));
    let mut named = headers.filter(|(key, _)| key.eq_ignore_ascii_case(name));
    named.next().map(|(_, value)| value.trim().to_owned())
}
