//! No line of the log holds a secret or personal data, even at the most verbose level and whatever goes wrong.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lark_service::telemetry;
use lark_service::tokens::SharedToken;
use lark_service_tests::world::{APP, DEMO_APP, DEMO_KEY, Process, World};
use lark_simulator::{Fault, FaultAction};
use secrecy::ExposeSecret;
use serde_json::Value;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

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
    let mut tokens = vec![
        process.token().await.unwrap(),
        process.token_of(DEMO_APP).await.unwrap(),
    ];
    let question = serde_json::from_str(include_str!("../../events/authorize.json")).unwrap();
    process.invoke("authorize", question).await.unwrap();

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

    secrets(&profile, &tokens)
}

/// Secrets and personal data that the service handled.
fn secrets(profile: &Value, tokens: &[SharedToken]) -> Vec<String> {
    let mut hidden = vec![
        DEMO_KEY.to_owned(),
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
    for secret in hidden {
        let line = logged.lines().find(|line| line.contains(&secret));
        assert_eq!(line, None, "a line of the log contains {secret}");
    }
}
