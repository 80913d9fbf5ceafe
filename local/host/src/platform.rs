//! The Lark that the host talks to, and the app that it uses.

use std::net::SocketAddr;

use lark_service::ids::AppId;
use lark_service::lark::Domain;
use lark_simulator::{App, Simulator};
use secrecy::{ExposeSecret, SecretString};

use crate::data_dir::DataDir;
use crate::error::HostError;
use crate::options::{Options, Platform};

/// The simulated app.
const DEMO_APP: &str = "cli_demo000001";
/// Its secret, which works only at the simulator.
const DEMO_SECRET: &str = "demo-secret-000001";

/// The simulated marketplace app.
const MARKETPLACE_APP: &str = "cli_market00001";
/// Its secret.
const MARKETPLACE_SECRET: &str = "market-secret-00001";
/// The tenants that installed it.
pub(crate) const TENANTS: [&str; 2] = ["tenant_demo_a", "tenant_demo_b"];

/// A platform that can be called.
#[derive(Debug)]
pub(crate) struct Connected {
    /// The simulator, unless the platform is the real one.
    pub(crate) simulator: Option<Simulator>,
    /// How many users the simulator's directory has.
    pub(crate) users: u32,
    pub(crate) domain: Domain,
    pub(crate) app_id: AppId,
    pub(crate) secret: SecretString,
}

/// The data folder of the platform that `options` choose.
///
/// # Errors
/// [`HostError::Data`].
pub(crate) fn data_dir(options: &Options) -> Result<DataDir, HostError> {
    let name = match &options.platform {
        Platform::Simulated { .. } => "simulated",
        Platform::Real { domain, .. } => domain.as_str(),
    };
    DataDir::open(options.data_dir.join(name))
}

/// Starts the simulator if the options ask for it.
///
/// # Errors
/// [`HostError::Simulator`].
pub(crate) async fn connect(
    options: &Options,
    data: &DataDir,
    addr: SocketAddr,
) -> Result<Connected, HostError> {
    match &options.platform {
        Platform::Simulated { users, port } => {
            let simulator = Simulator::start(lark_simulator::Options {
                listen: ([127, 0, 0, 1], *port).into(),
                users: *users,
                seeded_apps: 0,
                apps: vec![App::new(DEMO_APP, DEMO_SECRET), marketplace_app(addr)],
                token_file: Some(data.simulator_tokens()),
                ..lark_simulator::Options::default()
            });
            let simulator = simulator.await.map_err(|source| HostError::Simulator {
                port: *port,
                source,
            })?;
            Ok(Connected {
                simulator: Some(simulator),
                users: *users,
                domain: Domain::Feishu,
                app_id: AppId::parse(DEMO_APP).expect("a constant in the right form"),
                secret: DEMO_SECRET.into(),
            })
        }
        Platform::Real {
            domain,
            app_id,
            secret,
        } => Ok(Connected {
            simulator: None,
            users: 0,
            domain: *domain,
            app_id: app_id.clone(),
            secret: secret.clone(),
        }),
    }
}

/// A marketplace app whose tickets the simulator pushes to the function that stores them.
fn marketplace_app(addr: SocketAddr) -> App {
    let event_url = format!("http://{addr}/2015-03-31/functions/store-app-ticket/invocations");
    App {
        marketplace: true,
        tenants: TENANTS.map(str::to_owned).into(),
        event_url: Some(event_url),
        ..App::new(MARKETPLACE_APP, MARKETPLACE_SECRET)
    }
}

impl Connected {
    /// The variable of this name, if the platform sets it.
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        match name {
            "LARK_SERVICE_DEFAULT_APP_ID" => Some(self.app_id.to_string()),
            "LARK_SERVICE_FEISHU_URL"
            | "LARK_SERVICE_LARK_URL"
            | "LARK_SERVICE_FEISHU_ACCOUNTS_URL"
            | "LARK_SERVICE_LARK_ACCOUNTS_URL" => self.simulator.as_ref().map(Simulator::base_url),
            _ => None,
        }
    }

    /// The seed with the app, and the API key `key` with all permissions.
    pub(crate) fn seed(&self, key: &SecretString) -> String {
        let scopes = lark_service::api_keys::Scope::ALL.map(lark_service::api_keys::Scope::as_str);
        let mut apps = vec![serde_json::json!({
            "app_id": self.app_id,
            "secret": self.secret.expose_secret(),
            "domain": self.domain,
            "login_scopes": ["contact:user.base:readonly"],
        })];
        if self.simulator.is_some() {
            apps.push(serde_json::json!({
                "app_id": MARKETPLACE_APP,
                "secret": MARKETPLACE_SECRET,
                "kind": "marketplace",
            }));
        }
        let seed = serde_json::json!({
            "apps": apps,
            "api_keys": [{
                "token": key.expose_secret(),
                "scopes": scopes,
                "apps": ["*"],
                "rate_limit": null,
            }],
        });
        seed.to_string()
    }
}
