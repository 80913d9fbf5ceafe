//! All logic of Lark Service: tokens, users, stores, caches and the Lark client. Functions parse, call this crate, answer.

pub mod api_keys;
pub mod apps;
pub mod aws;
pub mod cache;
pub mod clock;
pub mod coalesce;
pub mod config;
pub mod deadline;
pub mod error;
pub mod http;
pub mod ids;
pub mod invocation;
pub mod lark;
pub mod readiness;
pub mod seal;
pub mod seed;
pub mod store;
pub mod telemetry;
pub mod tokens;
pub mod users;
pub mod wiring;
