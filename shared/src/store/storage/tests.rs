//! What the log says of a slow operation, and how long callers wait for a store that falls silent.

use std::io::{Read, Seek};

use super::*;

/// The log line of a slow list of `partition`.
fn line(table: Table, partition: &str) -> String {
    let file = Arc::new(tempfile::tempfile().unwrap());
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(Arc::clone(&file))
        .finish();
    tracing::subscriber::with_default(subscriber, || {
        let operation = Operation::on("list", table, Some(&partition));
        log_slow(&Span::none(), operation, SLOW);
    });
    let (mut file, mut line) = (&*file, String::new());
    file.rewind().unwrap();
    file.read_to_string(&mut line).unwrap();
    line
}

#[test]
fn a_slow_list_is_logged_with_its_partition() {
    let line = line(Table::Tokens, "cli_a");
    assert!(line.contains(r#"store.operation="list""#), "{line}");
    assert!(line.contains(r#"store.key="cli_a""#), "{line}");
}

#[test]
fn what_a_user_is_found_by_is_not_logged() {
    let line = line(Table::Directory, "cli_a#a@example.com");
    assert!(line.contains("a slow store operation"), "{line}");
    assert!(!line.contains("example"), "{line}");
}

mod silence;
