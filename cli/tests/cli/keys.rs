//! The life of an API key.

use crate::Place;

#[tokio::test]
async fn a_key_lives_from_its_making_to_its_end() {
    let place = Place::new().await;
    let create = [
        "key",
        "create",
        "--name",
        "portal",
        "--scope",
        "tokens:read",
        "--scope",
        "users:read",
        "--app",
        "cli_a",
        "--rate-limit",
        "600/60",
        "--expires",
        "90d",
    ];
    let made = place.json(&create, "").await;
    let (id, key) = (
        made["key_id"].as_str().unwrap(),
        made["key"].as_str().unwrap(),
    );
    assert!(key.starts_with(&format!("lsk_{id}_")));
    // As the API writes it.
    let limit = serde_json::json!({"limit": 600, "window_seconds": 60});
    assert_eq!(
        (&made["rate_limit"], &made["status"]),
        (&limit, &"active".into())
    );
    let services = place.services().await;
    let caller = services
        .api_keys
        .authenticate(key, crate::soon())
        .await
        .unwrap();
    assert_eq!(caller.unwrap().scopes.len(), 2);
    drop(services);
    let shown = [
        place
            .json(&["key", "show", id, "--changes"], "")
            .await
            .to_string(),
        place.json(&["key", "list"], "").await.to_string(),
        place.done(&["key", "list"], "").await,
    ];
    for shown in &shown {
        assert!(shown.contains(id) && !shown.contains(key), "{shown}");
    }
    place.done(&["key", "revoke", id], "").await;
    assert_eq!(
        place.json(&["key", "show", id], "").await["status"],
        "revoked"
    );
    let services = place.services().await;
    let caller = services
        .api_keys
        .authenticate(key, crate::soon())
        .await
        .unwrap();
    assert!(caller.is_none());
}

#[tokio::test]
async fn people_see_a_new_key_once() {
    let place = Place::new().await;
    let create = [
        "key", "create", "--name", "x", "--scope", "admin", "--app", "*",
    ];
    let said = place.done(&create, "").await;
    assert_eq!(said.matches("lsk_").count(), 1, "{said}");
    assert!(said.contains("not shown again"));
}

#[tokio::test]
async fn what_a_key_cannot_be_is_refused() {
    let place = Place::new().await;
    let create = |more: &[&'static str]| {
        let base = ["key", "create", "--name", "x", "--app", "*"];
        [&base, more].concat()
    };
    for wrong in [
        create(&[]),
        create(&["--scope", "everything"]),
        create(&["--scope", "admin", "--app", "cli_a"]),
        create(&["--scope", "admin", "--rate-limit", "many"]),
        create(&["--scope", "admin", "--expires", "2001-01-01T00:00:00Z"]),
    ] {
        assert_eq!(place.refused(&wrong, "", 2).await, "invalid_argument");
    }
    assert_eq!(
        place.refused(&["key", "show", "none"], "", 3).await,
        "api_key_not_found"
    );
    assert_eq!(
        place.refused(&["key", "revoke", "none"], "", 3).await,
        "api_key_not_found"
    );
}

#[tokio::test]
async fn callbacks_are_set_with_a_secret_that_is_shown_once_and_taken_away() {
    let place = Place::new().await;
    let url = "https://portal.example.com/callbacks";
    let scope = ["--scope", "messages:send", "--app", "*"];
    let create = [
        &["key", "create", "--name", "x", "--callback-url", url],
        &scope[..],
    ];
    let made = place.json(&create.concat(), "").await;
    let (id, first) = (
        made["key_id"].as_str().unwrap(),
        made["callback_secret"].as_str().unwrap(),
    );
    assert!(made["key"].is_string() && first.starts_with("whsec_"));
    let said = place.done(&["key", "show", id], "").await;
    assert!(said.contains(url) && !said.contains("whsec_"), "{said}");
    let callback = ["key", "callback", id, "--to", url];
    let said = place.done(&callback, "").await;
    assert_eq!(said.matches("whsec_").count(), 1, "{said}");
    assert!(said.contains("not shown again") && !said.contains(first));
    let off = place.json(&["key", "callback", id, "--off"], "").await;
    assert!(off["callback_url"].is_null() && off.get("callback_secret").is_none());
}
