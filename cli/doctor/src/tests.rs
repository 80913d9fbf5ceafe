use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use lark_simulator::{Simulator, seeded_app_id, seeded_app_secret};

use super::*;
use lark_service::clock::SystemClock;
use lark_service::seed::Seed;
use lark_service::store::Table;
use lark_service::store::embedded::EmbeddedStore;
use lark_service::wiring::Adapters;

mod denied;
mod service;

const KEY: &str = "lsk_demo0000key0_demo000000000000000000000000000000000000000";

/// A data folder with an app and an API key, and the platform that knows the app.
struct Place {
    folder: tempfile::TempDir,
    simulator: Simulator,
    variables: HashMap<&'static str, String>,
}

impl Place {
    async fn healthy() -> Self {
        let app = seeded_app_id(1);
        let secret = seeded_app_secret(&app);
        Self::seeded(&format!(
            r#"{{"apps":[{{"app_id":"{app}","secret":"{secret}"}}],
                "api_keys":[{{"token":"{KEY}","scopes":["users:read"],"apps":["*"]}}]}}"#
        ))
        .await
    }

    async fn seeded(seed: &str) -> Self {
        let simulator = Simulator::start(lark_simulator::Options::default()).await;
        let simulator = simulator.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let url = simulator.base_url();
        let variables = HashMap::from([
            ("LARK_SERVICE_STORE", "embedded".to_owned()),
            ("LARK_SERVICE_DATA_DIR", folder.path().display().to_string()),
            ("LARK_SERVICE_FEISHU_URL", url.clone()),
            ("LARK_SERVICE_LARK_URL", url),
        ]);
        let place = Self {
            folder,
            simulator,
            variables,
        };
        let services = place.services().await;
        let seed = Seed::parse(seed).unwrap();
        let (apps, keys, tokens) = (&services.apps, &services.api_keys, &services.tokens);
        seed.apply(apps, keys, tokens, soon()).await.unwrap();
        place
    }

    fn with(mut self, variable: &'static str, value: &str) -> Self {
        self.variables.insert(variable, value.to_owned());
        self
    }

    fn config(&self) -> Config {
        Config::from_lookup(|name| self.variables.get(name).cloned()).unwrap()
    }

    async fn services(&self) -> Services {
        let config = self.config();
        let adapters = Adapters::connect(&config).await.unwrap();
        Services::new(config, &adapters)
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    async fn examined(&self) -> Report {
        self.examined_at(Arc::new(SystemClock)).await
    }

    async fn examined_at(&self, clock: Arc<dyn Clock>) -> Report {
        let lookup = |name| self.variables.get(name).cloned();
        let mut told = 0;
        let options = Options::default();
        let report = examine(lookup, &options, clock, &mut |_: &Check| told += 1).await;
        assert_eq!(told, report.checks.len());
        report
    }
}

/// Expects exactly one check `name`, with this status and these words in its detail and its remedy.
#[track_caller]
fn check(report: &Report, name: &str, status: Status, detail: &str, remedy: &str) {
    let found: Vec<_> = report
        .checks
        .iter()
        .filter(|check| check.name == name)
        .collect();
    let [found] = found[..] else {
        panic!("{name}: {found:#?}");
    };
    assert_eq!(found.status, status, "{found:#?}");
    assert!(found.detail.contains(detail), "{found:#?}");
    let given = found.remedy.clone().unwrap_or_default();
    assert!(given.contains(remedy), "{found:#?}");
}

#[track_caller]
fn failed(report: &Report, name: &str, detail: &str, remedy: &str) {
    check(report, name, Status::Failed, detail, remedy);
    assert!(report.has_failed());
}

#[tokio::test]
async fn a_healthy_place_has_nothing_to_tell() {
    let place = Place::healthy().await;
    let place = place.with("LARK_SERVICE_DEFAULT_APP_ID", &seeded_app_id(1));
    let report = place.examined().await;
    let wrong: Vec<_> = report
        .checks
        .iter()
        .filter(|check| check.remedy.is_some())
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    for name in [
        "configuration",
        "data_folder",
        "key_file",
        "store",
        "schema",
        "permissions",
        "data_keys",
        "apps",
        "default_app",
        "credentials",
        "lark",
        "clock",
        "api_keys",
        "schedule",
        "logins",
        "token_times",
    ] {
        check(&report, name, Status::Ok, "", "");
    }
    for name in ["cache", "tickets"] {
        check(&report, name, Status::Skipped, "", "");
    }
    let text = serde_json::to_string(&report).unwrap();
    assert!(!text.contains(&seeded_app_secret(&seeded_app_id(1))));
}

#[tokio::test]
async fn a_wrong_variable_is_named_and_the_rest_left() {
    let place = Place::healthy()
        .await
        .with("LARK_SERVICE_STORE_TIMEOUT_MS", "soon");
    let report = place.examined().await;
    let variable = "LARK_SERVICE_STORE_TIMEOUT_MS";
    failed(
        &report,
        "configuration",
        variable,
        &format!("set {variable}"),
    );
    assert_eq!(report.count(Status::Failed), 1);
    assert_eq!(report.count(Status::Skipped), report.checks.len() - 1);
}

#[tokio::test]
async fn a_missing_table_name_is_named() {
    let place = Place::healthy()
        .await
        .with("LARK_SERVICE_STORE", "dynamodb");
    let report = place.examined().await;
    failed(
        &report,
        "configuration",
        "LARK_SERVICE_TOKENS_TABLE",
        "set LARK_SERVICE_TOKENS_TABLE",
    );
}

#[tokio::test]
async fn a_key_file_that_others_may_read_is_to_be_closed() {
    let place = Place::healthy().await;
    let path = place.file("data-keys");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let report = place.examined().await;
    failed(
        &report,
        "key_file",
        "has mode 644",
        &format!("chmod 600 {}", path.display()),
    );
    check(&report, "credentials", Status::Skipped, "data keys", "");
}

#[tokio::test]
async fn a_key_file_that_is_gone_is_not_made_anew() {
    let place = Place::healthy().await;
    fs::remove_file(place.file("data-keys")).unwrap();
    let report = place.examined().await;
    failed(&report, "key_file", "there is no", "from its backup");
    assert!(!place.file("data-keys").exists());
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_not_made() {
    let place = Place::healthy().await;
    let elsewhere = place.file("elsewhere");
    let place = place.with("LARK_SERVICE_DATA_DIR", &elsewhere.display().to_string());
    let report = place.examined().await;
    failed(
        &report,
        "data_folder",
        "there is no folder",
        "set LARK_SERVICE_DATA_DIR",
    );
    failed(
        &report,
        "store",
        "there is no store",
        "lark-service app add",
    );
    assert!(!elsewhere.exists());
}

#[tokio::test]
async fn a_store_in_use_says_who_to_stop() {
    let place = Place::healthy().await;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let _held = EmbeddedStore::open(&place.file("store.redb"), clock).unwrap();
    let report = place.examined().await;
    failed(
        &report,
        "store",
        "in use by another",
        "stop the process that has it",
    );
    check(&report, "apps", Status::Skipped, "needs the store", "");
    check(&report, "lark", Status::Ok, "answers", "");
}

#[tokio::test]
async fn a_cache_that_is_down_is_to_be_started() {
    let place = Place::healthy().await;
    let place = place.with("LARK_SERVICE_CACHE_URL", "redis://127.0.0.1:1");
    let report = place.examined().await;
    failed(
        &report,
        "cache",
        "",
        "start the server, or correct LARK_SERVICE_CACHE_URL",
    );
    check(&report, "credentials", Status::Ok, "", "");
}

#[tokio::test]
async fn a_store_out_of_reach_names_what_decides_where_it_is() {
    let mut place = Place::healthy()
        .await
        .with("LARK_SERVICE_STORE", "dynamodb");
    for table in Table::ALL {
        let name = format!("LARK_SERVICE_{}_TABLE", table.name().to_uppercase());
        let known = lark_service::config::VARIABLES
            .iter()
            .find(|known| known.name == name);
        place = place.with(known.unwrap().name, "x");
    }
    let place = place
        .with("LARK_SERVICE_KMS_KEY_ID", "x")
        .with("AWS_REGION", "us-east-1")
        .with("AWS_ACCESS_KEY_ID", "x")
        .with("AWS_SECRET_ACCESS_KEY", "x")
        .with("LARK_SERVICE_AWS_ENDPOINT_URL", "http://127.0.0.1:1");
    let report = place.examined().await;
    failed(&report, "store", "DynamoDB is out of reach", "AWS_REGION");
}
