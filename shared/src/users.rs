//! Users, by any of their ids, by e-mail address and by mobile number, one or many.
//!
//! A profile is kept under its open_id, which every answer of the platform has; everything else points to it. Addresses are
//! kept as hashes, so that no key of a cache or of a log carries one.

mod batch;
mod contact;
mod id;
mod item;
mod profile;
mod service;

pub use batch::{Batch, Wanted};
pub use contact::Contact;
pub use id::{UserId, UserIdKind};
pub use item::item_of;
pub use profile::{Avatar, User, UserStatus};
pub use service::UserService;
