//! Tests of the simulator over HTTP, as a client uses it.

#![expect(
    clippy::unwrap_used,
    reason = "a helper may fail its test, as the test may"
)]

mod chats;
mod client;
mod contact_scope;
mod control;
mod departments;
mod faults;
mod limits;
mod logins;
mod marketplace;
mod media;
mod messages;
mod oauth;
mod process;
mod scopes;
mod tokens;
mod users;
mod wire;
