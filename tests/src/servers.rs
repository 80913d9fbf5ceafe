//! Servers that a test may kill: a Valkey of its own, and a proxy in front of the DynamoDB API.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

use crate::door::Door;
use crate::signals;

/// How long a server may take to start.
const START: Duration = Duration::from_secs(20);

/// The value of a variable that `scripts/with-services` sets.
#[expect(
    clippy::disallowed_methods,
    reason = "the environment names the servers of the tests"
)]
pub fn variable(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: run `scripts/with-services cargo test`"))
}

/// A Valkey of the test's own, killed when dropped.
pub struct Valkey {
    child: Child,
    port: u16,
}

impl Valkey {
    /// Starts it at a free port.
    pub async fn start() -> Self {
        let port = free_port().await;
        Self {
            child: Self::spawn(port).await,
            port,
        }
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Kills it; its data is lost.
    pub async fn kill(&mut self) {
        self.child.kill().await.expect("a child");
    }

    /// Starts it again, empty, at the same port.
    pub async fn restart(&mut self) {
        self.child = Self::spawn(self.port).await;
    }

    /// Stops the process (SIGSTOP): connections stay open and nothing answers.
    pub async fn freeze(&self) {
        signals::freeze(&self.child).await;
    }

    /// Continues the process (SIGCONT).
    pub async fn thaw(&self) {
        signals::thaw(&self.child);
    }

    /// The port it listens at.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    async fn spawn(port: u16) -> Child {
        let child = Command::new(variable("LARK_TEST_VALKEY_SERVER"))
            .args([
                "--port",
                &port.to_string(),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "no",
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("a Valkey server");
        await_port(port).await;
        child
    }
}

/// A TCP proxy in front of `server`, `host:port`.
pub async fn tcp_proxy(server: String) -> Door {
    let server: Arc<str> = Arc::from(server);
    Door::open_with(move |client| serve(client, Arc::clone(&server))).await
}

async fn serve(mut client: TcpStream, server: Arc<str>) {
    let Ok(mut upstream) = TcpStream::connect(&*server).await else {
        return;
    };
    let _ = upstream.set_nodelay(true);
    let _ = copy_bidirectional(&mut client, &mut upstream).await;
}

async fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    listener.local_addr().expect("bound").port()
}

async fn await_port(port: u16) {
    let connected = async {
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            tokio::task::yield_now().await
        }
    };
    tokio::time::timeout(START, connected)
        .await
        .expect("the server starts in time");
}
