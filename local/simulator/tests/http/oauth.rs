mod page;
mod refresh;

use std::time::Duration;

use http::Request;
use lark_simulator::{App, AppPatch, Control, Options, Simulator, TENANT_KEY, UserPatch};
use lark_simulator::{Challenge, open_id, seeded_app_id, seeded_app_secret, union_id, user_id};
use serde_json::{Value, json};

use crate::client::{Answer, app_id, call, exchange, get, post, start, start_with};
use crate::logins::{
    CHALLENGE, Pair, SCOPE, TOKEN, TOKEN_V3, USER_INFO, VERIFIER, code, code_grant, code_with,
    consent, logged_in, submit, token, user_info,
};

fn two_apps() -> Options {
    Options {
        seeded_apps: 2,
        ..Options::default()
    }
}

#[track_caller]
fn check_refused(answer: &Answer, code: i64, error: &str) {
    assert_eq!(answer.code(), (400, code), "{}", answer.body);
    assert_eq!(answer.body["error"], error);
    assert!(answer.body["error_description"].is_string() && answer.body.get("msg").is_none());
}

#[tokio::test]
async fn a_code_becomes_a_token_pair_at_either_endpoint() {
    let simulator = start().await;
    for path in [TOKEN, TOKEN_V3] {
        let grant = code_grant(&code(&simulator), &json!({}));
        let answer = post(&simulator, path, "", &grant).await;
        let Pair { access, refresh } = Pair::of(&answer);
        for token in [&access, &refresh] {
            assert!(token.starts_with("eyJ") && (1000..2000).contains(&token.len()));
        }
        assert_eq!(
            answer.body,
            json!({
                "code": 0, "access_token": access, "expires_in": 7200, "refresh_token": refresh,
                "refresh_token_expires_in": 604_800, "token_type": "Bearer", "scope": SCOPE,
            })
        );
        assert_eq!(user_info(&simulator, &access).await, (200, 0));
    }
    let counters = simulator.control().counters();
    assert_eq!(counters.code_grants, 2);
    assert_eq!(counters.endpoints["authen.oauth_token"].ok, 1);
    assert_eq!(counters.endpoints["oauth.token"].ok, 1);
}

#[tokio::test]
async fn a_token_request_may_be_a_form_with_basic_authentication() {
    let simulator = start().await;
    let code = code(&simulator);
    let (app_id, secret) = (app_id(), seeded_app_secret(&app_id()));
    let fields = [("grant_type", "authorization_code"), ("code", &code)];
    // base64 of `cli_sim000001:secret-cli_sim000001`.
    let basic = "Basic Y2xpX3NpbTAwMDAwMTpzZWNyZXQtY2xpX3NpbTAwMDAwMQ==";
    let with_basic = |body| {
        let request = Request::post(TOKEN)
            .header("Content-Type", "application/x-www-form-urlencoded")
            .header("Authorization", basic);
        exchange(simulator.addr(), request.body(body).unwrap())
    };
    let both = [&fields[..], &[("client_secret", &secret)]].concat();
    let refused = with_basic(crate::logins::query(&both)).await.unwrap();
    check_refused(&refused, 20_070, "invalid_request");
    Pair::of(&with_basic(crate::logins::query(&fields)).await.unwrap());

    let code = self::code(&simulator);
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("client_id", &app_id),
        ("client_secret", &secret),
    ];
    Pair::of(&submit(&simulator, TOKEN, &fields).await);
}

#[tokio::test]
async fn a_code_has_one_use_within_five_minutes_and_for_its_app() {
    let simulator = start_with(two_apps()).await;
    let other = seeded_app_id(2);
    let as_other = json!({ "client_id": other, "client_secret": seeded_app_secret(&other) });
    let first = code(&simulator);
    let answer = token(&simulator, &code_grant(&first, &as_other)).await;
    check_refused(&answer, 20_024, "invalid_grant");
    Pair::of(&token(&simulator, &code_grant(&first, &json!({}))).await);
    let again = token(&simulator, &code_grant(&first, &json!({}))).await;
    check_refused(&again, 20_065, "invalid_grant");
    let unknown = token(&simulator, &code_grant("unknown", &json!({}))).await;
    check_refused(&unknown, 20_003, "invalid_grant");

    let (early, late) = (code(&simulator), code(&simulator));
    simulator.control().advance(Duration::from_millis(299_999));
    Pair::of(&token(&simulator, &code_grant(&early, &json!({}))).await);
    simulator.control().advance(Duration::from_millis(1));
    let expired = token(&simulator, &code_grant(&late, &json!({}))).await;
    check_refused(&expired, 20_004, "invalid_grant");
}

/// Checks the error for a code of user 7 without PKCE, with these changes to the fields.
async fn check_code_grant(simulator: &Simulator, changes: Value, code: i64, error: &str) {
    let grant = code_grant(&self::code(simulator), &changes);
    check_refused(&token(simulator, &grant).await, code, error);
}

#[tokio::test]
async fn a_bad_code_grant_is_refused_by_its_code() {
    let simulator = start().await;
    let bad = async |changes, code, error| check_code_grant(&simulator, changes, code, error).await;
    for field in ["grant_type", "client_id", "client_secret", "code"] {
        bad(json!({ field: null }), 20_001, "invalid_request").await;
        bad(json!({ field: "" }), 20_001, "invalid_request").await;
    }
    bad(json!({ "code": 7 }), 20_063, "invalid_request").await;
    bad(
        json!({ "client_secret": "wrong" }),
        20_002,
        "invalid_client",
    )
    .await;
    bad(json!({ "client_id": "cli_x" }), 20_048, "invalid_client").await;
    let password = json!({ "grant_type": "password" });
    bad(password, 20_036, "unsupported_grant_type").await;
    let elsewhere = json!({ "redirect_uri": "http://127.0.0.1:9/other" });
    bad(elsewhere, 20_071, "invalid_grant").await;
    let twice = json!({ "scope": "offline_access offline_access" });
    bad(twice, 20_067, "invalid_scope").await;
    bad(json!({ "scope": "im:chat" }), 20_068, "invalid_scope").await;
    bad(
        json!({ "code_verifier": VERIFIER }),
        20_049,
        "invalid_grant",
    )
    .await;
    for body in ["", "not json", "[]"] {
        let answer = call(&simulator, "POST", TOKEN, "", body).await;
        check_refused(&answer, 20_063, "invalid_request");
    }
    simulator.control().disable_app(&app_id()).unwrap();
    let answer = token(&simulator, &code_grant("any", &json!({}))).await;
    check_refused(&answer, 20_069, "unauthorized_client");
}

#[tokio::test]
async fn a_rejected_exchange_leaves_the_code_valid() {
    let simulator = start().await;
    let code = code_with(&simulator, Challenge::S256(CHALLENGE.to_owned()));
    let wrong = "x".repeat(43);
    for verifier in [json!(null), json!(wrong), json!(CHALLENGE), json!("short")] {
        let grant = code_grant(&code, &json!({ "code_verifier": verifier }));
        check_refused(&token(&simulator, &grant).await, 20_049, "invalid_grant");
    }
    let grant = code_grant(&code, &json!({ "code_verifier": VERIFIER }));
    Pair::of(&token(&simulator, &grant).await);

    let code = code_with(&simulator, Challenge::Plain(VERIFIER.to_owned()));
    let grant = code_grant(&code, &json!({ "code_verifier": VERIFIER }));
    Pair::of(&token(&simulator, &grant).await);
}

async fn change_user(control: &Control, code: &str, user: UserPatch) -> Value {
    control.update_user(7, user).unwrap();
    code_grant(code, &json!({}))
}

#[tokio::test]
async fn a_deleted_suspended_or_hidden_user_gets_no_tokens() {
    let simulator = start().await;
    let control = simulator.control();
    let code = code(&simulator);
    let suspended = |is_frozen| UserPatch {
        is_frozen: Some(is_frozen),
        ..UserPatch::default()
    };
    let grant = change_user(control, &code, suspended(true)).await;
    check_refused(&token(&simulator, &grant).await, 20_066, "invalid_grant");
    let grant = change_user(control, &code, suspended(false)).await;
    let hide = |n: Option<u32>| AppPatch {
        hidden_users: Some(n.into_iter().collect()),
        ..AppPatch::default()
    };
    control.update_app(&app_id(), hide(Some(7))).unwrap();
    check_refused(&token(&simulator, &grant).await, 20_010, "invalid_grant");
    control.update_app(&app_id(), hide(None)).unwrap();
    control.delete_user(7).unwrap();
    check_refused(&token(&simulator, &grant).await, 20_008, "invalid_grant");
}

#[tokio::test]
async fn a_login_to_an_app_without_tenants_is_rejected() {
    let simulator = start().await;
    let app = App {
        marketplace: true,
        tenants: ["tenant_one".to_owned()].into(),
        ..App::new("cli_market", "secret")
    };
    let control = simulator.control();
    control.add_app(app).unwrap();
    let [code, unused] = [(); 2].map(|()| control.login("cli_market", 7, consent(SCOPE)).unwrap());
    let as_app = json!({ "client_id": "cli_market", "client_secret": "secret" });
    let grant = |code: &str| code_grant(code, &as_app);
    let Pair { access, .. } = Pair::of(&token(&simulator, &grant(&code)).await);
    let info = get(&simulator, USER_INFO, &access).await;
    assert_eq!(info.body["data"]["tenant_key"], "tenant_one");
    let uninstall = AppPatch {
        tenants: Some([].into()),
        ..AppPatch::default()
    };
    control.update_app("cli_market", uninstall).unwrap();
    let answer = token(&simulator, &grant(&unused)).await;
    check_refused(&answer, 20_009, "unauthorized_client");
    assert_eq!(user_info(&simulator, &access).await, (200, 20_005));
}

#[tokio::test]
async fn scopes_add_up_and_can_be_narrowed() {
    let simulator = start().await;
    let control = simulator.control();
    let login = async |scope: &str, narrowed: &str| {
        let code = control.login(&app_id(), 7, consent(scope)).unwrap();
        let grant = code_grant(&code, &json!({ "scope": narrowed }));
        let body = token(&simulator, &grant).await.body;
        let has_refresh_token = body.get("refresh_token").is_some();
        (body["scope"].clone(), has_refresh_token)
    };
    assert_eq!(
        login("b offline_access", "").await,
        (json!("b offline_access"), true)
    );
    // Without `offline_access` in this login there is no refresh token, whatever earlier logins granted.
    assert_eq!(login("a", "").await, (json!("a b"), false));
    assert_eq!(login("offline_access", "b").await, (json!("b"), false));
}

#[tokio::test]
async fn user_info_has_the_fields_the_app_may_see() {
    let simulator = start().await;
    let Pair { access, .. } = logged_in(&simulator).await;
    let answer = get(&simulator, USER_INFO, &access).await;
    let picture = |size| {
        format!(
            "https://avatar.example.com/static-resource/v1/{}~{size}.webp",
            user_id(7)
        )
    };
    let all = json!({
        "name": "黄伟", "en_name": "Wei Huang", "open_id": open_id(&app_id(), 7),
        "union_id": union_id(7), "tenant_key": TENANT_KEY,
        "avatar_url": picture("72x72"), "avatar_thumb": picture("72x72"),
        "avatar_middle": picture("240x240"), "avatar_big": picture("640x640"),
        "email": "user00007@example.com", "enterprise_email": "", "user_id": user_id(7),
        "mobile": "+8613800000007", "employee_no": "E000007",
    });
    assert_eq!(
        answer.body,
        json!({ "code": 0, "msg": "success", "data": all })
    );

    let hide = AppPatch {
        hidden_user_fields: Some(["email", "user_id", "name"].map(str::to_owned).into()),
        ..AppPatch::default()
    };
    simulator.control().update_app(&app_id(), hide).unwrap();
    let data = &get(&simulator, USER_INFO, &access).await.body["data"];
    assert!(data.get("email").is_none() && data.get("user_id").is_none());
    assert_eq!(data["name"], "黄伟");
}

#[tokio::test]
async fn user_info_refuses_bad_tokens_and_users_with_status_200() {
    let simulator = start().await;
    let control = simulator.control();
    let Pair { access, refresh } = logged_in(&simulator).await;
    for bad in ["u-unknown", "eyJunknown", "t-unknown", &refresh] {
        assert_eq!(user_info(&simulator, bad).await, (200, 20_005), "{bad}");
    }
    assert_eq!(user_info(&simulator, "").await, (400, 99_991_661));
    assert_eq!(
        control.counters().endpoints["authen.user_info"].rejected_tokens,
        4
    );
    let patch = UserPatch {
        is_resigned: Some(true),
        ..UserPatch::default()
    };
    control.update_user(7, patch).unwrap();
    assert_eq!(user_info(&simulator, &access).await, (200, 20_021));
    control.delete_user(7).unwrap();
    assert_eq!(user_info(&simulator, &access).await, (200, 20_008));
    control.advance(Duration::from_secs(7200));
    assert_eq!(user_info(&simulator, &access).await, (200, 20_005));
}

#[tokio::test]
async fn an_access_token_can_be_revoked_alone() {
    let simulator = start().await;
    let Pair { access, refresh } = logged_in(&simulator).await;
    assert!(simulator.control().revoke_token(&access));
    assert!(!simulator.control().revoke_token(&access));
    assert_eq!(user_info(&simulator, &access).await, (200, 20_005));
    Pair::of(&crate::logins::refreshed(&simulator, &refresh).await);
}
