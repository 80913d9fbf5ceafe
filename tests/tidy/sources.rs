//! Rules of style that hold for every crate and every file.

use crate::project::{files, report, text};

/// Above this a file is split along the reasons to change.
const MAX_LINES: usize = 400;
/// Where crates are.
const FOLDERS: [&str; 6] = [
    "functions",
    "shared",
    "api-document",
    "local",
    "cli",
    "tests",
];

#[test]
fn every_crate_follows_the_lints_of_the_workspace() {
    let manifests = FOLDERS
        .into_iter()
        .flat_map(|folder| files(folder, "Cargo.toml"));
    report(
        manifests
            .filter(|path| !text(path).contains("[lints]\nworkspace = true\n"))
            .map(|path| format!("{path}: add `[lints]` with `workspace = true`")),
    );
}

#[test]
fn no_rust_file_is_long() {
    let sources = FOLDERS.into_iter().flat_map(|folder| files(folder, ".rs"));
    report(sources.filter_map(|path| {
        let lines = text(&path).lines().count();
        (lines > MAX_LINES)
            .then(|| format!("{path} has {lines} lines: split it, {MAX_LINES} is the most"))
    }));
}
