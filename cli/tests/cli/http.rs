//! The program against a running service: the local host, on a port of its own.

mod answers;
mod messages;

use std::path::{Path, PathBuf};
use std::process::Stdio;

use lark_local_host::{Host, Options, Platform};
use lark_service::config::Config;
use lark_service::delivery::Work;
use lark_service::queue::Receipt;
use lark_service::wiring::{Adapters, Services};
use secrecy::ExposeSecret;
use serde_json::Value;
use tokio::process::{Child, Command};

use crate::{Ran, finished, soon};

/// The simulated app that a host has.
const APP: &str = "cli_demo000001";

/// A data folder, the host on it, and its API key.
struct Site {
    folder: tempfile::TempDir,
    host: Option<Host>,
    key: String,
}

/// Which way a command takes.
#[derive(Clone, Copy, Debug)]
enum Way {
    Http,
    Store,
}

async fn host(folder: &Path) -> Host {
    let options = Options {
        listen: ([127, 0, 0, 1], 0).into(),
        data_dir: folder.to_owned(),
        template: Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml"),
        platform: Platform::Simulated { users: 50, port: 0 },
        ..Options::default()
    };
    Host::start(options, |_| None).await.unwrap()
}

/// The program with nothing but `variables`.
fn program(arguments: &[&str], variables: &[(&str, String)]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_lark-service"))
        .args(arguments)
        .env_clear()
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

async fn ran(arguments: &[&str], variables: &[(&str, String)], input: &str) -> Ran {
    finished(program(arguments, variables), input).await
}

impl Site {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let host = host(folder.path()).await;
        let key = host.api_key().expose_secret().to_owned();
        Self {
            folder,
            host: Some(host),
            key,
        }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("simulated")
    }

    async fn stop(&mut self) {
        self.host.take().unwrap().shutdown().await;
    }

    async fn start_again(&mut self) {
        self.host = Some(host(self.folder.path()).await);
    }

    fn url(&self) -> String {
        format!("http://{}", self.host.as_ref().unwrap().addr())
    }

    fn variables(&self, way: Way) -> Vec<(&'static str, String)> {
        match way {
            Way::Http => vec![
                ("LARK_SERVICE_URL", self.url()),
                ("LARK_SERVICE_API_KEY", self.key.clone()),
            ],
            Way::Store => vec![
                ("LARK_SERVICE_STORE", "embedded".to_owned()),
                ("LARK_SERVICE_DATA_DIR", self.data().display().to_string()),
                ("USER", "olga".to_owned()),
            ],
        }
    }

    /// Runs a command over HTTP. Whatever it says, it is not the key.
    async fn run(&self, arguments: &[&str], input: &str) -> Ran {
        let ran = ran(arguments, &self.variables(Way::Http), input).await;
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert!(!said.contains(&self.key), "{arguments:?}: the key is told");
        ran
    }

    async fn json(&self, arguments: &[&str], input: &str) -> Value {
        let arguments = [arguments, &["--json"]].concat();
        let ran = self.run(&arguments, input).await;
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{arguments:?}");
        serde_json::from_str(&ran.stdout).unwrap()
    }

    /// The exit code and the failure's code.
    async fn refused(&self, arguments: &[&str], input: &str) -> (i32, String) {
        let arguments = [arguments, &["--json"]].concat();
        let ran = self.run(&arguments, input).await;
        let failure: Value = serde_json::from_str(&ran.stderr).unwrap_or_default();
        let code = failure["code"].as_str();
        let code = code.unwrap_or_else(|| panic!("{arguments:?}: {ran:?}"));
        (ran.code, code.to_owned())
    }

    /// The services over the data of a host that does not run.
    async fn services(&self) -> Services {
        let variables = self.variables(Way::Store);
        let config = Config::from_lookup(|name| {
            let known = variables.iter().find(|(known, _)| *known == name);
            known.map(|(_, value)| value.clone())
        });
        let config = config.unwrap();
        let adapters = Adapters::connect(&config).await.unwrap();
        Services::new(config, &adapters)
    }

    /// Makes dead letters of messages of the queue that name no job, and returns their ids.
    async fn poison(&mut self, count: usize) -> Vec<String> {
        self.stop().await;
        let services = self.services().await;
        let works = (0..count).map(|number| Work {
            id: number.to_string(),
            receipt: Receipt("none".to_owned()),
            group: "g".to_owned(),
            body: format!(r#"{{"nothing":{number}}}"#),
            receive_count: 1,
        });
        assert!(
            services
                .delivery
                .work(works.collect(), soon())
                .await
                .is_empty()
        );
        let all = lark_service::api_keys::AllowedApps::All;
        let page = services.delivery.dead_letters(&all, None, 100, soon());
        let letters = page.await.unwrap().items;
        drop(services);
        self.start_again().await;
        letters.into_iter().map(|letter| letter.id).collect()
    }
}

/// By either way a command says the same, and ends in the same way.
#[tokio::test]
async fn a_command_says_the_same_by_either_way() {
    let mut site = Site::start().await;
    let letters = site.poison(2).await;
    site.json(&["token", "refresh", APP], "").await;
    let made = ["key", "create", "--name", "portal", "--scope", "users:read"];
    let made = [made.as_slice(), &["--app", APP, "--expires", "90d"]].concat();
    let made = site.json(&made, "").await;
    let (key_id, letter) = (made["key_id"].as_str().unwrap(), letters[0].as_str());
    let unknown = "mj_01jdyzz8k3v5m7q2c4x6n8p0rs";
    let commands: [&[&str]; 13] = [
        &["app", "list"],
        &["app", "show", APP],
        &["app", "show", APP, "--changes"],
        &["app", "show", "cli_none"],
        &["token", "show", APP],
        &["token", "show", APP, "--kind", "app"],
        &["key", "list"],
        &["key", "show", key_id],
        &["key", "show", key_id, "--changes"],
        &["key", "show", "none00000000"],
        &["dead-letters", "list"],
        &["dead-letters", "show", letter],
        &["dead-letters", "show", unknown],
    ];
    let mut said = Vec::new();
    for command in commands {
        for form in [&[] as &[&str], &["--json"]] {
            let command = [command, form].concat();
            said.push((command.clone(), site.run(&command, "").await));
        }
    }
    site.stop().await;
    let variables = site.variables(Way::Store);
    for (command, over_http) in said {
        let on_store = ran(&command, &variables, "").await;
        assert_eq!(over_http.code, on_store.code, "{command:?}: {over_http:?}");
        assert_eq!(over_http.stdout, on_store.stdout, "{command:?}");
        let code = |ran: &Ran| {
            let failure: Value = serde_json::from_str(&ran.stderr).unwrap_or_default();
            (failure["code"].clone(), failure["detail"].clone())
        };
        assert_eq!(code(&over_http), code(&on_store), "{command:?}");
    }
}

#[tokio::test]
async fn an_app_and_a_key_live_and_end_over_http() {
    let site = Site::start().await;
    let add = ["app", "add", "--app-id", "cli_new", "--name", "Tea"];
    let added = site.json(&add, "s3cret-of-the-app\n").await;
    assert_eq!(added["name"], "Tea");
    assert_eq!(
        site.refused(&add, "another").await,
        (1, "already_exists".to_owned())
    );
    let update = [
        "app",
        "update",
        "cli_new",
        "--redirect-target",
        "https://a.example",
    ];
    let changed = site.json(&update, "").await;
    assert_eq!(changed["redirect_targets"][0], "https://a.example");
    assert_eq!(changed["name"], "Tea", "what is not said stays");
    let rotate = ["app", "rotate-secret", "cli_new", "--previous-for", "1h"];
    let rotated = site.json(&rotate, "another").await;
    assert_ne!(rotated["secret_fingerprint"], added["secret_fingerprint"]);
    site.json(&["app", "disable", "cli_new"], "").await;
    let shown = site
        .json(&["app", "show", "cli_new", "--changes"], "")
        .await;
    assert_eq!(shown["status"], "disabled");
    let changes = shown["changes"].as_array().unwrap();
    assert_eq!(changes.len(), 4, "{shown}");
    assert!(changes[0]["by"].as_str().unwrap().starts_with("key:"));
    site.json(&["app", "delete", "cli_new", "--yes"], "").await;
    assert_eq!(
        site.refused(&["app", "show", "cli_new"], "").await,
        (3, "app_not_found".to_owned())
    );

    let create = ["key", "create", "--name", "x", "--scope", "users:read"];
    let create = [create.as_slice(), &["--app", APP, "--rate-limit", "none"]].concat();
    let made = site.json(&create, "").await;
    assert!(made["rate_limit"].is_null() && made["key"].is_string());
    let key_id = made["key_id"].as_str().unwrap();
    site.json(&["key", "revoke", key_id], "").await;
    let shown = site.json(&["key", "show", key_id], "").await;
    assert_eq!(shown["status"], "revoked");
    // What is wrong is told by field, as on the store.
    let wrong = ["app", "update", "cli_demo000001", "--redirect-target", "x"];
    let ran = site.run(&wrong, "").await;
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains("redirect_targets"), "{ran:?}");
}

#[tokio::test]
async fn a_token_is_renewed_and_its_value_not_shown() {
    let site = Site::start().await;
    let refresh = site.run(&["token", "refresh", APP, "--json"], "").await;
    assert_eq!(refresh.code, 0, "{refresh:?}");
    assert!(!refresh.stdout.contains("t-"), "{refresh:?}");
    let tenant = ["token", "refresh", APP, "--tenant", "t1"];
    assert_eq!(site.refused(&tenant, "").await.0, 2);
    let user = ["token", "refresh", APP, "--user", "ou_nobody"];
    assert_eq!(
        site.refused(&user, "").await,
        (1, "reauthorization_required".to_owned())
    );
    site.json(&["login", "revoke", APP, "ou_nobody"], "").await;
}

#[tokio::test]
async fn dead_letters_are_redriven_and_dropped() {
    let mut site = Site::start().await;
    let ids = site.poison(5).await;
    assert_eq!(ids.len(), 5);
    let dropped = ["dead-letters", "drop", ids[0].as_str()];
    assert_eq!(site.refused(&dropped, "").await.0, 2, "nobody was asked");
    let ran = site.run(&dropped, "something else\n").await;
    assert_eq!(ran.code, 2, "{ran:?}");
    let ran = site.run(&dropped, &ids[0]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(
        site.refused(&["dead-letters", "show", ids[0].as_str()], "")
            .await,
        (3, "dead_letter_not_found".to_owned())
    );
    let all = ["dead-letters", "drop", "--all", "--yes"];
    assert_eq!(site.json(&all, "").await["dropped"], 4);
    let redrive = ["dead-letters", "redrive", "--all"];
    assert_eq!(site.json(&redrive, "").await["redriven"], 0);
    let listed = site.run(&["dead-letters", "list"], "").await;
    assert_eq!(listed.stdout, "there is no dead letter\n");
    for wrong in [
        &["dead-letters", "redrive"] as &[&str],
        &["dead-letters", "redrive", "x", "--all"],
    ] {
        assert_eq!(site.refused(wrong, "").await.0, 2);
    }
}

#[tokio::test]
async fn what_only_the_store_can_do_says_so() {
    let site = Site::start().await;
    for command in [
        &["seal", "rotate-key"] as &[&str],
        &["seal", "retire-keys"],
        &["app", "usage", APP],
        &["login", "list", APP],
        &["token", "show", APP, "--kind", "user"],
        &["doctor"],
        &["seed"],
    ] {
        let ran = site.run(command, "{}").await;
        assert_eq!(ran.code, 2, "{command:?}: {ran:?}");
        assert!(ran.stderr.contains("store only"), "{command:?}: {ran:?}");
    }
}

#[tokio::test]
async fn a_service_that_cannot_be_asked_is_told_and_the_key_is_not() {
    let mut site = Site::start().await;
    let url = site.url();
    let key = site.key.clone();
    let unknown = format!("lsk_{}_{}", "x".repeat(12), "y".repeat(43));
    let file = site.folder.path().join("key");
    std::fs::write(&file, format!("{key}\n")).unwrap();
    let file = file.display().to_string();
    let rows: [(&str, &str, &str, i32, &str); 8] = [
        (
            "http://lark.example.com",
            key.as_str(),
            "",
            2,
            "invalid_argument",
        ),
        ("not a url", key.as_str(), "", 2, "invalid_argument"),
        (url.as_str(), "", "", 2, "invalid_argument"),
        (url.as_str(), "secret-but-no-key", "", 2, "invalid_argument"),
        (url.as_str(), "", "/no/such/file", 2, "invalid_argument"),
        (url.as_str(), unknown.as_str(), "", 1, "permission_denied"),
        (url.as_str(), "", file.as_str(), 0, ""),
        (
            "http://127.0.0.1:9",
            key.as_str(),
            "",
            5,
            "service_unavailable",
        ),
    ];
    for (url, key, file, code, expected) in rows {
        let variables = [
            ("LARK_SERVICE_URL", url.to_owned()),
            ("LARK_SERVICE_API_KEY", key.to_owned()),
            ("LARK_SERVICE_API_KEY_FILE", file.to_owned()),
        ];
        let ran = ran(&["app", "list", "--json"], &variables, "").await;
        assert_eq!(ran.code, code, "{url} {file}: {ran:?}");
        let failure: Value = serde_json::from_str(&ran.stderr).unwrap_or_default();
        let told = failure["code"].as_str().unwrap_or_default();
        assert_eq!(told, expected, "{url} {file}: {ran:?}");
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert!(key.is_empty() || !said.contains(key), "{said}");
    }
    // The address may be an argument; the key may not.
    let key = [("LARK_SERVICE_API_KEY", key)];
    let by_option = ran(&["app", "list", "--url", &url], &key, "").await;
    assert_eq!(by_option.code, 0, "{by_option:?}");
    let help = ran(&["--help"], &[], "").await;
    assert!(!help.stdout.contains("--api-key "), "{help:?}");
    // The store is a way for whoever says so.
    site.stop().await;
    let mut both = site.variables(Way::Store);
    both.push(("LARK_SERVICE_URL", url));
    let ran = ran(&["app", "list", "--store"], &both, "").await;
    assert_eq!(ran.code, 0, "{ran:?}");
}
