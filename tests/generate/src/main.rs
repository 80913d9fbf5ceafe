//! Writes the files, and the sections of documents, that are derived from the code. `generate` writes them;
//! `generate --check` writes nothing and fails when one of them is not current.

mod configuration;
mod errors;
mod markdown;
mod refusals;
mod target;

use std::process::ExitCode;

use target::{Problem, Target};

/// Everything that is generated, a line each. [`Target::File`] is a whole file, [`Target::Section`] what stands in a
/// document between `<!-- generated: NAME; make generate -->` and `<!-- end -->`.
const TARGETS: &[Target] = &[
    Target::File("events/env.json", configuration::sample_environment),
    Target::Section("docs/configuration.md", "store", configuration::store),
    Target::Section("docs/configuration.md", "cache", configuration::cache),
    Target::Section("docs/configuration.md", "queue", configuration::queue),
    Target::Section("docs/configuration.md", "platform", configuration::platform),
    Target::Section(
        "docs/configuration.md",
        "behaviour",
        configuration::behaviour,
    ),
    Target::Section("docs/configuration.md", "aws", configuration::aws),
    Target::Section("docs/errors.md", "codes", errors::codes),
    Target::Section("docs/messages.md", "refusals", refusals::tables),
    Target::File("openapi.yaml", lark_local_host::openapi::document),
];

#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for people tells them what it does"
)]
fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let process: fn(&Target) -> Result<bool, Problem> = match arguments.as_slice() {
        [] => Target::write,
        [flag] if flag == "--check" => Target::check,
        _ => {
            eprintln!("usage: generate [--check]");
            return ExitCode::from(2);
        }
    };
    let mut status = ExitCode::SUCCESS;
    for target in TARGETS {
        match process(target) {
            Ok(true) => println!("{target}: written"),
            Ok(false) => {}
            Err(problem) => {
                eprintln!("{target}: {problem}");
                status = ExitCode::FAILURE;
            }
        }
    }
    status
}
