//! Completion scripts for shells.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::output::Output;

pub(crate) fn run(shell: Shell, output: &Output) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(
        shell,
        &mut Arguments::command(),
        "lark-service",
        &mut script,
    );
    let script = String::from_utf8_lossy(&script);
    output.answer(&serde_json::json!({ "script": script }), script.trim_end())
}
