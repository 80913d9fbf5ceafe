use std::time::Duration;

use lark_simulator::{Fault, FaultAction, FaultStage, Options, Settings, Simulator};
use lark_simulator::{seeded_app_id, seeded_app_secret};
use serde_json::json;

use super::{check_refused, two_apps};
use crate::client::{START_MS, app_id, call, post, start, start_with, tenant_token, try_call};
use crate::logins::{
    Pair, TOKEN, TOKEN_V3, code_grant, consent, logged_in, refresh_grant, refreshed, token,
    user_info,
};

const DAY: Duration = Duration::from_secs(24 * 3600);

async fn check_refresh(simulator: &Simulator, refresh_token: &str, code: i64) {
    let answer = refreshed(simulator, refresh_token).await;
    check_refused(&answer, code, "invalid_grant");
}

#[tokio::test]
async fn a_refresh_token_has_one_use_and_the_old_access_token_stays_valid() {
    let simulator = start().await;
    let first = logged_in(&simulator).await;
    simulator.control().advance(Duration::from_secs(7199));
    let second = Pair::of(&refreshed(&simulator, &first.refresh).await);
    assert!(second.access != first.access && second.refresh != first.refresh);
    check_refresh(&simulator, &first.refresh, 20_073).await;
    assert_eq!(user_info(&simulator, &first.access).await, (200, 0));
    simulator.control().advance(Duration::from_secs(1));
    assert_eq!(user_info(&simulator, &first.access).await, (200, 20_005));
    assert_eq!(user_info(&simulator, &second.access).await, (200, 0));
    // Its use did not affect the newest token.
    let grant = refresh_grant(&second.refresh, &json!({}));
    Pair::of(&post(&simulator, TOKEN_V3, "", &grant).await);
    check_refresh(&simulator, "eyJunknown", 20_026).await;

    let control = simulator.control();
    let (all, own) = (control.counters(), control.app_counters(&app_id()));
    assert_eq!(
        (all.code_grants, all.refresh_grants, all.refresh_rejected),
        (1, 2, 2)
    );
    assert_eq!(
        (own.code_grants, own.refresh_grants, own.refresh_rejected),
        (1, 2, 2)
    );
}

#[tokio::test]
async fn a_bad_refresh_fails_and_leaves_the_refresh_token_valid() {
    let simulator = start_with(two_apps()).await;
    let Pair { refresh, .. } = logged_in(&simulator).await;
    let other = seeded_app_id(2);
    let as_other = json!({ "client_id": other, "client_secret": seeded_app_secret(&other) });
    for (changes, code) in [
        (as_other, 20_024),
        (json!({ "client_secret": "wrong" }), 20_002),
        (json!({ "refresh_token": null }), 20_001),
        (json!({ "scope": "a a" }), 20_067),
        (json!({ "scope": "im:chat" }), 20_068),
    ] {
        let answer = token(&simulator, &refresh_grant(&refresh, &changes)).await;
        assert_eq!(answer.code(), (400, code), "{changes}");
    }
    let narrowed = json!({ "scope": "offline_access" });
    let answer = token(&simulator, &refresh_grant(&refresh, &narrowed)).await;
    assert_eq!(answer.body["scope"], "offline_access");
    // Narrowing the scopes did not reduce those of the login.
    let answer = refreshed(&simulator, &Pair::of(&answer).refresh).await;
    assert_eq!(answer.body["scope"], "auth:user.id:read offline_access");
}

#[tokio::test]
async fn both_secrets_of_a_rotation_are_valid() {
    let simulator = start().await;
    let Pair { refresh, .. } = logged_in(&simulator).await;
    simulator
        .control()
        .rotate_secret(&app_id(), "second")
        .unwrap();
    let second = Pair::of(&refreshed(&simulator, &refresh).await);
    let grant = refresh_grant(&second.refresh, &json!({ "client_secret": "second" }));
    Pair::of(&token(&simulator, &grant).await);
}

#[tokio::test]
async fn a_refresh_token_expires() {
    let simulator = start().await;
    let settings = Settings {
        user_token_lifetime_seconds: 60,
        refresh_token_lifetime_seconds: 100,
        ..Settings::default()
    };
    simulator.control().set_settings(settings).unwrap();
    let code = simulator
        .control()
        .login(&app_id(), 7, consent("offline_access"));
    let answer = token(&simulator, &code_grant(&code.unwrap(), &json!({}))).await;
    assert_eq!(answer.body["expires_in"], 60);
    assert_eq!(answer.body["refresh_token_expires_in"], 100);
    simulator.control().advance(Duration::from_secs(100));
    check_refresh(&simulator, &Pair::of(&answer).refresh, 20_037).await;
}

#[tokio::test]
async fn a_login_ends_365_days_after_consent_however_often_it_is_refreshed() {
    let simulator = start().await;
    let mut pair = logged_in(&simulator).await;
    for _ in 0..60 {
        simulator.control().advance(6 * DAY);
        pair = Pair::of(&refreshed(&simulator, &pair.refresh).await);
    }
    let answer = refreshed(&simulator, &pair.refresh).await;
    assert_eq!(answer.body["refresh_token_expires_in"], 5 * 24 * 3600);
    simulator.control().advance(5 * DAY);
    check_refresh(&simulator, &Pair::of(&answer).refresh, 20_037).await;
}

#[tokio::test]
async fn a_revoked_login_has_no_valid_token() {
    let simulator = start().await;
    let first = logged_in(&simulator).await;
    let second = Pair::of(&refreshed(&simulator, &first.refresh).await);
    let other_user = simulator
        .control()
        .login(&app_id(), 8, consent("offline_access"));
    let other = Pair::of(&token(&simulator, &code_grant(&other_user.unwrap(), &json!({}))).await);

    let body = json!({ "app_id": app_id(), "user": 7 });
    for revoked in [1, 0] {
        let answer = post(&simulator, "/_sim/logins/revoke", "", &body).await;
        assert_eq!(answer.body, json!({ "revoked": revoked }));
    }
    for pair in [&first, &second] {
        assert_eq!(user_info(&simulator, &pair.access).await, (200, 20_005));
        check_refresh(&simulator, &pair.refresh, 20_064).await;
    }
    Pair::of(&refreshed(&simulator, &other.refresh).await);
    Pair::of(&refreshed(&simulator, &logged_in(&simulator).await.refresh).await);
}

#[tokio::test]
async fn reuse_ends_the_login_when_the_settings_say_so() {
    let simulator = start().await;
    let on = r#"{"refresh_reuse_revokes":true}"#;
    assert_eq!(
        call(&simulator, "PATCH", "/_sim/settings", "", on)
            .await
            .status,
        200
    );
    let first = logged_in(&simulator).await;
    let second = Pair::of(&refreshed(&simulator, &first.refresh).await);
    check_refresh(&simulator, &first.refresh, 20_073).await;
    check_refresh(&simulator, &second.refresh, 20_064).await;
    for access in [&first.access, &second.access] {
        assert_eq!(user_info(&simulator, access).await, (200, 20_005));
    }
}

fn lost(action: FaultAction) -> Fault {
    Fault {
        stage: FaultStage::After,
        count: Some(1),
        app_id: Some(app_id()),
        ..Fault::new("authen.oauth_token", action)
    }
}

#[tokio::test]
async fn a_lost_answer_has_used_the_refresh_token() {
    let simulator = start().await;
    let Pair { refresh, .. } = logged_in(&simulator).await;
    simulator
        .control()
        .add_fault(lost(FaultAction::Reset))
        .unwrap();
    let body = refresh_grant(&refresh, &json!({})).to_string();
    assert!(
        try_call(&simulator, "POST", TOKEN, "", &body)
            .await
            .is_err()
    );
    assert_eq!(simulator.control().counters().refresh_grants, 1);
    check_refresh(&simulator, &refresh, 20_073).await;
}

#[tokio::test]
async fn removing_the_rules_releases_a_call_that_hangs() {
    let simulator = start().await;
    let Pair { refresh, .. } = logged_in(&simulator).await;
    let control = simulator.control();
    control.add_fault(lost(FaultAction::Hang)).unwrap();
    let body = refresh_grant(&refresh, &json!({})).to_string();
    let released = async {
        control.arrived("authen.oauth_token", 2).await;
        while control.counters().refresh_grants == 0 {
            tokio::task::yield_now().await;
        }
        control.clear_faults();
    };
    let hanging = try_call(&simulator, "POST", TOKEN, "", &body);
    let (answer, ()) = tokio::join!(hanging, released);
    assert!(answer.is_err());
    while control.counters().total.in_flight > 0 {
        tokio::task::yield_now().await;
    }
    check_refresh(&simulator, &refresh, 20_073).await;
}

#[tokio::test]
async fn an_injected_failure_has_the_format_of_the_endpoint() {
    let simulator = start().await;
    for (status, code, error) in [
        (500, 20_050, "server_error"),
        (503, 20_072, "temporarily_unavailable"),
    ] {
        let fault = Fault {
            count: Some(1),
            ..Fault::new("authen.oauth_token", FaultAction::answer(status, code))
        };
        simulator.control().add_fault(fault).unwrap();
        let answer = refreshed(&simulator, "any").await;
        assert_eq!(answer.code(), (status, code));
        assert_eq!(answer.body["error"], error);
        assert!(answer.body["error_description"].is_string());
    }
}

#[tokio::test]
async fn logins_and_their_changes_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let options = || Options {
        token_file: Some(folder.path().join("tokens")),
        ..Options::default()
    };
    let simulator = start_with(options()).await;
    let tenant_token_before = tenant_token(&simulator).await;
    let first = logged_in(&simulator).await;
    let second = Pair::of(&refreshed(&simulator, &first.refresh).await);
    let revoked = simulator
        .control()
        .login(&app_id(), 8, consent("offline_access"));
    let revoked = Pair::of(&token(&simulator, &code_grant(&revoked.unwrap(), &json!({}))).await);
    simulator.control().revoke_login(&app_id(), 8);
    simulator.control().revoke_token(&first.access);
    simulator.shutdown().await;
    let text = std::fs::read_to_string(folder.path().join("tokens")).unwrap();
    assert!(!text.contains("eyJ"), "user tokens are kept as digests");

    let mut newest = second;
    for _ in 0..2 {
        let simulator = start_with(options()).await;
        assert_eq!(simulator.control().now_ms(), START_MS);
        assert_eq!(tenant_token(&simulator).await, tenant_token_before);
        assert_eq!(user_info(&simulator, &first.access).await, (200, 20_005));
        assert_eq!(user_info(&simulator, &newest.access).await, (200, 0));
        check_refresh(&simulator, &first.refresh, 20_073).await;
        check_refresh(&simulator, &revoked.refresh, 20_064).await;
        newest = Pair::of(&refreshed(&simulator, &newest.refresh).await);
        simulator.shutdown().await;
    }
}
