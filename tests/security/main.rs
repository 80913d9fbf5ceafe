//! Attacks that must fail, one file for each boundary. `docs/security.md` says who attacks what.

mod template;
