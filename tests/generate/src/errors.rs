//! `docs/errors.md`, from the table of error codes.

use lark_service::error::ErrorCode;

/// A table of every code.
pub(crate) fn codes() -> String {
    let mut table =
        "| code | HTTP status | retryable | title |\n| --- | --- | --- | --- |\n".to_owned();
    for code in ErrorCode::ALL {
        let retryable = if code.is_retryable() { "yes" } else { "no" };
        let (name, status, title) = (code.as_str(), code.status(), code.title());
        table += &format!("| [`{name}`](#{name}) | {status} | {retryable} | {title} |\n");
    }
    table
}
