//! What the integration and fault tests stand on: a simulated platform, and as many processes of the service as wanted.

pub mod directory;
pub mod gated;
pub mod requests;
pub mod servers;
pub mod switchable;
pub mod town;
pub mod worker;
pub mod world;
pub mod zipf;
