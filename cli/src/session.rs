//! The service that a command works on, and who runs the command.

use std::time::Duration;

use lark_service::changes::Actor;
use lark_service::config::{Config, variable};
use lark_service::deadline::Deadline;
use lark_service::wiring::{Adapters, Services, StartError};

use crate::failure::Failure;

/// The timeout of one step of a command: a page, a record, a request to the platform.
const STEP: Duration = Duration::from_secs(60);
/// How many records are listed at a time.
pub(crate) const PAGE: usize = 100;

/// The services with the configuration of the environment.
pub(crate) async fn open() -> Result<Services, Failure> {
    let config = Config::from_env().map_err(StartError::from)?;
    let adapters = Box::pin(Adapters::connect(&config)).await?;
    Ok(Services::new(config, &adapters))
}

/// Who runs the command line, for the change log.
pub(crate) fn actor() -> Actor {
    let user = variable("USER").or_else(|| variable("LOGNAME"));
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let host = host.or_else(|| variable("HOSTNAME"));
    let name = |text: Option<String>| {
        let text = text.unwrap_or_default();
        let name: String = text
            .trim()
            .chars()
            .filter(|c| !c.is_control())
            .take(64)
            .collect();
        if name.is_empty() {
            "unknown".to_owned()
        } else {
            name
        }
    };
    Actor::operator(&format!("{}@{}", name(user), name(host)))
}

/// The deadline of a step that begins now.
pub(crate) fn soon() -> Deadline {
    Deadline::after(STEP)
}

/// Makes the data keys if there are none yet: deployed functions may not, and without keys no app can be registered over HTTP.
pub(crate) async fn make_data_keys(services: &Services) -> Result<(), Failure> {
    services
        .sealer
        .keyring(soon())
        .await
        .map_err(lark_service::error::Error::from)?;
    Ok(())
}
