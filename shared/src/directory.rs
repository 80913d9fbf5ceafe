//! The directory of a tenant, cached: users, departments and chats, and what keeps their look-ups cheap.

pub mod chats;
pub mod departments;
pub mod guard;
pub mod popularity;
pub mod tiers;
pub mod users;
pub mod warm_up;
