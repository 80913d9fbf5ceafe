//! Why a host does not start, in one line for the user.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use lark_service::config::ConfigError;
use lark_service::error::Error;
use lark_service::wiring::StartError;

use crate::template::TemplateError;

/// Why a host does not start.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The template cannot be used.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// Template and local host have different functions.
    #[error("{0}")]
    Functions(String),
    /// A variable is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The port is not available.
    #[error("{addr}: {}", cannot_listen(.source))]
    Listen {
        /// Where it should listen.
        addr: SocketAddr,
        /// What the operating system says.
        source: io::Error,
    },
    /// A file or folder cannot be used.
    #[error("{}: {problem}", .path.display())]
    Data {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong, and the fix if there is one.
        problem: String,
    },
    /// Store or cache cannot be opened.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The simulator cannot be started.
    #[error("the simulator cannot be started on port {port}: {source}")]
    Simulator {
        /// The port that was asked for.
        port: u16,
        /// What the operating system says.
        source: io::Error,
    },
    /// App or API key cannot be written.
    #[error("the app and the API key cannot be registered: {}", with_causes(.0))]
    Seed(Box<Error>),
    /// Another metrics recorder was installed first.
    #[error("metrics are gathered by something else in this process")]
    Metrics,
}

impl From<Error> for HostError {
    fn from(error: Error) -> Self {
        Self::Seed(Box::new(error))
    }
}

/// The cause has the remedy, such as the mode of a key file.
fn with_causes(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}

fn cannot_listen(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::AddrInUse {
        "the port is in use; stop the other process or choose another with --port".to_owned()
    } else {
        error.to_string()
    }
}
