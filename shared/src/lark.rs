//! The Lark Open Platform's HTTP API, as far as the service calls it itself.
//!
//! [`LarkClient`] is the transport: connections, limits, time-outs, retries and the reading of answers, the same for each API
//! family. The families are [`auth`], [`oauth`], [`contacts`], [`departments`] and [`chats`]; [`apis`] has the limits of each
//! API.

pub mod apis;
pub mod auth;
pub mod chats;
mod codes;
pub mod contacts;
pub mod departments;
pub mod oauth;
mod outbound_limiter;
mod reading;
mod transport;

pub use chats::MAX_CHAT_PAGE;
pub use departments::{Below, ContactScope, MAX_DEPARTMENT_PAGE, MAX_SCOPE_PAGE};
pub use outbound_limiter::{Installation, Priority};
pub use transport::{Domain, LarkClient, LarkSettings, OAuthVersion};
