//! `lark-service`: the operator's command line.
//!
//! It works on a running service, over HTTP, or on the store that the `LARK_SERVICE_*` variables name: the embedded store, DynamoDB,
//! or an emulator of it.
//! `docs/cli.md` describes commands and exit codes.

mod app;
mod arguments;
mod completions;
mod dead_letters;
mod doctor;
mod failure;
mod key;
mod login;
mod message;
mod output;
mod remote;
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
use crate::session::Place;

#[tokio::main]
async fn main() -> ExitCode {
    let given: Vec<OsString> = std::env::args_os().collect();
    let arguments = match Arguments::try_parse_from(&given) {
        Ok(arguments) => arguments,
        Err(error) => return refuse(&error, &given),
    };
    let output = Output::new(arguments.json);
    match run(arguments.command, &arguments.place, &output).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.tell(&output),
    }
}

/// Each future is boxed: together they would be too large for the stack.
async fn run(command: Command, place: &Place, output: &Output) -> Result<(), Failure> {
    match command {
        Command::App { command } => Box::pin(app::run(command, place, output)).await,
        Command::Key { command } => Box::pin(key::run(command, place, output)).await,
        Command::Token { command } => Box::pin(token::run(command, place, output)).await,
        Command::Login { command } => Box::pin(login::run(command, place, output)).await,
        Command::Message { command } => Box::pin(message::run(command, place, output)).await,
        Command::DeadLetters { command } => {
            Box::pin(dead_letters::run(command, place, output)).await
        }
        Command::Seal { command } => Box::pin(seal::run(command, place, output)).await,
        Command::Doctor(arguments) => Box::pin(doctor::run(arguments, place, output)).await,
        Command::Seed => Box::pin(seed::seed(place, output)).await,
        Command::NewApiKey => seed::new_api_key(output),
        Command::Completions { shell } => completions::run(shell, output),
    }
}
