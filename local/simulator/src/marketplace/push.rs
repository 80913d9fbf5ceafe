//! Pushes app tickets: the v1.0 event `app_ticket` ("app_ticket event" in the platform's reference), by POST.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpStream;
use url::{Host, Position, Url};

use crate::answer::JSON;
use crate::apps::App;
use crate::invalid::Invalid;
use crate::platform::Platform;

/// How long the receiver may take, which is what the platform gives it ("Handle event" in its guide).
const TIMEOUT: Duration = Duration::from_secs(3);

/// The platform tries for hours; here the next resend is near.
const ATTEMPTS: u32 = 3;

/// Pushes the app's current ticket and tells the HTTP status of the last attempt; anything but 2xx is tried again.
pub(crate) async fn push(platform: &Platform, app_id: &str) -> Result<u16, Invalid> {
    let app = platform.marketplace_app(app_id)?;
    let url = app
        .event_url
        .as_deref()
        .and_then(|url| Url::parse(url).ok())
        .ok_or_else(|| Invalid::new("event_url", format!("{app_id} has none")))?;
    let event = event(platform, &app);
    let mut last = Err("nothing was tried".to_owned());
    for _ in 0..ATTEMPTS {
        last = match tokio::time::timeout(TIMEOUT, post(&url, event.clone())).await {
            Ok(answer) => answer,
            Err(_) => Err("no answer in time".to_owned()),
        };
        if last
            .as_ref()
            .is_ok_and(|status| (200..300).contains(status))
        {
            platform
                .counters
                .count(app_id, |app| app.ticket_pushes += 1);
            break;
        }
    }
    if !last
        .as_ref()
        .is_ok_and(|status| (200..300).contains(status))
    {
        platform
            .counters
            .count(app_id, |app| app.ticket_pushes_failed += 1);
    }
    last.map_err(|problem| Invalid::new("event_url", format!("{url}: {problem}")))
}

fn event(platform: &Platform, app: &App) -> Bytes {
    let now_ms = platform.clock.now_ms();
    let ticket = platform
        .tickets
        .current(&app.app_id, now_ms, &platform.values);
    let event = json!({
        "ts": format!("{}.{:03}000", now_ms / 1000, now_ms % 1000),
        "uuid": format!("{:016x}{:016x}", platform.values.number(), platform.values.number()),
        "token": app.verification_token.as_deref().unwrap_or_default(),
        "type": "event_callback",
        "event": { "type": "app_ticket", "app_id": app.app_id, "app_ticket": ticket },
    });
    Bytes::from(event.to_string())
}

/// The HTTP status. The connection lives and ends with this future.
async fn post(url: &Url, body: Bytes) -> Result<u16, String> {
    let stream = TcpStream::connect(&*addresses(url).await?)
        .await
        .map_err(|error| error.to_string())?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    let authority = url.authority().rsplit('@').next().unwrap_or_default();
    let request = http::Request::post(&url[Position::BeforePath..Position::AfterQuery])
        .header(header::HOST, authority)
        .header(header::CONTENT_TYPE, JSON)
        .body(Full::new(body))
        .map_err(|error| error.to_string())?;
    let response = sender.send_request(request);
    tokio::pin!(response);
    let answer = tokio::select! {
        answer = &mut response => answer,
        // The connection may end in the same moment in which the answer has come.
        _ended = connection => response.await,
    };
    answer
        .map(|answer| answer.status().as_u16())
        .map_err(|error| error.to_string())
}

async fn addresses(url: &Url) -> Result<Vec<SocketAddr>, String> {
    let port = url.port_or_known_default().unwrap_or(80);
    match url.host() {
        Some(Host::Ipv4(ip)) => Ok(vec![SocketAddr::from((ip, port))]),
        Some(Host::Ipv6(ip)) => Ok(vec![SocketAddr::from((ip, port))]),
        Some(Host::Domain(name)) => {
            let found = tokio::net::lookup_host((name, port))
                .await
                .map_err(|error| error.to_string())?;
            // `localhost` is a name, and names can be made to lead elsewhere.
            Ok(found.filter(|address| address.ip().is_loopback()).collect())
        }
        None => Ok(Vec::new()),
    }
}
