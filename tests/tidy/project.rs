//! The project's files, as the tests ask about them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_yaml_ng::Value;

/// A function of the template.
pub(crate) struct Function {
    /// `GetUserFunction`.
    pub(crate) logical_id: String,
    /// `get-user`: the name of everything else.
    pub(crate) name: String,
    /// Where the template finds its artefact.
    pub(crate) code_uri: String,
    /// Its HTTP events.
    pub(crate) routes: Vec<Route>,
}

/// A route of the API.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Route {
    /// In lower case.
    pub(crate) method: String,
    pub(crate) path: String,
    /// Without an API key.
    pub(crate) is_public: bool,
}

/// The workspace's folder.
pub(crate) fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests
        .parent()
        .expect("the tests are a folder of the workspace")
        .to_owned()
}

/// The text of the file at `path`, seen from the workspace's folder.
#[track_caller]
pub(crate) fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[track_caller]
pub(crate) fn yaml(path: &str) -> Value {
    serde_yaml_ng::from_str(&text(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[track_caller]
pub(crate) fn json(path: &str) -> serde_json::Value {
    serde_json::from_str(&text(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The files below `folder` whose name ends with `ending`, seen from the workspace's folder. Build output is no part of it.
pub(crate) fn files(folder: &str, ending: &str) -> Vec<String> {
    let mut found = Vec::new();
    collect(&root().join(folder), ending, &mut found);
    found.sort();
    found
}

fn collect(folder: &Path, ending: &str, found: &mut Vec<String>) {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let path = entry
            .expect("a folder that was opened can be listed")
            .path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() {
            if !name.starts_with('.') && name != "target" && name != "node_modules" {
                collect(&path, ending, found);
            }
        } else if name.ends_with(ending) {
            let path = path
                .strip_prefix(root())
                .expect("it was found below the root");
            found.push(path.to_string_lossy().into_owned());
        }
    }
}

/// The names of the folders in `folder` that hold a crate.
pub(crate) fn crates(folder: &str) -> BTreeSet<String> {
    files(folder, "Cargo.toml")
        .iter()
        .filter_map(|path| {
            Some(
                path.strip_suffix("/Cargo.toml")?
                    .rsplit('/')
                    .next()?
                    .to_owned(),
            )
        })
        .collect()
}

/// The functions in template.yaml.
pub(crate) fn functions() -> Vec<Function> {
    let template = yaml("template.yaml");
    let resources = template["Resources"]
        .as_mapping()
        .expect("template.yaml has resources");
    resources
        .iter()
        .filter(|(_, resource)| resource["Type"] == "AWS::Serverless::Function")
        .map(|(logical_id, resource)| {
            let logical_id = logical_id
                .as_str()
                .expect("a logical id is text")
                .to_owned();
            Function {
                name: crate_name(&logical_id),
                code_uri: resource["Properties"]["CodeUri"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned(),
                routes: routes(&resource["Properties"]["Events"]),
                logical_id,
            }
        })
        .collect()
}

/// `get-user` for `GetUserFunction`.
fn crate_name(logical_id: &str) -> String {
    let mut name = String::new();
    for letter in logical_id
        .strip_suffix("Function")
        .unwrap_or(logical_id)
        .chars()
    {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('-');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

fn routes(events: &Value) -> Vec<Route> {
    let events = events.as_mapping().into_iter().flatten();
    events
        .filter(|(_, event)| event["Type"] == "HttpApi")
        .map(|(_, event)| {
            let property = |name: &str| {
                event["Properties"][name]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned()
            };
            Route {
                method: property("Method").to_lowercase(),
                path: property("Path"),
                is_public: event["Properties"]["Auth"]["Authorizer"] == "NONE",
            }
        })
        .collect()
}

/// The variables that the template gives to every function.
pub(crate) fn template_variables() -> BTreeSet<String> {
    let template = yaml("template.yaml");
    let variables = &template["Globals"]["Function"]["Environment"]["Variables"];
    let variables = variables.as_mapping().expect("the template sets variables");
    variables
        .keys()
        .filter_map(|name| Some(name.as_str()?.to_owned()))
        .collect()
}

/// Every word in `text` that starts with `prefix` and goes on with letters, digits and `_`.
pub(crate) fn words(text: &str, prefix: &str) -> BTreeSet<String> {
    text.match_indices(prefix)
        .map(|(start, _)| {
            let word = text[start..].chars();
            word.take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                .collect()
        })
        .collect()
}

/// Fails with a line for each problem, each of which says what to do.
#[track_caller]
pub(crate) fn report(problems: impl IntoIterator<Item = String>) {
    let problems: Vec<_> = problems.into_iter().collect();
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}
