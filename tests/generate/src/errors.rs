//! `docs/errors.md`, from the table of error codes.

use lark_service::error::ErrorCode;

use crate::markdown;

/// A table of every code, and a section about each.
pub(crate) fn codes() -> String {
    let mut text =
        "## All codes\n\n| code | HTTP status | retryable | title |\n| --- | --- | --- | --- |\n"
            .to_owned();
    for code in ErrorCode::ALL {
        let (name, status, title) = (code.as_str(), code.status(), code.title());
        let retryable = retryable(code);
        text += &format!("| [`{name}`](#{name}) | {status} | {retryable} | {title} |\n");
    }
    for code in ErrorCode::ALL {
        text += &format!(
            "\n## `{}`\n\nHTTP status: {}. Retryable: {}.\n\n{}\n",
            code.as_str(),
            code.status(),
            retryable(code),
            markdown::lines(code.meaning()).join("\n"),
        );
    }
    text
}

fn retryable(code: ErrorCode) -> &'static str {
    if code.is_retryable() { "yes" } else { "no" }
}
