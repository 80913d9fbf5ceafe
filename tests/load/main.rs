//! Messages under load: worker processes over real queues, a real Valkey and a real DynamoDB API. They are apart from other tests, which
//! would compete with them for the processor.
//!
//! `scripts/with-services cargo test --workspace --test load -- --nocapture` prints the figures that `docs/reliability.md` quotes.

mod messages;
mod world;
