//! Users, by any of their ids, by e-mail address and by mobile number, one or many.
//!
//! A profile is kept under its open_id, which every answer of the platform has; everything else points to it. Addresses are
//! kept as hashes, so that no key of a cache or of a log carries one.

mod batch;
mod item;
mod service;

pub use batch::{Batch, Wanted};
pub use item::item_of;
pub use service::UserService;
