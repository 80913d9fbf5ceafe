//! The life of an app and of its tokens.

use lark_simulator::{seeded_app_id, seeded_app_secret};

use crate::{Place, finished};

#[tokio::test]
async fn an_app_lives_from_its_registration_to_its_end() {
    let (place, app) = Place::with_app().await;
    let update = [
        "app",
        "update",
        &app,
        "--name",
        "Tea",
        "--redirect-target",
        "https://a.example",
    ];
    let changed = place.json(&update, "").await;
    assert_eq!(
        (&changed["name"], &changed["redirect_targets"][0]),
        (&"Tea".into(), &"https://a.example".into())
    );
    assert!(place.done(&["app", "list"], "").await.contains("Tea"));
    assert_eq!(
        place.json(&["app", "list"], "").await["items"][0]["status"],
        "enabled"
    );
    place.done(&["app", "disable", &app], "").await;
    assert_eq!(
        place.refused(&["token", "refresh", &app], "", 1).await,
        "app_disabled"
    );
    place.done(&["app", "enable", &app], "").await;
    let before = place.json(&["app", "show", &app], "").await;
    place
        .done(
            &["app", "rotate-secret", &app, "--previous-for", "0"],
            "another\n",
        )
        .await;
    let after = place.json(&["app", "show", &app, "--changes"], "").await;
    assert_ne!(before["secret_fingerprint"], after["secret_fingerprint"]);
    let changes = after["changes"].as_array().unwrap();
    let actions: Vec<_> = changes
        .iter()
        .map(|change| change["action"].as_str().unwrap())
        .collect();
    assert_eq!(
        actions,
        [
            "created",
            "changed",
            "disabled",
            "enabled",
            "secret_rotated"
        ]
    );
    assert!(changes[0]["by"].as_str().unwrap().starts_with("cli:olga@"));
    let people = place.done(&["app", "show", &app, "--changes"], "").await;
    assert!(people.contains("secret_rotated"), "{people}");
}

#[tokio::test]
async fn an_app_is_deleted_by_whoever_means_it() {
    let (place, app) = Place::with_app().await;
    assert_eq!(
        place
            .refused(&["app", "delete", &app], "something else\n", 2)
            .await,
        "invalid_argument"
    );
    let deleted = place.run(&["app", "delete", &app], &app).await;
    assert_eq!(deleted.code, 0, "{deleted:?}");
    assert_eq!(
        place
            .refused(&["app", "delete", &app, "--yes"], "", 3)
            .await,
        "app_not_found"
    );
    assert_eq!(
        place.refused(&["app", "show", &app], "", 3).await,
        "app_not_found"
    );
    assert_eq!(
        place.json(&["app", "list"], "").await["items"]
            .as_array()
            .unwrap()
            .len(),
        0
    );
}

#[tokio::test]
async fn what_goes_with_an_app_is_removed_even_if_it_was_broken_off() {
    let (place, app) = Place::with_app().await;
    place.done(&["token", "refresh", &app], "").await;
    let services = place.services().await;
    let app_id = lark_service::ids::AppId::parse(&app).unwrap();
    let actor = lark_service::changes::Actor::operator("a@b");
    services
        .apps
        .delete(&app_id, &actor, crate::soon())
        .await
        .unwrap();
    drop(services);
    let deleted = place.json(&["app", "delete", &app, "--yes"], "").await;
    assert_eq!(deleted["tokens"], 1);
}

#[tokio::test]
async fn a_token_is_fetched_once_and_its_value_not_shown() {
    let (place, app) = Place::with_app().await;
    let due = place.json(&["token", "show", &app], "").await;
    assert!(due["items"][0]["issued_at"].is_null(), "{due}");
    let first = place.json(&["token", "refresh", &app], "").await;
    assert_eq!(
        (&first["issued"], &first["token"]["kind"]),
        (&true.into(), &"tenant".into())
    );
    let second = place.run(&["token", "refresh", &app], "").await;
    assert!(second.stdout.contains("current token"), "{second:?}");
    let shown = place
        .run(&["token", "show", &app, "--kind", "tenant"], "")
        .await;
    assert!(
        !format!("{first} {second:?} {shown:?}").contains("t-"),
        "no token's value"
    );
    assert_eq!(
        place
            .refused(&["token", "refresh", &app, "--tenant", "x"], "", 2)
            .await,
        "invalid_argument"
    );
    let user = ["token", "refresh", &app, "--user", "ou_a"];
    assert_eq!(
        place.refused(&user, "", 1).await,
        "reauthorization_required"
    );
}

#[tokio::test]
async fn a_refusal_is_explained_with_the_next_try() {
    let place = Place::new().await;
    let app = seeded_app_id(1);
    place.done(&["app", "add", "--app-id", &app], "wrong").await;
    let ran = place.run(&["token", "refresh", &app], "").await;
    assert_eq!(ran.code, 1);
    assert!(
        ran.stderr.contains("app_refused") && ran.stderr.contains("next try"),
        "{ran:?}"
    );
    let shown = place.done(&["app", "show", &app], "").await;
    assert!(shown.contains("failed 1 times: app_refused"), "{shown}");
}

#[tokio::test]
async fn a_platform_out_of_reach_is_worth_another_try() {
    let (mut place, app) = Place::with_app().await;
    place.simulator.pause().await;
    assert_eq!(
        place.refused(&["token", "refresh", &app], "", 5).await,
        "lark_unavailable"
    );
}

#[tokio::test]
async fn a_secret_is_in_no_argument_and_no_output() {
    let place = Place::new().await;
    let app = seeded_app_id(1);
    let secret = seeded_app_secret(&app);
    let child = place.start(&["app", "add", "--app-id", &app, "--json"]);
    let arguments = std::fs::read(format!("/proc/{}/cmdline", child.id().unwrap())).unwrap();
    assert!(!String::from_utf8_lossy(&arguments).contains(&secret));
    let mut said = vec![finished(child, &format!("{secret}\n")).await];
    assert_eq!(said[0].code, 0, "{said:?}");
    let commands: [&[&str]; 5] = [
        &["app", "add", "--app-id", &app],
        &["app", "show", &app, "--changes"],
        &["app", "list"],
        &["app", "rotate-secret", &app],
        &["doctor"],
    ];
    for command in commands {
        said.push(place.run(command, &secret).await);
    }
    assert!(!format!("{said:?}").contains(&secret));
    assert_eq!(
        place
            .refused(&["app", "add", "--app-id", "cli_b", "--secret", "x"], "", 2)
            .await,
        "invalid_argument"
    );
    assert_eq!(
        place
            .refused(&["app", "add", "--app-id", "cli_b"], "\n", 2)
            .await,
        "invalid_argument"
    );
    assert_eq!(
        place
            .refused(&["app", "add", "--app-id", &app], &secret, 1)
            .await,
        "already_exists"
    );
}

#[tokio::test]
async fn the_calls_of_an_app_are_shown_by_api_and_month() {
    let (place, app) = Place::with_app().await;
    place.done(&["token", "refresh", &app], "").await;
    let usage = place.json(&["app", "usage", &app], "").await;
    assert_eq!(
        usage["calls"],
        serde_json::json!({"tenant_access_token": 1})
    );
    assert_eq!(usage["total"], 1);
    let people = place.done(&["app", "usage", &app], "").await;
    assert!(people.contains("tenant_access_token"), "{people}");
    let long_ago = ["app", "usage", &app, "--month", "2020-01"];
    let usage = place.json(&long_ago, "").await;
    assert_eq!(
        (&usage["month"], &usage["total"]),
        (&"2020-01".into(), &0.into())
    );
    let wrong = ["app", "usage", &app, "--month", "2020-13"];
    assert_eq!(place.refused(&wrong, "", 2).await, "invalid_argument");
}
