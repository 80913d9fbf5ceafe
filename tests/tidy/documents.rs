//! Commands and links in the documents.

use std::collections::BTreeSet;

use crate::project::{files, report, root, text};

fn documents() -> Vec<String> {
    let mut documents = files("docs", ".md");
    let at_the_root = [
        "README.md",
        "README.zh-CN.md",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
    ];
    documents.extend(at_the_root.map(str::to_owned));
    documents
}

fn make_targets() -> BTreeSet<String> {
    let makefile = text("Makefile");
    let targets = makefile.lines().filter_map(|line| line.split_once(':'));
    targets
        .map(|(target, _)| target)
        .filter(|target| {
            target
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'-')
        })
        .map(str::to_owned)
        .collect()
}

/// The lines of the code blocks of `document`.
fn commands(document: &str) -> Vec<&str> {
    let blocks = document.split("\n```").skip(1).step_by(2);
    blocks.flat_map(|block| block.lines().skip(1)).collect()
}

/// The targets that `document` tells to make, in code blocks and between backticks.
fn named_targets(document: &str) -> BTreeSet<String> {
    let in_blocks = commands(document);
    let in_text = document.split('`').skip(1).step_by(2);
    let words = in_blocks
        .into_iter()
        .chain(in_text)
        .filter_map(|command| command.trim().strip_prefix("make "));
    words
        .filter_map(|rest| Some(rest.split_ascii_whitespace().next()?.to_owned()))
        .collect()
}

#[test]
fn every_make_target_in_the_documents_exists() {
    let targets = make_targets();
    report(documents().into_iter().flat_map(|path| {
        let named = named_targets(&text(&path));
        let unknown: Vec<_> = named.difference(&targets).cloned().collect();
        unknown.into_iter().map(move |target| {
            format!("{path} says `make {target}`, which the Makefile does not have: correct it")
        })
    }));
}

#[test]
fn both_readmes_show_the_same_commands() {
    let english = text("README.md");
    let chinese = text("README.zh-CN.md");
    assert_eq!(
        commands(&english),
        commands(&chinese),
        "let README.zh-CN.md show the commands of README.md"
    );
}

#[test]
fn the_readme_is_short() {
    for path in ["README.md", "README.zh-CN.md"] {
        let lines = text(path).lines().count();
        assert!(
            lines < 120,
            "{path} has {lines} lines: move what is not needed in the first minutes to docs/"
        );
    }
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    report(documents().into_iter().flat_map(|path| {
        let document = text(&path);
        let folder = root()
            .join(&path)
            .parent()
            .map(ToOwned::to_owned)
            .unwrap_or_default();
        let links = document
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next());
        let broken: Vec<_> = links
            .filter(|link| !link.contains("://") && !link.starts_with('#'))
            .filter(|link| {
                !folder
                    .join(link.split('#').next().unwrap_or_default())
                    .exists()
            })
            .map(|link| format!("{path} links to {link}, which does not exist: correct the link"))
            .collect();
        broken
    }));
}
