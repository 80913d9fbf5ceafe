//! Chats and their members, cached: see [`crate::directory::tiers`].

mod service;

pub use service::ChatService;
