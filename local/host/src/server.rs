//! HTTP/1.1 on the port.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use lambda_http::{Body, Response};
use lark_simulator::door;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::gateway::Gateway;

/// Concurrent connections; further ones wait in the listener's queue.
const MAX_CONNECTIONS: usize = 10_000;
/// How long a stop waits for open requests.
const GRACE: Duration = Duration::from_secs(10);
/// The wait before the next connection when there are no file descriptors left.
const BREATH: Duration = Duration::from_millis(10);

/// Tells all running tasks when to end.
#[derive(Clone, Debug)]
pub(crate) struct Stop(watch::Receiver<bool>);

impl Stop {
    /// A stop, and the sender that triggers it; dropping the sender triggers it too.
    pub(crate) fn new() -> (watch::Sender<bool>, Self) {
        let (sender, receiver) = watch::channel(false);
        (sender, Self(receiver))
    }

    /// Returns once the stop was triggered.
    pub(crate) async fn stopped(&mut self) {
        let _gone_is_stopped = self.0.wait_for(|stopped| *stopped).await;
    }
}

/// Serves until stopped, then lets open requests finish. A connection whose next head takes longer than `head_timeout` is closed.
pub(crate) async fn run(
    listener: TcpListener,
    gateway: Arc<Gateway>,
    head_timeout: Duration,
    mut stop: Stop,
) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let accept = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        tokio::select! {
            () = stop.stopped() => break,
            Some(_) = connections.join_next() => {}
            (place, accepted) = accept => match accepted {
                Ok((stream, _)) => {
                    let connection = connection(stream, Arc::clone(&gateway), head_timeout, stop.clone());
                    connections.spawn(async move {
                        connection.await;
                        drop(place);
                    });
                }
                Err(_) => tokio::time::sleep(BREATH).await,
            },
        }
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    let _late_ones_are_aborted = tokio::time::timeout(GRACE, drained).await;
}

async fn connection(
    stream: TcpStream,
    gateway: Arc<Gateway>,
    head_timeout: Duration,
    mut stop: Stop,
) {
    // Without it, small answers wait for the client's delayed acknowledgement.
    let _only_slower = stream.set_nodelay(true);
    let service = service_fn(|request| async {
        let answer = match door::refusal(request.headers(), gateway.own_name()) {
            None => gateway.answer(request).await,
            Some(why) => gateway.turn_away(request, why).await,
        };
        Ok::<_, std::convert::Infallible>(outgoing(answer))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        // A broken connection is the client's problem.
        _ = &mut connection => return,
        () = stop.stopped() => connection.as_mut().graceful_shutdown(),
    }
    let _broken = connection.await;
}

fn outgoing(response: Response<Body>) -> Response<Full<Bytes>> {
    response.map(|body| match body {
        Body::Text(text) => Full::from(text),
        Body::Binary(bytes) => Full::from(bytes),
        Body::Empty | _ => Full::default(),
    })
}
