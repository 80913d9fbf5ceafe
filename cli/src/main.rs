//! `lark-service`: the operator's command line.
//!
//! It works on whatever the `LARK_SERVICE_*` variables name: the embedded store, DynamoDB, or an emulator of it. Exit
//! codes: 0 done, 1 failed, 2 wrong usage or input.

use std::io::Read;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use lark_service::config::Config;
use lark_service::deadline::Deadline;
use lark_service::error::{Error, ErrorCode};
use lark_service::seed::{Seed, Seeded};
use lark_service::wiring::{Adapters, Services, StartError};

/// The time for one command.
const TIMEOUT: Duration = Duration::from_secs(600);

/// The operator's command line of Lark Service.
#[derive(Debug, Parser)]
#[command(name = "lark-service", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Add the apps and API keys of a JSON document on standard input; repeating it changes only what differs.
    ///
    /// {"apps": [{"app_id": "cli_…", "secret": "…", "domain": "feishu"}],
    ///  "api_keys": [{"token": "lsk_…", "scopes": ["users:read"], "apps": ["*"]}]}
    #[command(verbatim_doc_comment)]
    Seed,
    /// Print a new API key, to stand in a seed document and in its caller's configuration.
    NewApiKey,
}

/// Why a command failed.
#[derive(Debug)]
enum Failure {
    Start(StartError),
    Service(Error),
    Input(std::io::Error),
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse().command).await {
        Ok(said) => {
            say(&said);
            ExitCode::SUCCESS
        }
        Err(failure) => {
            complain(&failure);
            failure.exit_code()
        }
    }
}

async fn run(command: Command) -> Result<String, Failure> {
    match command {
        Command::Seed => {
            let Seeded { apps, api_keys } = seed().await?;
            Ok(format!(
                "added or changed {apps} apps, added {api_keys} API keys"
            ))
        }
        Command::NewApiKey => {
            let key = lark_service::api_keys::ApiKey::generate().map_err(Failure::Service)?;
            Ok(secrecy::ExposeSecret::expose_secret(&key.reveal()).to_owned())
        }
    }
}

async fn seed() -> Result<Seeded, Failure> {
    let mut document = String::new();
    std::io::stdin()
        .read_to_string(&mut document)
        .map_err(Failure::Input)?;
    let seed = Seed::parse(&document).map_err(Failure::Service)?;
    let config = Config::from_env().map_err(|error| Failure::Start(error.into()))?;
    let adapters = Adapters::connect(&config).await.map_err(Failure::Start)?;
    let services = Services::new(config, &adapters);
    let deadline = Deadline::after(TIMEOUT);
    let seeded = seed
        .apply(
            &services.apps,
            &services.api_keys,
            &services.tokens,
            deadline,
        )
        .await;
    seeded.map_err(Failure::Service)
}

impl Failure {
    fn exit_code(&self) -> ExitCode {
        let is_usage = match self {
            Self::Start(error) => matches!(error, StartError::Config(_)),
            Self::Service(error) => error.code() == ErrorCode::InvalidArgument,
            Self::Input(_) => true,
        };
        ExitCode::from(if is_usage { 2 } else { 1 })
    }
}

#[expect(clippy::print_stdout, reason = "a command's answer")]
fn say(text: &str) {
    println!("{text}");
}

#[expect(clippy::print_stderr, reason = "a command's failure")]
fn complain(failure: &Failure) {
    match failure {
        Failure::Start(error) => eprintln!("lark-service: {error}"),
        Failure::Input(error) => eprintln!("lark-service: standard input cannot be read: {error}"),
        Failure::Service(Error::InvalidArgument(errors)) => {
            for error in errors {
                eprintln!("lark-service: {} {}", error.field, error.message);
            }
        }
        Failure::Service(error) => {
            let mut cause: Option<&dyn std::error::Error> = Some(error);
            let mut text = "lark-service".to_owned();
            while let Some(next) = cause {
                text.push_str(": ");
                text.push_str(&next.to_string());
                cause = next.source();
            }
            eprintln!("{text}");
        }
    }
}
