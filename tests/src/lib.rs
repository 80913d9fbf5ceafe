//! Fixtures of the integration, fault and performance tests: a simulated platform, and any number of processes of the service.

pub mod browser;
mod clocks;
pub mod cluster;
pub mod directory;
pub mod door;
pub mod faked_clock;
pub mod function;
pub mod gated;
pub mod http_proxy;
pub mod media;
pub mod network;
pub mod queues;
pub mod requests;
mod runtime_api;
pub mod servers;
mod signals;
pub mod site;
mod staged;
pub mod switchable;
pub mod traffic;
pub mod valkey_proxy;
pub mod worker;
pub mod world;
pub mod zipf;
