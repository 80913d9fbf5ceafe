//! Key states × routes × roles: what gets through, for every route of the template that wants a key.

use std::path::Path;
use std::time::Duration;

use lark_service::api_keys::Scope;
use lark_service_tests::media::{self, form};
use lark_service_tests::world::APP;
use serde_json::{Value, json};
use serde_yaml_ng::Value as Yaml;

use crate::keys::Site;

/// The routes of `template.yaml` behind the authorizer, as method and path.
fn routes() -> Vec<(&'static str, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    let template: Yaml = serde_yaml_ng::from_str(&text).unwrap();
    let mut routes = Vec::new();
    for resource in template["Resources"].as_mapping().unwrap().values() {
        let events = resource["Properties"]["Events"].as_mapping();
        for event in events.into_iter().flat_map(|events| events.values()) {
            let is_public = event["Properties"]["Auth"]["Authorizer"].as_str() == Some("NONE");
            if event["Type"].as_str() != Some("HttpApi") || is_public {
                continue;
            }
            let text = |name: &str| event["Properties"][name].as_str().unwrap().to_owned();
            let method = match text("Method").as_str() {
                "GET" => "GET",
                "POST" => "POST",
                "PATCH" => "PATCH",
                "DELETE" => "DELETE",
                other => panic!("the method {other} is new here"),
            };
            routes.push((method, text("Path")));
        }
    }
    routes
}

fn text(form: Vec<u8>) -> Value {
    Value::String(String::from_utf8(form).unwrap())
}

/// A right request to the route, about the app [`APP`] or the key `key_id`.
fn request(method: &str, path: &str, key_id: &str) -> (String, Value) {
    let user = lark_simulator::open_id(APP, 3);
    let target = path
        .replace("{kind}", "tenant")
        .replace("{app_id}", APP)
        .replace("{key_id}", key_id)
        .replace("{letter_id}", "mj_01jdyzz8k3v5m7q2c4x6n8p0rs")
        .replace("{job_id}", "mj_01jdyzz8k3v5m7q2c4x6n8p0rs")
        .replace("{message_id}", "om_1")
        .replace("{open_id}", &user);
    let target = match path {
        "/v1/users" => format!("{target}?email=user3@example.com"),
        "/v1/users/{id}" => target.replace("{id}", &user),
        _ if path.starts_with("/v1/departments") => target.replace("{id}", "0"),
        _ => target.replace("{id}", "oc_1"),
    };
    let body = match (method, path) {
        ("POST", "/v1/apps") => json!({"app_id": "cli_mine", "secret": "s"}),
        ("POST", "/v1/api-keys") => json!({"scopes": ["users:read"], "apps": [APP]}),
        ("POST", "/v1/messages") => json!({"to": {"open_id": user}, "text": "hi"}),
        ("POST", "/v1/messages/{message_id}/replies") | ("PATCH", "/v1/messages/{message_id}") => {
            json!({"text": "hi"})
        }
        ("POST", "/v1/uploads") => json!({"kind": "file", "size": 1}),
        ("POST", "/v1/images") => text(form("image", media::ico(9, 9)).end()),
        ("POST", "/v1/files") => text(form("file", "x").end()),
        ("POST", "/v1/messages/batch") => json!({"to": [{"open_id": user}], "text": "hi"}),
        ("POST", "/v1/users/batch") => json!({"open_ids": [user]}),
        ("PATCH", _) => json!({"name": "x"}),
        _ => Value::Null,
    };
    (target, body)
}

/// Who asks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Role {
    /// May do everything.
    Owner,
    /// An administrator of the app.
    Admin,
    /// An administrator of another app.
    Stranger,
    /// Every scope but `admin`.
    Caller,
}

fn grant(role: Role) -> Value {
    let scopes: Vec<_> = Scope::ALL.iter().map(|scope| scope.as_str()).collect();
    let others: Vec<_> = scopes.iter().filter(|name| **name != "admin").collect();
    match role {
        Role::Owner => json!({"scopes": scopes, "apps": ["*"]}),
        Role::Admin => json!({"scopes": scopes, "apps": [APP, "cli_mine"]}),
        Role::Stranger => json!({"scopes": scopes, "apps": ["cli_other"]}),
        Role::Caller => json!({"scopes": others, "apps": ["*"]}),
    }
}

/// Whether the answer is one to somebody who may ask this.
fn is_open(role: Role, path: &str) -> bool {
    let administration = ["/v1/apps", "/v1/api-keys", "/v1/dead-letters"];
    let is_administration = administration.iter().any(|it| path.starts_with(it));
    match role {
        Role::Owner | Role::Admin => true,
        // Lists are open, and empty.
        Role::Stranger => false,
        Role::Caller => !is_administration,
    }
}

#[tokio::test]
async fn every_route_is_open_to_active_keys_of_its_roles_and_closed_to_all_others() {
    let routes = routes();
    assert!(routes.len() >= 20, "{routes:?}");
    for role in [Role::Owner, Role::Admin, Role::Stranger, Role::Caller] {
        for state in ["active", "disabled", "revoked", "expired"] {
            for (method, path) in &routes {
                let site = Site::begin().await;
                let managed = site
                    .key(json!({"scopes": ["users:read"], "apps": [APP]}))
                    .await;
                let mut new = grant(role);
                if state == "expired" {
                    new["expires_at"] = json!("2026-01-31T08:01:00Z");
                }
                let key = site.key(new).await;
                // The gateway lets it in from now on, and the process has seen it.
                site.ask(&key.token, "GET", "/v1/tokens/tenant", &Value::Null)
                    .await;
                match state {
                    "disabled" => site.change(&key, json!({"status": "disabled"})).await,
                    "revoked" => site.revoke(&key).await,
                    "expired" => site.world.advance(Duration::from_secs(60)),
                    _ => {}
                }
                let (target, body) = request(method, path, &managed.id);
                let answer = site.ask(&key.token, method, &target, &body).await;
                let case = format!("{method} {path} as {role:?}, {state}: {}", answer.body);
                let is_list =
                    *method == "GET" && ["/v1/apps", "/v1/api-keys"].contains(&path.as_str());
                if state != "active" {
                    assert_eq!(answer.outcome(), "403 permission_denied", "{case}");
                } else if is_open(role, path) {
                    assert!(!matches!(answer.status, 401 | 403), "{case}");
                } else if role == Role::Stranger && is_list {
                    let ids: Vec<_> = answer.body["items"].as_array().unwrap().iter().collect();
                    assert!(
                        ids.iter().all(|item| item["key_id"] == json!(key.id)),
                        "{case}"
                    );
                } else if role == Role::Stranger && path.starts_with("/v1/message-jobs") {
                    // Each key's own, whichever app they are of.
                    let is_none = answer.body["items"] == json!([])
                        || answer.outcome() == "404 message_job_not_found";
                    assert!(is_none, "{case}");
                } else if role == Role::Stranger && path.starts_with("/v1/api-keys/") {
                    assert_eq!(answer.outcome(), "404 api_key_not_found", "{case}");
                } else if role == Role::Stranger && path.starts_with("/v1/dead-letters") {
                    // Of its apps there are none.
                    let is_none = answer.body["items"] == json!([])
                        || answer.outcome() == "404 dead_letter_not_found";
                    assert!(is_none, "{case}");
                } else {
                    assert_eq!(answer.outcome(), "403 permission_denied", "{case}");
                }
            }
        }
    }
}
