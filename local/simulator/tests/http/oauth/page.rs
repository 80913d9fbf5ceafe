use lark_simulator::{AppPatch, UserPatch};
use serde_json::json;

use crate::client::{app_id, call, get, start};
use crate::logins::{
    AUTHORIZE, CHALLENGE, Pair, REDIRECT, VERIFIER, code_grant, query, submit, token,
};

/// The URL of the page with `changes` to the usual parameters; an empty value removes one.
fn address(changes: &[(&str, &str)]) -> String {
    let app_id = app_id();
    let usual = [
        ("client_id", app_id.as_str()),
        ("response_type", "code"),
        ("redirect_uri", REDIRECT),
        ("scope", "contact:user.email:readonly offline_access"),
        ("state", "a&b=c d"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    let kept = usual
        .iter()
        .filter(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
    let fields: Vec<_> = kept.chain(changes).copied().collect();
    let given = fields.into_iter().filter(|(_, value)| !value.is_empty());
    format!("{AUTHORIZE}?{}", query(&given.collect::<Vec<_>>()))
}

fn pairs(location: &str) -> Vec<(String, String)> {
    let url = url::Url::parse(location).unwrap();
    url.query_pairs().into_owned().collect()
}

#[tokio::test]
async fn approval_redirects_with_a_code_that_is_bound_to_the_challenge() {
    let simulator = start().await;
    let page = get(&simulator, &address(&[]), "").await;
    assert_eq!(
        (page.status, page.header("content-type")),
        (200, "text/html; charset=utf-8")
    );
    let html = page.body.as_str().unwrap();
    for part in [
        app_id().as_str(),
        "<li><code>contact:user.email:readonly</code></li>",
        r#"<input id="user" name="user""#,
        r#"<button id="approve" name="decision" value="approve">"#,
        r#"<button id="refuse" name="decision" value="refuse""#,
        r#"<form method="post">"#,
    ] {
        assert!(html.contains(part), "{part} in {html}");
    }
    assert!(!html.contains("<script"));

    let decision = [("user", "42"), ("decision", "approve")];
    let answer = submit(&simulator, &address(&[]), &decision).await;
    assert_eq!(answer.status, 302);
    let location = answer.header("location");
    assert!(
        location.starts_with("http://127.0.0.1:9/callback?code="),
        "{location}"
    );
    let pairs = pairs(location);
    assert_eq!(pairs[1], ("state".to_owned(), "a&b=c d".to_owned()));
    let code = &pairs[0].1;
    assert!(
        code.len() == 64
            && code
                .bytes()
                .all(|it| it.is_ascii_alphanumeric() || b"-_".contains(&it))
    );

    let changes = json!({ "redirect_uri": REDIRECT, "code_verifier": VERIFIER });
    let granted = token(&simulator, &code_grant(code, &changes)).await;
    let Pair { access, .. } = Pair::of(&granted);
    let info = get(&simulator, crate::logins::USER_INFO, &access).await;
    assert_eq!(info.body["data"]["email"], "user00042@example.com");
}

#[tokio::test]
async fn refusal_redirects_with_an_error_and_keeps_the_query_and_fragment() {
    let simulator = start().await;
    let redirect_uri = "http://localhost:9/callback?from=here#top";
    let path = address(&[("redirect_uri", redirect_uri)]);
    let answer = submit(&simulator, &path, &[("decision", "refuse")]).await;
    assert_eq!(answer.status, 302);
    assert_eq!(
        answer.header("location"),
        "http://localhost:9/callback?from=here&error=access_denied&state=a%26b%3Dc+d#top"
    );
}

/// Neither the page nor the form redirects.
async fn check_page(changes: &[(&str, &str)], code: i64) {
    let simulator = start().await;
    let patch = AppPatch {
        redirect_uris: Some(Some(vec![REDIRECT.to_owned()])),
        login_scopes: Some(Some(
            ["contact:user.email:readonly", "offline_access"]
                .map(str::to_owned)
                .into(),
        )),
        ..AppPatch::default()
    };
    simulator.control().update_app(&app_id(), patch).unwrap();
    let path = address(changes);
    let shown = get(&simulator, &path, "").await;
    let decided = submit(&simulator, &path, &[("decision", "approve")]).await;
    for answer in [shown, decided] {
        let html = answer.body.as_str().unwrap_or_default();
        assert_eq!(answer.status, 400, "{changes:?}: {html}");
        assert!(
            html.contains(&format!(r#"<code id="code">{code}</code>"#)),
            "{changes:?}: {html}"
        );
        assert_eq!(answer.header("location"), "");
    }
}

#[tokio::test]
async fn a_bad_request_is_a_page_with_its_code() {
    for (changes, code) in [
        (("client_id", ""), 20_001),
        (("client_id", "cli_<b>"), 20_048),
        (("response_type", ""), 20_001),
        (("response_type", "token"), 20_001),
        (("redirect_uri", ""), 20_001),
        (("redirect_uri", "http://127.0.0.1:9/callback/"), 20_029),
        (("redirect_uri", "http://evil.example.com/callback"), 20_029),
        (("scope", "im:chat"), 20_027),
        (("code_challenge_method", "S512"), 20_001),
        (("code_challenge", "short"), 20_001),
        (("prompt", "none"), 20_001),
    ] {
        check_page(&[changes], code).await;
    }
}

#[tokio::test]
async fn without_a_list_only_redirect_uris_of_this_machine_are_allowed() {
    let simulator = start().await;
    for (uri, status) in [
        ("http://127.0.0.1:8080/x", 200),
        ("http://localhost/x", 200),
        ("http://[::1]:1/", 200),
        ("http://127.0.0.1.example.com/", 400),
        ("https://example.com/", 400),
        ("/x", 400),
    ] {
        let page = get(&simulator, &address(&[("redirect_uri", uri)]), "").await;
        assert_eq!(page.status, status, "{uri}");
    }
}

#[tokio::test]
async fn a_login_can_request_fifty_scopes_and_no_more() {
    let simulator = start().await;
    let scope = |count| {
        (0..count)
            .map(|n| format!("s{n}"))
            .collect::<Vec<_>>()
            .join(" ")
    };
    for (count, status) in [(50, 200), (51, 400)] {
        let page = get(&simulator, &address(&[("scope", &scope(count))]), "").await;
        assert_eq!(page.status, status, "{count}");
    }
}

#[tokio::test]
async fn a_deleted_suspended_or_hidden_user_cannot_approve() {
    let simulator = start().await;
    let control = simulator.control();
    control.delete_user(5).unwrap();
    let suspended = UserPatch {
        is_frozen: Some(true),
        ..UserPatch::default()
    };
    control.update_user(6, suspended).unwrap();
    let hidden = AppPatch {
        hidden_users: Some([7].into()),
        ..AppPatch::default()
    };
    control.update_app(&app_id(), hidden).unwrap();
    for (user, code) in [("5", 20_008), ("x", 20_008), ("6", 20_066), ("7", 20_010)] {
        let decision = [("user", user), ("decision", "approve")];
        let answer = submit(&simulator, &address(&[]), &decision).await;
        assert!(
            answer.status == 400 && answer.body.to_string().contains(&code.to_string()),
            "{user}"
        );
    }
    control.disable_app(&app_id()).unwrap();
    let page = get(&simulator, &address(&[]), "").await;
    assert!(page.body.to_string().contains("20069"));
}

#[tokio::test]
async fn requested_scopes_are_shown_as_text() {
    let simulator = start().await;
    let page = get(&simulator, &address(&[("scope", "<b>&\"'")]), "").await;
    let html = page.body.as_str().unwrap();
    assert!(
        html.contains("<code>&lt;b&gt;&amp;&quot;&#39;</code>"),
        "{html}"
    );
}

#[tokio::test]
async fn bad_fields_of_apps_are_refused_by_name() {
    let simulator = start().await;
    for (change, field) in [
        (json!({ "redirect_uris": ["/x"] }), "redirect_uris"),
        (json!({ "event_url": "https://127.0.0.1/x" }), "event_url"),
        (json!({ "event_url": "http://example.com/x" }), "event_url"),
        (json!({ "tenants": [""] }), "tenants"),
        (json!({ "login_scopes": "all" }), "login_scopes"),
    ] {
        let path = format!("/_sim/apps/{}", app_id());
        let answer = call(&simulator, "PATCH", &path, "", &change.to_string()).await;
        assert_eq!((answer.status, &answer.body["field"]), (400, &json!(field)));
    }
}
