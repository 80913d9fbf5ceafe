//! Attacks on the service, one file per boundary. Each is refused, and its test failed before it was.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod administration;
mod delegation;
mod key_states;
mod keys;
mod revocation;
