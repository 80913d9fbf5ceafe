//! The services, called as handlers call them.

mod batch;
mod chats;
mod clocks;
mod copies;
mod departments;
mod freshness;
mod guard;
mod interleavings;
mod late_callers;
mod limits;
mod logins;
mod messages;
mod platform;
mod quota;
mod refreshes;
mod revocations;
mod runs;
mod sealed;
mod tokens;
mod users;
mod warm_up;
