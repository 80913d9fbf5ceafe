//! Problems with apps, the platform and the recurring work.

use lark_simulator::{seeded_app_id, seeded_app_secret};

use super::*;
use lark_service::apps::{AppChange, AppStatus};
use lark_service::changes::Actor;
use lark_service::clock::ManualClock;
use lark_service::store::{Expect, Key, Record, Value};
use lark_service::tokens::{TokenKey, Trust};

#[tokio::test]
async fn a_wrong_secret_is_to_be_rotated() {
    let app = seeded_app_id(1);
    let seed = format!(r#"{{"apps":[{{"app_id":"{app}","secret":"wrong"}}]}}"#);
    let report = Place::seeded(&seed).await.examined().await;
    let remedy = format!("lark-service app rotate-secret {app}");
    failed(&report, "credentials", &app, &remedy);
}

#[tokio::test]
async fn an_app_that_the_platform_does_not_know_is_to_be_looked_up() {
    let seed = r#"{"apps":[{"app_id":"cli_unknown","secret":"s"}]}"#;
    let report = Place::seeded(seed).await.examined().await;
    failed(
        &report,
        "credentials",
        "cli_unknown",
        "in the developer console",
    );
    failed(&report, "api_keys", "none of 0", "lark-service key create");
}

#[tokio::test]
async fn a_platform_out_of_reach_names_its_variable() {
    let place = Place::healthy()
        .await
        .with("LARK_SERVICE_FEISHU_URL", "http://127.0.0.1:1");
    let report = place.examined().await;
    failed(
        &report,
        "lark",
        "http://127.0.0.1:1",
        "correct LARK_SERVICE_FEISHU_URL",
    );
    check(&report, "credentials", Status::Skipped, "not reached", "");
}

#[tokio::test]
async fn something_else_in_the_platforms_place_is_noticed() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let place = Place::healthy().await.with("LARK_SERVICE_FEISHU_URL", &url);
    let stranger = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        assert_ne!(stream.read(&mut [0; 4_096]).await.unwrap(), 0);
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
        stream.write_all(answer).await.unwrap();
        std::future::pending::<()>().await
    };
    let report = tokio::select! {
        report = place.examined() => report,
        () = stranger => unreachable!(),
    };
    failed(
        &report,
        "lark",
        "is not the Lark Open Platform",
        "correct LARK_SERVICE_FEISHU_URL",
    );
}

#[tokio::test]
async fn a_clock_that_is_off_is_to_follow_a_time_server() {
    let place = Place::healthy().await;
    place.simulator.control().advance(Duration::from_secs(90));
    let report = place.examined().await;
    check(&report, "clock", Status::Warning, "s behind", "set-ntp");
    place.simulator.control().advance(Duration::from_secs(300));
    let report = place.examined().await;
    failed(&report, "clock", "s behind", "timedatectl set-ntp true");
}

#[tokio::test]
async fn a_token_from_the_future_names_the_time_server() {
    let place = Place::healthy().await;
    let config = place.config();
    let mut adapters = Adapters::connect(&config).await.unwrap();
    let fast = SystemClock.now() + Duration::from_secs(3 * 3_600);
    adapters.clock = Arc::new(ManualClock::at(fast));
    let services = Services::new(config, &adapters);
    let app_id = AppId::parse(&seeded_app_id(1)).unwrap();
    let app = services.apps.enabled(&app_id, soon()).await.unwrap();
    let key = TokenKey::tenant(app_id, None);
    let token = services.tokens.token(&app, &key, Trust::Local, soon());
    token.await.unwrap();
    drop((services, adapters));
    let report = place.examined().await;
    check(
        &report,
        "token_times",
        Status::Warning,
        "1 of 1",
        "timedatectl set-ntp true",
    );
}

#[tokio::test]
async fn a_token_that_nobody_refreshes_names_the_schedule() {
    let place = Place::healthy().await;
    let later = SystemClock.now() + Duration::from_secs(3_600);
    let report = place.examined_at(Arc::new(ManualClock::at(later))).await;
    check(
        &report,
        "schedule",
        Status::Warning,
        "is due since",
        "make run",
    );
}

#[tokio::test]
async fn a_default_app_that_is_not_registered_or_switched_off_is_named() {
    let place = Place::healthy()
        .await
        .with("LARK_SERVICE_DEFAULT_APP_ID", "cli_gone");
    let report = place.examined().await;
    failed(
        &report,
        "default_app",
        "cli_gone",
        "lark-service app add --app-id cli_gone",
    );
    let app = seeded_app_id(1);
    let place = place.with("LARK_SERVICE_DEFAULT_APP_ID", &app);
    let change = AppChange {
        status: Some(AppStatus::Disabled),
        ..AppChange::default()
    };
    let services = place.services().await;
    let app_id = AppId::parse(&app).unwrap();
    let actor = Actor::seed();
    services
        .apps
        .change(&app_id, &change, &actor, soon())
        .await
        .unwrap();
    drop(services);
    let report = place.examined().await;
    failed(
        &report,
        "default_app",
        "disabled",
        &format!("lark-service app enable {app}"),
    );
}

#[tokio::test]
async fn a_secret_that_does_not_open_is_to_be_given_anew() {
    let place = Place::healthy().await;
    let path = place.file("data-keys");
    let other = Place::healthy().await;
    fs::copy(other.file("data-keys"), &path).unwrap();
    let report = place.examined().await;
    let app = seeded_app_id(1);
    let remedy = format!("lark-service app rotate-secret {app} --previous-for 0");
    failed(&report, "apps", &app, &remedy);
    failed(
        &report,
        "apps",
        "not in the key ring",
        "restore the data key",
    );
}

#[tokio::test]
async fn a_marketplace_app_without_its_ticket_is_named() {
    let app = seeded_app_id(1);
    let secret = seeded_app_secret(&app);
    let seed =
        format!(r#"{{"apps":[{{"app_id":"{app}","secret":"{secret}","kind":"marketplace"}}]}}"#);
    let report = Place::seeded(&seed).await.examined().await;
    failed(&report, "tickets", &app, "store-app-ticket");
}

#[tokio::test]
async fn logins_that_ended_are_counted() {
    let place = Place::healthy().await;
    let services = place.services().await;
    let app = seeded_app_id(1);
    let record = Record::new(Key::new(format!("user#{app}"), "user#ou_a"), 1)
        .with("generation", Value::Number(1))
        .with("ended", Value::Text("revoked".to_owned()));
    let put = services
        .storage
        .put(Table::Tokens, &record, Expect::Absent, soon());
    put.await.unwrap();
    drop(services);
    let report = place.examined().await;
    let remedy = format!("lark-service login list {app} --ended");
    check(&report, "logins", Status::Warning, "1 of 1", &remedy);
}
