//! Pushes app tickets by POST, as the v1.0 event `app_ticket` ("app_ticket event" in the platform's reference).

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

/// Time for the receiver to answer, the same as on the platform ("Handle event" in its guide).
const TIMEOUT: Duration = Duration::from_secs(3);

/// The platform retries for hours; here a resend follows soon.
const ATTEMPTS: u32 = 3;

/// Pushes the app's current ticket and returns the HTTP status of the last attempt. Retries anything but 2xx.
pub(crate) async fn push(platform: &Platform, app_id: &str) -> Result<u16, Invalid> {
    let app = platform.marketplace_app(app_id)?;
    let url = app
        .event_url
        .as_deref()
        .and_then(|url| Url::parse(url).ok())
        .ok_or_else(|| Invalid::new("event_url", format!("{app_id} has no event_url")))?;
    let event = event(platform, &app);
    let mut last = Err("no attempt was made".to_owned());
    for _ in 0..ATTEMPTS {
        last = match tokio::time::timeout(TIMEOUT, post(&url, event.clone())).await {
            Ok(answer) => answer,
            Err(_) => Err("no answer within the timeout".to_owned()),
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
        .current(&app.app_id, now_ms, &platform.random);
    let event = json!({
        "ts": format!("{}.{:03}000", now_ms / 1000, now_ms % 1000),
        "uuid": format!("{:016x}{:016x}", platform.random.number(), platform.random.number()),
        "token": app.verification_token.as_deref().unwrap_or_default(),
        "type": "event_callback",
        "event": { "type": "app_ticket", "app_id": app.app_id, "app_ticket": ticket },
    });
    Bytes::from(event.to_string())
}

/// Returns the HTTP status. Closes the connection when it returns or is dropped.
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
        // The connection may end at the same moment as the answer arrives.
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
            // Somebody may have configured the name `localhost` to resolve to another machine.
            Ok(found.filter(|address| address.ip().is_loopback()).collect())
        }
        None => Ok(Vec::new()),
    }
}
