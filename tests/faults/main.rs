//! Real processes over a real Valkey and a real DynamoDB API, which fail while the processes work.
//!
//! `scripts/with-services cargo test -p lark-service-tests --test faults -- --nocapture` prints the figures that
//! `docs/reliability.md` quotes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod directory;
mod limits;
mod logins;
mod outages;
mod stampede;
