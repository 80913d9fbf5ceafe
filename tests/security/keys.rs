//! API keys behind a gateway that remembers what its authorizer said of them.

use lark_local_host::Gateway;
use lark_service_tests::media::FORM;
use lark_service_tests::requests::{TestRequest, TestResponse};
use lark_service_tests::world::{APP, Process, World};
use serde_json::{Value, json};

/// The key that may do everything.
pub(crate) const OWNER: &str = "lsk_owner0000key_owner00000000000000000000000000000000000000";

/// An API key.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) token: String,
}

/// One process of the service behind a gateway of its own, and an operator's process beside it.
pub(crate) struct Site {
    pub(crate) world: World,
    pub(crate) process: Process,
    pub(crate) gateway: Gateway,
    operator: Gateway,
}

impl Site {
    /// A world with an owner's key.
    pub(crate) async fn begin() -> Self {
        Self::over(World::begin().await, &[]).await
    }

    /// The same in this world, its process with these variables set.
    pub(crate) async fn over(world: World, variables: &[(&str, &str)]) -> Self {
        world
            .seed(&format!(
                r#"{{"api_keys":[{{"token":"{OWNER}","scopes":["admin"],"apps":["*"],"rate_limit":null}}]}}"#
            ))
            .await;
        let process = world.process_with(variables);
        Self {
            gateway: process.gateway(),
            operator: world.process().gateway(),
            process,
            world,
        }
    }

    /// A request to the process from the holder of `key`.
    pub(crate) async fn ask(
        &self,
        key: &str,
        method: &'static str,
        target: &str,
        body: &Value,
    ) -> TestResponse {
        ask(&self.gateway, key, method, target, body).await
    }

    /// A request of the owner to another process.
    pub(crate) async fn owner(
        &self,
        method: &'static str,
        target: &str,
        body: &Value,
    ) -> TestResponse {
        ask(&self.operator, OWNER, method, target, body).await
    }

    /// A new key, made by the owner.
    pub(crate) async fn key(&self, new: Value) -> Key {
        let made = self.owner("POST", "/v1/api-keys", &new).await;
        key_of(&made)
    }

    /// A new key with these scopes for every app.
    pub(crate) async fn key_with(&self, scopes: &[&str]) -> Key {
        self.key(json!({"scopes": scopes, "apps": ["*"]})).await
    }

    /// What the owner sees of the key.
    pub(crate) async fn shown(&self, key: &Key) -> Value {
        let path = format!("/v1/api-keys/{}", key.id);
        self.owner("GET", &path, &Value::Null).await.body
    }

    /// Changes the key as the owner.
    pub(crate) async fn change(&self, key: &Key, change: Value) {
        let path = format!("/v1/api-keys/{}", key.id);
        let answer = self.owner("PATCH", &path, &change).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }

    /// Revokes the key as the owner.
    pub(crate) async fn revoke(&self, key: &Key) {
        let path = format!("/v1/api-keys/{}", key.id);
        let answer = self.owner("DELETE", &path, &Value::Null).await;
        assert_eq!(answer.status, 204, "{}", answer.body);
    }
}

/// A request through `gateway` from the holder of `key`.
pub(crate) async fn ask(
    gateway: &Gateway,
    key: &str,
    method: &'static str,
    target: &str,
    body: &Value,
) -> TestResponse {
    let request = TestRequest::new(method, target).header("x-lark-app-id", APP);
    let request = match body {
        Value::Null => request,
        // No body of the API is a text: it stands for a form.
        Value::String(form) => request.bytes(FORM, form.clone().into_bytes()),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            request.body(body)
        }
    };
    request.through(gateway, key).await
}

/// The key in the answer to its creation.
#[track_caller]
pub(crate) fn key_of(made: &TestResponse) -> Key {
    assert_eq!(made.status, 201, "{}", made.body);
    let text = |name: &str| made.body[name].as_str().unwrap().to_owned();
    Key {
        id: text("key_id"),
        token: text("key"),
    }
}
