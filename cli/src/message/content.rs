//! What a message says, as the command line has it.

use std::io::Read;
use std::path::Path;

use clap::Args;
use serde_json::{Value, json};

use crate::failure::Failure;

/// No message is larger: the service takes bodies of 6 MiB.
const MAX_BYTES: u64 = 6 * 1_024 * 1_024;

/// What a message says.
#[derive(Args, Debug)]
pub(crate) struct Content {
    #[command(flatten)]
    given: Given,
    /// The platform's type of --content: text, post, image, interactive, …
    #[arg(long = "type", value_name = "TYPE", requires = "content")]
    msg_type: Option<String>,
}

/// One of four ways to say it.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct Given {
    /// A plain text; `-` for standard input.
    #[arg(long)]
    text: Option<String>,
    /// Markdown; `-` for standard input.
    #[arg(long)]
    markdown: Option<String>,
    /// A file with a card as JSON: the platform's, or one of ours with `kind`; `-` for standard input.
    #[arg(long, value_name = "FILE")]
    card: Option<String>,
    /// A file with content of the platform's type --type, as JSON; `-` for standard input.
    #[arg(long, value_name = "FILE", requires = "msg_type")]
    content: Option<String>,
}

impl Content {
    /// The fields of the request.
    pub(crate) fn fields(self) -> Result<Value, Failure> {
        let Given {
            text,
            markdown,
            card,
            content,
        } = self.given;
        if let Some(text) = text {
            return Ok(json!({ "text": words(text, "--text")? }));
        }
        if let Some(markdown) = markdown {
            return Ok(json!({ "markdown": words(markdown, "--markdown")? }));
        }
        if let Some(file) = card {
            return Ok(json!({ "card": parsed(&file, "--card")? }));
        }
        let content = parsed(&content.unwrap_or_default(), "--content")?;
        Ok(json!({ "msg_type": self.msg_type, "content": content }))
    }
}

/// `given`, or what is on standard input.
fn words(given: String, option: &str) -> Result<String, Failure> {
    if given != "-" {
        return Ok(given);
    }
    let text = read(std::io::stdin().lock(), option)?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// The JSON in `file`.
fn parsed(file: &str, option: &str) -> Result<Value, Failure> {
    let text = if file == "-" {
        read(std::io::stdin().lock(), option)?
    } else {
        let opened = std::fs::File::open(Path::new(file));
        let opened = opened.map_err(|error| Failure::Usage(format!("{option} {file}: {error}")))?;
        read(opened, option)?
    };
    serde_json::from_str(&text)
        .map_err(|error| Failure::Usage(format!("{option} must be JSON, and is not: {error}")))
}

fn read(from: impl Read, option: &str) -> Result<String, Failure> {
    let mut text = String::new();
    let read = from.take(MAX_BYTES + 1).read_to_string(&mut text);
    read.map_err(|error| Failure::Usage(format!("{option}: {error}")))?;
    if text.len() as u64 > MAX_BYTES {
        let detail = format!("{option} must be {MAX_BYTES} bytes at most");
        return Err(Failure::Usage(detail));
    }
    if text.trim().is_empty() {
        return Err(Failure::Usage(format!("{option} must not be empty")));
    }
    Ok(text)
}
