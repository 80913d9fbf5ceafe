//! Callbacks of API keys: who registers them, what is shown once, and what is refused.

use lark_service::callbacks::SigningSecret;
use lark_service::store::{Key, Table};
use lark_service_tests::requests::{TestRequest, TestResponse};
use lark_service_tests::world::{APP, Process};
use serde_json::{Value, json};

use super::apps::{ask, world};

const URL: &str = "https://portal.example.com/callbacks";

fn new_key(url: Value) -> Value {
    json!({"scopes": ["messages:send"], "apps": [APP], "callback_url": url})
}

fn secret(response: &TestResponse) -> Option<&str> {
    let text = response.body["callback_secret"].as_str()?;
    assert!(SigningSecret::parse(text).is_some(), "{text}");
    Some(text)
}

async fn show(process: &Process, id: &str) -> TestResponse {
    ask(process, "GET", &format!("/v1/api-keys/{id}"), Value::Null).await
}

#[tokio::test]
async fn a_callback_is_registered_its_secret_shown_once_and_sealed() {
    let (world, process) = world().await;
    let made = ask(&process, "POST", "/v1/api-keys", new_key(json!(URL))).await;
    assert_eq!(made.status, 201, "{:?}", made.body);
    assert_eq!(made.body["callback_url"], URL);
    let first = secret(&made).unwrap().to_owned();
    let id = made.body["key_id"].as_str().unwrap();
    let shown = show(&process, id).await;
    assert_eq!(shown.body["callback_url"], URL);
    assert_eq!(secret(&shown), None);
    let path = format!("/v1/api-keys/{id}");
    let rotated = ask(&process, "PATCH", &path, json!({"callback_url": URL})).await;
    assert_ne!(secret(&rotated).unwrap(), first);
    let renamed = ask(&process, "PATCH", &path, json!({"name": "x"})).await;
    assert_eq!(
        (secret(&renamed), &renamed.body["callback_url"]),
        (None, &json!(URL))
    );
    let record = world
        .shared_store()
        .get(Table::ApiKeys, &Key::new(id, "key"))
        .await;
    let record = record.unwrap().unwrap();
    assert_eq!(record.text("callback_url"), Some(URL));
    let sealed = record.bytes("callback_secrets").unwrap();
    assert!(!sealed.windows(6).any(|part| part == b"whsec_"));
    let ended = ask(&process, "PATCH", &path, json!({"callback_url": null})).await;
    assert_eq!(
        (secret(&ended), &ended.body["callback_url"]),
        (None, &Value::Null)
    );
    let record = world
        .shared_store()
        .get(Table::ApiKeys, &Key::new(id, "key"))
        .await;
    assert!(!format!("{:?}", record.unwrap().unwrap()).contains("callback_secrets"));
    let changes = ask(&process, "GET", &format!("{path}/changes"), Value::Null).await;
    let fields = changes.body["items"].as_array().unwrap().last().unwrap()["fields"].clone();
    assert_eq!(fields, json!(["callback_url"]));
}

#[tokio::test]
async fn an_address_inside_is_refused_by_name_and_nothing_is_made() {
    let (_world, process) = world().await;
    let made = ask(&process, "POST", "/v1/api-keys", new_key(Value::Null)).await;
    let path = format!("/v1/api-keys/{}", made.body["key_id"].as_str().unwrap());
    for url in [
        "http://portal.example.com/",
        "https://127.0.0.1/",
        "https://169.254.169.254/latest/meta-data/",
        "https://[::ffff:10.0.0.1]/",
        "https://user:password@example.com/",
        "https://localhost/",
        "",
    ] {
        for (method, target, body) in [
            ("POST", "/v1/api-keys", new_key(json!(url))),
            ("PATCH", path.as_str(), json!({"callback_url": url})),
        ] {
            let refused = ask(&process, method, target, body).await;
            assert_eq!(
                (refused.status, refused.code()),
                (400, "invalid_argument"),
                "{url}"
            );
            assert_eq!(refused.body["errors"][0]["field"], "callback_url", "{url}");
        }
    }
    assert_eq!(
        show(&process, made.body["key_id"].as_str().unwrap())
            .await
            .body["callback_url"],
        Value::Null
    );
}

#[tokio::test]
async fn a_repeated_creation_shows_the_same_secret() {
    let (_world, process) = world().await;
    let mut secrets = Vec::new();
    for _ in 0..2 {
        let request = TestRequest::new("POST", "/v1/api-keys").body(&new_key(json!(URL)));
        let request = request.header("idempotency-key", "a");
        let made = request.send(&process).await;
        secrets.push(secret(&made).unwrap().to_owned());
    }
    assert_eq!(secrets[0], secrets[1]);
}

#[tokio::test]
async fn an_admin_of_other_apps_registers_nothing() {
    let (_world, process) = world().await;
    let made = ask(&process, "POST", "/v1/api-keys", new_key(Value::Null)).await;
    let path = format!("/v1/api-keys/{}", made.body["key_id"].as_str().unwrap());
    let request = TestRequest::new("PATCH", &path).by("admin", "cli_other");
    let refused = request
        .body(&json!({"callback_url": URL}))
        .send(&process)
        .await;
    assert_eq!(refused.code(), "api_key_not_found");
}
