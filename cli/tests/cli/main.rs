//! The program as an operator runs it: on its own data folder, with the simulated platform.
#![expect(clippy::unwrap_used, reason = "these are tests")]

mod apps;
mod doctor;
mod http;
mod keys;
mod logins;
mod seal;
mod usage;

use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use lark_service::config::Config;
use lark_service::deadline::Deadline;
use lark_service::wiring::{Adapters, Services};
use lark_simulator::{Options, Simulator, seeded_app_id, seeded_app_secret};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};

/// A command that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A data folder, and the platform.
struct Place {
    folder: tempfile::TempDir,
    simulator: Simulator,
}

/// How a command ended.
#[derive(Debug)]
struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Place {
    async fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            simulator: Simulator::start(Options::default()).await.unwrap(),
        }
    }

    /// A place with the platform's first app registered.
    async fn with_app() -> (Self, String) {
        let place = Self::new().await;
        let app = seeded_app_id(1);
        let secret = seeded_app_secret(&app);
        place.done(&["app", "add", "--app-id", &app], &secret).await;
        (place, app)
    }

    fn variables(&self) -> Vec<(&'static str, String)> {
        let url = self.simulator.base_url();
        vec![
            ("LARK_SERVICE_STORE", "embedded".to_owned()),
            ("LARK_SERVICE_DATA_DIR", self.data().display().to_string()),
            ("LARK_SERVICE_FEISHU_URL", url.clone()),
            ("LARK_SERVICE_LARK_URL", url),
            ("USER", "olga".to_owned()),
        ]
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Starts a command; the caller writes its input.
    fn start(&self, arguments: &[&str]) -> Child {
        Command::new(env!("CARGO_BIN_EXE_lark-service"))
            .args(arguments)
            .env_clear()
            .envs(self.variables())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    /// Runs a command that reads `input`.
    async fn run(&self, arguments: &[&str], input: &str) -> Ran {
        finished(self.start(arguments), input).await
    }

    /// Runs a command that succeeds and returns its output.
    async fn done(&self, arguments: &[&str], input: &str) -> String {
        let ran = self.run(arguments, input).await;
        assert_eq!(ran.code, 0, "{arguments:?}: {ran:?}");
        ran.stdout
    }

    /// Runs a command that succeeds, with `--json`, and returns its output.
    async fn json(&self, arguments: &[&str], input: &str) -> Value {
        let arguments = [arguments, &["--json"]].concat();
        let ran = self.run(&arguments, input).await;
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{arguments:?}");
        serde_json::from_str(&ran.stdout).unwrap()
    }

    /// Runs a command that fails, with and without `--json`, and returns the failure's code.
    async fn refused(&self, arguments: &[&str], input: &str, code: i32) -> String {
        let ran = self.run(arguments, input).await;
        assert_eq!(ran.code, code, "{arguments:?}: {ran:?}");
        assert!(!ran.stderr.is_empty(), "{arguments:?}");
        let arguments = [arguments, &["--json"]].concat();
        let ran = self.run(&arguments, input).await;
        assert_eq!(ran.code, code, "{arguments:?}: {ran:?}");
        let failure: Value = serde_json::from_str(&ran.stderr).unwrap();
        assert!(!failure["detail"].as_str().unwrap().is_empty());
        failure["code"].as_str().unwrap().to_owned()
    }

    /// The service over the same data, while no command runs.
    async fn services(&self) -> Services {
        let variables = self.variables();
        let config = Config::from_lookup(|name| {
            let known = variables.iter().find(|(known, _)| *known == name);
            known.map(|(_, value)| value.clone())
        });
        let config = config.unwrap();
        let adapters = Adapters::connect(&config).await.unwrap();
        Services::new(config, &adapters)
    }
}

async fn finished(mut child: Child, input: &str) -> Ran {
    let mut stdin = child.stdin.take().unwrap();
    // A command that reads no input may have ended already.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
    let Output {
        status,
        stdout,
        stderr,
    } = output.unwrap().unwrap();
    Ran {
        code: status.code().unwrap(),
        stdout: String::from_utf8(stdout).unwrap(),
        stderr: String::from_utf8(stderr).unwrap(),
    }
}

fn soon() -> Deadline {
    Deadline::after(PATIENCE)
}
