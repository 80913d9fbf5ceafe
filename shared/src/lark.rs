//! The Lark Open Platform's HTTP API, as far as the service calls it itself.
//!
//! A call is a value: [`Request`] has what to send and how to read the answer. The API families make them: [`auth`],
//! [`oauth`], [`contacts`], [`departments`], [`chats`], [`messages`], [`batch_messages`] and [`media`]. [`LarkClient`] sends
//! them: connections, limits, time-outs and retries, the same for each. [`apis`] has the limits of each API, [`remedies`] what
//! to do about refusals.

mod answer;
pub mod apis;
pub mod auth;
pub mod batch_messages;
pub mod body;
pub mod chats;
mod client;
mod codes;
pub mod contacts;
pub mod departments;
mod departure;
pub mod media;
pub mod messages;
mod multipart;
pub mod oauth;
mod outbound_limiter;
pub mod remedies;
mod request;
mod settings;
mod words;

pub use answer::Answer;
pub use chats::MAX_CHAT_PAGE;
pub use client::{LarkClient, Sender};
pub use departments::{Below, ContactScope, MAX_DEPARTMENT_PAGE, MAX_SCOPE_PAGE};
pub use outbound_limiter::{Installation, Priority, Receiver};
pub use request::{Host, Request};
pub use settings::{Domain, LarkSettings, OAuthVersion};
