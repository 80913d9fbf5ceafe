//! Attacks that must fail, one file for each boundary. `docs/security.md` says who attacks what.

mod logins;
mod tenants;
mod words;
