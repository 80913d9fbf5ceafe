//! Administration believes a caller's own record, read at each request, and nothing that was remembered or made up.

use std::time::Duration;

use lark_service_tests::requests::TestRequest;
use lark_service_tests::world::APP;
use serde_json::{Value, json};

use crate::keys::{Key, OWNER, Site};

/// What an administrator could do: method, target, body.
fn actions(own: &Key, other: &Key) -> Vec<(&'static str, String, Value)> {
    let own = format!("/v1/api-keys/{}", own.id);
    let other = format!("/v1/api-keys/{}", other.id);
    let forever = json!({"status": "active", "expires_at": null});
    let admin = json!({"scopes": ["admin"], "apps": ["*"]});
    vec![
        ("PATCH", own.clone(), forever),
        ("PATCH", own.clone(), json!({"status": "active"})),
        ("DELETE", own, Value::Null),
        ("POST", "/v1/api-keys".to_owned(), admin),
        ("GET", "/v1/api-keys".to_owned(), Value::Null),
        ("GET", other.clone(), Value::Null),
        ("GET", format!("{other}/changes"), Value::Null),
        ("PATCH", other.clone(), json!({"name": "mine"})),
        ("DELETE", other, Value::Null),
        ("GET", "/v1/apps".to_owned(), Value::Null),
        (
            "POST",
            "/v1/apps".to_owned(),
            json!({"app_id": "cli_new", "secret": "s"}),
        ),
        ("GET", format!("/v1/apps/{APP}"), Value::Null),
        ("PATCH", format!("/v1/apps/{APP}"), json!({"name": "mine"})),
        ("DELETE", format!("/v1/apps/{APP}"), Value::Null),
        ("GET", format!("/v1/apps/{APP}/changes"), Value::Null),
    ]
}

/// The gateway remembers for five minutes that it let the key in. The key is stopped in the meantime.
#[tokio::test]
async fn a_key_that_was_stopped_administers_nothing_and_does_not_undo_it() {
    let site = Site::begin().await;
    let other = site.key_with(&["users:read"]).await;
    for stop in ["disabled", "revoked", "expired"] {
        let in_a_minute = "2026-01-31T08:01:00Z";
        let new = match stop {
            "expired" => json!({"scopes": ["admin"], "apps": ["*"], "expires_at": in_a_minute}),
            _ => json!({"scopes": ["admin"], "apps": ["*"]}),
        };
        let key = site.key(new).await;
        let before = site.ask(&key.token, "GET", "/v1/apps", &Value::Null).await;
        assert_eq!(before.status, 200, "{}", before.body);
        match stop {
            "disabled" => site.change(&key, json!({"status": "disabled"})).await,
            "revoked" => site.revoke(&key).await,
            _ => site.world.advance(Duration::from_secs(60)),
        }
        for (method, target, body) in actions(&key, &other) {
            let answer = site.ask(&key.token, method, &target, &body).await;
            assert_eq!(answer.status, 403, "{stop}: {method} {target}");
        }
        assert_eq!(site.shown(&key).await["status"], stop);
        assert_eq!(site.shown(&other).await["status"], "active");
    }
}

#[tokio::test]
async fn no_key_changes_itself() {
    let site = Site::begin().await;
    let id = OWNER.split('_').nth(1).unwrap();
    let own = format!("/v1/api-keys/{id}");
    for body in [
        json!({"name": "x"}),
        json!({"status": "disabled"}),
        json!({"status": "active"}),
        json!({"scopes": ["admin"]}),
        json!({"rate_limit": null}),
        json!({"expires_at": null}),
    ] {
        let answer = site.ask(OWNER, "PATCH", &own, &body).await;
        assert_eq!(answer.outcome(), "403 permission_denied", "{body}");
    }
    let answer = site.ask(OWNER, "DELETE", &own, &Value::Null).await;
    assert_eq!(answer.outcome(), "403 permission_denied");
    let shown = site.ask(OWNER, "GET", &own, &Value::Null).await;
    assert_eq!(
        (shown.status, &shown.body["status"]),
        (200, &json!("active"))
    );
}

/// `lambda:InvokeFunction` on the function itself, with a request context that says whatever the attacker likes.
#[tokio::test]
async fn a_made_up_request_context_opens_no_administration() {
    let site = Site::begin().await;
    let reader = site.key_with(&["users:read"]).await;
    let owner = OWNER.split('_').nth(1).unwrap();
    let made_up = format!("lsk_{owner}_{:0>43}", "guess");
    let contexts = [owner, reader.id.as_str(), "nobody0000ky"];
    let headers = [None, Some(reader.token.as_str()), Some(made_up.as_str())];
    for (function, route, body) in [
        ("manage-apps", "GET /v1/apps", Value::Null),
        ("manage-api-keys", "GET /v1/api-keys", Value::Null),
        (
            "manage-api-keys",
            "POST /v1/api-keys",
            json!({"scopes": ["admin"], "apps": ["*"]}),
        ),
    ] {
        let (method, target) = route.split_once(' ').unwrap();
        for context in contexts {
            for header in headers {
                let mut request = TestRequest::new(method, target);
                if !body.is_null() {
                    request = request.body(&body);
                }
                if let Some(token) = header {
                    request = request.header("authorization", &format!("Bearer {token}"));
                }
                let mut event = request.event(route);
                let caller = "/requestContext/authorizer/lambda/key_id";
                *event.pointer_mut(caller).unwrap() = json!(context);
                let answer = site.process.invoke_http(function, &event).await;
                let is_refused = matches!(answer.status, 401 | 403);
                assert!(is_refused, "{route} as {context}: {}", answer.body);
            }
        }
    }
    let keys = site.owner("GET", "/v1/api-keys", &Value::Null).await;
    assert_eq!(keys.body["items"].as_array().unwrap().len(), 2);
}

/// What was taken away from a key is gone at its next request, whatever the gateway remembers.
#[tokio::test]
async fn a_key_administers_by_what_its_record_says_now() {
    let site = Site::begin().await;
    let key = site.key_with(&["admin"]).await;
    let apps = || site.ask(&key.token, "GET", "/v1/apps", &Value::Null);
    assert_eq!(apps().await.body["items"].as_array().unwrap().len(), 1);
    site.change(&key, json!({"apps": ["cli_other"]})).await;
    assert_eq!(apps().await.body["items"], json!([]));
    site.change(&key, json!({"scopes": ["users:read"]})).await;
    assert_eq!(apps().await.outcome(), "403 permission_denied");
}

/// Without the store nobody can be asked about a key, so nobody administers.
#[tokio::test]
async fn nobody_administers_by_memory_while_the_store_is_away() {
    let site = Site::begin().await;
    let key = site.key_with(&["admin"]).await;
    let apps = || site.ask(&key.token, "GET", "/v1/apps", &Value::Null);
    assert_eq!(apps().await.status, 200);
    site.world.store.stop();
    assert_eq!(apps().await.outcome(), "503 store_unavailable");
}
