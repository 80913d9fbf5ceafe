//! Calls that miss their place on the way to the connection, over real sockets; the clock moves when the test says so.

use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tower_layer::Layer;
use tower_service::Service;

use super::*;
use crate::aws;
use crate::clock::{Clock, ManualClock, Timestamp};
use crate::config::Config;
use crate::connections::TellLayer;
use crate::ids::AppId;
use crate::lark::Domain;
use crate::lark::apis::IM_MESSAGE_CREATE;
use crate::limiter::LATE;
use crate::store::Storage;
use crate::store::embedded::EmbeddedStore;

/// What a server saw.
#[derive(Debug, Default)]
struct Seen {
    connections: AtomicU32,
    bytes: AtomicU32,
    requests: AtomicU32,
}

impl Seen {
    fn counts(&self) -> [u32; 3] {
        let counts = [&self.connections, &self.bytes, &self.requests];
        counts.map(|count| count.load(Ordering::SeqCst))
    }
}

/// A platform that takes every call.
struct Server {
    listener: TcpListener,
    seen: Seen,
}

impl Server {
    async fn start() -> Self {
        Self {
            listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            seen: Seen::default(),
        }
    }

    /// Answers one connection after the other.
    async fn serve(&self) {
        loop {
            let (mut stream, _) = self.listener.accept().await.unwrap();
            self.seen.connections.fetch_add(1, Ordering::SeqCst);
            let mut request = Vec::new();
            while let Ok(byte) = stream.read_u8().await {
                self.seen.bytes.fetch_add(1, Ordering::SeqCst);
                request.push(byte);
                if request.ends_with(b"\r\n\r\n\"a message\"") || is_whole_get(&request) {
                    self.seen.requests.fetch_add(1, Ordering::SeqCst);
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{\"code\":0}";
                    stream.write_all(answer).await.unwrap();
                    request.clear();
                }
            }
        }
    }

    /// What comes of `request` while the server serves.
    async fn answer<T>(
        &self,
        http: reqwest::Client,
        clock: &Arc<ManualClock>,
        request: &Request<T>,
    ) -> Result<T, LarkFailure> {
        let clock = Arc::clone(clock) as Arc<dyn Clock>;
        let store = EmbeddedStore::in_memory(Arc::clone(&clock)).unwrap();
        let storage = Storage::new(Arc::new(store), Duration::from_secs(10));
        let meter = Meter::new(storage, None, Arc::clone(&clock));
        let config = Config::from_lookup(|name| {
            (name == "LARK_SERVICE_STORE").then(|| "embedded".to_owned())
        });
        let url = format!("http://{}", self.listener.local_addr().unwrap());
        let settings = LarkSettings {
            feishu_url: url.parse().unwrap(),
            ..config.unwrap().lark
        };
        let client = LarkClient::new(http, settings, Pacer::new(None, clock), meter);
        let app_id = AppId::parse("cli_a").unwrap();
        let sender = Sender::without_token(Installation::without_tenant(Domain::Feishu, &app_id));
        let deadline = Deadline::after(Duration::from_secs(10));
        tokio::select! {
            () = self.serve() => unreachable!("it serves for ever"),
            outcome = client.send(sender, request, deadline) => outcome,
        }
    }
}

fn is_whole_get(request: &[u8]) -> bool {
    request.starts_with(b"GET") && request.ends_with(b"\r\n\r\n")
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(Timestamp::from_seconds(1_700_000_000)))
}

fn post() -> Request {
    Request::post(IM_MESSAGE_CREATE, &["messages"]).json(&"a message")
}

/// A call for which the process stands still at the last moment, so many times.
fn frozen(clock: &Arc<ManualClock>, times: u32) -> Request {
    let (clock, left) = (Arc::clone(clock), AtomicU32::new(times));
    post().only_if(move || {
        let next = |left: u32| left.checked_sub(1);
        let is_frozen = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next);
        if is_frozen.is_ok() {
            clock.advance(LATE * 2);
        }
        true
    })
}

#[tokio::test]
async fn a_call_that_misses_its_place_at_the_last_moment_sends_nothing_and_goes_at_the_next() {
    let (server, clock) = (Server::start().await, clock());
    let http = aws::http(aws::DEFAULT_IDLE_TIMEOUT).unwrap();
    server
        .answer(http, &clock, &frozen(&clock, 2))
        .await
        .unwrap();
    let [_, bytes, requests] = server.seen.counts();
    assert_eq!(requests, 1);
    assert!(
        bytes < 600,
        "the head of a call that was held back: {bytes}"
    );
}

#[tokio::test]
async fn a_call_that_is_always_late_is_never_sent() {
    let (server, clock) = (Server::start().await, clock());
    let http = aws::http(aws::DEFAULT_IDLE_TIMEOUT).unwrap();
    let outcome = server.answer(http, &clock, &frozen(&clock, 1_000)).await;
    let failure = outcome.unwrap_err();
    assert!(
        failure.is_unsent && !failure.may_have_happened(),
        "{failure}"
    );
    let [_, bytes, _] = server.seen.counts();
    assert_eq!(bytes, 0);
}

#[tokio::test]
async fn what_may_not_go_any_more_sends_nothing() {
    let (server, clock) = (Server::start().await, clock());
    let http = aws::http(aws::DEFAULT_IDLE_TIMEOUT).unwrap();
    let outcome = server.answer(http, &clock, &post().only_if(|| false)).await;
    let failure = outcome.unwrap_err();
    assert!(failure.is_unsent, "{failure}");
    let [_, bytes, _] = server.seen.counts();
    assert_eq!(bytes, 0);
}

/// Connecting takes much longer than a place lasts.
#[derive(Clone)]
struct Slow<C>(C, Arc<ManualClock>);

#[derive(Clone)]
struct SlowLayer(Arc<ManualClock>);

impl<C> Layer<C> for SlowLayer {
    type Service = Slow<C>;

    fn layer(&self, connector: C) -> Self::Service {
        Slow(connector, Arc::clone(&self.0))
    }
}

impl<C, T> Service<T> for Slow<C>
where
    C: Service<T, Future: Send + 'static, Response: Send, Error: Send>,
{
    type Response = C::Response;
    type Error = C::Error;
    type Future = BoxFuture<'static, Result<C::Response, C::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), C::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, to: T) -> Self::Future {
        let clock = Arc::clone(&self.1);
        let opening = self.0.call(to);
        opening.inspect(move |_| clock.advance(LATE * 10)).boxed()
    }
}

#[tokio::test]
async fn a_call_for_which_a_connection_is_opened_slowly_goes_over_it_with_a_place_of_its_own() {
    for request in [post(), Request::get(IM_MESSAGE_CREATE, &["messages"])] {
        let (server, clock) = (Server::start().await, clock());
        aws::install_crypto_provider();
        let http = reqwest::Client::builder()
            .no_proxy()
            .connector_layer(SlowLayer(Arc::clone(&clock)))
            .connector_layer(TellLayer)
            .build()
            .unwrap();
        server.answer(http, &clock, &request).await.unwrap();
        let [connections, _, requests] = server.seen.counts();
        assert_eq!((connections, requests), (1, 1));
    }
}
