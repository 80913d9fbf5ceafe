//! Whole flows, in one process, against the simulated platform.

mod functions;
mod tokens;
mod users;
