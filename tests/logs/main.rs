//! No line of the log holds a secret or personal data, even at the most verbose level and whatever goes wrong.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lark_service::ids::{AppId, OpenId};
use lark_service::telemetry;
use lark_service::tokens::SharedToken;
use lark_service_tests::browser::PUBLIC_URL;
use lark_service_tests::requests::TestRequest;
use lark_service_tests::world::{APP, DEMO_APP, DEMO_KEY, Process, World, soon};
use lark_simulator::{App, Challenge, Consent, Fault, FaultAction, FaultStage};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use url::Url;

/// A key that nobody made.
const STRANGER: &str = "lsk_stranger0000_stranger00000000000000000000000000000000000";
const MARKET_APP: &str = "cli_market00001";
const MARKET_SECRET: &str = "market-secret-00001";

/// Every line that was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What `get-user` answers to `event`.
async fn ask(process: &Process, event: &str) -> Value {
    let event = serde_json::from_str(event).unwrap();
    process.invoke_http("get-user", &event).await.body
}

/// Provokes as many log lines as possible; returns the texts that none of them may hold.
async fn hidden_in_a_day_when_everything_goes_wrong() -> Vec<String> {
    let mut world = World::begin().await;
    world.seed_demo().await;
    let process = world.process();
    let get_user = include_str!("../../events/get-user.json");
    let profile = ask(&process, get_user).await;
    let mut hidden = hidden_in_a_login(&world).await;
    hidden.extend(hidden_in_a_ticket(&world, &process).await);
    let mut tokens = vec![
        process.token().await.unwrap(),
        process.token_of(DEMO_APP).await.unwrap(),
    ];
    let question = serde_json::from_str(include_str!("../../events/authorize.json")).unwrap();
    process.invoke("authorize", question).await.unwrap();
    let stranger = json!({"identitySource": [format!("Bearer {STRANGER}")]});
    let decision = process.invoke("authorize", stranger).await.unwrap();
    assert_eq!(decision["isAuthorized"], false);

    // Whatever can go wrong: rejections, refusals, outages of everything, senseless requests.
    world.control().revoke_app_tokens(DEMO_APP);
    process.user(3).await.unwrap();
    world
        .control()
        .add_fault(Fault {
            count: Some(4),
            ..Fault::new("*", FaultAction::answer(503, 1))
        })
        .unwrap();
    let _ = process.user(4).await;
    world.control().clear_faults();
    ask(&process, include_str!("../../events/get-user-invalid.json")).await;
    ask(
        &process,
        &get_user
            .replace("/users/ou_", "/users/")
            .replace("\"ou_", "\"x@example.com "),
    )
    .await;
    world.advance(Duration::from_secs(7_100));
    world.simulator.pause().await;
    tokens.push(process.token().await.unwrap());
    let _ = process.user(5).await;
    world.cache.stop();
    world.store.stop();
    let _ = world.process().user(6).await;
    let _ = ask(&process, get_user).await;
    world.simulator.resume().await.unwrap();
    tokens.push(process.token().await.unwrap());
    world.control().rotate_secret(APP, "next").unwrap();
    world.control().rotate_secret(APP, "next-but-one").unwrap();
    world.advance(Duration::from_secs(7_300));
    process.token().await.unwrap_err();

    hidden.extend(secrets(&profile, &tokens));
    hidden
}

/// A user logs in, at the second attempt, is refreshed, after a lost answer, and out. Returns what no line may hold.
async fn hidden_in_a_login(world: &World) -> Vec<String> {
    let process = &world.process_with(&[("LARK_SERVICE_PUBLIC_URL", PUBLIC_URL)]);
    let mut hidden = Vec::new();
    for is_right in [false, true] {
        let started = anonymous(&format!("/v1/oauth/authorize?app_id={APP}"));
        let started = started.send(process).await;
        let location: Url = started.header("location").parse().unwrap();
        let asked: HashMap<_, _> = location.query_pairs().into_owned().collect();
        let cookie = started.header("set-cookie").split(';').next().unwrap();
        let consent = Consent {
            scope: asked["scope"].clone(),
            redirect_uri: asked["redirect_uri"].clone(),
            challenge: Some(Challenge::S256(asked["code_challenge"].clone())),
        };
        let code = world.control().login(APP, 7, consent).unwrap();
        let state = asked["state"].clone();
        let sent = if is_right {
            &code
        } else {
            "a-code-nobody-issued"
        };
        let finished = anonymous(&format!("/v1/oauth/callback?state={state}&code={sent}"));
        let finished = finished.header("cookie", cookie).send(process).await;
        assert_eq!(finished.status == 200, is_right, "{:?}", finished.body);
        let (_, secret) = state.split_once('.').unwrap();
        let (_, cookie) = cookie.split_once('=').unwrap();
        hidden.extend([secret, cookie, &code, sent].map(str::to_owned));
    }
    let open_id = OpenId::parse(&lark_simulator::open_id(APP, 7)).unwrap();
    let token = process.user_token(&open_id).await.unwrap();
    world.advance(Duration::from_secs(7_200));
    let lost = Fault {
        stage: FaultStage::After,
        count: Some(1),
        ..Fault::new("authen.oauth_token", FaultAction::Reset)
    };
    world.control().add_fault(lost).unwrap();
    process.user_token(&open_id).await.unwrap_err();
    world.advance(Duration::from_secs(120));
    process.user_token(&open_id).await.unwrap_err();
    let open_id = process.log_in(world.control(), 7).await.unwrap();
    world.advance(Duration::from_secs(7_200));
    process.user_token(&open_id).await.unwrap();
    let app_id = AppId::parse(APP).unwrap();
    let logins = &process.0.logins;
    logins.end(&app_id, &open_id, soon()).await.unwrap();
    // Every token and refresh token of a user begins like this.
    let (header, _) = token.value.expose_secret().split_once('.').unwrap();
    hidden.push(header.to_owned());
    hidden
}

fn anonymous(target: &str) -> TestRequest {
    TestRequest::new("GET", target).without_key()
}

/// A marketplace app gets its ticket, and the token of a tenant with it. Returns what no line may hold.
async fn hidden_in_a_ticket(world: &World, process: &Process) -> Vec<String> {
    let app = App {
        marketplace: true,
        tenants: ["tenant_a".to_owned()].into(),
        ..App::new(MARKET_APP, MARKET_SECRET)
    };
    world.control().add_app(app).unwrap();
    world
        .seed(&format!(
            r#"{{"apps":[{{"app_id":"{MARKET_APP}","secret":"{MARKET_SECRET}","kind":"marketplace"}}]}}"#
        ))
        .await;
    let ticket = world.control().app_ticket(MARKET_APP).unwrap();
    let event = json!({
        "ts": "1700000002.000000", "uuid": "uu-1", "token": "verification-token", "type": "event_callback",
        "event": {"type": "app_ticket", "app_id": MARKET_APP, "app_ticket": ticket},
    });
    process.invoke("store-app-ticket", event).await.unwrap();
    let ask = TestRequest::new("GET", "/v1/tokens/tenant").header("x-lark-app-id", MARKET_APP);
    let answer = ask.header("x-lark-tenant-key", "tenant_a");
    let answer = answer.send(process).await;
    let token = answer.body["token"].as_str().unwrap_or_default();
    assert!(!token.is_empty(), "{:?}", answer.body);
    let hidden = [&ticket, token, MARKET_SECRET, "verification-token"];
    hidden.map(str::to_owned).to_vec()
}

/// Secrets and personal data that the service handled.
fn secrets(profile: &Value, tokens: &[SharedToken]) -> Vec<String> {
    let mut hidden = vec![
        DEMO_KEY.to_owned(),
        STRANGER.to_owned(),
        DEMO_KEY["lsk_demo0000key0_".len()..].to_owned(),
        "demo-secret-000001".to_owned(),
        lark_simulator::seeded_app_secret(APP),
        "@example.com".to_owned(),
        "+86".to_owned(),
    ];
    hidden.extend(["email", "mobile"].map(|field| profile[field].as_str().unwrap().to_owned()));
    hidden.extend(
        tokens
            .iter()
            .map(|token| token.value.expose_secret().to_owned()),
    );
    hidden
}

#[tokio::test]
async fn no_secret_token_mobile_number_or_email_is_logged() {
    let log = Log::default();
    let writer = log.clone();
    telemetry::init_logs(
        LevelFilter::TRACE,
        BoxMakeWriter::new(move || writer.clone()),
    )
    .unwrap();

    let hidden = hidden_in_a_day_when_everything_goes_wrong().await;

    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(
        logged.lines().count() > 20 && logged.contains("\"answered\"") && logged.contains("failed"),
        "{logged}"
    );
    let refusals = logged
        .lines()
        .filter(|line| line.contains("an API key was refused") && line.contains("stranger0000"));
    assert_eq!(refusals.count(), 1, "a refused key leaves a line");
    for secret in hidden {
        let line = logged.lines().find(|line| line.contains(&secret));
        assert_eq!(line, None, "a line of the log contains {secret}");
    }
}
