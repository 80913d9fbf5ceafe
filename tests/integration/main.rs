//! Whole flows, in one process, against the simulated platform.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod admin;
mod batch;
mod batches;
mod chats;
mod departments;
mod directory;
mod freshness;
mod functions;
mod guard;
mod interleavings;
mod keys;
mod limits;
mod logins;
mod marketplace;
mod rotation;
mod runs;
mod tokens;
mod users;
mod warm_up;
