//! The Lark Open Platform, simulated over HTTP: the official SDKs and Lark Service talk to it unchanged.
//!
//! [`Simulator`] serves on loopback, [`Control`] steers it: the clock, faults, apps, users, counters. The same controls
//! exist over HTTP under `/_sim`. The crate shares no type with Lark Service on purpose: with shared types a wrong field
//! name would agree with itself.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> std::io::Result<()> {
//! use lark_simulator::{Options, Simulator, open_id};
//! use std::time::Duration;
//!
//! let simulator = Simulator::start(Options::default()).await?;
//! let somebody = open_id("cli_sim000001", 42);
//! println!("GET {}/open-apis/contact/v3/users/{somebody}", simulator.base_url());
//! simulator.control().advance(Duration::from_secs(5400));
//! simulator.shutdown().await;
//! # Ok(()) }
//! ```

mod access;
mod answer;
mod apps;
mod auth;
mod calendar;
mod chats;
mod clock;
mod contact;
mod control;
mod control_api;
mod counters;
mod directory;
mod endpoint;
mod faults;
mod gateway;
mod hash;
mod im;
mod invalid;
mod journal;
mod marketplace;
mod oauth;
mod options;
mod paging;
mod platform;
mod rate_limit;
mod request;
mod server;
mod settings;
mod simulator;
mod tokens;
mod values;

pub use apps::{App, AppPatch, TENANT_KEY, seeded_app_id, seeded_app_secret};
pub use chats::{ChatInfo, ChatPatch};
pub use clock::ClockMode;
pub use control::{Consent, Control};
pub use counters::{AppCounters, Counters, EndpointCounters, PeakInWindow};
pub use directory::ids::{chat_id, department_id, open_department_id, open_id, union_id, user_id};
pub use directory::people::{email, mobile};
pub use directory::{UserIds, UserPatch};
pub use faults::{Fault, FaultAction, FaultReport, FaultStage};
pub use invalid::Invalid;
pub use oauth::codes::Challenge;
pub use options::Options;
pub use rate_limit::{RateLimitWindows, Tier};
pub use settings::Settings;
pub use simulator::Simulator;
