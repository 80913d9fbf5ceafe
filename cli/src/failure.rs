//! Why a command failed, and its exit code. The codes are stable: scripts match on them.

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use lark_service::error::{Error, ErrorCode};
use lark_service::wiring::StartError;
use serde::Serialize;

use crate::output::Output;

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The service cannot be set up.
    Start(StartError),
    /// A service refused or failed.
    Service(Error),
    /// A service refused or failed, with more detail.
    Explained(Error, String),
    /// Invalid input on the command line or on standard input.
    Usage(String),
    /// There is no such thing.
    NotFound { code: &'static str, detail: String },
    /// Only part of the work could be done.
    Incomplete(String),
    /// The doctor found problems and has printed them.
    Unhealthy,
    /// Standard input or output failed.
    Io(io::Error),
}

/// A failure on standard error with `--json`.
#[derive(Serialize)]
struct Told<'t> {
    code: &'t str,
    detail: &'t str,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Service(error)
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        Self::Start(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Failure {
    /// Prints it on standard error and returns the exit code.
    pub(crate) fn tell(&self, output: &Output) -> ExitCode {
        match self {
            // The reader has closed our output: no failure.
            Self::Io(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Self::Unhealthy => self.exit_code(),
            Self::Start(_)
            | Self::Service(_)
            | Self::Explained(..)
            | Self::Usage(_)
            | Self::NotFound { .. }
            | Self::Incomplete(_)
            | Self::Io(_) => {
                complain(output.is_json(), self.code(), &self.detail());
                self.exit_code()
            }
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Start(StartError::Config(_)) => "invalid_configuration",
            Self::Start(StartError::Http(_)) => "internal",
            Self::Start(StartError::Cache(_)) => "cache_unavailable",
            Self::Start(StartError::Store(_)) => "store_unavailable",
            Self::Service(error) | Self::Explained(error, _) => error.code().as_str(),
            Self::Usage(_) => "invalid_argument",
            Self::NotFound { code, .. } => code,
            Self::Incomplete(_) => "incomplete",
            Self::Unhealthy => "unhealthy",
            Self::Io(_) => "input_output",
        }
    }

    fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Start(StartError::Config(_)) | Self::Usage(_) => 2,
            Self::Start(StartError::Http(_)) | Self::Incomplete(_) | Self::Io(_) => 1,
            Self::Start(StartError::Cache(_) | StartError::Store(_)) => 5,
            Self::NotFound { .. } => 3,
            Self::Unhealthy => 4,
            Self::Service(error) | Self::Explained(error, _) => exit_code_of(error.code()),
        })
    }

    fn detail(&self) -> String {
        match self {
            Self::Start(error) => causes(error),
            Self::Service(Error::InvalidArgument(errors)) => {
                let texts = errors.iter();
                let texts = texts.map(|error| format!("{} {}", error.field, error.message));
                texts.collect::<Vec<_>>().join("; ")
            }
            Self::Service(error) => causes(error),
            Self::Explained(error, more) => format!("{} ({more})", causes(error)),
            Self::Usage(detail) | Self::NotFound { detail, .. } | Self::Incomplete(detail) => {
                detail.clone()
            }
            Self::Unhealthy => "the doctor found problems".to_owned(),
            Self::Io(error) => format!("standard input or output: {error}"),
        }
    }
}

fn exit_code_of(code: ErrorCode) -> u8 {
    if code == ErrorCode::InvalidArgument {
        2
    } else if code.status() == 404 {
        3
    } else if code.is_retryable() {
        5
    } else {
        1
    }
}

/// Prints what is wrong with the arguments, or the requested help.
pub(crate) fn refuse(error: &clap::Error, given: &[OsString]) -> ExitCode {
    if error.use_stderr() && given.iter().any(|argument| argument == "--json") {
        complain(true, "invalid_argument", error.to_string().trim_end());
    } else {
        // If the terminal is gone, nobody reads this.
        let _ = error.print();
    }
    ExitCode::from(if error.use_stderr() { 2 } else { 0 })
}

fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}

#[expect(clippy::print_stderr, reason = "a command's failure")]
fn complain(is_json: bool, code: &str, detail: &str) {
    if is_json {
        let told = serde_json::to_string(&Told { code, detail });
        eprintln!("{}", told.unwrap_or_default());
    } else {
        eprintln!("lark-service: {detail}");
    }
}
