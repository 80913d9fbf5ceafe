//! Variables, error codes, routes and metrics: the code, template.yaml, openapi.yaml and docs/ name the same ones.

use std::collections::{BTreeMap, BTreeSet};

use lark_service::config;
use lark_service::error::ErrorCode;
use lark_service::error::LoginEnd;

use crate::project::{Route, files, functions, report, template_variables, text, words, yaml};

fn variables() -> BTreeSet<String> {
    let names = config::VARIABLES.iter().map(|row| row.name);
    names.map(str::to_owned).collect()
}

#[test]
fn every_variable_the_code_reads_is_documented() {
    let documented = text("docs/configuration.md");
    report(
        variables()
            .into_iter()
            .filter(|name| !documented.contains(&format!("`{name}`")))
            .map(|name| {
                format!("docs/configuration.md does not have {name}: run `make generate`; a new part needs its section")
            }),
    );
}

#[test]
fn the_configuration_names_only_variables_of_its_table() {
    let known = variables();
    let sources = files("shared/src", ".rs")
        .into_iter()
        .filter(|path| path.contains("/config"));
    let read: BTreeSet<_> = sources
        .flat_map(|path| words(&text(&path), "LARK_SERVICE_"))
        .collect();
    report(read.difference(&known).map(|name| {
        format!("shared/src/config names {name}, which has no row in shared/src/config/variables.rs: add it, or correct the name")
    }));
}

#[test]
fn the_variables_of_the_local_programs_are_documented() {
    let documented = text("docs/configuration.md") + &text("docs/local.md") + &text("docs/cli.md");
    let sources = ["local/host/src", "local/simulator/src", "cli/src"]
        .into_iter()
        .flat_map(|folder| files(folder, ".rs"));
    report(sources.flat_map(|path| {
        let source = text(&path);
        let literals = source.split('"').filter(|text| words(text, "LARK_").contains(*text));
        let unknown: Vec<_> = literals.filter(|name| !documented.contains(&format!("`{name}`"))).map(str::to_owned).collect();
        unknown.into_iter().map(move |name| format!("{path} reads {name}, which neither docs/configuration.md, docs/local.md nor docs/cli.md has: describe it"))
    }));
}

#[test]
fn the_template_sets_only_variables_that_the_code_reads() {
    report(template_variables().difference(&variables()).map(|name| {
        format!("template.yaml sets {name}, which the code does not read: remove it, or read it in lark_service::config")
    }));
}

#[test]
fn the_documents_name_only_variables_that_the_code_reads() {
    let mut known = variables();
    // The command line has some of its own.
    for path in files("cli/src", ".rs") {
        known.extend(words(&text(&path), "LARK_SERVICE_"));
    }
    let documents = files("docs", ".md")
        .into_iter()
        .chain(["README.md", "README.zh-CN.md", "ARCHITECTURE.md"].map(str::to_owned));
    report(documents.flat_map(|path| {
        let named = words(&text(&path), "LARK_SERVICE_");
        // `LARK_SERVICE_*` stands for all of them.
        let unknown: Vec<_> = named
            .difference(&known)
            .filter(|name| !name.ends_with('_'))
            .cloned()
            .collect();
        unknown.into_iter().map(move |name| {
            format!("{path} names {name}, which the code does not read: remove or correct it")
        })
    }));
}

/// The sections of docs/errors.md by their heading, which is a code.
fn documented_codes() -> BTreeMap<String, String> {
    let document = text("docs/errors.md");
    let sections = document.split("\n## `").skip(1);
    sections
        .filter_map(|section| section.split_once("`\n"))
        .map(|(code, body)| (code.to_owned(), body.trim().to_owned()))
        .collect()
}

#[test]
fn every_reason_to_log_in_again_is_documented() {
    let documented = documented_codes();
    let section = documented
        .get(ErrorCode::ReauthorizationRequired.as_str())
        .map(String::as_str)
        .unwrap_or_default();
    let missing = LoginEnd::ALL
        .into_iter()
        .filter(|end| !section.contains(&format!("| `{}` |", end.as_str())));
    report(missing.map(|end| {
        let (reason, code) = (end.as_str(), ErrorCode::ReauthorizationRequired.as_str());
        format!("docs/errors.md, section `{code}`: add `{reason}` to the table of reasons")
    }));
}

fn described_routes() -> BTreeSet<Route> {
    let description = yaml("openapi.yaml");
    let mut routes = BTreeSet::new();
    for (path, methods) in description["paths"]
        .as_mapping()
        .expect("openapi.yaml has paths")
    {
        for (method, operation) in methods.as_mapping().into_iter().flatten() {
            let method = method.as_str().unwrap_or_default();
            if !["get", "put", "post", "delete", "patch"].contains(&method) {
                continue;
            }
            let is_public = operation
                .get("security")
                .and_then(|all| all.as_sequence())
                .is_some_and(Vec::is_empty);
            let path = path.as_str().unwrap_or_default().to_owned();
            routes.insert(Route {
                method: method.to_owned(),
                path,
                is_public,
            });
        }
    }
    routes
}

#[test]
fn the_api_description_has_the_routes_of_the_template() {
    let deployed: BTreeSet<_> = functions()
        .into_iter()
        .flat_map(|function| function.routes)
        .collect();
    let described = described_routes();
    let say = |route: &Route, what: &str| {
        let who = if route.is_public {
            "without a key"
        } else {
            "with a key"
        };
        format!(
            "{} {} ({who}) {what}",
            route.method.to_uppercase(),
            route.path
        )
    };
    let missing = deployed.difference(&described).map(|route| {
        say(
            route,
            "is not in openapi.yaml: describe it in its function's openapi.rs",
        )
    });
    let extra = described
        .difference(&deployed)
        .map(|route| say(route, "is in openapi.yaml alone: add it to template.yaml"));
    report(missing.chain(extra));
}

/// The names that metrics.rs declares: its text constants.
fn metrics() -> BTreeSet<String> {
    let metrics = text("shared/src/telemetry/metrics.rs");
    let names = metrics
        .split('"')
        .skip(1)
        .step_by(2)
        .filter(|name| name.starts_with("lark_service_"));
    names.map(str::to_owned).collect()
}

fn metrics_in(path: &str) -> BTreeSet<String> {
    // The crate has the same prefix.
    let is_metric = |name: &String| name.ends_with("_total") || name.ends_with("_seconds");
    words(&text(path), "lark_service_")
        .into_iter()
        .filter(is_metric)
        .collect()
}

#[test]
fn every_metric_is_documented_and_every_documented_metric_exists() {
    let (known, documented) = (metrics(), metrics_in("docs/observability.md"));
    let missing = known.difference(&documented).map(|name| {
        format!("docs/observability.md does not have {name}: say what it counts and its labels")
    });
    let extra = documented.difference(&known).map(|name| {
        format!("docs/observability.md has {name}, which metrics.rs has not: remove it")
    });
    report(missing.chain(extra));
}

#[test]
fn alarms_and_the_dashboard_watch_metrics_that_exist() {
    report(metrics_in("template.yaml").difference(&metrics()).map(|name| {
        format!("template.yaml watches {name}, which nothing writes: use a name of shared/src/telemetry/metrics.rs")
    }));
}
