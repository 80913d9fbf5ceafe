//! All logic of Lark Service: tokens, directory, stores, caches and the Lark client. Functions parse, call this crate, answer.
//!
//! The modules stand on floors, from the top to the ground; a blank line ends a floor. A module imports only from floors below
//! its own. A tidy test keeps it so (`tests/tidy/layers.rs`).

// What an operator does from the command line.
pub mod resealing;
pub mod seed;

// The edge: what a function consists of.
pub mod wiring;

pub mod config;
pub mod http;
pub mod invocation;
pub mod readiness;

// What the service promises.
pub mod delivery;

pub mod callbacks;
pub mod directory;
pub mod logins;
pub mod messages;
pub mod uploads;

pub mod platform;

pub mod tokens;

pub mod api_keys;
pub mod apps;

pub mod asker;
pub mod changes;
pub mod idempotency;

// The platform and its limits.
pub mod lark;

pub mod limiter;
pub mod meter;
pub mod page;

// What everything above may fail with.
pub mod error;

// Storage.
pub mod mirror;

pub mod sealed_cache;

pub mod seal;

pub mod store;

pub mod cache;
pub mod queue;
pub mod staging;

// The ground: no dependencies within this crate but the clock.
pub mod aws;
pub mod breaker;
pub mod coalesce;
pub mod deadline;
#[cfg(feature = "embedded")]
pub mod embedded_file;
pub mod ids;
pub mod quota;
pub mod telemetry;

pub mod clock;
pub mod connections;
pub mod schema;
