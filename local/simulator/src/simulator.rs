//! The simulator for its owner: start, pause, stop.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::control::Control;
use crate::options::Options;
use crate::platform::Platform;
use crate::server;
use crate::stop::StopSignal;

/// A running simulator. Dropping it closes the port and every connection at once.
pub struct Simulator {
    control: Control,
    addr: SocketAddr,
    serving: Option<Serving>,
}

struct Serving {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Simulator {
    /// Listens and serves on the current Tokio runtime.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] for invalid options, such as an address that is not loopback; otherwise the
    /// error of binding the address.
    pub async fn start(options: Options) -> io::Result<Self> {
        let listen = options.listen;
        if !listen.ip().is_loopback() {
            let problem =
                format!("{listen} is not a loopback address: anybody could use the controls");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
        }
        let platform = Platform::new(options)
            .map_err(|invalid| io::Error::new(io::ErrorKind::InvalidInput, invalid))?;
        let listener = TcpListener::bind(listen).await?;
        let addr = listener.local_addr()?;
        let control = Control::new(platform);
        let serving = Some(Serving::new(listener, &control));
        Ok(Self {
            control,
            addr,
            serving,
        })
    }

    /// The address that it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What to use in place of `https://open.feishu.cn`: no path, no trailing slash.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The controls. A clone outlives the simulator, without effect.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Begins an outage: closes all connections and refuses new ones. Tokens and all other state stay.
    pub async fn pause(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.stop().await;
        }
    }

    /// Ends an outage, on the same port.
    ///
    /// # Errors
    /// When another process has taken the port meanwhile.
    pub async fn resume(&mut self) -> io::Result<()> {
        if self.serving.is_none() {
            let listener = TcpListener::bind(self.addr).await?;
            self.serving = Some(Serving::new(listener, &self.control));
        }
        Ok(())
    }

    /// Stops listening, releases calls that hang, and waits for calls in progress for a second at most.
    pub async fn shutdown(mut self) {
        self.pause().await;
    }
}

impl fmt::Debug for Simulator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Simulator")
            .field("addr", &self.addr)
            .finish_non_exhaustive()
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        if let Some(serving) = &self.serving {
            serving.task.abort();
        }
    }
}

impl Serving {
    #[expect(
        clippy::disallowed_methods,
        reason = "a server runs beside its caller, and ends with the Simulator"
    )]
    fn new(listener: TcpListener, control: &Control) -> Self {
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(server::run(listener, control.clone(), StopSignal(stopped)));
        Self { stop, task }
    }

    async fn stop(self) {
        self.stop.send_replace(true);
        // The runtime has reported a panic in the task; the task has ended in either case.
        let _stopped = self.task.await;
    }
}
