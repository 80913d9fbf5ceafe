//! Why a command failed, and its exit code. The codes are stable: scripts match on them.

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use lark_service::error::{Error, ErrorCode};
use lark_service::wiring::StartError;
use serde::Serialize;
use serde_json::Value;

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
    /// A running service refused or failed.
    Refused(Box<Problem>),
    /// A running service cannot be reached.
    Unreachable(String),
    /// A running service, or something before it, answered what it never should.
    Unexpected(String),
    /// A message ended, and was not delivered; its job has been printed.
    NotDelivered(String),
    /// Only part of the work could be done.
    Incomplete(String),
    /// The doctor found problems and has printed them.
    Unhealthy,
    /// Standard input or output failed.
    Io(io::Error),
}

/// What a running service answers in place of what was asked for (RFC 9457).
#[derive(Debug)]
pub(crate) struct Problem {
    status: u16,
    code: String,
    detail: String,
    request_id: Option<String>,
    pub(crate) is_retryable: bool,
}

impl Problem {
    /// The problem in `body`, or what the status alone says: gateways have answers of their own.
    pub(crate) fn of(status: u16, body: Value) -> Self {
        let text = |name: &str| body[name].as_str().map(str::to_owned);
        let by_status = match status {
            401 => "unauthenticated",
            403 => "permission_denied",
            404 => "route_not_found",
            413 => "payload_too_large",
            429 => "rate_limited",
            502..=504 => "service_unavailable",
            _ => "unexpected_answer",
        };
        let fields = body["errors"].as_array().into_iter().flatten();
        let fields = fields.filter_map(|error| {
            let (field, message) = (error["field"].as_str()?, error["message"].as_str()?);
            Some(format!("{field} {message}"))
        });
        let fields: Vec<_> = fields.collect();
        let detail = if fields.is_empty() {
            let said = text("detail").or_else(|| text("message"));
            said.unwrap_or_else(|| format!("the service answered with status {status}"))
        } else {
            fields.join("; ")
        };
        Self {
            status,
            code: text("code").unwrap_or_else(|| by_status.to_owned()),
            detail,
            request_id: text("request_id"),
            is_retryable: body["retryable"]
                .as_bool()
                .unwrap_or(matches!(status, 429 | 502..=504)),
        }
    }

    /// Whether what was asked for is not there.
    pub(crate) fn is_not_found(&self) -> bool {
        self.status == 404 && self.code != "route_not_found"
    }

    fn exit_code(&self) -> u8 {
        if self.code == ErrorCode::InvalidArgument.as_str() {
            2
        } else if self.is_not_found() {
            3
        } else if self.is_retryable {
            5
        } else {
            1
        }
    }
}

/// A failure on standard error with `--json`.
#[derive(Serialize)]
struct Told<'t> {
    code: &'t str,
    detail: &'t str,
    /// Of a running service.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'t str>,
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
            | Self::Refused(_)
            | Self::Unreachable(_)
            | Self::Unexpected(_)
            | Self::NotDelivered(_)
            | Self::Incomplete(_)
            | Self::Io(_) => {
                let told = Told {
                    code: self.code(),
                    detail: &self.detail(),
                    request_id: self.request_id(),
                };
                complain(output.is_json(), &told);
                self.exit_code()
            }
        }
    }

    /// Whether what was asked for is not there.
    pub(crate) fn is_not_found(&self) -> bool {
        match self {
            Self::Refused(problem) => problem.is_not_found(),
            Self::Service(error) => error.code().status() == 404,
            Self::NotFound { .. } => true,
            Self::Start(_)
            | Self::Explained(..)
            | Self::Usage(_)
            | Self::Unreachable(_)
            | Self::Unexpected(_)
            | Self::NotDelivered(_)
            | Self::Incomplete(_)
            | Self::Unhealthy
            | Self::Io(_) => false,
        }
    }

    fn request_id(&self) -> Option<&str> {
        if let Self::Refused(problem) = self {
            problem.request_id.as_deref()
        } else {
            None
        }
    }

    fn code(&self) -> &str {
        match self {
            Self::Start(StartError::Config(_)) => "invalid_configuration",
            Self::Start(StartError::Http(_)) => "internal",
            Self::Start(StartError::Cache(_)) => "cache_unavailable",
            Self::Start(StartError::Store(_) | StartError::Staging(_)) => "store_unavailable",
            Self::Service(error) | Self::Explained(error, _) => error.code().as_str(),
            Self::Usage(_) => "invalid_argument",
            Self::NotFound { code, .. } => code,
            Self::Refused(problem) => &problem.code,
            Self::Unreachable(_) => "service_unavailable",
            Self::Unexpected(_) => "unexpected_answer",
            Self::NotDelivered(_) => "not_delivered",
            Self::Incomplete(_) => "incomplete",
            Self::Unhealthy => "unhealthy",
            Self::Io(_) => "input_output",
        }
    }

    fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Start(StartError::Config(_)) | Self::Usage(_) => 2,
            Self::Start(StartError::Http(_))
            | Self::Incomplete(_)
            | Self::NotDelivered(_)
            | Self::Unexpected(_)
            | Self::Io(_) => 1,
            Self::Start(StartError::Cache(_) | StartError::Store(_) | StartError::Staging(_))
            | Self::Unreachable(_) => 5,
            Self::Refused(problem) => problem.exit_code(),
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
            Self::Refused(problem) => problem.detail.clone(),
            Self::Unexpected(detail) => {
                format!("this is no answer of Lark Service: {detail}")
            }
            Self::Usage(detail)
            | Self::NotFound { detail, .. }
            | Self::Unreachable(detail)
            | Self::NotDelivered(detail)
            | Self::Incomplete(detail) => detail.clone(),
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
        let detail = error.to_string();
        let told = Told {
            code: "invalid_argument",
            detail: detail.trim_end(),
            request_id: None,
        };
        complain(true, &told);
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
fn complain(is_json: bool, told: &Told<'_>) {
    if is_json {
        let told = serde_json::to_string(told);
        eprintln!("{}", told.unwrap_or_default());
        return;
    }
    let Told { detail, .. } = told;
    match told.request_id {
        Some(id) => eprintln!("lark-service: {detail} (request {id})"),
        None => eprintln!("lark-service: {detail}"),
    }
}
