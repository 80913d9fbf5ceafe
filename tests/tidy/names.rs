//! `functions/get-user` = package `get-user` = `GetUserFunction` = `events/get-user.json` = its place in the local host.

use std::collections::BTreeSet;

use lark_service::config;

use crate::project::{self, crates, files, functions, json, report, text};

#[test]
fn every_function_of_the_template_has_a_crate() {
    let crates = crates("functions");
    report(
        functions()
            .iter()
            .filter(|function| !crates.contains(&function.name))
            .map(|function| {
                let (id, name) = (&function.logical_id, &function.name);
                format!("{id} in template.yaml has no crate: add functions/{name}, or remove {id}")
            }),
    );
}

#[test]
fn every_crate_of_a_function_is_in_the_template() {
    let deployed: BTreeSet<_> = functions()
        .into_iter()
        .map(|function| function.name)
        .collect();
    report(crates("functions").difference(&deployed).map(|name| {
        format!("functions/{name} is never deployed: add its function to template.yaml, or remove the crate")
    }));
}

#[test]
fn every_function_has_a_sample_event() {
    let events: BTreeSet<_> = files("events", ".json").into_iter().collect();
    let wanted = functions()
        .into_iter()
        .map(|function| format!("events/{}.json", function.name));
    report(wanted.filter(|event| !events.contains(event)).map(|event| {
        format!("{event} is missing: add what the trigger sends, for `make invoke` and the function's tests")
    }));
}

#[test]
fn every_sample_event_is_of_a_function() {
    let names: Vec<_> = functions()
        .into_iter()
        .map(|function| function.name)
        .collect();
    let is_of_one = |event: &str| {
        names.iter().any(|name| {
            event == name
                || event
                    .strip_prefix(name.as_str())
                    .is_some_and(|rest| rest.starts_with('-'))
        })
    };
    let events = files("events", ".json")
        .into_iter()
        .filter(|path| path != "events/env.json");
    report(events.filter_map(|path| {
        json(&path);
        let event = path.trim_start_matches("events/").trim_end_matches(".json");
        (!is_of_one(event)).then(|| {
            format!("{path}: begin its name with the function's, such as get-user-invalid.json")
        })
    }));
}

#[test]
fn every_function_has_a_place_in_the_local_host() {
    let table = text("local/host/src/functions.rs");
    let table = table.split("#[cfg(test)]").next().unwrap_or_default();
    let is_there = |name: &str| table.contains(&format!("!({}::handle(", name.replace('-', "_")));
    report(
        functions()
            .iter()
            .filter(|function| !is_there(&function.name))
            .map(|function| {
                let name = &function.name;
                format!("local/host/src/functions.rs does not name {name}: add it to the table")
            }),
    );
}

#[test]
fn a_function_has_one_name_everywhere() {
    let mut problems = Vec::new();
    for function in functions() {
        let (id, name) = (&function.logical_id, &function.name);
        if !id.ends_with("Function") {
            problems.push(format!(
                "{id} in template.yaml: let its name end in Function"
            ));
        }
        let wanted = format!("target/lambda/{name}/");
        if function.code_uri != wanted {
            problems.push(format!("{id} in template.yaml: set CodeUri to {wanted}"));
        }
        let manifest = text(&format!("functions/{name}/Cargo.toml"));
        if !manifest.contains(&format!("\nname = \"{name}\"\n")) {
            problems.push(format!(
                "functions/{name}/Cargo.toml: call the package {name}"
            ));
        }
        if !text(&format!("functions/{name}/src/lib.rs")).contains(&format!("\"{name}\"")) {
            problems.push(format!(
                "functions/{name}/src/lib.rs: give \"{name}\" to http::serve or invocation::run"
            ));
        }
    }
    report(problems);
}

#[test]
fn sam_hands_on_every_variable_of_the_sample_environment() {
    let given = project::template_variables();
    let samples = config::VARIABLES.iter().filter(|row| row.sample.is_some());
    report(samples.filter(|row| !given.contains(row.name)).map(|row| {
        let name = row.name;
        format!("events/env.json sets {name}, which `sam local invoke` drops: add it to template.yaml, or remove its sample from shared/src/config/variables.rs")
    }));
}
