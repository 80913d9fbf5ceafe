//! Servers that a test may kill: a Valkey of its own, and a proxy in front of the DynamoDB API.

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinSet;

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
        self.signal("STOP").await;
    }

    /// Continues the process (SIGCONT).
    pub async fn thaw(&self) {
        self.signal("CONT").await;
    }

    /// The port it listens at.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    async fn signal(&self, name: &str) {
        let pid = self.child.id().expect("it runs").to_string();
        let kill = Command::new("kill").args(["-s", name, &pid]).status().await;
        assert!(kill.expect("a signal").success());
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

/// A TCP proxy in front of a server. While it is closed, it refuses connections; closing it breaks those there are.
pub struct TcpProxy {
    address: SocketAddr,
    is_open: watch::Sender<bool>,
    _task: JoinSet<()>,
}

impl TcpProxy {
    /// Starts an open proxy to `server`, `host:port`.
    pub async fn start(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (is_open, state) = watch::channel(true);
        let mut task = JoinSet::new();
        task.spawn(forward(Arc::from(server), address, Some(listener), state));
        Self {
            address,
            is_open,
            _task: task,
        }
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Breaks every connection and refuses new ones.
    pub fn close(&self) {
        self.is_open.send_replace(false);
    }

    /// Accepts connections again.
    pub fn open(&self) {
        self.is_open.send_replace(true);
    }
}

async fn forward(
    server: Arc<str>,
    address: SocketAddr,
    first: Option<TcpListener>,
    mut state: watch::Receiver<bool>,
) {
    let mut listener = first;
    loop {
        let open = match listener.take() {
            Some(listener) => listener,
            None => reopened(address).await,
        };
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = open.accept() => {
                    let Ok((client, _)) = accepted else { continue };
                    connections.spawn(serve(client, Arc::clone(&server)));
                }
                changed = state.wait_for(|is_open| !is_open) => {
                    if changed.is_err() { return }
                    break;
                }
            }
        }
        drop(open);
        connections.shutdown().await;
        if state.wait_for(|is_open| *is_open).await.is_err() {
            return;
        }
    }
}

async fn reopened(address: SocketAddr) -> TcpListener {
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("a socket option");
    socket.bind(address).expect("our own port");
    socket.listen(1_024).expect("our own port")
}

async fn serve(mut client: TcpStream, server: Arc<str>) {
    let Ok(mut upstream) = TcpStream::connect(&*server).await else {
        return;
    };
    // Nagle would add 40 ms to small exchanges.
    let _ = (client.set_nodelay(true), upstream.set_nodelay(true));
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
