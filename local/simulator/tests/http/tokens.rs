use std::time::Duration;

use lark_simulator::{Options, Settings, Simulator, seeded_app_id};
use serde_json::json;

use crate::client::{
    Answer, START_MS, TENANT_TOKEN, USERS, app_id, call, credentials, get, post, start, start_with,
    tenant_token,
};

const APP_TOKEN: &str = "/open-apis/auth/v3/app_access_token/internal";
const MINUTE: Duration = Duration::from_secs(60);

async fn token_answer(simulator: &Simulator) -> (String, u64) {
    let answer = post(simulator, TENANT_TOKEN, "", &credentials()).await;
    assert_eq!(answer.code(), (200, 0));
    let token = answer.body["tenant_access_token"].as_str().unwrap();
    (token.to_owned(), answer.body["expire"].as_u64().unwrap())
}

async fn is_accepted(simulator: &Simulator, token: &str) -> bool {
    let path = format!("{USERS}/batch?user_ids=nobody");
    let answer = get(simulator, &path, token).await;
    assert!([(200, 0), (400, 99_991_663)].contains(&answer.code()));
    answer.status == 200
}

#[tokio::test]
async fn with_half_an_hour_left_the_same_token_counts_down() {
    let simulator = start().await;
    let (first, expire) = token_answer(&simulator).await;
    assert!(first.starts_with("t-g1") && expire == 7200);
    simulator.control().advance(89 * MINUTE);
    assert_eq!(token_answer(&simulator).await, (first.clone(), 7200 - 5340));
    simulator.control().advance(MINUTE);
    assert_eq!(token_answer(&simulator).await, (first, 1800));
}

#[tokio::test]
async fn with_less_left_both_tokens_are_valid_until_they_expire() {
    let simulator = start().await;
    let (first, _) = token_answer(&simulator).await;
    simulator.control().set_now_ms(START_MS + 90 * 60_000 + 1);
    let (second, expire) = token_answer(&simulator).await;
    assert!(first != second && expire == 7200);
    assert!(is_accepted(&simulator, &first).await && is_accepted(&simulator, &second).await);

    simulator.control().set_now_ms(START_MS + 7_199_999);
    assert!(is_accepted(&simulator, &first).await);
    simulator.control().advance(Duration::from_millis(1));
    assert!(!is_accepted(&simulator, &first).await);
    assert!(is_accepted(&simulator, &second).await);
}

#[tokio::test]
async fn the_app_token_answer_carries_the_equal_tenant_token() {
    let simulator = start().await;
    let (tenant_token, _) = token_answer(&simulator).await;
    let answer = post(&simulator, APP_TOKEN, "", &credentials()).await;
    assert_eq!(
        answer.body,
        json!({
            "code": 0, "msg": "ok", "expire": 7200,
            "app_access_token": tenant_token, "tenant_access_token": tenant_token,
        })
    );
}

#[tokio::test]
async fn a_revoked_token_is_refused_and_replaced() {
    let simulator = start().await;
    let (first, _) = token_answer(&simulator).await;
    assert!(simulator.control().revoke_token(&first));
    assert!(!is_accepted(&simulator, &first).await);
    let (second, _) = token_answer(&simulator).await;
    assert!(is_accepted(&simulator, &second).await);
    assert_eq!(simulator.control().revoke_app_tokens(&app_id()), 1);
    assert!(!is_accepted(&simulator, &second).await);
}

#[tokio::test]
async fn a_shorter_lifetime_applies_to_new_tokens() {
    let simulator = start().await;
    let lifetime = Duration::from_secs(20);
    simulator.control().set_token_lifetime(lifetime).unwrap();
    let (token, expire) = token_answer(&simulator).await;
    assert_eq!(expire, 20);
    simulator.control().advance(lifetime);
    assert!(!is_accepted(&simulator, &token).await);
}

async fn ask(simulator: &Simulator, app_id: &str, secret: &str) -> (u16, i64) {
    let body = json!({ "app_id": app_id, "app_secret": secret });
    post(simulator, TENANT_TOKEN, "", &body).await.code()
}

#[tokio::test]
async fn bad_credentials_are_rejected_with_either_status() {
    let simulator = start().await;
    for app_error_status in [200, 400] {
        let settings = Settings {
            app_error_status,
            ..Settings::default()
        };
        simulator.control().set_settings(settings).unwrap();
        let wrong_secret = ask(&simulator, &app_id(), "wrong").await;
        assert_eq!(wrong_secret, (app_error_status, 10_014));
        let body = json!({ "app_id": app_id(), "app_secret": "wrong" });
        let answer = post(&simulator, TENANT_TOKEN, "", &body).await;
        assert_eq!(
            answer.body,
            json!({ "code": 10_014, "msg": "app secret invalid" })
        );
        let unknown_app = ask(&simulator, "cli_unknown", "wrong").await;
        assert_eq!(unknown_app, (app_error_status, 10_003));
        for malformed in ["", "not json", "[]", r#"{"app_id":"cli_sim000001"}"#] {
            let answer = call(&simulator, "POST", TENANT_TOKEN, "", malformed).await;
            assert_eq!(answer.code(), (app_error_status, 10_003), "{malformed}");
        }
    }
    assert_eq!(simulator.control().counters().tokens_issued, 0);
}

#[tokio::test]
async fn during_a_rotation_both_secrets_are_valid() {
    let simulator = start().await;
    let control = simulator.control();
    control.rotate_secret(&app_id(), "second").unwrap();
    let first = format!("secret-{}", app_id());
    assert_eq!(ask(&simulator, &app_id(), &first).await, (200, 0));
    assert_eq!(ask(&simulator, &app_id(), "second").await, (200, 0));
    control.rotate_secret(&app_id(), "third").unwrap();
    assert_eq!(ask(&simulator, &app_id(), &first).await, (200, 10_014));
}

#[tokio::test]
async fn a_disabled_app_gets_no_token_and_can_use_none() {
    let simulator = start().await;
    let token = tenant_token(&simulator).await;
    simulator.control().disable_app(&app_id()).unwrap();
    let answer = post(&simulator, TENANT_TOKEN, "", &credentials()).await;
    assert_eq!(answer.code(), (200, 10_014));
    let answer = get(&simulator, &format!("{USERS}/ou_x"), &token).await;
    assert_eq!(answer.code(), (400, 99_991_662));
    simulator.control().enable_app(&app_id()).unwrap();
    assert!(is_accepted(&simulator, &token).await);
}

#[tokio::test]
async fn token_errors_have_either_status() {
    let simulator = start().await;
    for token_error_status in [400, 200] {
        let settings = Settings {
            token_error_status,
            ..Settings::default()
        };
        simulator.control().set_settings(settings).unwrap();
        let cases = [
            ("", 99_991_661),
            ("t-unknown", 99_991_663),
            ("u-unknown", 99_991_668),
            ("eyJunknown", 99_991_668),
            ("unknown", 99_991_671),
        ];
        for (token, code) in cases {
            let answer = get(&simulator, &format!("{USERS}/ou_x"), token).await;
            assert_eq!(answer.code(), (token_error_status, code), "{token}");
            assert_eq!(answer.body["error"]["log_id"], answer.header("x-tt-logid"));
        }
    }
}

async fn batch(simulator: &Simulator, token: &str) -> Answer {
    get(simulator, &format!("{USERS}/batch?user_ids=a"), token).await
}

#[tokio::test]
async fn the_fifty_first_call_of_a_second_is_refused_with_its_headers() {
    let settings = Settings {
        rate_limits: true,
        ..Settings::default()
    };
    let simulator = start_with(Options {
        settings,
        seeded_apps: 2,
        ..Options::default()
    })
    .await;
    let token = tenant_token(&simulator).await;
    for _ in 0..50 {
        assert_eq!(batch(&simulator, &token).await.code(), (200, 0));
    }
    let refused = batch(&simulator, &token).await;
    assert_eq!(refused.code(), (429, 99_991_400));
    assert_eq!(refused.header("x-ogw-ratelimit-limit"), "50");
    assert_eq!(refused.header("x-ogw-ratelimit-reset"), "1");

    let old_shape = Settings {
        rate_limit_status: 400,
        ..settings
    };
    simulator.control().set_settings(old_shape).unwrap();
    assert_eq!(batch(&simulator, &token).await.code(), (400, 99_991_400));

    let other = seeded_app_id(2);
    let secret = format!("secret-{other}");
    assert_eq!(ask(&simulator, &other, &secret).await, (200, 0));
    simulator.control().advance(Duration::from_secs(1));
    assert_eq!(batch(&simulator, &token).await.code(), (200, 0));
}

#[tokio::test]
async fn the_thousand_and_first_call_of_a_minute_waits_for_the_next_minute() {
    let settings = Settings {
        rate_limits: true,
        ..Settings::default()
    };
    let options = Options {
        settings,
        ..Options::default()
    };
    let simulator = start_with(options).await;
    let token = tenant_token(&simulator).await;
    for _ in 0..20 {
        for _ in 0..50 {
            assert_eq!(batch(&simulator, &token).await.code(), (200, 0));
        }
        simulator.control().advance(Duration::from_secs(1));
    }
    let refused = batch(&simulator, &token).await;
    assert_eq!(refused.header("x-ogw-ratelimit-limit"), "1000");
    assert_eq!(refused.header("x-ogw-ratelimit-reset"), "40");
    simulator.control().advance(Duration::from_secs(40));
    assert_eq!(batch(&simulator, &token).await.code(), (200, 0));
}
