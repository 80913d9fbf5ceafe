//! The doctor at the command line; its checks are tested in their own modules.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::Place;

#[tokio::test]
async fn a_healthy_place_is_told_to_be_so() {
    let (place, _) = Place::with_app().await;
    place
        .done(
            &[
                "key", "create", "--name", "x", "--scope", "admin", "--app", "*",
            ],
            "",
        )
        .await;
    std::fs::set_permissions(place.data(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let report = place.json(&["doctor"], "").await;
    assert_eq!(report["healthy"], true);
    let people = place.done(&["doctor", "--offline"], "").await;
    assert!(
        people.contains("ok       data_keys") && people.contains("all is well"),
        "{people}"
    );
}

#[tokio::test]
async fn problems_have_a_remedy_and_an_exit_code_of_their_own() {
    let (place, _) = Place::with_app().await;
    let ran = place.run(&["doctor", "--json"], "").await;
    assert_eq!((ran.code, ran.stderr.as_str()), (4, ""));
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(report["healthy"], false);
    let checks = report["checks"].as_array().unwrap();
    let keys = checks
        .iter()
        .find(|check| check["name"] == "api_keys")
        .unwrap();
    assert!(
        keys["remedy"]
            .as_str()
            .unwrap()
            .starts_with("lark-service key create")
    );
    let people = place.run(&["doctor"], "").await;
    assert_eq!(people.code, 4);
    assert!(
        people.stdout.contains("-> lark-service key create"),
        "{people:?}"
    );
}
