//! Commands and options.

use clap::{Parser, Subcommand};
use clap_complete::Shell;

use crate::app::AppCommand;
use crate::dead_letters::DeadLetterCommand;
use crate::doctor::DoctorArguments;
use crate::key::KeyCommand;
use crate::login::LoginCommand;
use crate::message::MessageCommand;
use crate::seal::SealCommand;
use crate::session::Place;
use crate::token::TokenCommand;

/// What the exit codes mean; docs/cli.md says the same.
const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed
  2  wrong usage or input
  3  no such app, API key, login, message or dead letter
  4  the doctor found problems
  5  the service, the store or the platform is unavailable: worth another try";

/// The operator's command line of Lark Service. It works on the running service that LARK_SERVICE_URL names, or else on the store that the other LARK_SERVICE_* variables name.
#[derive(Debug, Parser)]
#[command(name = "lark-service", version, after_help = EXIT_CODES)]
pub(crate) struct Arguments {
    /// Print one JSON object on standard output, and failures as JSON on standard error.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Registered apps.
    App {
        #[command(subcommand)]
        command: AppCommand,
    },
    /// API keys of callers.
    Key {
        #[command(subcommand)]
        command: KeyCommand,
    },
    /// The platform's tokens: their state, never their values.
    Token {
        #[command(subcommand)]
        command: TokenCommand,
    },
    /// Logins of users.
    Login {
        #[command(subcommand)]
        command: LoginCommand,
    },
    /// Messages: send one, see what became of it, take it back. Needs a running service.
    Message {
        #[command(subcommand)]
        command: MessageCommand,
    },
    /// What the service could not bring any further: look at it, have it tried again, drop it.
    DeadLetters {
        #[command(subcommand)]
        command: DeadLetterCommand,
    },
    /// Data keys, which seal secrets and tokens.
    Seal {
        #[command(subcommand)]
        command: SealCommand,
    },
    /// Check everything, and say how to fix what is wrong.
    Doctor(DoctorArguments),
    /// Add the apps and API keys of a JSON document on standard input; repeating it changes only what differs.
    ///
    /// {"apps": [{"app_id": "cli_…", "secret": "…", "domain": "feishu"}],
    ///  "api_keys": [{"token": "lsk_…", "scopes": ["users:read"], "apps": ["*"]}]}
    #[command(verbatim_doc_comment)]
    Seed,
    /// Print a new API key, for a seed document and its caller's configuration.
    NewApiKey,
    /// Print a script that completes commands in a shell.
    Completions {
        /// Which shell.
        shell: Shell,
    },
}
