//! The Lark Open Platform's HTTP API, as far as the service calls it itself.
//!
//! [`LarkClient`] is the transport: connections, limits, time-outs, retries and the reading of answers, the same for each API
//! family. The families are [`auth`], [`oauth`] and [`contacts`]; [`apis`] has the limits of each API.

pub mod apis;
pub mod auth;
mod codes;
pub mod contacts;
mod failure;
pub mod oauth;
mod transport;
mod turns;

pub use failure::{FailureKind, LarkFailure};
pub use transport::{Domain, LarkClient, LarkSettings, OAuthVersion};
pub use turns::{Installation, Priority};
