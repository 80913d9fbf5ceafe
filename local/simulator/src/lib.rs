//! The Lark Open Platform, simulated over HTTP. The official SDKs and Lark Service call it unchanged.
//!
//! [`Simulator`] serves on loopback, [`Control`] controls it: the clock, faults, apps, users, counters. The same
//! controls exist over HTTP under `/_sim`. The crate shares no type with Lark Service on purpose: with shared types a
//! wrong field name would be the same on both sides, and no test would see it.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> std::io::Result<()> {
//! use lark_simulator::{Options, Simulator, open_id};
//! use std::time::Duration;
//!
//! let simulator = Simulator::start(Options::default()).await?;
//! let user = open_id("cli_sim000001", 42);
//! println!("GET {}/open-apis/contact/v3/users/{user}", simulator.base_url());
//! simulator.control().advance(Duration::from_secs(5400));
//! simulator.shutdown().await;
//! # Ok(()) }
//! ```

// From top to ground: a module imports only modules below it. A blank line keeps rustfmt from sorting across it.

// The process: a port and its connections.
mod simulator;

mod server;

// The controls: over HTTP, and in the process.
mod control_api;

mod control;

// The path of a call: authentication, faults, limits, endpoint.
mod gateway;

mod authentication;
mod routes;

// The APIs, one module for each family.
mod auth;
mod contact;
mod im;
mod marketplace;
mod oauth;

// What the API modules share.
mod user_lookup;

// What an API module provides for each endpoint.
mod endpoint;

// The state of the platform.
mod platform;

mod options;

mod apps;
mod batches;
mod chats;
mod counters;
mod faults;
mod logins;
mod media;
mod messages;
mod quota;
mod tickets;
mod tokens;

mod journal;
mod user_object;

mod directory;

// Requests and answers.
mod answer;
mod paging;

mod pages;
mod request;
mod settings;

mod multipart;
mod rate_limit;

// Foundations: values, time, errors.
mod audience;
mod calendar;
mod clock;
mod digest;
pub mod door;
mod invalid;
mod random;
mod spool;
mod stop;

mod hash;

pub use apps::{App, AppPatch, TENANT_KEY, seeded_app_id, seeded_app_secret};
pub use batches::BatchDelivery;
pub use chats::{ChatInfo, ChatPatch};
pub use clock::ClockMode;
pub use control::{Consent, Control};
pub use counters::{AppCounters, Counters, EndpointCounters, PeakInWindow};
pub use directory::ids::{
    chat_id, department_id, open_department_id, open_id, p2p_chat_id, union_id, user_id,
};
pub use directory::people::{email, mobile};
pub use directory::{UserIds, UserPatch};
pub use faults::{Fault, FaultAction, FaultReport, FaultStage};
pub use invalid::Invalid;
pub use logins::codes::Challenge;
pub use messages::{Delivery, DeliveryFilter, MessageCounts, ReceiverCounts};
pub use options::Options;
pub use rate_limit::{RateLimitWindows, Tier};
pub use settings::Settings;
pub use simulator::Simulator;
