//! Nobody gives away more than they have, at any moment of a change.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use lark_local_host::Gateway;
use lark_service::store::intercepted::{InterceptedStore, Operation, StoreHook};
use lark_service::store::{StoreError, Table};
use lark_service_tests::world::APP;
use serde_json::{Value, json};

use crate::keys::{Key, OWNER, Site, ask, key_of};

/// When the limited administrator's key ends.
const ENDS: &str = "2026-01-31T08:10:00Z";
const BEFORE: &str = "2026-01-31T08:09:00Z";
const AFTER: &str = "2026-01-31T08:11:00Z";

/// An administrator of one app, for ten minutes and fifty requests a minute, who may also read users.
async fn limited(site: &Site) -> Key {
    let new = json!({"scopes": ["admin", "users:read"], "apps": [APP], "expires_at": ENDS,
        "rate_limit": {"limit": 50, "window_seconds": 60}});
    site.key(new).await
}

/// A key that the administrator may make.
fn within() -> Value {
    json!({"scopes": ["users:read"], "apps": [APP], "expires_at": BEFORE,
        "rate_limit": {"limit": 50, "window_seconds": 60}})
}

/// Each is more than [`limited`] has, in one respect.
fn excesses() -> Vec<Value> {
    vec![
        json!({"scopes": ["tokens:read"]}),
        json!({"scopes": ["users:read", "gateway"]}),
        json!({"apps": ["*"]}),
        json!({"apps": [APP, "cli_other"]}),
        json!({"apps": ["cli_other"]}),
        json!({"expires_at": null}),
        json!({"expires_at": AFTER}),
        json!({"rate_limit": null}),
        json!({"rate_limit": {"limit": 51, "window_seconds": 60}}),
        json!({"rate_limit": {"limit": 50, "window_seconds": 59}}),
        json!({"rate_limit": {"limit": 51, "window_seconds": 86_400}}),
    ]
}

fn with(mut new: Value, change: &Value) -> Value {
    for (name, value) in change.as_object().unwrap() {
        new[name] = value.clone();
    }
    new
}

#[tokio::test]
async fn an_administrator_of_an_app_makes_no_key_that_may_do_more() {
    let site = Site::begin().await;
    let admin = limited(&site).await;
    for excess in excesses() {
        let new = with(within(), &excess);
        let answer = site.ask(&admin.token, "POST", "/v1/api-keys", &new).await;
        assert_eq!(answer.outcome(), "403 permission_denied", "{excess}");
        let field = excess.as_object().unwrap().keys().next().unwrap().clone();
        let detail = answer.body["detail"].as_str().unwrap();
        assert!(detail.contains(&field), "{excess}: {detail}");
    }
    let bare = json!({"scopes": ["users:read"], "apps": [APP]});
    let answer = site.ask(&admin.token, "POST", "/v1/api-keys", &bare).await;
    assert_eq!(
        answer.outcome(),
        "403 permission_denied",
        "endless, unlimited"
    );
    let slower = json!({"rate_limit": {"limit": 10, "window_seconds": 12}});
    let as_much = json!({"expires_at": ENDS, "scopes": ["admin", "users:read"]});
    for fine in [within(), with(within(), &slower), with(within(), &as_much)] {
        key_of(&site.ask(&admin.token, "POST", "/v1/api-keys", &fine).await);
    }
}

#[tokio::test]
async fn an_administrator_of_an_app_changes_no_key_into_one_that_may_do_more() {
    let site = Site::begin().await;
    let admin = limited(&site).await;
    let key = site.key(within()).await;
    let path = format!("/v1/api-keys/{}", key.id);
    let before = site.shown(&key).await;
    for excess in excesses() {
        let answer = site.ask(&admin.token, "PATCH", &path, &excess).await;
        assert_eq!(answer.outcome(), "403 permission_denied", "{excess}");
        assert_eq!(site.shown(&key).await, before, "{excess}");
    }
    for fine in [
        json!({"name": "x"}),
        json!({"expires_at": ENDS}),
        json!({"scopes": ["admin", "users:read"]}),
        json!({"status": "disabled"}),
        json!({"status": "active"}),
    ] {
        let answer = site.ask(&admin.token, "PATCH", &path, &fine).await;
        assert_eq!(answer.status, 200, "{fine}: {}", answer.body);
    }
}

/// What the owner gave to others, an administrator of their app may take away but not add to.
#[tokio::test]
async fn a_key_that_may_do_more_is_only_cut_down() {
    let site = Site::begin().await;
    let admin = limited(&site).await;
    let more = json!({"scopes": ["users:read", "tokens:read"], "apps": [APP], "rate_limit": null});
    let key = site.key(more).await;
    let path = format!("/v1/api-keys/{}", key.id);
    let patch = async |body: Value| site.ask(&admin.token, "PATCH", &path, &body).await.status;
    assert_eq!(patch(json!({"name": "portal"})).await, 200);
    assert_eq!(patch(json!({"status": "disabled"})).await, 200);
    assert_eq!(
        patch(json!({"status": "active"})).await,
        403,
        "gives it back"
    );
    assert_eq!(patch(json!({"scopes": ["tokens:read"]})).await, 200);
    assert_eq!(patch(json!({"scopes": ["users:read"]})).await, 403);
    assert_eq!(
        patch(json!({"rate_limit": {"limit": 900, "window_seconds": 1}})).await,
        200
    );
    assert_eq!(patch(json!({"rate_limit": null})).await, 403);
    let whole = json!({"scopes": ["users:read"], "expires_at": ENDS, "status": "active",
        "rate_limit": {"limit": 1, "window_seconds": 60}});
    assert_eq!(patch(whole).await, 200, "all of it is theirs to give");
}

/// Owner: an administrator for every app. Its scopes are no limit, its own end and rate are.
#[tokio::test]
async fn an_owner_gives_everything_but_no_longer_than_it_has_it() {
    let site = Site::begin().await;
    let everything = json!({"scopes": ["admin", "tokens:read", "gateway"], "apps": ["*"]});
    key_of(&site.ask(OWNER, "POST", "/v1/api-keys", &everything).await);
    let brief = json!({"scopes": ["admin"], "apps": ["*"], "expires_at": ENDS});
    let brief = site.key(brief).await;
    let refused = site
        .ask(&brief.token, "POST", "/v1/api-keys", &everything)
        .await;
    assert_eq!(refused.outcome(), "403 permission_denied");
    let as_brief = with(everything, &json!({"expires_at": ENDS}));
    key_of(
        &site
            .ask(&brief.token, "POST", "/v1/api-keys", &as_brief)
            .await,
    );
}

/// Runs a request of the owner's while another process is about to write a key.
struct Meanwhile {
    owner: Gateway,
    target: String,
    method: &'static str,
    body: Value,
    is_armed: AtomicBool,
}

impl std::fmt::Debug for Meanwhile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Meanwhile").finish_non_exhaustive()
    }
}

#[async_trait]
impl StoreHook for Meanwhile {
    async fn before(&self, operation: Operation, table: Option<Table>) -> Result<(), StoreError> {
        let is_write = operation == Operation::Put && table == Some(Table::ApiKeys);
        if is_write && self.is_armed.swap(false, Ordering::SeqCst) {
            let answer = ask(&self.owner, OWNER, self.method, &self.target, &self.body).await;
            assert!(answer.status < 300, "{}", answer.body);
        }
        Ok(())
    }
}

/// A gateway that has let `admin` in, and whose process has the owner do this right before its next write of a key's record.
async fn overtaken(
    site: &Site,
    admin: &Key,
    (method, target, body): (&'static str, String, Value),
) -> Gateway {
    let hook = Arc::new(Meanwhile {
        owner: site.world.process().gateway(),
        target,
        method,
        body,
        is_armed: AtomicBool::new(false),
    });
    let store = InterceptedStore::new(site.world.shared_store(), Arc::clone(&hook) as _);
    let gateway = site.world.process_over(Arc::new(store)).gateway();
    let list = ask(&gateway, &admin.token, "GET", "/v1/apps", &Value::Null).await;
    assert_eq!(list.status, 200, "{}", list.body);
    hook.is_armed.store(true, Ordering::SeqCst);
    gateway
}

#[tokio::test]
async fn an_administrator_who_is_stopped_in_the_middle_changes_nothing() {
    for (method, body) in [
        ("DELETE", Value::Null),
        ("PATCH", json!({"status": "disabled"})),
        ("PATCH", json!({"apps": ["cli_other"]})),
        ("PATCH", json!({"expires_at": "2026-01-31T08:05:00Z"})),
        (
            "PATCH",
            json!({"rate_limit": {"limit": 1, "window_seconds": 60}}),
        ),
        ("PATCH", json!({"scopes": ["users:read"]})),
    ] {
        for creates in [true, false] {
            let site = Site::begin().await;
            let admin = limited(&site).await;
            let key = site
                .key(with(within(), &json!({"scopes": ["gateway"]})))
                .await;
            let before = site.shown(&key).await;
            let own = format!("/v1/api-keys/{}", admin.id);
            let gateway = overtaken(&site, &admin, (method, own, body.clone())).await;
            let answer = if creates {
                ask(&gateway, &admin.token, "POST", "/v1/api-keys", &within()).await
            } else {
                let path = format!("/v1/api-keys/{}", key.id);
                let given = json!({"scopes": ["users:read"]});
                ask(&gateway, &admin.token, "PATCH", &path, &given).await
            };
            let case = format!("{method} {body}, creates: {creates}");
            assert!(
                matches!(answer.status, 403 | 404),
                "{case}: {}",
                answer.body
            );
            let keys = site.owner("GET", "/v1/api-keys", &Value::Null).await;
            let working = keys.body["items"].as_array().unwrap().len();
            assert_eq!(working, 3, "{case}");
            assert_eq!(site.shown(&key).await, before, "{case}");
        }
    }
}

/// The key that is changed becomes somebody else's between the check and the write.
#[tokio::test]
async fn a_key_that_was_given_more_in_the_middle_is_not_changed() {
    let site = Site::begin().await;
    let admin = limited(&site).await;
    let key = site.key(with(within(), &json!({"name": "before"}))).await;
    let path = format!("/v1/api-keys/{}", key.id);
    let more = json!({"apps": [APP, "cli_other"], "status": "disabled"});
    let gateway = overtaken(&site, &admin, ("PATCH", path.clone(), more)).await;
    let change = json!({"name": "after", "status": "active"});
    let answer = ask(&gateway, &admin.token, "PATCH", &path, &change).await;
    assert_eq!(answer.outcome(), "404 api_key_not_found");
    let shown = site.shown(&key).await;
    assert_eq!(
        (&shown["name"], &shown["status"]),
        (&json!("before"), &json!("disabled"))
    );
}

/// A made key's own key: the chain gives nobody more either.
#[tokio::test]
async fn a_chain_of_keys_ends_where_it_began() {
    let site = Site::begin().await;
    let admin = limited(&site).await;
    let as_admin = with(within(), &json!({"scopes": ["admin", "users:read"]}));
    let child = key_of(
        &site
            .ask(&admin.token, "POST", "/v1/api-keys", &as_admin)
            .await,
    );
    let parent = format!("/v1/api-keys/{}", admin.id);
    for body in [
        json!({"expires_at": null}),
        json!({"expires_at": AFTER}),
        json!({"apps": ["*"]}),
        json!({"rate_limit": null}),
    ] {
        let answer = site.ask(&child.token, "PATCH", &parent, &body).await;
        assert_eq!(answer.outcome(), "403 permission_denied", "{body}");
    }
    let owner = format!("/v1/api-keys/{}", OWNER.split('_').nth(1).unwrap());
    for method in ["GET", "DELETE"] {
        let answer = site.ask(&child.token, method, &owner, &Value::Null).await;
        assert_eq!(answer.outcome(), "404 api_key_not_found", "{method}");
    }
}

#[tokio::test]
async fn an_administrator_of_an_app_sees_no_foreign_key_and_no_foreign_id() {
    let site = Site::begin().await;
    let mut own = Vec::new();
    for number in 0..30 {
        let app = if number % 6 == 0 { APP } else { "cli_other" };
        let key = site
            .key(json!({"scopes": ["users:read"], "apps": [app]}))
            .await;
        if app == APP {
            own.push(key.id);
        }
    }
    let admin = limited(&site).await;
    own.push(admin.id.clone());
    own.sort_unstable();
    for size in [1, 2, 5, 6, 100] {
        let (mut seen, mut token) = (Vec::new(), String::new());
        loop {
            let target = format!("/v1/api-keys?page_size={size}{token}");
            let page = site.ask(&admin.token, "GET", &target, &Value::Null).await;
            let items = page.body["items"].as_array().unwrap();
            let ids = items
                .iter()
                .map(|key| key["key_id"].as_str().unwrap().to_owned());
            let ids: Vec<_> = ids.collect();
            assert!(!ids.is_empty() && ids.len() <= size, "{size}: {ids:?}");
            seen.extend(ids);
            let Some(next) = page.body["next_page_token"].as_str() else {
                break;
            };
            assert!(
                own.iter().any(|id| id == next),
                "{size}: a foreign id {next}"
            );
            token = format!("&page_token={next}");
        }
        assert_eq!(seen, own, "{size}");
    }
}
