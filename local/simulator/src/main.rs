//! The simulator as a process. It prints one line on standard output: the address it listens on.

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
    /// How many group chats there are
    #[arg(long, default_value_t = 200)]
    chats: u32,
    /// Seed this many apps cli_sim000001, … with secrets secret-<app id>
    #[arg(long, default_value_t = 1)]
    apps: u32,
    /// A further app, may be repeated
    #[arg(long = "app", value_name = "ID:SECRET", value_parser = parse_app)]
    further_apps: Vec<App>,
    /// An app of the marketplace, installed by these tenants, may be repeated. Its tickets are pushed to EVENT_URL, on this
    /// machine, with verification token verification-<app id>
    #[arg(
        long = "marketplace-app",
        value_name = "ID:SECRET:EVENT_URL:TENANT[,TENANT...]"
    )]
    #[arg(value_parser = parse_marketplace_app)]
    marketplace_apps: Vec<App>,
    /// Delay of every answer, in milliseconds
    #[arg(long, default_value_t = 0)]
    delay_ms: u64,
    /// Life of a tenant or app token, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 7200)]
    token_lifetime: u64,
    /// Keep issued tokens and logins in this file, so that they are valid after a restart as well
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
            chats: arguments.chats,
            seeded_apps: arguments.apps,
            apps: [arguments.further_apps, arguments.marketplace_apps].concat(),
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
        Some(_) | None => Err("must have the form ID:SECRET".to_owned()),
    }
}

fn parse_marketplace_app(text: &str) -> Result<App, String> {
    let shape = || "must have the form ID:SECRET:EVENT_URL:TENANT[,TENANT...]".to_owned();
    let mut parts = text.splitn(3, ':');
    let (Some(app_id), Some(secret), Some(rest)) = (parts.next(), parts.next(), parts.next())
    else {
        return Err(shape());
    };
    let (event_url, tenants) = rest.rsplit_once(':').ok_or_else(shape)?;
    // After the last colon of a URL alone there is a slash: in its path, or the two before its host.
    if app_id.is_empty() || secret.is_empty() || tenants.is_empty() || tenants.contains('/') {
        return Err(shape());
    }
    Ok(App {
        marketplace: true,
        tenants: tenants.split(',').map(str::to_owned).collect(),
        event_url: Some(event_url.to_owned()),
        verification_token: Some(format!("verification-{app_id}")),
        ..App::new(app_id, secret)
    })
}
