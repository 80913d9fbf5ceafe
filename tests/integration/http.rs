//! The service as its callers see it: requests to the HTTP API and events of other triggers.

mod api_keys;
mod apps;
mod batch;
mod callbacks;
mod directory;
mod functions;
mod idempotency;
mod marketplace;
mod message_batches;
mod rotation;
mod uploads;
