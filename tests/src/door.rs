//! A listening address of a proxy. A test breaks its connections, makes them fall silent, or closes the address.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A loopback address whose connections a test controls. They end when it is dropped.
#[derive(Debug)]
pub struct Door {
    address: SocketAddr,
    state: watch::Sender<State>,
    _task: JoinSet<()>,
}

/// What a test did to the connections so far.
#[derive(Clone, Copy, Debug)]
struct State {
    is_open: bool,
    /// How many times all connections were broken.
    breaks: u64,
    /// How many times all connections fell silent.
    silences: u64,
}

impl Door {
    /// An open door at a free port; `serve` serves each connection.
    pub async fn open_with<F, S>(serve: F) -> Self
    where
        F: Fn(TcpStream) -> S + Send + Sync + 'static,
        S: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (state, watched) = watch::channel(State {
            is_open: true,
            breaks: 0,
            silences: 0,
        });
        let mut task = JoinSet::new();
        task.spawn(listen(Arc::new(serve), address, listener, watched));
        Self {
            address,
            state,
            _task: task,
        }
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL, for a proxy that speaks HTTP.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Breaks every connection and refuses new ones.
    pub fn close(&self) {
        self.state.send_modify(|state| state.is_open = false);
    }

    /// Accepts connections again.
    pub fn open(&self) {
        self.state.send_modify(|state| state.is_open = true);
    }

    /// Breaks every connection; new ones are served.
    pub fn break_connections(&self) {
        self.state.send_modify(|state| state.breaks += 1);
    }

    /// From now on nothing passes through the connections that exist, and none of them closes; new ones are served.
    pub fn silence_connections(&self) {
        self.state.send_modify(|state| state.silences += 1);
    }
}

async fn listen<F, S>(
    serve: Arc<F>,
    address: SocketAddr,
    first: TcpListener,
    mut state: watch::Receiver<State>,
) where
    F: Fn(TcpStream) -> S + Send + Sync + 'static,
    S: Future<Output = ()> + Send + 'static,
{
    let mut listener = Some(first);
    let of_connections = state.clone();
    loop {
        let open = listener.take().unwrap_or_else(|| reopened(address));
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = open.accept() => {
                    let Ok((client, _)) = accepted else { continue };
                    // Nagle would add 40 ms to small exchanges.
                    let _ = client.set_nodelay(true);
                    connections.spawn(connection(serve(client), of_connections.clone()));
                }
                Some(_) = connections.join_next() => {}
                changed = state.wait_for(|state| !state.is_open) => {
                    if changed.is_err() { return }
                    break;
                }
            }
        }
        drop(open);
        connections.shutdown().await;
        if state.wait_for(|state| state.is_open).await.is_err() {
            return;
        }
    }
}

/// Serves one connection until it ends or is broken. One that fell silent is served no more and stays open.
async fn connection(serving: impl Future<Output = ()>, mut state: watch::Receiver<State>) {
    let began = *state.borrow_and_update();
    let mut broken = state.clone();
    let silenced = async {
        let silent = state.wait_for(|now| now.silences > began.silences).await;
        silent.map(drop)
    };
    let served = async {
        let mut serving = pin!(serving);
        tokio::select! {
            () = &mut serving => {}
            _ = silenced => std::future::pending().await,
        }
    };
    tokio::select! {
        () = served => {}
        _ = broken.wait_for(|now| now.breaks > began.breaks) => {}
    }
}

fn reopened(address: SocketAddr) -> TcpListener {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("a socket option");
    socket.bind(address).expect("our own port");
    socket.listen(1_024).expect("our own port")
}
