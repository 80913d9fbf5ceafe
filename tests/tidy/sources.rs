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

#[test]
fn the_simulator_shares_nothing_with_the_service() {
    let crates = [
        "lark_service",
        "lark-local-host",
        "api-document",
        "lark-service-doctor",
    ];
    let simulator = text("local/simulator/Cargo.toml");
    let shared = text("shared/Cargo.toml");
    let of_service = shared
        .split("[dev-dependencies]")
        .next()
        .unwrap_or_default();
    let shares = crates.into_iter().filter(|name| simulator.contains(name));
    let shares = shares.map(|name| format!("local/simulator/Cargo.toml: depends on {name}"));
    let used = of_service.contains("lark-simulator");
    let used =
        used.then(|| "shared/Cargo.toml: depends on lark-simulator outside tests".to_owned());
    report(shares.chain(used));
}

#[test]
fn no_policy_allows_a_scan() {
    let template = text("template.yaml");
    let lines = template.lines().enumerate();
    let wrong =
        lines.filter(|(_, line)| line.contains("dynamodb:Scan") || line.contains("dynamodb:*"));
    report(wrong.map(|(at, line)| format!("template.yaml:{}: {}", at + 1, line.trim())));
}
