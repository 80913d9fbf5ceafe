//! Chats and their members, cached: see [`crate::tiers`].

mod id;
mod name;
mod profile;
mod service;

pub use id::ChatId;
pub use name::ChatName;
pub use profile::{Chat, ChatMember};
pub use service::ChatService;
