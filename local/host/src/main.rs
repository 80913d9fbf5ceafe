//! Starts the host, prints its address, and stops it on SIGINT or SIGTERM.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use lark_local_host::Host;
use lark_service::{config, telemetry};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::fmt::writer::BoxMakeWriter;

mod arguments;

use arguments::Arguments;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // If standard error is closed, there is nowhere to report this.
            let _ = writeln!(io::stderr(), "lark-local-host: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn std::error::Error>> {
    telemetry::init_logs(arguments.log, BoxMakeWriter::new(io::stderr))?;
    let (mut interrupt, mut terminate) = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
    );
    let host = Host::start(arguments.options(), config::variable).await?;
    write!(io::stdout(), "{}", host.banner())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    host.shutdown().await;
    Ok(())
}
