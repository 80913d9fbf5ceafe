//! Users, by any of their ids, by e-mail address and by mobile number, one or many.
//!
//! A profile is cached under its open_id, which every answer of the platform has; all other ids point to it. Addresses are
//! hashed, so that no cache key and no log contains one.

mod batch;
mod item;
mod service;

pub use batch::{Batch, Wanted};
pub use item::item_of;
pub use service::UserService;
