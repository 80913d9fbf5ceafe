//! The host as users run it: over HTTP, and as a process.

#![expect(
    clippy::unwrap_used,
    reason = "a helper may fail its test, as the test may"
)]

mod errors;
mod killed;
mod marketplace;
#[cfg(target_os = "linux")]
mod memory;
mod process;
mod restarts;
mod serving;
mod world;
