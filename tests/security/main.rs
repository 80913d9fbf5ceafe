//! Attacks, one file per boundary: what an attacker tries there, and that it changes nothing.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cache;
