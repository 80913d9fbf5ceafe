//! A stand-in for the Lambda Runtime API: it hands events to one function process and takes the answers.
//!
//! The paths and headers are those of <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::{Mutex, mpsc, oneshot};

use crate::door::Door;

const PREFIX: &str = "/2018-06-01/runtime/";

/// The Runtime API of one process.
#[derive(Debug)]
pub(crate) struct RuntimeApi {
    door: Door,
    events: mpsc::UnboundedSender<Event>,
    posts: mpsc::UnboundedReceiver<Post>,
}

/// An event, and what the process is told with it.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) request_id: String,
    /// When the invocation ends, in milliseconds since the Unix epoch.
    pub(crate) deadline_ms: u64,
    pub(crate) function_arn: String,
    pub(crate) payload: Value,
}

/// What the process says. It goes on when `heard` is used or dropped.
#[derive(Debug)]
pub(crate) struct Post {
    pub(crate) said: Said,
    pub(crate) heard: oneshot::Sender<()>,
}

/// What a process says.
#[derive(Debug)]
pub(crate) enum Said {
    /// It asks for an event.
    Next,
    /// Its answer to the event with this request id.
    Response(String, Value),
    /// It failed with the event with this request id.
    Error(String, Value),
    /// It cannot start.
    InitError(Value),
}

impl RuntimeApi {
    pub(crate) async fn start() -> Self {
        let (events, queue) = mpsc::unbounded_channel();
        let (posting, posts) = mpsc::unbounded_channel();
        let desk = Arc::new(Desk {
            queue: Mutex::new(queue),
            posting,
        });
        let door = Door::open_with(move |client| serve(client, Arc::clone(&desk))).await;
        Self {
            door,
            events,
            posts,
        }
    }

    /// `host:port`, as `AWS_LAMBDA_RUNTIME_API` names it.
    pub(crate) fn address(&self) -> String {
        self.door.address().to_string()
    }

    /// Hands out `event` when the process asks for one.
    pub(crate) fn send(&self, event: Event) {
        self.events.send(event).expect("the door is open");
    }

    /// The next thing that the process says.
    pub(crate) async fn post(&mut self) -> Post {
        self.posts.recv().await.expect("the door is open")
    }
}

/// What the connections share.
struct Desk {
    queue: Mutex<mpsc::UnboundedReceiver<Event>>,
    posting: mpsc::UnboundedSender<Post>,
}

async fn serve(client: TcpStream, desk: Arc<Desk>) {
    let service = service_fn(move |request| {
        let desk = Arc::clone(&desk);
        async move { Ok::<_, Infallible>(desk.answer(request).await) }
    });
    // If the connection breaks, the process has ended.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(client), service)
        .await;
}

impl Desk {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (parts, body) = request.into_parts();
        let Some(path) = parts.uri.path().strip_prefix(PREFIX) else {
            return empty(StatusCode::NOT_FOUND);
        };
        let path: Vec<_> = path.split('/').map(str::to_owned).collect();
        let Ok(body) = body.collect().await else {
            return empty(StatusCode::BAD_REQUEST);
        };
        let body = serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
        let path: Vec<_> = path.iter().map(String::as_str).collect();
        let said = match (&parts.method, &path[..]) {
            (&Method::GET, ["invocation", "next"]) => {
                // Whether or not anybody listens: the event may be there already.
                drop(self.say(Said::Next));
                return self.next().await;
            }
            (&Method::POST, ["invocation", id, "response"]) => {
                Said::Response((*id).to_owned(), body)
            }
            (&Method::POST, ["invocation", id, "error"]) => Said::Error((*id).to_owned(), body),
            (&Method::POST, ["init", "error"]) => Said::InitError(body),
            (_, _) => return empty(StatusCode::NOT_FOUND),
        };
        // Used or dropped, it may go on.
        let _ = self.say(said).await;
        empty(StatusCode::ACCEPTED)
    }

    fn say(&self, said: Said) -> oneshot::Receiver<()> {
        let (heard, hears) = oneshot::channel();
        // Without a function to listen, nobody is left to be told.
        let _ = self.posting.send(Post { said, heard });
        hears
    }

    async fn next(&self) -> Response<Full<Bytes>> {
        let Some(event) = self.queue.lock().await.recv().await else {
            return empty(StatusCode::GONE);
        };
        Response::builder()
            .header("Content-Type", "application/json")
            .header("Lambda-Runtime-Aws-Request-Id", event.request_id)
            .header("Lambda-Runtime-Deadline-Ms", event.deadline_ms)
            .header("Lambda-Runtime-Invoked-Function-Arn", event.function_arn)
            .header(
                "Lambda-Runtime-Trace-Id",
                "Root=1-6b029900-0123456789abcdef01234567;Sampled=0",
            )
            .body(Full::new(Bytes::from(event.payload.to_string())))
            .expect("a response")
    }
}

fn empty(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::default();
    *response.status_mut() = status;
    response
}
