//! Input that must not be on a command line: secrets and confirmations.

use std::io::{self, BufRead, IsTerminal, Read, Write};

use secrecy::SecretString;

use crate::failure::Failure;

/// Longer input is not a secret of ours.
const MAX_BYTES: u64 = 64 * 1_024;

/// The secret `what`: from a prompt without echo at a terminal, else all of standard input without the final line break.
pub(crate) fn secret(what: &str) -> Result<SecretString, Failure> {
    let text = if io::stdin().is_terminal() {
        SecretString::from(rpassword::prompt_password(format!("{what}: "))?)
    } else {
        SecretString::from(document()?)
    };
    let trimmed = secrecy::ExposeSecret::expose_secret(&text).trim_end_matches(['\r', '\n']);
    if trimmed.is_empty() {
        let detail = format!("{what} is expected on standard input, but it was empty");
        return Err(Failure::Usage(detail));
    }
    Ok(trimmed.into())
}

/// All of standard input.
pub(crate) fn document() -> Result<String, Failure> {
    let mut text = String::new();
    io::stdin().read_to_string(&mut text)?;
    Ok(text)
}

/// Passes if `expected` is typed, or is a line of standard input.
pub(crate) fn confirmed(question: &str, expected: &str) -> Result<(), Failure> {
    let mut stderr = io::stderr().lock();
    write!(stderr, "{question}\nType {expected} to continue: ")?;
    stderr.flush()?;
    let mut line = String::new();
    io::stdin().lock().take(MAX_BYTES).read_line(&mut line)?;
    if line.trim() == expected {
        return Ok(());
    }
    let detail = format!(
        "not confirmed, so nothing was done; `--yes` continues without asking for {expected}"
    );
    Err(Failure::Usage(detail))
}
