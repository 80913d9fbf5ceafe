//! A host on a free port, with its own data folder.

use std::path::{Path, PathBuf};

use lark_local_host::{Host, Options, Platform};
use lark_service::aws;
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use secrecy::ExposeSecret;
use serde_json::Value;
use tempfile::TempDir;

/// The simulated app.
pub(crate) const APP: &str = "cli_demo000001";

/// A host, its folder and a client.
pub(crate) struct World {
    pub(crate) host: Host,
    pub(crate) folder: TempDir,
    client: Client,
}

/// An answer, read completely.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap()).await
    }

    pub(crate) async fn start_in(folder: TempDir) -> Self {
        let host = Host::start(options(folder.path()), |_| None).await.unwrap();
        Self {
            host,
            folder,
            client: client(),
        }
    }

    /// A request with the host's API key.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let key = self.host.api_key().expose_secret();
        self.anonymous(method, path).bearer_auth(key)
    }

    /// A request without a key.
    pub(crate) fn anonymous(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("http://{}{path}", self.host.addr());
        self.client.request(method, url)
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        answer(self.request(Method::GET, path)).await
    }

    /// How many calls the simulator's endpoint has had.
    pub(crate) fn calls(&self, endpoint: &str) -> u64 {
        let counters = self.host.simulator().unwrap().control().counters();
        counters.endpoints.get(endpoint).map_or(0, |e| e.requests)
    }
}

pub(crate) fn client() -> Client {
    aws::http(aws::DEFAULT_IDLE_TIMEOUT).unwrap()
}

pub(crate) async fn answer(request: RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let text = response.text().await.unwrap();
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Answer {
        status,
        headers,
        body,
    }
}

pub(crate) fn options(folder: &Path) -> Options {
    Options {
        listen: ([127, 0, 0, 1], 0).into(),
        data_dir: folder.to_owned(),
        template: template(),
        platform: Platform::Simulated {
            users: 100,
            port: 0,
        },
        ..Options::default()
    }
}

/// The deployed template.
pub(crate) fn template() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../template.yaml")
}

/// The path of user `n`.
pub(crate) fn user(n: u32) -> String {
    format!("/v1/users/{}", lark_simulator::open_id(APP, n))
}
