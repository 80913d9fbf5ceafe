//! The services, called as handlers call them.

mod batch;
mod chats;
mod copies;
mod departments;
mod freshness;
mod guard;
mod interleavings;
mod limits;
mod logins;
mod platform;
mod runs;
mod tokens;
mod users;
mod warm_up;
