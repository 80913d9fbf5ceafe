//! The options of a new simulator.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::apps::App;
use crate::clock::ClockMode;
use crate::settings::Settings;

/// The options of a new simulator. The default suits tests: a free port, one app, 10,000 users, no limits.
#[derive(Clone, Debug)]
pub struct Options {
    /// A loopback address; port 0, the default, takes a free port.
    pub listen: SocketAddr,
    /// How many users the directory holds, numbered from 1. Default 10,000.
    pub users: u32,
    /// How many group chats there are, numbered from 1. Default 200.
    pub chats: u32,
    /// How many apps with the ids of [`seeded_app_id`](crate::seeded_app_id) exist, numbered from 1. Default 1.
    pub seeded_apps: u32,
    /// Further apps.
    pub apps: Vec<App>,
    /// How time passes.
    pub clock: ClockMode,
    /// Settings, which can be changed later.
    pub settings: Settings,
    /// Larger bodies get 413. Default 32 MiB: the platform takes files of up to 30 MB.
    pub max_body_bytes: usize,
    /// How long the head of a request may take to arrive, and a connection may wait for the next one. Default a minute.
    pub head_timeout: Duration,
    /// Seeds the random numbers of faults with a probability below 1. The same seed and the same order of calls give
    /// the same faults.
    pub fault_seed: u64,
    /// A file for issued tokens and logins, so that they are valid after a restart as well; for user tokens it has only
    /// digests. Default none: they end with the simulator. Codes and app tickets always do.
    pub token_file: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            users: 10_000,
            chats: 200,
            seeded_apps: 1,
            apps: Vec::new(),
            clock: ClockMode::default(),
            settings: Settings::default(),
            max_body_bytes: 32 * 1024 * 1024,
            head_timeout: Duration::from_secs(60),
            fault_seed: 0x1a5c,
            token_file: None,
        }
    }
}
