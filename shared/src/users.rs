//! Users, cached: Lark is asked when nobody knows.
//!
//! L1 is the process, L2 the shared cache, L3 the store. L1 and L2 keep a profile while it is fresh; the store keeps it for
//! a day, to be served when Lark fails. An id that does not exist is remembered too, for a short while.

mod entry;
mod id;
mod profile;
mod service;

pub use entry::{Freshness, Tier, UserEntry};
pub use id::{UserId, UserIdKind};
pub use profile::{Avatar, User, UserStatus};
pub use service::{Found, UserService, UserSettings};
