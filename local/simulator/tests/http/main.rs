//! The simulator, spoken to as any client does: over HTTP.

#![expect(
    clippy::unwrap_used,
    reason = "a helper may fail its test, as the test may"
)]

mod client;
mod control;
mod faults;
mod logins;
mod marketplace;
mod oauth;
mod process;
mod tokens;
mod users;
mod wire;
