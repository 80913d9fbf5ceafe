//! Whole flows, in one process, against the simulated platform.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod http;
mod services;
