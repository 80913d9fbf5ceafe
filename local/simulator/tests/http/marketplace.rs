use std::convert::Infallible;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use lark_simulator::{App, AppPatch, Options, Simulator};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::client::{
    START_MS, TENANT_TOKEN, USERS, app_id, call, credentials, get, post, start_with,
};

const APP: &str = "cli_market";
const APP_TOKEN: &str = "/open-apis/auth/v3/app_access_token";
const MARKET_TENANT_TOKEN: &str = "/open-apis/auth/v3/tenant_access_token";
const RESEND: &str = "/open-apis/auth/v3/app_ticket/resend";
const HOUR: Duration = Duration::from_secs(3600);

/// A simulator with a marketplace app that two tenants have installed, besides the usual app.
async fn start(event_url: Option<String>) -> Simulator {
    let app = App {
        marketplace: true,
        tenants: ["tenant_one", "tenant_two"].map(str::to_owned).into(),
        event_url,
        verification_token: Some("known".to_owned()),
        ..App::new(APP, "secret")
    };
    start_with(Options {
        apps: vec![app],
        ..Options::default()
    })
    .await
}

/// A server that forwards what it received, with the path. Each answer has the next status; the last one repeats.
struct Receiver {
    url: String,
    received: mpsc::UnboundedReceiver<(String, Value)>,
    task: JoinHandle<()>,
}

impl Receiver {
    #[expect(
        clippy::disallowed_methods,
        reason = "a server runs beside its test, which ends it"
    )]
    async fn start(statuses: &'static [u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (sender, received) = mpsc::unbounded_channel();
        let serve = async move {
            for status in statuses
                .iter()
                .chain(std::iter::repeat(&statuses[statuses.len() - 1]))
            {
                let (stream, _) = listener.accept().await.unwrap();
                let service = service_fn(|request: http::Request<Incoming>| async {
                    let path = request.uri().path().to_owned();
                    let body = request.into_body().collect().await.unwrap().to_bytes();
                    let body = serde_json::from_slice(&body).unwrap();
                    sender.send((path, body)).unwrap();
                    let body = Full::new(bytes::Bytes::new());
                    let answer = http::Response::builder().status(*status).body(body);
                    Ok::<_, Infallible>(answer.unwrap())
                });
                let connection =
                    http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                let _client_may_be_gone = connection.await;
            }
        };
        Self {
            url: format!("http://{addr}/events/{{app_id}}"),
            received,
            task: tokio::spawn(serve),
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn secret_with(changes: &Value) -> Value {
    let mut body = json!({ "app_id": APP, "app_secret": "secret" });
    for (name, value) in changes.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

async fn app_token(simulator: &Simulator) -> (String, u64) {
    let ticket = simulator.control().app_ticket(APP).unwrap();
    let body = secret_with(&json!({ "app_ticket": ticket }));
    let answer = post(simulator, APP_TOKEN, "", &body).await;
    assert_eq!(answer.code(), (200, 0), "{}", answer.body);
    let token = answer.body["app_access_token"].as_str().unwrap();
    (token.to_owned(), answer.body["expire"].as_u64().unwrap())
}

async fn token_of(simulator: &Simulator, app_token: &str, tenant: &str) -> (String, u64) {
    let body = json!({ "app_access_token": app_token, "tenant_key": tenant });
    let answer = post(simulator, MARKET_TENANT_TOKEN, "", &body).await;
    assert_eq!(answer.code(), (200, 0), "{}", answer.body);
    let token = answer.body["tenant_access_token"].as_str().unwrap();
    (token.to_owned(), answer.body["expire"].as_u64().unwrap())
}

async fn contact(simulator: &Simulator, token: &str) -> (u16, i64) {
    get(simulator, &format!("{USERS}/batch?user_ids=a"), token)
        .await
        .code()
}

#[tokio::test]
async fn a_ticket_gets_an_app_token_which_gets_a_token_for_each_tenant() {
    let simulator = start(None).await;
    let (app_token, expire) = app_token(&simulator).await;
    assert!(app_token.starts_with("a-") && expire == 7200);
    let (one, expire) = token_of(&simulator, &app_token, "tenant_one").await;
    let (two, _) = token_of(&simulator, &app_token, "tenant_two").await;
    assert!(one.starts_with("t-") && one != two && expire == 7200);
    assert_eq!(contact(&simulator, &one).await, (200, 0));
    assert_eq!(contact(&simulator, &two).await, (200, 0));
    assert_eq!(contact(&simulator, &app_token).await, (400, 99_991_671));
    assert_eq!(simulator.control().app_counters(APP).tokens_issued, 3);

    let uninstall = AppPatch {
        tenants: Some(["tenant_two".to_owned()].into()),
        ..AppPatch::default()
    };
    simulator.control().update_app(APP, uninstall).unwrap();
    assert_eq!(contact(&simulator, &one).await, (400, 99_991_673));
    assert_eq!(contact(&simulator, &two).await, (200, 0));
}

#[tokio::test]
async fn each_token_keeps_the_thirty_minute_rule_by_itself() {
    let simulator = start(None).await;
    let control = simulator.control();
    let (first_app_token, _) = app_token(&simulator).await;
    let (one, _) = token_of(&simulator, &first_app_token, "tenant_one").await;
    control.advance(HOUR);
    let (two, _) = token_of(&simulator, &first_app_token, "tenant_two").await;
    control.advance(HOUR / 2);
    assert_eq!(app_token(&simulator).await, (first_app_token.clone(), 1800));
    control.set_now_ms(START_MS + 90 * 60_000 + 1);
    let (second_app_token, expire) = app_token(&simulator).await;
    assert!(second_app_token != first_app_token && expire == 7200);
    // The old one is still valid, and the tenants' tokens have different ages.
    assert_ne!(
        token_of(&simulator, &first_app_token, "tenant_one").await.0,
        one
    );
    assert_eq!(
        token_of(&simulator, &second_app_token, "tenant_two")
            .await
            .0,
        two
    );
    assert_eq!(contact(&simulator, &one).await, (200, 0));
}

#[tokio::test]
async fn only_the_last_two_tickets_are_valid() {
    let simulator = start(None).await;
    let control = simulator.control();
    let code = async |ticket: Value| {
        let body = secret_with(&json!({ "app_ticket": ticket }));
        post(&simulator, APP_TOKEN, "", &body).await.code()
    };
    let first = control.app_ticket(APP).unwrap();
    assert_eq!(control.app_ticket(APP).unwrap(), first);
    let second = control.rotate_app_ticket(APP).unwrap();
    assert_eq!(code(json!(first)).await, (200, 0));
    control.advance(HOUR);
    assert_eq!(code(json!(first)).await, (200, 10_012));
    assert_eq!(code(json!(second)).await, (200, 0));
    for bad in [json!(null), json!(""), json!("unknown")] {
        assert_eq!(code(bad).await, (200, 10_012));
    }
}

#[tokio::test]
async fn bad_calls_are_refused_by_their_code() {
    let simulator = start(None).await;
    let (app_token, _) = app_token(&simulator).await;
    let check = async |path: &str, body: Value, code: i64| {
        let answer = post(&simulator, path, "", &body).await;
        assert_eq!(answer.code(), (200, code), "{path} {body}");
    };
    let tenant =
        |token: &str, tenant: &str| json!({ "app_access_token": token, "tenant_key": tenant });
    check(
        MARKET_TENANT_TOKEN,
        tenant("a-unknown", "tenant_one"),
        10_012,
    )
    .await;
    check(
        MARKET_TENANT_TOKEN,
        tenant(&app_token, "tenant_three"),
        10_013,
    )
    .await;
    check(
        MARKET_TENANT_TOKEN,
        json!({ "app_access_token": app_token }),
        10_003,
    )
    .await;
    check(MARKET_TENANT_TOKEN, json!({}), 10_003).await;
    check(
        APP_TOKEN,
        secret_with(&json!({ "app_secret": "wrong" })),
        10_014,
    )
    .await;
    // A tenant's token is not an app token.
    let (one, _) = token_of(&simulator, &app_token, "tenant_one").await;
    check(MARKET_TENANT_TOKEN, tenant(&one, "tenant_one"), 10_012).await;

    // Each kind of app has its own endpoints.
    check(TENANT_TOKEN, secret_with(&json!({})), 10_014).await;
    check(
        &format!("{APP_TOKEN}/internal"),
        secret_with(&json!({})),
        10_014,
    )
    .await;
    check(APP_TOKEN, credentials(), 10_014).await;
    check(RESEND, credentials(), 10_016).await;
    let own = post(&simulator, TENANT_TOKEN, "", &credentials())
        .await
        .body;
    let own = own["tenant_access_token"].as_str().unwrap();
    check(MARKET_TENANT_TOKEN, tenant(own, "tenant_one"), 10_014).await;

    simulator.control().disable_app(APP).unwrap();
    check(
        MARKET_TENANT_TOKEN,
        tenant(&app_token, "tenant_one"),
        10_014,
    )
    .await;
    check(RESEND, secret_with(&json!({})), 10_014).await;
}

#[tokio::test]
async fn a_resend_pushes_the_current_ticket_to_the_app() {
    let mut receiver = Receiver::start(&[200]).await;
    let simulator = start(Some(receiver.url.clone())).await;
    let answer = post(&simulator, RESEND, "", &secret_with(&json!({}))).await;
    assert_eq!(answer.body, json!({ "code": 0, "msg": "success" }));
    let (path, event) = receiver.received.recv().await.unwrap();
    assert_eq!(path, "/events/cli_market");
    let uuid = event["uuid"].as_str().unwrap();
    assert_eq!(uuid.len(), 32);
    let ticket = simulator.control().app_ticket(APP).unwrap();
    assert_eq!(
        event,
        json!({
            "ts": "1767225600.000000", "uuid": uuid, "token": "known", "type": "event_callback",
            "event": { "type": "app_ticket", "app_id": APP, "app_ticket": ticket },
        })
    );
    let body = secret_with(&json!({ "app_ticket": event["event"]["app_ticket"] }));
    assert_eq!(
        post(&simulator, APP_TOKEN, "", &body).await.code(),
        (200, 0)
    );
}

#[tokio::test]
async fn a_push_has_three_attempts_and_returns_the_last_status() {
    let mut receiver = Receiver::start(&[500, 503, 204, 404]).await;
    let simulator = start(Some(receiver.url.clone())).await;
    let control = simulator.control();
    assert_eq!(control.push_app_ticket(APP).await, Ok(204));
    let mut uuids = Vec::new();
    for _ in 0..3 {
        let (_, event) = receiver.received.recv().await.unwrap();
        uuids.push(event["uuid"].clone());
    }
    uuids.dedup();
    assert_eq!(uuids.len(), 1, "one event, three attempts");
    assert_eq!(control.push_app_ticket(APP).await, Ok(404));
    let counters = control.app_counters(APP);
    assert_eq!(
        (counters.ticket_pushes, counters.ticket_pushes_failed),
        (1, 1)
    );
}

#[tokio::test]
async fn a_push_without_a_receiver_is_an_error() {
    let simulator = start(None).await;
    let control = simulator.control();
    let unbound = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = unbound.local_addr().unwrap();
    drop(unbound);
    assert_eq!(
        control.push_app_ticket(APP).await.unwrap_err().field,
        "event_url"
    );
    let patch = AppPatch {
        event_url: Some(Some(format!("http://{addr}/"))),
        ..AppPatch::default()
    };
    control.update_app(APP, patch).unwrap();
    assert_eq!(
        control.push_app_ticket(APP).await.unwrap_err().field,
        "event_url"
    );
    assert_eq!(
        control.push_app_ticket(&app_id()).await.unwrap_err().field,
        "app_id"
    );
    assert_eq!(control.counters().ticket_pushes_failed, 1);
}

#[tokio::test]
async fn a_push_in_progress_ends_with_the_simulator() {
    // Never accepts: the kernel takes the connection, but nothing answers.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let simulator = start(Some(url)).await;
    post(&simulator, RESEND, "", &secret_with(&json!({}))).await;
    let (mut stream, _) = listener.accept().await.unwrap();
    let started = Instant::now();
    simulator.shutdown().await;
    let mut rest = Vec::new();
    let _reset_or_closed = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut rest).await;
    // Earlier than the push would have failed by itself.
    assert!(started.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn tickets_are_shown_rotated_and_pushed_over_http() {
    let mut receiver = Receiver::start(&[200]).await;
    let simulator = start(Some(receiver.url.clone())).await;
    let path = format!("/_sim/apps/{APP}/ticket");
    let shown = get(&simulator, &path, "").await.body;
    let rotated = post(&simulator, &format!("{path}/rotate"), "", &json!({}))
        .await
        .body;
    assert_ne!(shown, rotated);
    let pushed = post(&simulator, &format!("{path}/push"), "", &json!({})).await;
    assert_eq!(pushed.body, json!({ "app_id": APP }));
    let (_, event) = receiver.received.recv().await.unwrap();
    assert_eq!(event["event"]["app_ticket"], rotated["app_ticket"]);
    let of_self_built = format!("/_sim/apps/{}/ticket", app_id());
    let refused = call(&simulator, "GET", &of_self_built, "", "").await;
    assert_eq!(
        (refused.status, &refused.body["field"]),
        (400, &json!("app_id"))
    );
}
