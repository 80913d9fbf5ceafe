//! Usage, configuration, completions, and the commands that scripts use.

use lark_service::api_keys::ApiKey;

use crate::{Place, finished};

#[tokio::test]
async fn wrong_usage_is_told_with_exit_code_2() {
    let place = Place::new().await;
    for wrong in [
        &["nonsense"] as &[&str],
        &["app"],
        &["app", "show", "a b"],
        &["app", "update", "cli_a"],
    ] {
        assert_eq!(place.refused(wrong, "", 2).await, "invalid_argument");
    }
    let help = place.done(&["--help"], "").await;
    assert!(help.contains("4  the doctor found problems"), "{help}");
    assert!(!place.data().exists(), "nothing was opened");
}

#[tokio::test]
async fn a_wrong_configuration_is_told_with_exit_code_2() {
    let place = Place::new().await;
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_lark-service"));
    let command = command.args(["app", "list", "--json"]).env_clear();
    let output = command.output().await.unwrap();
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.contains("invalid_configuration") && stderr.contains("LARK_SERVICE_TOKENS_TABLE"),
        "{stderr}"
    );
    drop(place);
}

#[tokio::test]
async fn a_store_in_use_is_worth_another_try() {
    let (place, _) = Place::with_app().await;
    let _held = place.services().await;
    assert_eq!(
        place.refused(&["app", "list"], "", 5).await,
        "store_unavailable"
    );
}

#[tokio::test]
async fn every_shell_gets_its_completions() {
    let place = Place::new().await;
    for shell in ["bash", "zsh", "fish"] {
        let script = place.done(&["completions", shell], "").await;
        assert!(
            script.contains("rotate-secret") && script.contains("lark-service"),
            "{shell}"
        );
    }
}

#[tokio::test]
async fn seeds_and_new_keys_are_as_scripts_know_them() {
    let place = Place::new().await;
    let key = place.done(&["new-api-key"], "").await;
    assert!(ApiKey::parse(key.trim()).is_some(), "{key}");
    let seed = format!(
        r#"{{"apps":[{{"app_id":"cli_a","secret":"s"}}],"api_keys":[{{"token":"{}","scopes":["users:read"],"apps":["*"]}}]}}"#,
        key.trim()
    );
    assert_eq!(
        place.done(&["seed"], &seed).await,
        "added or changed 1 apps, added 1 API keys\n"
    );
    assert_eq!(place.json(&["seed"], &seed).await["apps"], 0);
    assert_eq!(place.refused(&["seed"], "{}}", 2).await, "invalid_argument");
}

#[tokio::test]
async fn a_reader_who_has_enough_is_no_failure() {
    let (place, _) = Place::with_app().await;
    let mut child = place.start(&["app", "list"]);
    drop(child.stdout.take());
    assert_eq!(finished(child, "").await.code, 0);
}
