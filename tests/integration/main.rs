//! Whole flows, in one process, against the simulated platform.

mod tokens;
mod users;
