//! A host's options.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use lark_service::ids::AppId;
use lark_service::lark::Domain;
use secrecy::SecretString;

/// A host's options.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen; port 0 picks a free port.
    pub listen: SocketAddr,
    /// The folder for records, keys and the API key; created if missing.
    pub data_dir: PathBuf,
    /// The template.
    pub template: PathBuf,
    /// How long the head of a request may take to arrive, and a connection may wait for the next one.
    pub head_timeout: Duration,
    /// Which Lark to talk to.
    pub platform: Platform,
}

/// Which Lark to talk to. Each has its own subfolder in the data folder: an app of the one must never be used with the other.
#[derive(Clone, Debug)]
pub enum Platform {
    /// The simulator, inside the host.
    Simulated {
        /// How many users its directory has.
        users: u32,
        /// Its port on loopback; 0 picks a free port.
        port: u16,
    },
    /// The real one.
    Real {
        /// The app's platform.
        domain: Domain,
        /// The app.
        app_id: AppId,
        /// Its secret.
        secret: SecretString,
    },
}

impl Options {
    /// The default of `head_timeout`.
    pub const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9000)),
            data_dir: ".data".into(),
            template: "template.yaml".into(),
            head_timeout: Self::HEAD_TIMEOUT,
            platform: Platform::Simulated {
                users: 10_000,
                port: 0,
            },
        }
    }
}
