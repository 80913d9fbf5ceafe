//! The SDKs over our HTTP client, against servers that misbehave.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::error::SdkError;
use lark_service::aws::sdk_config;
use lark_service::clock::SystemClock;
use lark_service::store::dynamodb::{DynamoDbStore, TableNames};
use lark_service::store::{Expect, Key, Record, SchemaProblem, Store, StoreError, Table};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tracing::field::{Empty, Field, Visit};
use tracing::{Instrument, Subscriber, info_span, span};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use crate::{emulator, http_client};

mod batches;
mod repeats;

/// What a server does with its n-th connection.
pub(crate) type Behave = fn(usize, TcpStream) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

pub(crate) struct Misbehaving {
    pub(crate) url: String,
    connections: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl Misbehaving {
    #[expect(clippy::disallowed_methods, reason = "the other end of the connection")]
    pub(crate) async fn start(behave: Behave) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(behave(count.fetch_add(1, Ordering::SeqCst), stream));
            }
        });
        Self {
            url,
            connections,
            accepting,
        }
    }

    async fn store(&self) -> DynamoDbStore {
        let client = Client::new(&sdk_config(&http_client(), &emulator(&self.url)).await);
        DynamoDbStore::new(client, TableNames::prefixed("test-"), Arc::new(SystemClock))
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Misbehaving {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Reads a request to the end of its body, if one comes.
async fn read_request(stream: &mut TcpStream) -> bool {
    request_body(stream).await.is_some()
}

/// The body of the next request, if one comes. The SDK sends small ones in one piece.
pub(crate) async fn request_body(stream: &mut TcpStream) -> Option<String> {
    let mut request = Vec::new();
    let mut buffer = [0; 4_096];
    loop {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return None,
            Ok(read) => request.extend_from_slice(&buffer[..read]),
        }
        let text = String::from_utf8_lossy(&request);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let head = head.to_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        if length.is_none_or(|length| body.len() >= length.trim().parse().unwrap()) {
            return Some(body.to_owned());
        }
    }
}

pub(crate) async fn respond(stream: &mut TcpStream, status: &str, body: &str) {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: {length}\r\n\r\n"
    );
    let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
}

fn key() -> Key {
    Key::new("cli_a", "app")
}

#[tokio::test]
async fn a_connection_closed_without_an_answer_is_tried_again() {
    let server = Misbehaving::start(|number, mut stream| {
        Box::pin(async move {
            read_request(&mut stream).await;
            if number > 0 {
                respond(&mut stream, "200 OK", "{}").await;
            }
        })
    });
    let server = server.await;
    assert_eq!(
        server.store().await.get(Table::Apps, &key()).await.unwrap(),
        None
    );
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn trying_again_does_not_take_long() {
    let server = Misbehaving::start(|number, mut stream| {
        Box::pin(async move {
            read_request(&mut stream).await;
            if number % 2 == 1 {
                respond(&mut stream, "200 OK", "{}").await;
            }
        })
    });
    let server = server.await;
    let store = server.store().await;
    let started = Instant::now();
    for _ in 0..8 {
        store.get(Table::Apps, &key()).await.unwrap();
    }
    // 25 ms each on average; the SDK's default would be half a second.
    assert!(
        started.elapsed() < Duration::from_secs(2),
        "took {:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn attempts_and_capacity_are_recorded_in_the_callers_span() {
    const BODY: &str = r#"{"ConsumedCapacity":{"TableName":"test-apps","CapacityUnits":1.5}}"#;
    let server = Misbehaving::start(|number, mut stream| {
        Box::pin(async move {
            read_request(&mut stream).await;
            if number > 0 {
                respond(&mut stream, "200 OK", BODY).await;
            }
        })
    });
    let server = server.await;
    let store = server.store().await;
    let fields = Fields::default();
    let _subscriber = tracing_subscriber::registry()
        .with(fields.clone())
        .set_default();
    let span = info_span!(
        "store",
        store.consumed_capacity = Empty,
        store.attempts = Empty
    );
    let got = store.get(Table::Apps, &key()).instrument(span).await;
    assert_eq!(got.unwrap(), None);
    let expected = ["store.attempts=2", "store.consumed_capacity=1.5"];
    assert_eq!(*fields.0.lock().unwrap(), expected);
}

/// The fields recorded in spans called `store`.
#[derive(Clone, Debug, Default)]
struct Fields(Arc<Mutex<Vec<String>>>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Fields {
    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, context: Context<'_, S>) {
        if context.span(id).is_some_and(|span| span.name() == "store") {
            values.record(&mut self.clone());
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let line = format!("{}={value:?}", field.name());
        self.0.lock().unwrap().push(line);
    }
}

/// As after a freeze: the pool does not know yet that the peer has closed the connection.
#[tokio::test]
async fn an_idle_connection_that_the_peer_closed_costs_no_error() {
    let server = Misbehaving::start(|_, mut stream| {
        Box::pin(async move {
            read_request(&mut stream).await;
            respond(&mut stream, "200 OK", "{}").await;
        })
    });
    let server = server.await;
    let store = server.store().await;
    for _ in 0..5 {
        store
            .put(Table::Apps, &Record::new(key(), 1), Expect::Anything)
            .await
            .unwrap();
    }
    assert_eq!(server.connections(), 5);
}

#[tokio::test]
async fn throttling_is_tried_again_and_then_says_so() {
    const BODY: &str =
        r#"{"__type":"com.amazon.coral.availability#ThrottlingException","message":"slower"}"#;
    let server = Misbehaving::start(|_, mut stream| {
        Box::pin(async move {
            while read_request(&mut stream).await {
                respond(&mut stream, "400 Bad Request", BODY).await
            }
        })
    });
    let server = server.await;
    let error = server
        .store()
        .await
        .get(Table::Apps, &key())
        .await
        .unwrap_err();
    let StoreError::Unavailable {
        operation: "get",
        table: "apps",
        source,
    } = error
    else {
        panic!("{error:?}")
    };
    assert_eq!(
        source.to_string(),
        "DynamoDB throttles (ThrottlingException)"
    );
    assert!(format!("{source:?}").contains("slower"));
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn an_inspection_that_is_not_allowed_says_so_of_each_table() {
    const BODY: &str =
        r#"{"__type":"com.amazon.coral.service#AccessDeniedException","Message":"not authorized"}"#;
    let server = Misbehaving::start(|_, mut stream| {
        Box::pin(async move {
            while read_request(&mut stream).await {
                respond(&mut stream, "400 Bad Request", BODY).await
            }
        })
    });
    let server = server.await;
    let reports = server.store().await.inspect().await.unwrap();
    let found: Vec<_> = reports
        .into_iter()
        .map(|report| (report.table, report.problems))
        .collect();
    let expected = Table::ALL.map(|table| (table, vec![SchemaProblem::AccessDenied]));
    assert_eq!(found, expected);
}

#[tokio::test]
async fn an_inspection_out_of_credentials_is_an_error() {
    const BODY: &str =
        r#"{"__type":"com.amazon.coral.service#UnrecognizedClientException","message":"who?"}"#;
    let server = Misbehaving::start(|_, mut stream| {
        Box::pin(async move {
            while read_request(&mut stream).await {
                respond(&mut stream, "400 Bad Request", BODY).await
            }
        })
    });
    let server = server.await;
    let error = server.store().await.inspect().await.unwrap_err();
    let StoreError::Unavailable {
        operation: "inspect",
        source,
        ..
    } = error
    else {
        panic!("{error:?}")
    };
    assert_eq!(
        source.to_string(),
        "DynamoDB refuses (UnrecognizedClientException)"
    );
}

#[tokio::test]
async fn nobody_at_the_address_is_an_error_soon() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let client = Client::new(&sdk_config(&http_client(), &emulator(&url)).await);
    let error = client.list_tables().send().await.unwrap_err();
    assert!(
        matches!(&error, SdkError::DispatchFailure(failure) if failure.is_io()),
        "{error:?}"
    );
    let store = DynamoDbStore::new(client, TableNames::prefixed("test-"), Arc::new(SystemClock));
    let error = store.ping().await.unwrap_err();
    let StoreError::Unavailable {
        operation: "ping",
        source,
        ..
    } = error
    else {
        panic!("{error:?}")
    };
    assert_eq!(source.to_string(), "DynamoDB is out of reach");
}

#[tokio::test]
async fn a_read_timeout_of_the_sdk_is_kept_and_is_a_timeout() {
    let server = Misbehaving::start(|_, mut stream| {
        Box::pin(async move { while read_request(&mut stream).await {} })
    });
    let server = server.await;
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_millis(50))
        .read_timeout(Duration::from_millis(100))
        .build();
    let config = sdk_config(&http_client(), &emulator(&server.url)).await;
    let config = config.into_builder().timeout_config(timeouts).build();
    let client = Client::new(&config);
    let started = Instant::now();
    let error = client.list_tables().send().await.unwrap_err();
    assert!(
        matches!(&error, SdkError::DispatchFailure(failure) if failure.is_timeout()),
        "{error:?}"
    );
    assert!(started.elapsed() < Duration::from_secs(10));
    let store = DynamoDbStore::new(client, TableNames::prefixed("test-"), Arc::new(SystemClock));
    let error = store.get(Table::Apps, &key()).await.unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::Timeout {
                operation: "get",
                table: "apps"
            }
        ),
        "{error:?}"
    );
}
