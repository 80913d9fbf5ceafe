//! The text printed once the host runs: its address, and commands to paste.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use lark_service::ids::AppId;
use lark_service::lark::Domain;
use secrecy::{ExposeSecret, SecretString};

/// The number of the user in the commands to paste.
const SOMEBODY: u32 = 42;

/// The host's address and how to call it. Shows the API key.
#[derive(Debug)]
pub struct Banner<'h> {
    pub(crate) addr: SocketAddr,
    pub(crate) data_dir: &'h Path,
    pub(crate) api_key: &'h SecretString,
    pub(crate) app_id: &'h AppId,
    pub(crate) domain: Domain,
    /// The simulator's address, if there is one.
    pub(crate) simulator: Option<String>,
    pub(crate) users: u32,
    pub(crate) schedules: Vec<(&'h str, Duration)>,
}

impl fmt::Display for Banner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (addr, app_id) = (self.addr, self.app_id);
        writeln!(
            f,
            "Lark Service on http://{addr}, app {app_id}, data in {}",
            self.data_dir.display()
        )?;
        match &self.simulator {
            Some(url) => writeln!(f, "Lark: simulated on {url}, {} users", self.users)?,
            None => writeln!(
                f,
                "Lark: the real platform, domain {}",
                self.domain.as_str()
            )?,
        }
        for (name, every) in &self.schedules {
            writeln!(f, "Schedule: {name} every {} s", every.as_secs())?;
        }
        let user = match self.simulator {
            Some(_) => lark_simulator::open_id(app_id.as_str(), SOMEBODY),
            None => "OPEN_ID".to_owned(),
        };
        self.line(
            f,
            "a user; again, and cache-status says hit",
            &format!("/v1/users/{user}"),
        )?;
        self.line(f, "the tenant's access token", "/v1/tokens/tenant")?;
        writeln!(
            f,
            "\n# log a user in: open this in a browser\nhttp://{addr}/v1/oauth/authorize?app_id={app_id}"
        )?;
        writeln!(f, "\n# health and metrics")?;
        writeln!(f, "curl -i http://{addr}/health/ready")?;
        writeln!(f, "curl http://{addr}/metrics")?;
        if let Some(url) = &self.simulator {
            writeln!(f, "\n# what reached the simulator")?;
            writeln!(f, "curl {url}/_sim/counters")?;
        }
        writeln!(f, "\nStop with Ctrl-C.")
    }
}

impl Banner<'_> {
    fn line(&self, f: &mut fmt::Formatter<'_>, what: &str, path: &str) -> fmt::Result {
        let key = self.api_key.expose_secret();
        writeln!(f, "\n# {what}")?;
        writeln!(
            f,
            "curl -i -H 'Authorization: Bearer {key}' http://{}{path}",
            self.addr
        )
    }
}
