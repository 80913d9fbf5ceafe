//! Every function of Lark Service behind one local port.
//!
//! [`Host::start`] reads `template.yaml`, the deployed file, and serves each `HttpApi` event at its route through the same
//! `handle` that runs on Lambda, with the authorizer in front. It runs schedules, keeps records in one file, and starts the
//! Lark simulator unless the options name an app of the real platform.
//!
//! Intended differences from API Gateway: errors of the gateway itself (no such route, no API key, an invalid key, a body
//! above 10 MB) are problem documents like those of the functions, where API Gateway answers `{"message": "Not Found"}`. As
//! there, a method without a route at a path is a 404, `HEAD` included; the header `Allow` lists the path's methods.
//! `GET /metrics` is added: on Lambda metrics go through the log.
//!
//! [`Gateway`] is the same without port, schedules and data folder, on top of services that the caller passes: tests use it.

mod authorizer;
mod banner;
mod bodies;
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
mod queues;
mod routes;
mod schedules;
mod server;
mod staged;
mod targets;
mod template;

pub use banner::Banner;
pub use error::HostError;
pub use gateway::Gateway;
pub use host::Host;
pub use options::{Options, Platform};
pub use template::{Template, TemplateError};
