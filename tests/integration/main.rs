//! Whole flows, in one process, against the simulated platform.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod admin;
mod functions;
mod interleavings;
mod keys;
mod limits;
mod logins;
mod marketplace;
mod rotation;
mod runs;
mod tokens;
mod users;
