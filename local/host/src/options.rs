//! What a host starts with.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use lark_service::ids::AppId;
use lark_service::lark::Domain;
use secrecy::SecretString;

/// What a host starts with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen; port 0 takes a free port.
    pub listen: SocketAddr,
    /// The folder for records, keys and the API key; made if it is missing.
    pub data_dir: PathBuf,
    /// The template.
    pub template: PathBuf,
    /// Which Lark to talk to.
    pub platform: Platform,
}

/// Which Lark to talk to. Each has a folder of its own in the data folder: an app of the one must never be presented to the
/// other.
#[derive(Clone, Debug)]
pub enum Platform {
    /// The simulator, inside the host.
    Simulated {
        /// How many users its directory holds.
        users: u32,
        /// Its port on loopback; 0 takes a free port.
        port: u16,
    },
    /// The real one.
    Real {
        /// Where the app lives.
        domain: Domain,
        /// The app.
        app_id: AppId,
        /// Its secret.
        secret: SecretString,
    },
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9000)),
            data_dir: ".data".into(),
            template: "template.yaml".into(),
            platform: Platform::Simulated {
                users: 10_000,
                port: 0,
            },
        }
    }
}
