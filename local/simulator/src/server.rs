//! HTTP/1.1 on a socket. Header names are sent in title case: the Python SDK looks for exactly `X-Tt-Logid` and
//! `Content-Type`.

mod receive;

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::answer::{Answer, AnswerBody, ApiError};
use crate::calendar;
use crate::control::Control;
use crate::control_api;
use crate::door;
use crate::gateway::{self, Outcome};
use crate::platform::Platform;
use crate::request::Request;
use crate::stop::StopSignal;

/// Time for calls in progress to end after the simulator stops.
const GRACE: Duration = Duration::from_secs(1);

/// The most pushes of app tickets at the same time.
const PUSHES_MAX: usize = 8;

/// Serves until stopped, then lets calls in progress end.
pub(crate) async fn run(listener: TcpListener, control: Control, mut stop: StopSignal) {
    let mut connections = JoinSet::new();
    // Returning aborts the pushes in progress.
    let mut pushes = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.stopped() => break,
            Some(_) = connections.join_next() => {}
            Some(_) = pushes.join_next() => {}
            app_id = control.platform().push_queue.next(), if pushes.len() < PUSHES_MAX => {
                let control = control.clone();
                pushes.spawn(async move {
                    // The counters show the result.
                    let _counted = control.push_app_ticket(&app_id).await;
                });
            }
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let connection = connection(stream, control.clone(), stop.clone());
                    connections.spawn(connection);
                }
                // Out of file descriptors: wait until a connection ends.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
        }
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    let _late_ones_are_aborted = tokio::time::timeout(GRACE, drained).await;
}

async fn connection(stream: TcpStream, control: Control, mut stop: StopSignal) {
    // Otherwise small answers wait for the client's delayed acknowledgement.
    let _only_slower = stream.set_nodelay(true);
    let head_timeout = control.platform().head_timeout;
    let reset = Arc::new(Notify::new());
    let service = {
        let (reset, stop) = (Arc::clone(&reset), stop.clone());
        service_fn(move |request| {
            let (control, reset, mut stop) = (control.clone(), Arc::clone(&reset), stop.clone());
            async move { answer(request, &control, &reset, &mut stop).await }
        })
    };
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        .title_case_headers(true)
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        // If the connection breaks, the client notices by itself.
        _ = &mut connection => return,
        () = reset.notified() => {
            let stream = connection.into_parts().io.into_inner();
            let _plain_close_instead = stream.set_zero_linger();
            return;
        }
        () = stop.stopped() => std::pin::Pin::new(&mut connection).graceful_shutdown(),
    }
    let _broken = connection.await;
}

/// Hyper drops the connection if this returns an error, and drops this future if the client goes away.
async fn answer(
    request: http::Request<Incoming>,
    control: &Control,
    reset: &Notify,
    stop: &mut StopSignal,
) -> Result<http::Response<AnswerBody>, Unanswered> {
    let platform = control.platform();
    let log_id = platform.next_log_id(platform.clock.now_ms());
    let (parts, body) = request.into_parts();
    let answer = match receive::receive(platform, &parts.headers, body).await {
        None => too_large(platform, &log_id),
        Some(body) => {
            let request = Request::new(&parts, body);
            if let Some(why) = door::refusal(&parts.headers, None) {
                ApiError::documented(StatusCode::FORBIDDEN, 9499, why)
                    .answer(&platform.settings(), &log_id)
            } else if control_api::owns(&request) {
                control_api::answer(control, &request)
            } else {
                match gateway::serve(platform, &request, &log_id, stop).await {
                    Outcome::Answer(answer) => answer,
                    Outcome::Hang => return Err(Unanswered),
                    Outcome::Reset => {
                        reset.notify_one();
                        std::future::pending().await
                    }
                }
            }
        }
    };
    Ok(response(platform, answer, &log_id))
}

/// A call that gets no answer.
#[derive(Debug)]
struct Unanswered;

impl std::fmt::Display for Unanswered {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a fault left the call unanswered")
    }
}

impl std::error::Error for Unanswered {}

fn too_large(platform: &Platform, log_id: &str) -> Answer {
    let msg = format!("the body is larger than {} bytes", platform.max_body_bytes);
    // 9499 is the gateway's "bad request"; the platform does not document its answer here.
    ApiError::documented(StatusCode::PAYLOAD_TOO_LARGE, 9499, msg)
        .answer(&platform.settings(), log_id)
}

fn response(platform: &Platform, answer: Answer, log_id: &str) -> http::Response<AnswerBody> {
    let mut response = http::Response::new(answer.body);
    *response.status_mut() = answer.status;
    let date = calendar::http_date(platform.clock.now_ms());
    let headers = response.headers_mut();
    let usual = [
        (header::DATE, date.as_str()),
        (header::CONTENT_TYPE, answer.content_type),
        (HeaderName::from_static("x-tt-logid"), log_id),
    ];
    for (name, value) in usual {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    }
    for (name, value) in &answer.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(value)) {
            headers.insert(name, value);
        }
    }
    response
}
