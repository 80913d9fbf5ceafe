//! What store and cache show of a login to somebody who reads them: no secret.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use lark_service::cache::Cache;
use lark_service::logins::LoginStart;
use lark_service::store::{Key, Table, Value};
use lark_service_tests::browser::PUBLIC_URL;
use lark_service_tests::world::{APP, soon};
use ring::digest::{SHA256, digest};

use super::logins::{LATER, LIFE, app_id, value, world};

fn contains(bytes: &[u8], secret: &str) -> bool {
    let mut windows = bytes.windows(secret.len());
    windows.any(|window| window == secret.as_bytes())
}

#[tokio::test]
async fn a_pair_that_waits_in_the_cache_is_sealed() {
    let (world, process, open_id) = world().await;
    let token = process.user_token(&open_id).await.unwrap();
    // Tokens and refresh tokens of the simulator begin alike.
    let (header, _) = value(&token).split_once('.').expect("a JWT");
    world.advance(LIFE);
    world.store.stop_after(1);
    process.user_token(&open_id).await.unwrap_err();
    let rescued = format!("lark:login-rescue:{APP}:{open_id}");
    assert!(world.cache.keys().contains(&rescued));
    for key in world.cache.keys() {
        if let Ok(Some(entry)) = world.cache.get(&key).await {
            let decoded = STANDARD.decode(&entry).unwrap_or_default();
            let shows_a_token = contains(&entry, header) || contains(&decoded, header);
            assert!(!shows_a_token, "{key}");
        }
    }
    // It is the pair: another process goes on with it.
    world.store.start();
    world.advance(LATER);
    let new = world.process().user_token(&open_id).await.unwrap();
    assert!(contains(value(&new).as_bytes(), header));
    let counters = world.control().counters();
    assert_eq!((counters.refresh_grants, counters.refresh_rejected), (1, 0));
}

#[tokio::test]
async fn an_attempt_to_log_in_shows_neither_verifier_nor_state_nor_cookie() {
    let (world, process, _) = world().await;
    let public_url = PUBLIC_URL.parse().unwrap();
    let start = LoginStart {
        app_id: &app_id(),
        scope: None,
        redirect_to: None,
        public_url: &public_url,
    };
    let started = process.0.logins.start(&start, soon()).await.unwrap();
    let asked: HashMap<_, _> = started.location.query_pairs().into_owned().collect();
    let (id, state) = asked["state"].split_once('.').unwrap();
    let (_, cookie) = started.cookie.split_once('=').unwrap();
    let cookie = cookie.split(';').next().unwrap();
    let key = Key::new(format!("login#{id}"), "state");
    let record = world.shared_store().get(Table::Tokens, &key).await;
    let record = record.unwrap().expect("the attempt");
    assert!(record.attributes.contains_key("code_verifier"));
    // The challenge is the hash of the verifier, which has 43 characters.
    let hash = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(digest(&SHA256, bytes));
    for (name, value) in &record.attributes {
        let bytes = match value {
            Value::Text(text) => text.as_bytes(),
            Value::Bytes(bytes) => bytes,
            Value::Number(_) => continue,
        };
        assert!(
            !contains(bytes, state) && !contains(bytes, cookie),
            "{name}"
        );
        let mut windows = bytes.windows(43);
        let shows_the_verifier = windows.any(|it| hash(it) == asked["code_challenge"]);
        assert!(!shows_the_verifier, "{name}");
    }
}
