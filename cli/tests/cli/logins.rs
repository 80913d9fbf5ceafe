//! The life of a login, as an operator sees it.

use std::sync::Arc;
use std::time::Duration;

use lark_service::ids::{AppId, OpenId};
use lark_service::seal::Fingerprint;
use lark_service::tokens::{Pair, RefreshToken, Token};

use crate::{Place, soon};

/// Logs the user `open_id` in for ten days.
async fn log_in(place: &Place, app: &str, open_id: &str) {
    let services = place.services().await;
    let issued_at = services.clock.now();
    let token = Token {
        value: "u-access".into(),
        fingerprint: Fingerprint::from_stored("f"),
        issued_at,
        expires_at: issued_at + Duration::from_secs(7_200),
    };
    let refresh = RefreshToken {
        value: Some("ur-refresh".into()),
        issued_at,
        expires_at: issued_at + Duration::from_secs(10 * 24 * 3_600),
    };
    let pair = Pair {
        token: Arc::new(token),
        refresh: Some(refresh),
        scopes: "offline_access contact:user.base:readonly".to_owned(),
    };
    let (app_id, open_id) = (AppId::parse(app).unwrap(), OpenId::parse(open_id).unwrap());
    let begun = services.tokens.begin_login(&app_id, &open_id, pair, soon());
    begun.await.unwrap();
}

#[tokio::test]
async fn a_login_is_listed_until_it_is_revoked() {
    let (place, app) = Place::with_app().await;
    log_in(&place, &app, "ou_anna").await;
    let listed = place.json(&["login", "list", &app], "").await;
    let login = &listed["items"][0];
    assert_eq!(
        (&login["open_id"], &login["days_left"]),
        (&"ou_anna".into(), &9.into())
    );
    let people = place.done(&["login", "list", &app], "").await;
    assert!(people.contains("offline_access"), "{people}");
    for said in [people, listed.to_string()] {
        assert!(!said.contains("u-access") && !said.contains("ur-refresh"));
    }
    let ended = place.json(&["login", "list", &app, "--ended"], "").await;
    assert_eq!(ended["items"].as_array().unwrap().len(), 0);
    place.done(&["login", "revoke", &app, "ou_anna"], "").await;
    let revoke = ["login", "revoke", &app, "ou_anna"];
    assert_eq!(place.refused(&revoke, "", 3).await, "login_not_found");
    assert_eq!(
        place.refused(&["login", "list", "cli_none"], "", 3).await,
        "app_not_found"
    );
}

#[tokio::test]
async fn deleting_an_app_ends_its_logins() {
    let (place, app) = Place::with_app().await;
    for user in ["ou_anna", "ou_bert"] {
        log_in(&place, &app, user).await;
    }
    let deleted = place.json(&["app", "delete", &app, "--yes"], "").await;
    assert_eq!(deleted["tokens"], 3, "two logins and the app's own token");
}
