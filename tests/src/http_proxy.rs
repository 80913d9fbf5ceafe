//! A proxy in front of an HTTP server, the DynamoDB API or the platform, that does to requests what their [`Traffic`] says.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::door::Door;
use crate::traffic::{Fate, Traffic};

/// How a request is named in the traffic.
pub type Named = fn(&Request<Bytes>) -> String;

/// A proxy in front of `server`, `host:port`, whose requests are called what `named` says.
pub async fn http_proxy(server: &str, traffic: Traffic, named: Named) -> Door {
    let servers: Servers = Arc::from([Arc::from(server)]);
    Door::open_with(move |client| serve(client, Arc::clone(&servers), traffic.clone(), named)).await
}

/// A proxy in front of the DynamoDB API and of the queues, each `host:port`, which share an address as they do in an emulator of both.
/// Their requests are called what [`aws_request`] says.
pub async fn aws_proxy(store: &str, queue: &str, traffic: Traffic) -> Door {
    let servers: Servers = Arc::from([Arc::from(store), Arc::from(queue)]);
    Door::open_with(move |client| serve(client, Arc::clone(&servers), traffic.clone(), aws_request))
        .await
}

/// As [`store_request`]; of a request to a queue, `queue`, the operation, the lane.
#[must_use]
pub fn aws_request(request: &Request<Bytes>) -> String {
    if !is_for_a_queue(request) {
        return store_request(request);
    }
    let (operation, body) = operation(request);
    let url = body["QueueUrl"].as_str().unwrap_or_default();
    let lane = url.trim_end_matches(".fifo").rsplit('-').next();
    format!("queue {operation} {}", lane.unwrap_or_default())
}

fn is_for_a_queue(request: &Request<Bytes>) -> bool {
    let target = request.headers().get("x-amz-target");
    target.is_some_and(|it| it.as_bytes().starts_with(b"AmazonSQS."))
}

/// What a request to AWS asks for, and with what.
fn operation(request: &Request<Bytes>) -> (String, serde_json::Value) {
    let target = request.headers().get("x-amz-target");
    let target = target
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let operation = target.rsplit('.').next().unwrap_or_default();
    let body = serde_json::from_slice(request.body()).unwrap_or_default();
    (operation.to_owned(), body)
}

/// The name of a request to the DynamoDB API: `store`, the operation, the table without what the tests put before it.
#[must_use]
pub fn store_request(request: &Request<Bytes>) -> String {
    let (operation, body) = operation(request);
    let table = body["TableName"].as_str().or_else(|| {
        let batch = body["RequestItems"].as_object()?;
        batch.keys().next().map(String::as_str)
    });
    let table = table
        .unwrap_or_default()
        .rsplit('-')
        .next()
        .unwrap_or_default();
    format!("store {operation} {table}")
}

/// The name of a request to the platform: `platform`, the method, the path.
#[must_use]
pub fn platform_request(request: &Request<Bytes>) -> String {
    format!("platform {} {}", request.method(), request.uri().path())
}

/// `host:port` of the server; of two, the second is for queues.
type Servers = Arc<[Arc<str>]>;

/// One connection of a client, and the connections to the servers that its requests go through.
struct Line {
    traffic: Traffic,
    named: Named,
    upstreams: Vec<Mutex<Upstream>>,
}

struct Upstream {
    server: Arc<str>,
    sender: Option<SendRequest<Full<Bytes>>>,
    connection: JoinSet<()>,
}

async fn serve(client: TcpStream, servers: Servers, traffic: Traffic, named: Named) {
    let upstreams = servers.iter().map(|server| {
        Mutex::new(Upstream {
            server: Arc::clone(server),
            sender: None,
            connection: JoinSet::new(),
        })
    });
    let line = Arc::new(Line {
        traffic,
        named,
        upstreams: upstreams.collect(),
    });
    let service = service_fn(move |request| {
        let line = Arc::clone(&line);
        async move { line.answer(request).await }
    });
    // If the connection breaks, the client notices by itself.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(client), service)
        .await;
}

impl Line {
    /// Hyper closes the connection if this fails.
    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Closed> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| Closed)?.to_bytes();
        let request = Request::from_parts(parts, body);
        match self.traffic.fate((self.named)(&request)) {
            Fate::Forward => self.forward(request).await,
            Fate::Delay(length) => {
                tokio::time::sleep(length).await;
                self.forward(request).await
            }
            Fate::LoseAnswer => self.forward(request).await.and(Err(Closed)),
            Fate::Refuse => Err(Closed),
            Fate::Hang => std::future::pending().await,
            Fate::HangAnswer => {
                let _ = self.forward(request).await;
                std::future::pending().await
            }
            Fate::Throttle => Ok(throttled()),
            Fate::Hold(hold) => {
                if !hold.may_forward().await {
                    return Err(Closed);
                }
                let answer = self.forward(request).await?;
                if hold.may_answer().await {
                    Ok(answer)
                } else {
                    Err(Closed)
                }
            }
        }
    }

    async fn forward(&self, request: Request<Bytes>) -> Result<Response<Full<Bytes>>, Closed> {
        let first = self.upstreams.first().ok_or(Closed)?;
        let queues = self.upstreams.get(1).filter(|_| is_for_a_queue(&request));
        let mut upstream = queues.unwrap_or(first).lock().await;
        let sender = upstream.sender().await?;
        let sent = sender.send_request(request.map(Full::new)).await;
        let (mut parts, body) = sent.map_err(|_| Closed)?.into_parts();
        let body = body.collect().await.map_err(|_| Closed)?.to_bytes();
        // The whole body is here: its length is known.
        parts.headers.remove(http::header::TRANSFER_ENCODING);
        Ok(Response::from_parts(parts, Full::new(body)))
    }
}

impl Upstream {
    /// The connection to the server, opened anew if the server has closed it.
    async fn sender(&mut self) -> Result<&mut SendRequest<Full<Bytes>>, Closed> {
        let ready = match &mut self.sender {
            Some(sender) => sender.ready().await.is_ok(),
            None => false,
        };
        if !ready {
            let stream = TcpStream::connect(&*self.server)
                .await
                .map_err(|_| Closed)?;
            let _ = stream.set_nodelay(true);
            let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|_| Closed)?;
            self.connection = JoinSet::new();
            self.connection.spawn(async move {
                let _ = connection.await;
            });
            self.sender = Some(sender);
        }
        self.sender.as_mut().ok_or(Closed)
    }
}

fn throttled() -> Response<Full<Bytes>> {
    let kind = "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException";
    let body = serde_json::json!({"__type": kind, "message": "simulated throttling"}).to_string();
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = http::StatusCode::BAD_REQUEST;
    let json = http::HeaderValue::from_static("application/x-amz-json-1.0");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

/// A request without an answer.
#[derive(Clone, Copy, Debug)]
struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the proxy closes the connection")
    }
}

impl std::error::Error for Closed {}
