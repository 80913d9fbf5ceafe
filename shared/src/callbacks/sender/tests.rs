use std::collections::VecDeque;
use std::sync::Mutex;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::*;
use crate::idempotency::Seed;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const SOON: Duration = Duration::from_secs(5);

/// Answers one request with `answer`, and returns the request.
async fn receiver(answer: &'static str) -> (Url, JoinSet<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let url = Url::parse(&format!("http://127.0.0.1:{port}/callbacks")).unwrap();
    let receiving = async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 4_096];
        let mut length = 0;
        while !request[..length].ends_with(b"{}") {
            length += stream.read(&mut request[length..]).await.unwrap();
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8_lossy(&request[..length]).into_owned()
    };
    let mut task = JoinSet::new();
    task.spawn(receiving);
    (url, task)
}

async fn post(loopback: Loopback, url: &Url, secrets: &[SigningSecret]) -> Result<u16, NotTaken> {
    post_by(&Sender::new(loopback), url, secrets, SOON).await
}

async fn post_by(
    sender: &Sender,
    url: &Url,
    secrets: &[SigningSecret],
    patience: Duration,
) -> Result<u16, NotTaken> {
    let callback = Callback {
        id: "mj_1",
        at: NOW,
        body: "{}",
    };
    let deadline = Deadline::after(patience);
    sender.post(url, secrets, callback, deadline).await
}

#[tokio::test]
async fn a_callback_has_the_headers_of_the_standard_and_a_signature_by_each_secret() {
    let secrets = [(); 2].map(|()| SigningSecret::from_seed(&Seed::generate().unwrap()));
    let (url, mut request) = receiver("HTTP/1.1 204 No Content\r\n\r\n").await;
    post(Loopback::Allowed, &url, &secrets).await.unwrap();
    let request = request.join_next().await.unwrap().unwrap();
    let request = request.to_lowercase();
    assert!(
        request.starts_with("post /callbacks http/1.1\r\n"),
        "{request}"
    );
    let signatures = secrets
        .map(|secret| secret.sign("mj_1", NOW, "{}"))
        .join(" ");
    for line in [
        "webhook-id: mj_1",
        "webhook-timestamp: 1800000000",
        &format!("webhook-signature: {}", signatures.to_lowercase()),
        "content-type: application/json",
    ] {
        assert!(
            request.contains(&format!("{line}\r\n")),
            "{line}: {request}"
        );
    }
}

#[tokio::test]
async fn every_answer_but_success_is_none_and_a_redirect_is_not_followed() {
    for (answer, outcome) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", Ok(200)),
        // Nothing of the body is waited for.
        (
            "HTTP/1.1 202 Accepted\r\ncontent-length: 1000000\r\n\r\n",
            Ok(202),
        ),
        (
            "HTTP/1.1 301 Moved\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n",
            Err(NotTaken::Refused(301)),
        ),
        (
            "HTTP/1.1 307 Moved\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n",
            Err(NotTaken::Refused(307)),
        ),
        (
            "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
            Err(NotTaken::Refused(404)),
        ),
        (
            "HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n",
            Err(NotTaken::Gone),
        ),
        (
            "HTTP/1.1 429 Too Many\r\ncontent-length: 0\r\n\r\n",
            Err(NotTaken::Refused(429)),
        ),
        (
            "HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n",
            Err(NotTaken::Refused(500)),
        ),
        ("", Err(NotTaken::Unanswered("the connection broke"))),
    ] {
        let (url, mut request) = receiver(answer).await;
        assert_eq!(
            post(Loopback::Allowed, &url, &[]).await,
            outcome,
            "{answer}"
        );
        request.join_next().await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn this_machine_is_not_reached_where_it_is_not_allowed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    for host in [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "2130706433",
    ] {
        let url = Url::parse(&format!("https://{host}:{port}/")).unwrap();
        let refused = post(Loopback::Refused, &url, &[]).await;
        assert!(matches!(refused, Err(NotTaken::Unanswered(_))), "{host}");
    }
    let connected = tokio::time::timeout(Duration::from_millis(50), listener.accept());
    assert!(connected.await.is_err(), "somebody connected");
}

/// What a name stands for, a different thing each time that it is asked for.
struct Changing {
    answers: Mutex<VecDeque<Vec<&'static str>>>,
}

impl Changing {
    fn new(answers: &[&[&'static str]]) -> Arc<Self> {
        let answers = answers.iter().map(|addresses| addresses.to_vec());
        Arc::new(Self {
            answers: Mutex::new(answers.collect()),
        })
    }

    fn left(&self) -> usize {
        self.answers.lock().unwrap().len()
    }
}

impl Resolve for Changing {
    fn resolve(&self, _: Name) -> Resolving {
        let answer = self.answers.lock().unwrap().pop_front();
        let addresses = answer.expect("it is asked for once more than it should be");
        let addresses: Vec<SocketAddr> = addresses
            .into_iter()
            .map(|address| SocketAddr::new(address.parse().unwrap(), 0))
            .collect();
        Box::pin(async { Ok(Box::new(addresses.into_iter()) as Addrs) })
    }
}

const INSIDE: Result<u16, NotTaken> =
    Err(NotTaken::Unanswered("no connection to a public address"));

/// The connection goes to the address that was checked: the name is asked for once for each, and never between check and connection.
#[tokio::test]
async fn a_name_that_changes_its_mind_leads_nowhere_else() {
    let names = Changing::new(&[
        &["127.0.0.1"],
        &["169.254.169.254"],
        &["127.0.0.1", "10.0.0.1"],
        &[],
    ]);
    let sender = Sender::with_names(Arc::clone(&names) as _, Loopback::Allowed);
    let (url, mut request) = receiver("HTTP/1.1 204 No Content\r\n\r\n").await;
    let port = url.port().unwrap();
    let url = Url::parse(&format!("http://localhost:{port}/callbacks")).unwrap();
    assert_eq!(post_by(&sender, &url, &[], SOON).await, Ok(204));
    let request = request.join_next().await.unwrap().unwrap();
    assert!(
        request.contains(&format!("host: localhost:{port}\r\n")),
        "{request}"
    );
    for left in [2, 1, 0] {
        assert_eq!(post_by(&sender, &url, &[], SOON).await, INSIDE);
        assert_eq!(names.left(), left);
    }
}

#[tokio::test]
async fn a_public_name_that_stands_for_this_machine_or_a_neighbour_is_not_called() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let url = Url::parse(&format!("https://hooks.example.com:{port}/")).unwrap();
    for address in [
        "127.0.0.1",
        "::1",
        "::ffff:127.0.0.1",
        "10.0.0.1",
        "64:ff9b::7f00:1",
    ] {
        let names = Changing::new(&[&[address]]);
        let sender = Sender::with_names(names, Loopback::Refused);
        assert_eq!(post_by(&sender, &url, &[], SOON).await, INSIDE, "{address}");
    }
    let connected = tokio::time::timeout(Duration::from_millis(50), listener.accept());
    assert!(connected.await.is_err(), "somebody connected");
}

/// Takes a connection, and writes what `part` says again and again, or nothing.
async fn endless(part: &'static str) -> (Url, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let url = Url::parse(&format!("http://127.0.0.1:{port}/")).unwrap();
    let mut task = JoinSet::new();
    task.spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        if part.is_empty() {
            return std::future::pending().await;
        }
        let head = stream.write_all(b"HTTP/1.1 200 OK\r\n").await;
        let mut written = head.is_ok();
        while written {
            written = stream.write_all(part.as_bytes()).await.is_ok();
        }
    });
    (url, task)
}

#[tokio::test]
async fn an_answer_without_end_is_none() {
    for (part, problem, patience) in [
        ("", "its time ran out", Duration::from_millis(100)),
        ("x-more: and more\r\n", "the connection broke", SOON),
        ("x", "the connection broke", SOON),
    ] {
        let (url, _task) = endless(part).await;
        let sender = Sender::new(Loopback::Allowed);
        let answered = post_by(&sender, &url, &[], patience).await;
        assert_eq!(answered, Err(NotTaken::Unanswered(problem)), "{part}");
    }
}
