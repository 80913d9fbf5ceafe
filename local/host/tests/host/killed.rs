//! The host is killed in the middle of delivering messages, and started again over the same folder.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use lark_simulator::{DeliveryFilter, Options, Settings, Simulator, open_id, seeded_app_secret};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::process::banner;
use crate::world::{answer, client, template};

const APP: &str = "cli_sim000001";
const MESSAGES: u64 = 60;
const PEOPLE: u32 = 12;
/// After how many delivered messages the host is killed: while it delivers, and while it finds out about the first time.
const KILLED_AFTER: [u64; 2] = [15, 35];
/// A message that was under way has a lease of 45 seconds, and may be looked after by the run of the next minute.
const PATIENCE: Duration = Duration::from_secs(240);

/// A host as a process, towards a platform that lives on.
struct Running {
    process: Child,
    url: String,
    key: String,
    client: Client,
}

impl Running {
    async fn start(folder: &Path, platform: &Simulator) -> Self {
        let template = template();
        let mut command = Command::new(env!("CARGO_BIN_EXE_lark-local-host"));
        command
            .args(["--port", "0", "--app-id", APP])
            .arg("--data-dir")
            .arg(folder)
            .arg("--template")
            .arg(&template)
            .env("LARK_APP_SECRET", seeded_app_secret(APP))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        for name in ["FEISHU_URL", "FEISHU_ACCOUNTS_URL"] {
            command.env(format!("LARK_SERVICE_{name}"), platform.base_url());
        }
        let mut process = command.spawn().unwrap();
        let said = banner(&mut process).await;
        let line = said.iter().find(|line| line.contains("Bearer ")).unwrap();
        let key = line.split('\'').nth(1).unwrap();
        let url = line.rsplit(' ').next().unwrap();
        let (url, _) = url.split_once("/v1/").unwrap();
        Self {
            process,
            url: url.to_owned(),
            key: key.rsplit(' ').next().unwrap().to_owned(),
            client: client(),
        }
    }

    /// Has message `number` accepted; repeated, it is the same message.
    async fn accept(&self, number: u64) -> String {
        let person = u32::try_from(number).unwrap() % PEOPLE + 1;
        let body = json!({"to": {"open_id": open_id(APP, person)}, "text": number.to_string()});
        let request = self
            .client
            .request(Method::POST, format!("{}/v1/messages", self.url))
            .bearer_auth(&self.key)
            .header("prefer", "respond-async")
            .header("idempotency-key", format!("message-{number}"))
            .header("content-type", "application/json")
            .body(body.to_string());
        let accepted = answer(request).await;
        assert!(accepted.status.is_success(), "{accepted:?}");
        accepted.body["job_id"].as_str().unwrap().to_owned()
    }

    async fn state(&self, job_id: &str) -> String {
        let url = format!("{}/v1/message-jobs/{job_id}", self.url);
        let request = self.client.get(url).bearer_auth(&self.key);
        let job = answer(request).await;
        assert_eq!(job.status, StatusCode::OK, "{job:?}");
        job.body["state"].as_str().unwrap().to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_killed_in_the_middle_loses_and_doubles_no_message() {
    let platform = Simulator::start(Options {
        users: 100,
        settings: Settings {
            // So slow that there is a middle.
            delay_ms: 50,
            ..Settings::default()
        },
        ..Options::default()
    });
    let platform = platform.await.unwrap();
    let control = platform.control();
    let folder = tempfile::tempdir().unwrap();

    let mut host = Running::start(folder.path(), &platform).await;
    let mut jobs = Vec::new();
    for number in 0..MESSAGES {
        jobs.push(host.accept(number).await);
    }
    for delivered in KILLED_AFTER {
        control.delivered(delivered).await;
        host.process.kill().await.unwrap();
        host = Running::start(folder.path(), &platform).await;
    }
    let all = tokio::time::timeout(PATIENCE, control.delivered(MESSAGES)).await;
    assert!(all.is_ok(), "{:?}", control.message_counts().total);
    for (number, job_id) in (0..).zip(&jobs) {
        // The platform has the message a moment before its job says so.
        let ended = tokio::time::timeout(PATIENCE, async {
            while host.state(job_id).await != "delivered" {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        });
        assert!(ended.await.is_ok(), "{number}");
        assert_eq!(host.accept(number).await, *job_id);
    }
    let made = control.deliveries(&DeliveryFilter::default(), 1_000);
    let different: BTreeSet<String> = made.iter().map(|it| text(&it.content)).collect();
    assert_eq!((made.len(), different.len()), (jobs.len(), jobs.len()));
    for person in 1..=PEOPLE {
        let to = made.iter().filter(|it| it.user == Some(person));
        let numbers: Vec<u64> = to.map(|it| text(&it.content).parse().unwrap()).collect();
        assert!(numbers.is_sorted(), "{person}: {numbers:?}");
    }
}

fn text(content: &str) -> String {
    let content: Value = serde_json::from_str(content).unwrap();
    content["text"].as_str().unwrap().to_owned()
}
