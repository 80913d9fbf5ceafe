//! Fixtures of the integration, fault and performance tests: a simulated platform, and any number of processes of the service.

pub mod cluster;
pub mod directory;
pub mod gated;
pub mod requests;
pub mod servers;
pub mod switchable;
pub mod worker;
pub mod world;
pub mod zipf;
