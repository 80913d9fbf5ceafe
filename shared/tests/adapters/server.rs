//! Valkey servers that a test may kill and freeze.

use std::fmt;
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lark_service::cache::Cache;
use lark_service::cache::valkey::ValkeyCache;
use tempfile::TempDir;

use crate::required;
use crate::valkey::settings;

/// How long a server may take for a command of the test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A server for one test, killed when dropped.
pub(crate) struct Server {
    port: u16,
    options: Vec<String>,
    folder: TempDir,
    process: Option<Child>,
}

impl Server {
    /// A server with `options` on a free port, once it answers.
    pub(crate) async fn start(options: &[&str]) -> Self {
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        let folder = tempfile::tempdir().unwrap();
        let mut server = Self {
            port: free_port(),
            options,
            folder,
            process: None,
        };
        server.run().await;
        server
    }

    /// Starts the program again on the same port, once it answers.
    pub(crate) async fn run(&mut self) {
        let process = Command::new(required("LARK_TEST_VALKEY_SERVER"))
            .args([
                "--bind",
                "127.0.0.1",
                "--port",
                &self.port.to_string(),
                "--save",
                "",
                "--appendonly",
                "no",
            ])
            .arg("--dir")
            .arg(self.folder.path())
            .args(&self.options)
            .stdout(Stdio::null())
            .spawn();
        self.process = Some(process.unwrap());
        let probe = ValkeyCache::connect(&settings(&self.url())).unwrap();
        eventually("the server answers", async || answers(&probe).await).await;
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Ends the process without warning.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Suspends the process: its sockets stay open and silent.
    pub(crate) fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Resumes a frozen process.
    pub(crate) fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let id = self.process.as_ref().unwrap().id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &id])
                .status()
                .unwrap()
                .success()
        );
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

pub(crate) async fn answers(cache: &ValkeyCache) -> bool {
    cache.ping().await.is_ok()
}

/// Waits until `is_so` returns true, and fails if it never does.
pub(crate) async fn eventually(what: &str, is_so: impl AsyncFn() -> bool) {
    let started = Instant::now();
    while !is_so().await {
        assert!(
            started.elapsed() < PATIENCE,
            "not within {} s: {what}",
            PATIENCE.as_secs()
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// An unused port, below the system's ephemeral ports, so that no other process gets it in the meantime; the port of a cluster
/// node's bus, 10,000 above, is below them too.
fn free_port() -> u16 {
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    std::iter::repeat_with(|| fastrand::u16(10_000..20_000))
        .find(is_free)
        .unwrap()
}
