//! `lark-service`: the operator's command line.
//!
//! It works on the store that the `LARK_SERVICE_*` variables name: the embedded store, DynamoDB, or an emulator of it.
//! `docs/cli.md` describes commands and exit codes.

mod app;
mod arguments;
mod completions;
mod doctor;
mod failure;
mod key;
mod login;
mod output;
mod seal;
mod secret_input;
mod seed;
mod session;
mod token;
mod values;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use crate::arguments::{Arguments, Command};
use crate::failure::{Failure, refuse};
use crate::output::Output;

#[tokio::main]
async fn main() -> ExitCode {
    let given: Vec<OsString> = std::env::args_os().collect();
    let arguments = match Arguments::try_parse_from(&given) {
        Ok(arguments) => arguments,
        Err(error) => return refuse(&error, &given),
    };
    let output = Output::new(arguments.json);
    match run(arguments.command, &output).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.tell(&output),
    }
}

/// Each future is boxed: together they would be too large for the stack.
async fn run(command: Command, output: &Output) -> Result<(), Failure> {
    match command {
        Command::App { command } => Box::pin(app::run(command, output)).await,
        Command::Key { command } => Box::pin(key::run(command, output)).await,
        Command::Token { command } => Box::pin(token::run(command, output)).await,
        Command::Login { command } => Box::pin(login::run(command, output)).await,
        Command::Seal { command } => Box::pin(seal::run(command, output)).await,
        Command::Doctor(arguments) => Box::pin(doctor::run(arguments, output)).await,
        Command::Seed => Box::pin(seed::seed(output)).await,
        Command::NewApiKey => seed::new_api_key(output),
        Command::Completions { shell } => completions::run(shell, output),
    }
}
