//! Attacks on the service, one file per boundary: what an attacker tries there, and that it changes nothing. `docs/security.md` says who
//! attacks what.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod administration;
mod answers;
mod cache;
mod delegation;
mod fuzz;
mod key_states;
mod keys;
mod logins;
mod made_up;
mod revocation;
mod template;
mod tenants;
mod words;
