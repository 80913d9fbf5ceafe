//! The simulator as a process. The first and only line on standard output is the address it listens on.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;
use lark_simulator::{App, Options, Settings, Simulator};
use tokio::signal::unix::{SignalKind, signal};

/// The Lark Open Platform, simulated over HTTP on loopback.
#[derive(Parser)]
#[command(name = "lark-simulator")]
struct Arguments {
    /// Loopback address and port; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// How many users the directory holds
    #[arg(long, default_value_t = 10_000)]
    users: u32,
    /// Seed this many apps cli_sim000001, … with secrets secret-<app id>
    #[arg(long, default_value_t = 1)]
    apps: u32,
    /// A further app, may be repeated
    #[arg(long = "app", value_name = "ID:SECRET", value_parser = parse_app)]
    further_apps: Vec<App>,
    /// Delay of every answer, in milliseconds
    #[arg(long, default_value_t = 0)]
    delay_ms: u64,
    /// Life of a token, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 7200)]
    token_lifetime: u64,
    /// Keep issued tokens in this file, so that they are valid after a restart as well
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Apply the platform's limits per app and API
    #[arg(long)]
    rate_limits: bool,
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let mut terminate = signal(SignalKind::terminate())?;
    let simulator = Simulator::start(arguments.into()).await?;
    writeln!(io::stdout(), "{}", simulator.addr())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminate.recv() => {}
    }
    simulator.shutdown().await;
    Ok(())
}

impl From<Arguments> for Options {
    fn from(arguments: Arguments) -> Self {
        Self {
            listen: arguments.listen,
            users: arguments.users,
            seeded_apps: arguments.apps,
            apps: arguments.further_apps,
            token_file: arguments.token_file,
            settings: Settings {
                delay_ms: arguments.delay_ms,
                token_lifetime_seconds: arguments.token_lifetime,
                rate_limits: arguments.rate_limits,
                ..Settings::default()
            },
            ..Self::default()
        }
    }
}

fn parse_app(text: &str) -> Result<App, String> {
    match text.split_once(':') {
        Some((app_id, secret)) if !app_id.is_empty() && !secret.is_empty() => {
            Ok(App::new(app_id, secret))
        }
        Some(_) | None => Err("write it as ID:SECRET".to_owned()),
    }
}
