//! The simulator as its owner sees it: started, paused, stopped.

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
use crate::stop::Stop;

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
    /// [`io::ErrorKind::InvalidInput`] for options that cannot be, an address that is not loopback above all; otherwise
    /// why the address cannot be bound.
    pub async fn start(options: Options) -> io::Result<Self> {
        let listen = options.listen;
        if !listen.ip().is_loopback() {
            let problem = format!("{listen} is not a loopback address: anybody could control it");
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

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What to use in place of `https://open.feishu.cn`: no path, no trailing slash.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Everything that can be steered; a clone outlives the simulator, without effect.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// An outage: connections end, new ones are refused, tokens and all other state stay.
    pub async fn pause(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.stop().await;
        }
    }

    /// The end of an outage, on the same port.
    ///
    /// # Errors
    /// When somebody else has taken the port meanwhile.
    pub async fn resume(&mut self) -> io::Result<()> {
        if self.serving.is_none() {
            let listener = TcpListener::bind(self.addr).await?;
            self.serving = Some(Serving::new(listener, &self.control));
        }
        Ok(())
    }

    /// Stops listening, releases calls that hang, lets answers under way leave for a second at most.
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
        let task = tokio::spawn(server::run(listener, control.clone(), Stop(stopped)));
        Self { stop, task }
    }

    async fn stop(self) {
        self.stop.send_replace(true);
        // A panic in the task has been reported by the runtime; stopped it is either way.
        let _stopped = self.task.await;
    }
}
