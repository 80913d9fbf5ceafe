//! The Lark Open Platform's HTTP API, as far as the service calls it itself.
//!
//! [`LarkClient`] is the transport: connections, time-outs, retries and the reading of answers, the same for each API
//! family. The families are [`auth`], [`oauth`] and [`contacts`].

pub mod auth;
mod codes;
pub mod contacts;
mod failure;
pub mod oauth;
mod transport;

pub use failure::{FailureKind, LarkFailure};
pub use transport::{Domain, LarkClient, LarkSettings, OAuthVersion};
