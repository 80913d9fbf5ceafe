//! Every function of Lark Service behind one local port.
//!
//! [`Host::start`] reads `template.yaml`, the file that is deployed, and serves each `HttpApi` event at its route through
//! the same `handle` that runs on Lambda, with the authorizer in front; it runs schedules, keeps records in one file, and
//! starts the Lark simulator unless it is given an app of the real platform.
//!
//! What differs from API Gateway, on purpose: errors of the gateway itself (no such route, no API key, a key that is not
//! valid, a body above 10 MB) are problem documents like those of the functions, where API Gateway answers
//! `{"message": "Not Found"}`. As there, a method that a path has no route for is a 404, `HEAD` included; the header
//! `Allow` says what the path has. `GET /metrics` is added: on Lambda metrics leave through the log.
//!
//! [`Gateway`] is the same without a port, schedules and data folder, over services that the caller brings: the tests ask it.

mod authorizer;
mod banner;
mod data_dir;
mod decode;
mod error;
mod functions;
mod gateway;
mod host;
mod invocation;
pub mod openapi;
mod options;
mod platform;
mod routes;
mod schedules;
mod server;
mod targets;
mod template;

pub use banner::Banner;
pub use error::HostError;
pub use gateway::Gateway;
pub use host::Host;
pub use options::{Options, Platform};
pub use template::{Template, TemplateError};
